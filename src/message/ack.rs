//! What an ack contains, how its owner recognises it, and how it lies in front of a fragment.

use alloc::vec::Vec;

use mixlet_ciphers::aes128_ctr;
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{FragmentId, MessageError};
use crate::sphinx::{NodeAddress, Packet, PacketSize};

/// The length of an ack as it is pushed to its owner. Nothing else that is pushed has it.
pub const ACK_LEN: usize = PacketSize::Ack.plaintext_len();

/// The length of the blob in front of a sealed fragment: an address padded to 19 bytes and an ack packet.
pub const ACK_BLOB_LEN: usize = NodeAddress::V6_LEN + PacketSize::Ack.packet_len();

/// The key a client recognises its own acks with. It never leaves the client. Wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct AckKey([u8; 16]);

impl AckKey {
    /// Takes a key as it was stored.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Draws a key: 16 bytes from `rng`.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The key's bytes, for the store.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// What the ack packet of a fragment or of cover carries: 16 bytes drawn from `rng`, and the encrypted identifier.
    pub fn seal(&self, content: AckContent, rng: &mut dyn CryptoRng) -> [u8; ACK_LEN] {
        let mut iv = [0; 16];
        rng.fill_bytes(&mut iv);
        let mut identifier = content.to_bytes();
        self.apply(&iv, &mut identifier);
        let mut sealed = [0; ACK_LEN];
        for (place, byte) in sealed.iter_mut().zip(iv.iter().chain(&identifier)) {
            *place = *byte;
        }
        sealed
    }

    /// What an ack that came back says, or nothing when it is none of ours.
    ///
    /// An ack is not authenticated: half of all strings of this length decrypt to something. What counts is whether the
    /// fragment is in flight.
    pub fn open(&self, pushed: &[u8]) -> Option<AckContent> {
        let pushed: &[u8; ACK_LEN] = pushed.try_into().ok()?;
        let (iv, identifier) = pushed.split_first_chunk::<16>()?;
        let mut identifier: [u8; FragmentId::LEN] = identifier.try_into().ok()?;
        self.apply(iv, &mut identifier);
        AckContent::from_bytes(&identifier)
    }

    fn apply(&self, iv: &[u8; 16], identifier: &mut [u8; FragmentId::LEN]) {
        aes128_ctr(&self.0, iv, identifier);
    }
}

/// What an ack is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckContent {
    /// A cover packet of ours came around.
    Cover,
    /// A fragment reached the recipient's gateway.
    Fragment(FragmentId),
}

impl AckContent {
    fn to_bytes(self) -> [u8; FragmentId::LEN] {
        match self {
            Self::Cover => [0; FragmentId::LEN],
            Self::Fragment(id) => id.to_bytes(),
        }
    }

    fn from_bytes(bytes: &[u8; FragmentId::LEN]) -> Option<Self> {
        if *bytes == [0; FragmentId::LEN] {
            return Some(Self::Cover);
        }
        FragmentId::from_bytes(bytes).map(Self::Fragment)
    }
}

/// Where an ack goes first and the ack itself, as they lie in front of a sealed fragment.
///
/// Always [`ACK_BLOB_LEN`] bytes for a packet of [`PacketSize::Ack`], the only size that a gateway takes here.
pub fn ack_blob(first_hop: NodeAddress, packet: &Packet) -> Vec<u8> {
    debug_assert_eq!(packet.size(), PacketSize::Ack, "the ack in front of a fragment");
    let mut blob = Vec::with_capacity(ACK_BLOB_LEN);
    blob.extend_from_slice(&first_hop.to_padded_19());
    blob.extend_from_slice(packet.as_bytes());
    blob
}

/// What the recipient's gateway does with the plaintext of a packet: the ack, where it goes first, and the rest, which
/// is pushed to the client.
///
/// # Errors
///
/// [`MessageError::Length`] below [`ACK_BLOB_LEN`] bytes, [`MessageError::Address`] when the address is malformed.
pub fn split_ack_blob(plaintext: &[u8]) -> Result<(NodeAddress, Packet, &[u8]), MessageError> {
    let too_short = MessageError::Length(plaintext.len());
    let (blob, rest) = plaintext.split_first_chunk::<ACK_BLOB_LEN>().ok_or(too_short)?;
    let (address, packet) = blob.split_first_chunk::<{ NodeAddress::V6_LEN }>().ok_or(too_short)?;
    let (first_hop, _) = NodeAddress::parse(address).map_err(|_| MessageError::Address)?;
    let packet = Packet::from_bytes(packet.to_vec()).map_err(|_| too_short)?;
    Ok((first_hop, packet, rest))
}
