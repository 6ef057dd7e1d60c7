//! Sphinx packets: made, used up hop by hop, and answered through SURBs.
//!
//! Pure functions from bytes and keys to bytes. Time, topology and sockets do not enter; randomness comes from a
//! borrowed generator. The scheme is that of Danezis and Goldberg, "Sphinx: A Compact and Provably Secure Mix Format"
//! (2009), in the form that the Nym network speaks: X25519 as the group, AES-128-CTR and HMAC-SHA256 for the header,
//! LIONESS (ChaCha20 and BLAKE2b) for the payload, at most five hops.
//!
//! Invariants: a [`Packet`] has one of the five sizes; a [`NodePublicKey`] generates the whole prime-order group; a
//! [`Checked`] packet carried a valid MAC; a [`Surb`] is gone once it was used. Bytes from outside never panic.

mod delay;
mod frame;
pub mod header;
pub mod keys;
mod mix_packet;
mod node_address;
pub mod packet;
pub mod params;
pub mod payload;
mod peel;
mod surb;
pub mod wide_block;

pub use delay::Delay;
pub use frame::NodeFrame;
pub use keys::{NodePrivateKey, NodePublicKey};
pub use mix_packet::{MixPacket, RotationTag};
pub use node_address::NodeAddress;
pub use packet::{Destination, Hop, Packet, Version, build};
pub use params::PacketSize;
pub use peel::{Checked, Peeled, ReplayTag};
pub use surb::Surb;

/// Why bytes are not what they claim to be, or a packet cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SphinxError {
    /// A node address has an unknown family or ends too early.
    #[error("malformed node address")]
    Address,
    /// The MAC does not match the header: it was altered, or made for another key.
    #[error("not authentic")]
    Authentication,
    /// The number of delays differs from the number of hops.
    #[error("delays do not match the route")]
    Delays,
    /// A header's flag is neither forward nor final.
    #[error("unknown routing flag {0}")]
    Flag(u8),
    /// A length that the format does not have.
    #[error("wrong length {0}")]
    Length(usize),
    /// A node key of low order, on the twist, or with a part of low order.
    #[error("unusable node key")]
    NodeKey,
    /// A packet type other than that of mix packets.
    #[error("unknown packet type {0}")]
    PacketType(u8),
    /// The payload does not begin with zeros or does not end in a marker and zeros: the wrong key, or altered bytes.
    #[error("malformed payload")]
    Payload,
    /// A key rotation byte above two.
    #[error("unknown key rotation {0}")]
    Rotation(u8),
    /// A route without hops or with more than five.
    #[error("a route of {0} hops")]
    Route(usize),
    /// A shared secret of zero: the peer's key is of low order.
    #[error("degenerate shared secret")]
    SharedSecret,
    /// A frame's size byte is unknown.
    #[error("unknown packet size {0}")]
    SizeTag(u8),
    /// The plaintext does not fit the packet size.
    #[error("a plaintext of {0} bytes is too long")]
    TooLong(usize),
    /// A frame version or packet version that is not spoken any more or not yet.
    #[error("unknown version {0}")]
    Version(u16),
}
