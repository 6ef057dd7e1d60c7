//! Identities and the key that a client and its gateway share.

use core::fmt;

use alloc::vec::Vec;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use mixlet_ciphers::{GcmSiv, hkdf_blake3};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::message::GatewayId;

/// A client as its gateway knows it: its ed25519 public key, which is also where packets for it are addressed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub [u8; 32]);

/// Says nothing, since logs must not hold addresses.
impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientId(..)")
    }
}

/// The long-term ed25519 key of a client or of a gateway. Wiped when dropped.
pub struct IdentityKeypair(SigningKey);

impl IdentityKeypair {
    /// Draws a key: 32 bytes from `rng`.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Self::from_bytes(&seed)
    }

    /// The key of a seed. Every seed has one.
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half, for a client.
    pub fn client_id(&self) -> ClientId {
        ClientId(self.0.verifying_key().to_bytes())
    }

    /// The public half, for a gateway.
    pub fn gateway_id(&self) -> GatewayId {
        GatewayId(self.0.verifying_key().to_bytes())
    }

    /// A plain ed25519 signature (RFC 8032, neither prehashed nor with a context).
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// Whether `signature` over `message` is by the owner of `public`.
///
/// Strict: a key that is no point or of small order, a first half that is no point or of small order, and a second
/// half above the group order are all refused.
pub(super) fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(public)
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

/// The key that a registration leaves with client and gateway. It seals everything on the link, in both directions,
/// until the next registration. Wiped when dropped.
pub struct SharedKey {
    bytes: Zeroizing<[u8; 32]>,
    // Kept since its key schedule costs as much as a small frame.
    cipher: GcmSiv,
}

impl SharedKey {
    /// What sealing adds: the tag.
    pub const TAG_LEN: usize = 16;
    /// The length of a nonce.
    pub const NONCE_LEN: usize = 12;

    /// The key with these bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self { bytes: Zeroizing::new(*bytes), cipher: GcmSiv::new(bytes) }
    }

    /// The bytes, for the store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// HKDF (RFC 5869) with HMAC over plain BLAKE3, without info: one block of 32 bytes.
    pub(super) fn derive(shared_secret: &[u8; 32], salt: &[u8; 16]) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        hkdf_blake3(Some(salt), shared_secret, &mut *bytes);
        Self::from_bytes(&bytes)
    }

    /// Encrypts in place and gives the tag. There is no associated data anywhere on the link.
    pub(super) fn seal_in_place(&self, nonce: &[u8; 12], text: &mut [u8]) -> [u8; 16] {
        let tag = self.cipher.seal(nonce, text);
        debug_assert!(tag.is_some(), "a frame is shorter than 64 GiB");
        // A tag that does not fit is refused by whoever gets it.
        tag.unwrap_or_default()
    }

    /// Decrypts in place; `false` when the tag does not fit, and then `text` is worthless.
    #[must_use]
    pub(super) fn open_in_place(&self, nonce: &[u8; 12], text: &mut [u8], tag: &[u8; 16]) -> bool {
        self.cipher.open(nonce, text, tag)
    }

    /// Ciphertext and tag.
    pub(super) fn seal(&self, nonce: &[u8; 12], plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plaintext.len().saturating_add(Self::TAG_LEN));
        sealed.extend_from_slice(plaintext);
        let tag = self.seal_in_place(nonce, &mut sealed);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// The plaintext; `None` when it is not authentic.
    pub(super) fn open(&self, nonce: &[u8; 12], sealed: &[u8]) -> Option<Vec<u8>> {
        let (ciphertext, tag) = sealed.split_last_chunk::<16>()?;
        let mut plaintext = ciphertext.to_vec();
        self.open_in_place(nonce, &mut plaintext, tag).then_some(plaintext)
    }
}

/// In constant time.
impl ConstantTimeEq for SharedKey {
    fn ct_eq(&self, other: &Self) -> subtle::Choice {
        self.bytes.as_slice().ct_eq(other.bytes.as_slice())
    }
}

/// Draws a nonce: 12 bytes from `rng`.
pub(super) fn nonce(rng: &mut dyn CryptoRng) -> [u8; 12] {
    let mut nonce = [0; 12];
    rng.fill_bytes(&mut nonce);
    nonce
}
