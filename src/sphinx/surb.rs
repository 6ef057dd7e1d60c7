//! Single-use reply blocks.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::{Delay, Destination, Hop, NodeAddress, Packet, PacketSize, SphinxError};

/// A header that leads back to whoever made it, with what encrypts the payload. It can be used once.
pub struct Surb {
    first_hop: NodeAddress,
}

impl Surb {
    /// Makes a SURB that leads along `route` to `destination`, the maker's own address.
    ///
    /// Takes from `rng` what [`build`](super::build) takes.
    ///
    /// # Errors
    ///
    /// As [`build`](super::build).
    pub fn make(
        route: &[Hop<'_>],
        delays: &[Delay],
        destination: &Destination,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, SphinxError> {
        todo!()
    }

    /// The length of a SURB with so many hops: header, first hop, one seed for each hop.
    pub const fn len(hops: usize) -> usize {
        396 - 16 + 16 * hops
    }

    /// The length of a legacy SURB with so many hops: header, first hop, one key for each hop.
    pub const fn legacy_len(hops: usize) -> usize {
        348 + 32 + 192 * hops
    }

    /// The number of hops.
    pub fn hops(&self) -> usize {
        todo!()
    }

    /// The node that the packet made with this SURB goes to.
    pub fn first_hop(&self) -> NodeAddress {
        self.first_hop
    }

    /// Header, first hop and seeds. A legacy SURB, which has keys instead of seeds, comes out in its own form.
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads a SURB with one seed for each hop.
    ///
    /// # Errors
    ///
    /// [`SphinxError::Length`] for a length that one to five hops do not give, [`SphinxError::Address`] for a malformed
    /// first hop.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SphinxError> {
        todo!()
    }

    /// Reads a SURB of older clients, with one full key for each hop.
    ///
    /// # Errors
    ///
    /// As [`Surb::from_bytes`].
    pub fn from_legacy_bytes(bytes: &[u8]) -> Result<Self, SphinxError> {
        todo!()
    }

    /// Uses the SURB up: the packet, and the node it goes to.
    ///
    /// # Errors
    ///
    /// [`SphinxError::TooLong`] when the plaintext does not fit.
    pub fn apply(self, size: PacketSize, plaintext: &[u8]) -> Result<(NodeAddress, Packet), SphinxError> {
        todo!()
    }
}
