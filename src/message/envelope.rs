//! The end-to-end layer around a fragment, and what a gateway pushes.
//!
//! The layer hides a fragment from every gateway. It does not authenticate: the recipient's gateway could flip bits of
//! it unnoticed. That is how the network has it.

use alloc::vec::Vec;

use mixlet_ciphers::{aes128_ctr, hkdf_blake3};
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{ACK_LEN, KeyDigest, MessageError, ReplyKey};
use crate::sphinx::NodePublicKey;
use crate::sphinx::keys::{SenderChain, x25519, x25519_checked, x25519_public};

/// The key a client's correspondents encrypt to: its secret half. Wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct EncryptionKey([u8; 32]);

impl EncryptionKey {
    /// Takes a secret as it was stored; it is clamped where it is used.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Draws a secret: 32 bytes from `rng`.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The secret's bytes, for the store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public half, as an address holds it.
    pub fn public(&self) -> [u8; 32] {
        x25519_public(&self.0)
    }
}

/// A recipient's public key, kept to seal many fragments to it.
///
/// It gives the same bytes as [`seal_to`]. From the second use on it has a table of multiples, if there is room for one
/// among those of the nodes, and is then several times faster.
pub struct RecipientKey {
    bytes: [u8; 32],
    /// Missing for keys on the twist and of low order, which have no table: the general way sorts out the latter.
    curve: Option<NodePublicKey>,
}

impl RecipientKey {
    /// Takes the key of an [`Address`](super::Address).
    pub fn new(bytes: [u8; 32]) -> Self {
        Self { bytes, curve: NodePublicKey::from_bytes(bytes).ok() }
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Seals a fragment, as [`seal_to`].
    ///
    /// # Errors
    ///
    /// As [`seal_to`].
    pub fn seal(&self, fragment: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, MessageError> {
        let Some(curve) = &self.curve else { return seal_to(&self.bytes, fragment, rng) };
        let mut ephemeral = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut ephemeral[..]);
        let chain = SenderChain::new(&ephemeral);
        Ok(seal(&chain.group_element(), &derive(&chain.shared_secret(curve)), fragment))
    }
}

/// What a gateway pushed, told apart by its length alone.
///
/// Whether data decrypts to something sensible must not change anything that others can see.
#[derive(Clone, Copy)]
pub enum Pushed<'a> {
    /// An ack, for [`AckKey::open`](super::AckKey::open).
    Ack(&'a [u8; ACK_LEN]),
    /// A sealed fragment, or cover of ours.
    Data {
        /// The digest of a reply key of ours or, when we gave out no such key, an ephemeral public key.
        head: KeyDigest,
        /// The ciphertext.
        sealed: &'a [u8],
    },
}

impl<'a> Pushed<'a> {
    /// Tells an ack from data.
    ///
    /// # Errors
    ///
    /// [`MessageError::Length`] when it is too short for either.
    pub fn parse(pushed: &'a [u8]) -> Result<Self, MessageError> {
        if let Ok(ack) = pushed.try_into() {
            return Ok(Self::Ack(ack));
        }
        let (head, sealed) = pushed.split_first_chunk::<32>().ok_or(MessageError::Length(pushed.len()))?;
        Ok(Self::Data { head: KeyDigest(*head), sealed })
    }
}

/// Seals a fragment to a recipient's public key: a fresh public key and the ciphertext, 32 bytes longer than the
/// fragment. Takes 32 bytes from `rng`.
///
/// # Errors
///
/// [`MessageError::RecipientKey`] when the shared secret is zero: anyone could read what is sealed to that key.
pub fn seal_to(recipient_key: &[u8; 32], fragment: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, MessageError> {
    let mut ephemeral = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut ephemeral[..]);
    let shared = x25519_checked(&ephemeral, recipient_key).map_err(|_| MessageError::RecipientKey)?;
    Ok(seal(&x25519_public(&ephemeral), &derive(&shared), fragment))
}

/// Seals a fragment with the key of a SURB, used up by it: the key's digest and the ciphertext.
///
/// A reply key must never seal twice, since the key stream begins at the same place each time.
pub fn seal_with(key: &ReplyKey, fragment: &[u8]) -> Vec<u8> {
    seal(&key.digest().0, key.as_bytes(), fragment)
}

/// Opens what came through a SURB of ours with the key that was given out with it.
pub fn open_with(key: &ReplyKey, sealed: &[u8]) -> Vec<u8> {
    let mut fragment = sealed.to_vec();
    crypt(key.as_bytes(), &mut fragment);
    fragment
}

/// Opens what was sealed to our own key. Garbage in, garbage out: the fragment's header is the first check there is.
///
/// # Errors
///
/// [`MessageError::Length`] below 32 bytes.
pub fn open(own: &EncryptionKey, pushed: &[u8]) -> Result<Vec<u8>, MessageError> {
    let (ephemeral, sealed) = pushed.split_first_chunk::<32>().ok_or(MessageError::Length(pushed.len()))?;
    let mut fragment = sealed.to_vec();
    // A shared secret of zero is let through: it gives a stranger nothing that sealing to our key does not give.
    crypt(&derive(&x25519(&own.0, ephemeral)), &mut fragment);
    Ok(fragment)
}

fn seal(head: &[u8; 32], key: &[u8; 16], fragment: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(fragment.len().saturating_add(32));
    sealed.extend_from_slice(head);
    sealed.extend_from_slice(fragment);
    if let Some((_, ciphertext)) = sealed.split_first_chunk_mut::<32>() {
        crypt(key, ciphertext);
    }
    sealed
}

fn derive(shared: &[u8; 32]) -> Zeroizing<[u8; 16]> {
    let mut key = Zeroizing::new([0; 16]);
    hkdf_blake3(None, shared, &mut key[..]);
    key
}

fn crypt(key: &[u8; 16], bytes: &mut [u8]) {
    aes128_ctr(key, &[0; 16], bytes);
}
