//! Whole packets.

use core::fmt;

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::{Delay, NodeAddress, NodePublicKey, PacketSize, SphinxError};

/// Whom the last hop hands a packet to: the identity key of a client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination(pub [u8; 32]);

impl fmt::Debug for Destination {
    // Identities never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination(..)")
    }
}

/// One step of a route.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// Where the node listens.
    pub address: NodeAddress,
    /// The node's key of the current rotation.
    pub key: &'a NodePublicKey,
}

/// A Sphinx packet of one of the five sizes.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    bytes: Vec<u8>,
    size: PacketSize,
}

impl Packet {
    /// Takes a packet as it came.
    ///
    /// # Errors
    ///
    /// [`SphinxError::Length`] when the length is none of the five.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, SphinxError> {
        let size = PacketSize::from_packet_len(bytes.len()).ok_or(SphinxError::Length(bytes.len()))?;
        Ok(Self { bytes, size })
    }

    /// Header and payload.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Header and payload, moved out.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Which of the five sizes it has.
    pub fn size(&self) -> PacketSize {
        self.size
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packet({:?})", self.size)
    }
}

/// Makes a packet that carries `plaintext` along `route` to `destination`.
///
/// Takes from `rng`, in this order: 32 bytes for the ephemeral secret, then the padding of the last hop's block.
/// `delays` has one entry for each hop; the last one is not sent, since the last hop delivers at once.
///
/// # Errors
///
/// [`SphinxError::Route`] without hops or with more than five, [`SphinxError::Delays`] when their number differs from
/// that of the hops, [`SphinxError::TooLong`] when the plaintext does not fit.
pub fn build(
    size: PacketSize,
    route: &[Hop<'_>],
    delays: &[Delay],
    destination: &Destination,
    plaintext: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<Packet, SphinxError> {
    todo!()
}
