//! Single-use reply blocks.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::header::Header;
use super::keys::PayloadKey;
use super::packet::seal;
use super::params::{ADDRESS_LEN, HEADER_LEN, HOPS_MAX, PAYLOAD_KEY_LEN, PAYLOAD_SEED_LEN};
use super::{Delay, Destination, Hop, NodeAddress, Packet, PacketSize, SphinxError, Version};

/// A header that leads back to whoever made it, with what encrypts the payload. It can be used once.
///
/// Whoever holds it can tell which node it starts at and nothing else of the route. Colluding with the last node of the
/// route they could recognise the packet there, since they know the keys of all layers: that is how the network's SURBs
/// are made.
pub struct Surb {
    header: [u8; HEADER_LEN],
    first_hop: NodeAddress,
    material: KeyMaterial,
}

/// What gives the payload keys, for one hop after the other.
enum KeyMaterial {
    /// Seeds of 16 bytes.
    Seeds(Zeroizing<Vec<u8>>),
    /// Whole keys of 192 bytes, from older clients.
    Keys(Zeroizing<Vec<u8>>),
}

impl Surb {
    /// Makes a SURB that leads along `route` to `destination`, the maker's own address.
    ///
    /// Takes from `rng` what [`build`](super::build) takes.
    ///
    /// # Errors
    ///
    /// [`SphinxError::Route`] and [`SphinxError::Delays`], as [`build`](super::build).
    pub fn make(
        route: &[Hop<'_>],
        delays: &[Delay],
        destination: &Destination,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, SphinxError> {
        let header = Header::build(Version::CURRENT, route, delays, destination, rng)?;
        let first_hop = route.first().ok_or(SphinxError::Route(0))?.address;
        let mut seeds = Zeroizing::new(Vec::with_capacity(PAYLOAD_SEED_LEN * route.len()));
        for keys in header.keys() {
            seeds.extend_from_slice(&keys.payload_seed());
        }
        Ok(Self { header: *header.as_bytes(), first_hop, material: KeyMaterial::Seeds(seeds) })
    }

    /// The length of a SURB with so many hops: header, first hop, one seed for each hop.
    pub const fn len(hops: usize) -> usize {
        HEADER_LEN + ADDRESS_LEN + PAYLOAD_SEED_LEN * hops
    }

    /// The length of a SURB of older clients with so many hops: header, first hop, one key for each hop.
    pub const fn legacy_len(hops: usize) -> usize {
        HEADER_LEN + ADDRESS_LEN + PAYLOAD_KEY_LEN * hops
    }

    /// The number of hops.
    pub fn hops(&self) -> usize {
        match &self.material {
            KeyMaterial::Seeds(seeds) => seeds.len() / PAYLOAD_SEED_LEN,
            KeyMaterial::Keys(keys) => keys.len() / PAYLOAD_KEY_LEN,
        }
    }

    /// The node that the packet made with this SURB goes to.
    ///
    /// It is whatever the maker wrote: check that the topology knows it before the gateway is told to connect to it.
    pub fn first_hop(&self) -> NodeAddress {
        self.first_hop
    }

    /// Header, first hop and seeds. A SURB that was read with full keys has those instead.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (KeyMaterial::Seeds(material) | KeyMaterial::Keys(material)) = &self.material;
        [&self.header[..], &self.first_hop.to_padded_32(), material].concat()
    }

    /// Reads a SURB with one seed for each hop.
    ///
    /// # Errors
    ///
    /// [`SphinxError::Length`] for a length that one to five hops do not give, [`SphinxError::Address`] for a malformed
    /// first hop.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SphinxError> {
        Self::parse(bytes, PAYLOAD_SEED_LEN, KeyMaterial::Seeds)
    }

    /// Reads a SURB of older clients, with one full key for each hop.
    ///
    /// # Errors
    ///
    /// As [`Surb::from_bytes`].
    pub fn from_legacy_bytes(bytes: &[u8]) -> Result<Self, SphinxError> {
        Self::parse(bytes, PAYLOAD_KEY_LEN, KeyMaterial::Keys)
    }

    fn parse(bytes: &[u8], step: usize, wrap: fn(Zeroizing<Vec<u8>>) -> KeyMaterial) -> Result<Self, SphinxError> {
        let wrong = SphinxError::Length(bytes.len());
        let (header, rest) = bytes.split_first_chunk().ok_or(wrong)?;
        let (address, material) = rest.split_first_chunk::<ADDRESS_LEN>().ok_or(wrong)?;
        let hops = material.len() / step;
        if hops == 0 || hops > HOPS_MAX || hops * step != material.len() {
            return Err(wrong);
        }
        let (first_hop, _) = NodeAddress::parse(address)?;
        Ok(Self { header: *header, first_hop, material: wrap(Zeroizing::new(material.to_vec())) })
    }

    /// Uses the SURB up: the node to send to, and the packet.
    ///
    /// # Errors
    ///
    /// [`SphinxError::TooLong`] when the plaintext does not fit.
    pub fn apply(self, size: PacketSize, plaintext: &[u8]) -> Result<(NodeAddress, Packet), SphinxError> {
        if plaintext.len() > size.plaintext_len() {
            return Err(SphinxError::TooLong(plaintext.len()));
        }
        let bytes = seal(&self.header, &self.payload_keys(), size.payload_len(), plaintext);
        Ok((self.first_hop, Packet::from_bytes(bytes)?))
    }

    /// The payload keys of all hops, from the first to the last.
    pub fn payload_keys(&self) -> Vec<PayloadKey> {
        match &self.material {
            KeyMaterial::Seeds(seeds) => seeds.as_chunks().0.iter().map(PayloadKey::from_seed).collect(),
            KeyMaterial::Keys(keys) => keys.as_chunks().0.iter().map(PayloadKey::from_bytes).collect(),
        }
    }

    /// The header of the packet that this SURB makes.
    pub fn header(&self) -> &[u8; HEADER_LEN] {
        &self.header
    }
}
