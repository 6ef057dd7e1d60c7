//! Whole packets.

use core::fmt;

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::header::Header;
use super::keys::PayloadKey;
use super::params::HEADER_LEN;
use super::{Delay, NodeAddress, NodePublicKey, PacketSize, SphinxError, payload, wide_block};

/// Whom the last hop hands a packet to: the identity key of a client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination(pub [u8; 32]);

impl fmt::Debug for Destination {
    // Identities never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination(..)")
    }
}

/// The version that a header names at each hop. It decides how payload keys are made and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16);

impl Version {
    /// What everything is built with: each payload key comes from a seed of 16 bytes.
    pub const CURRENT: Self = Self(259);

    /// Whether payload keys come from seeds. Unknown versions count as newer ones, as they do for other nodes.
    pub const fn has_payload_seeds(self) -> bool {
        !matches!(self.0, 1 | 257 | 258)
    }

    /// The form in a header.
    pub const fn to_bytes(self) -> [u8; 3] {
        let [high, low] = self.0.to_be_bytes();
        [0, high, low]
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

    /// The header.
    pub(super) fn header(&self) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        header.copy_from_slice(&self.bytes[..HEADER_LEN]);
        header
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
    if plaintext.len() > size.plaintext_len() {
        return Err(SphinxError::TooLong(plaintext.len()));
    }
    let header = Header::build(Version::CURRENT, route, delays, destination, rng)?;
    let bytes = seal(header.as_bytes(), &header.payload_keys(Version::CURRENT), size.payload_len(), plaintext);
    Ok(Packet { bytes, size })
}

/// Puts a header and a padded payload together and adds one layer for each key, that of the last hop first.
///
/// The caller has checked that the plaintext fits.
pub fn seal(header: &[u8; HEADER_LEN], keys: &[PayloadKey], payload_len: usize, plaintext: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LEN + payload_len);
    bytes.extend_from_slice(header);
    payload::pad(&mut bytes, plaintext, payload_len);
    for key in keys.iter().rev() {
        wide_block::encrypt(key, &mut bytes[HEADER_LEN..]);
    }
    bytes
}
