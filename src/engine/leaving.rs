//! The end of an identity: what is exported of it, and being forgotten by the gateway.

use super::link::LinkState;
use super::output::Event;
use super::{Engine, PacketFormat};
use crate::backup::Backup;
use crate::gateway::{ControlReply, ControlRequest};
use crate::identity::{Identity, IdentityError, Registration};

impl<P: PacketFormat> Engine<P> {
    /// The keys in use, and where they are registered.
    ///
    /// # Errors
    /// None that can happen: what is written is read.
    pub fn backup(&self) -> Result<Backup, IdentityError> {
        let registration = self.registration.as_ref().map(|one| Registration::from_bytes(&one.to_bytes()));
        Ok(Backup {
            identity: Identity::from_bytes(&self.identity.to_bytes())?,
            registration: registration.transpose()?,
        })
    }

    /// Asks the gateway to forget this client; [`Event::Forgotten`] tells that it did. From then on it opens nothing that
    /// is sent, so the client is to be closed. `false`: there is no link to ask over.
    pub fn forget_me(&mut self) -> bool {
        let (LinkState::Up { id }, Some(registration)) = (&self.link.state, &self.registration) else { return false };
        let request = ControlRequest::ForgetMe { client: true, stats: true }.seal(&registration.shared, &mut *self.rng);
        self.say(*id, &request);
        true
    }

    /// The answer to a sealed request.
    pub(super) fn link_reply(&mut self, ciphertext: &[u8], nonce: &[u8; 12]) {
        let Some(registration) = &self.registration else { return };
        if ControlReply::open(&registration.shared, ciphertext, nonce) == Ok(ControlReply::ForgetMeAck) {
            self.events.push_back(Event::Forgotten);
        }
    }
}
