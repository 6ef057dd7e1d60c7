//! What a node does with a packet.

use alloc::vec::Vec;

use super::header::{self, Action};
use super::keys::HopKeys;
use super::params::HEADER_LEN;
use super::{Delay, Destination, NodeAddress, NodePrivateKey, Packet, PacketSize, SphinxError, payload, wide_block};

/// What a node remembers of a packet in order to refuse it the second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplayTag(pub [u8; 32]);

/// A packet whose header is authentic for the node's key.
pub struct Checked {
    packet: Packet,
    header: [u8; HEADER_LEN],
    keys: HopKeys,
}

impl Checked {
    /// Derives the node's keys for `packet` and verifies the header's MAC.
    ///
    /// # Errors
    ///
    /// [`SphinxError::Authentication`] when the MAC does not match, [`SphinxError::SharedSecret`] when the packet's group
    /// element is of low order.
    pub fn new(packet: Packet, key: &NodePrivateKey) -> Result<Self, SphinxError> {
        let header = packet.header();
        let keys = header::verify(&header, key)?;
        Ok(Self { packet, header, keys })
    }

    /// What to look up in the replay filter before [`Checked::peel`].
    pub fn replay_tag(&self) -> ReplayTag {
        ReplayTag(self.keys.replay_tag)
    }

    /// Removes this node's layer.
    ///
    /// # Errors
    ///
    /// [`SphinxError::Flag`] or [`SphinxError::Address`] for routing information that an honest sender does not write,
    /// [`SphinxError::Payload`] at the last hop when the payload was altered.
    pub fn peel(self) -> Result<Peeled, SphinxError> {
        let size = self.packet.size();
        let step = header::open(&self.header, &self.keys)?;
        let mut bytes = self.packet.into_bytes();
        wide_block::decrypt(&self.keys.payload_key(step.version), &mut bytes[HEADER_LEN..]);
        match step.action {
            Action::Forward { next, delay, header } => {
                let (next, _) = NodeAddress::parse(&next)?;
                bytes[..HEADER_LEN].copy_from_slice(&header);
                Ok(Peeled::Forward { next, delay, packet: Packet::from_bytes(bytes)? })
            }
            Action::Final { destination, identifier } => {
                let plaintext = payload::unpad(&bytes[HEADER_LEN..])?.to_vec();
                Ok(Peeled::Final { destination, identifier, size, plaintext })
            }
        }
    }
}

/// A packet without this node's layer.
#[derive(Debug)]
pub enum Peeled {
    /// To be sent on after the delay.
    Forward {
        /// The next node.
        next: NodeAddress,
        /// How long to hold the packet.
        delay: Delay,
        /// What to send.
        packet: Packet,
    },
    /// To be delivered here.
    Final {
        /// The client it is for.
        destination: Destination,
        /// Zero in packets of this network, and not looked at.
        identifier: [u8; 16],
        /// The size of the packet it came in, which says whether an ack is inside.
        size: PacketSize,
        /// What the sender put in, without padding.
        plaintext: Vec<u8>,
    },
}
