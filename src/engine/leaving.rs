//! The end of an identity: what is exported of it, and being forgotten by the gateway.

use super::link::LinkState;
use super::output::LinkId;
use super::{Engine, PacketFormat, State};
use crate::backup::Backup;
use crate::gateway::{ControlReply, ControlRequest};
use crate::identity::{Identity, IdentityError, Registration};
use crate::time::{Duration, Instant};

/// The gateway is to forget this client, as the last thing.
pub(super) struct Forgetting {
    within: Duration,
    /// All else is done: until when this is waited for.
    until: Option<Instant>,
    /// The link over which it was asked. It is asked once: to ask again would be to register again.
    asked: Option<LinkId>,
}

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

    /// [`Self::close`] is to have the gateway forget this client, once what is drained has left: from then on it opens
    /// nothing that is sent. It is waited for as long as is said here, also for a link to ask over, and not longer.
    pub fn forget_at_close(&mut self, within: Duration) {
        self.forgetting.get_or_insert(Forgetting { within, until: None, asked: None });
    }

    /// Whether there is still something to wait for; asks as soon as there is a link.
    pub(super) fn is_being_forgotten(&mut self, now: Instant) -> bool {
        let Some(forgetting) = &mut self.forgetting else { return false };
        let Some(registration) = &self.registration else { return false };
        let until = *forgetting.until.get_or_insert(now + forgetting.within);
        if self.state == State::Idle || until <= now {
            return false;
        }
        match (forgetting.asked, &self.link.state) {
            (None, LinkState::Up { id }) => {
                let id = *id;
                forgetting.asked = Some(id);
                let request = ControlRequest::ForgetMe { client: true, stats: true };
                let request = request.seal(&registration.shared, &mut *self.rng);
                self.say(id, &request);
                true
            }
            (None, _) => true,
            // A link that ends without an answer is one.
            (Some(asked), state) => state.id() == Some(asked),
        }
    }

    /// When `close` waits no longer.
    pub(super) fn next_close(&self) -> Option<Instant> {
        let closing = self.closing.filter(|closing| !closing.done)?;
        Some(self.forgetting.as_ref().and_then(|forgetting| forgetting.until).unwrap_or(closing.deadline))
    }

    /// The answer to a sealed request.
    pub(super) fn link_reply(&mut self, ciphertext: &[u8], nonce: &[u8; 12]) {
        let Some(registration) = &self.registration else { return };
        if ControlReply::open(&registration.shared, ciphertext, nonce) == Ok(ControlReply::ForgetMeAck) {
            self.forgetting = None;
        }
    }
}
