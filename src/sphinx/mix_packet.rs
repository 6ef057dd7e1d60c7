//! What a client hands its gateway.

use alloc::vec::Vec;

use super::{NodeAddress, Packet, SphinxError};

/// Which of a node's keys a packet was made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RotationTag {
    /// Not told; nodes try all keys they have.
    #[default]
    Unknown,
    /// The key of an odd rotation.
    Odd,
    /// The key of an even rotation.
    Even,
}

impl RotationTag {
    /// The tag of a rotation as the topology numbers it; zero and `u32::MAX` are unknown.
    pub const fn from_rotation_id(id: u32) -> Self {
        match id {
            0 | u32::MAX => Self::Unknown,
            id if id % 2 == 1 => Self::Odd,
            _ => Self::Even,
        }
    }

    /// Reads the byte on the wire.
    ///
    /// # Errors
    ///
    /// [`SphinxError::Rotation`] above two.
    pub const fn from_byte(byte: u8) -> Result<Self, SphinxError> {
        match byte {
            0 => Ok(Self::Unknown),
            1 => Ok(Self::Odd),
            2 => Ok(Self::Even),
            _ => Err(SphinxError::Rotation(byte)),
        }
    }

    /// The byte on the wire.
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Odd => 1,
            Self::Even => 2,
        }
    }
}

/// A packet and the node it goes to first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MixPacket {
    /// The rotation of the keys that the packet was made for.
    pub rotation: RotationTag,
    /// The node that the gateway forwards it to.
    pub first_hop: NodeAddress,
    /// The packet.
    pub packet: Packet,
}

impl MixPacket {
    /// The form without key rotation, for old gateways.
    pub fn to_v1(&self) -> Vec<u8> {
        self.join(&[PACKET_TYPE_MIX])
    }

    /// The current form.
    pub fn to_v2(&self) -> Vec<u8> {
        self.join(&[PACKET_TYPE_MIX, self.rotation.to_byte()])
    }

    fn join(&self, front: &[u8]) -> Vec<u8> {
        let packet = self.packet.as_bytes();
        let mut bytes = Vec::with_capacity(front.len() + NodeAddress::V6_LEN + packet.len());
        bytes.extend_from_slice(front);
        bytes.extend_from_slice(&self.first_hop.to_padded_19()[..self.first_hop.encoded_len()]);
        bytes.extend_from_slice(packet);
        bytes
    }

    /// Reads the form without key rotation.
    ///
    /// # Errors
    ///
    /// [`SphinxError::PacketType`], [`SphinxError::Address`] or [`SphinxError::Length`].
    pub fn parse_v1(bytes: &[u8]) -> Result<Self, SphinxError> {
        match bytes {
            [PACKET_TYPE_MIX, rest @ ..] => Self::parse(RotationTag::Unknown, rest),
            [other, ..] => Err(SphinxError::PacketType(*other)),
            [] => Err(SphinxError::Length(0)),
        }
    }

    /// Reads the current form.
    ///
    /// # Errors
    ///
    /// As [`MixPacket::parse_v1`], and [`SphinxError::Rotation`].
    pub fn parse_v2(bytes: &[u8]) -> Result<Self, SphinxError> {
        match bytes {
            [PACKET_TYPE_MIX, rotation, rest @ ..] => Self::parse(RotationTag::from_byte(*rotation)?, rest),
            [other, _, ..] => Err(SphinxError::PacketType(*other)),
            _ => Err(SphinxError::Length(bytes.len())),
        }
    }

    fn parse(rotation: RotationTag, bytes: &[u8]) -> Result<Self, SphinxError> {
        let (first_hop, used) = NodeAddress::parse(bytes)?;
        let packet = Packet::from_bytes(bytes[used..].to_vec())?;
        Ok(Self { rotation, first_hop, packet })
    }
}

/// The type of Sphinx packets, the only one that is left.
pub(super) const PACKET_TYPE_MIX: u8 = 0;
