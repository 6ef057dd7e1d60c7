//! What a node does with a packet.

use alloc::vec::Vec;

use super::{Delay, Destination, NodeAddress, NodePrivateKey, Packet, PacketSize, SphinxError};

/// What a node remembers of a packet in order to refuse it the second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplayTag(pub [u8; 32]);

/// A packet whose header is authentic for the node's key.
pub struct Checked {
    packet: Packet,
    replay_tag: ReplayTag,
}

impl Checked {
    /// Derives the node's keys for `packet` and verifies the header's MAC.
    ///
    /// # Errors
    ///
    /// [`SphinxError::Authentication`] when the MAC does not match, [`SphinxError::SharedSecret`] when the packet's group
    /// element is of low order.
    pub fn new(packet: Packet, key: &NodePrivateKey) -> Result<Self, SphinxError> {
        todo!()
    }

    /// What to look up in the replay filter before [`Checked::peel`].
    pub fn replay_tag(&self) -> ReplayTag {
        self.replay_tag
    }

    /// Removes this node's layer.
    ///
    /// # Errors
    ///
    /// [`SphinxError::Flag`], [`SphinxError::Version`] or [`SphinxError::Address`] for routing information that an honest
    /// sender does not write, [`SphinxError::Payload`] at the last hop when the payload was altered.
    pub fn peel(self) -> Result<Peeled, SphinxError> {
        todo!()
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
