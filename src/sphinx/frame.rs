//! What travels between nodes.

use alloc::vec::Vec;

use super::{Packet, RotationTag, SphinxError};

/// One packet on a stream between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFrame {
    /// The rotation of the keys that the packet was made for; copied from frame to frame.
    pub rotation: RotationTag,
    /// The packet.
    pub packet: Packet,
}

impl NodeFrame {
    /// The current form, version 8.
    pub fn to_v8(&self) -> Vec<u8> {
        todo!()
    }

    /// The older form, version 7, which forgets the rotation.
    pub fn to_v7(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads one frame from the front of `stream` and says how many bytes it took; `None` when it is not complete yet.
    ///
    /// # Errors
    ///
    /// Any error means that the stream cannot be followed any more and the connection has to be closed:
    /// [`SphinxError::Version`], [`SphinxError::SizeTag`], [`SphinxError::PacketType`] or [`SphinxError::Rotation`].
    pub fn decode(stream: &[u8]) -> Result<Option<(Self, usize)>, SphinxError> {
        todo!()
    }
}
