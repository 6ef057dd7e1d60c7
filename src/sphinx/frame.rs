//! What travels between nodes.

use alloc::vec::Vec;

use super::mix_packet::PACKET_TYPE_MIX;
use super::{Packet, PacketSize, RotationTag, SphinxError};

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
        let size = self.packet.size().tag();
        [&[VERSION_8, size, PACKET_TYPE_MIX, self.rotation.to_byte()], self.packet.as_bytes()].concat()
    }

    /// The older form, version 7, which forgets the rotation.
    pub fn to_v7(&self) -> Vec<u8> {
        [&[VERSION_7, self.packet.size().tag(), PACKET_TYPE_MIX], self.packet.as_bytes()].concat()
    }

    /// Reads one frame from the front of `stream` and says how many bytes it took; `None` when it is not complete yet.
    ///
    /// What is wrong with a frame is said as soon as its first four bytes show it, not only when the packet is there.
    ///
    /// # Errors
    ///
    /// Any error means that the stream cannot be followed any more and the connection has to be closed:
    /// [`SphinxError::Version`], [`SphinxError::SizeTag`], [`SphinxError::PacketType`] or [`SphinxError::Rotation`].
    pub fn decode(stream: &[u8]) -> Result<Option<(Self, usize)>, SphinxError> {
        let (size, kind, rotation, rest) = match *stream {
            [VERSION_7, size, kind, ref rest @ ..] => (size, kind, RotationTag::Unknown.to_byte(), rest),
            [VERSION_8, size, kind, rotation, ref rest @ ..] => (size, kind, rotation, rest),
            [] | [VERSION_7 | VERSION_8, ..] => return Ok(None),
            [version, ..] => return Err(SphinxError::Version(version.into())),
        };
        let size = PacketSize::from_tag(size).ok_or(SphinxError::SizeTag(size))?;
        if kind != PACKET_TYPE_MIX {
            return Err(SphinxError::PacketType(kind));
        }
        let rotation = RotationTag::from_byte(rotation)?;
        let Some(packet) = rest.get(..size.packet_len()) else { return Ok(None) };
        let used = stream.len() - rest.len() + packet.len();
        Ok(Some((Self { rotation, packet: Packet::from_bytes(packet.to_vec())? }, used)))
    }
}

const VERSION_7: u8 = 7;
const VERSION_8: u8 = 8;
