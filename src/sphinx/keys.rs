//! Keys of nodes, shared secrets and what is derived from them.
//!
//! A sender and n nodes agree on n secrets. The paper lets the sender raise each node's key to the ephemeral secret and
//! to all blinding factors before it, one power after the other. Since powers commute, the product of the exponents is
//! kept instead and each node's key is raised once: see [`SenderChain`].

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use alloc::boxed::Box;

use curve25519_dalek::scalar::{Scalar, clamp_integer};
use mixlet_ciphers::hkdf_sha256;
use mixlet_curve::{BaseTable, KeyTable, Point, ladder};
use once_cell::race::OnceBox;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use x25519_dalek::X25519_BASEPOINT_BYTES;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::limits;

use super::params::{PAYLOAD_KEY_LEN, PAYLOAD_SEED_LEN};
use super::{SphinxError, Version};

/// The Sphinx key of a node: an X25519 public key that was checked when it was read.
///
/// Equal keys have equal bytes. A key that is used for the second time prepares a table of its multiples, which makes
/// every further use cheaper, as long as there are fewer than [`limits::NODE_TABLES_MAX`] tables; a clone starts without.
pub struct NodePublicKey {
    bytes: [u8; 32],
    used: AtomicBool,
    table: OnceBox<NodeTable>,
}

impl NodePublicKey {
    /// Checks a key.
    ///
    /// # Errors
    ///
    /// [`SphinxError::NodeKey`] when the key is on the twist, where scalars must not be reduced, or of low order, so that
    /// anyone could read that layer.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, SphinxError> {
        let point = Point::from_u(&bytes).ok_or(SphinxError::NodeKey)?;
        // A point of low order times eight is the identity.
        if point.double_times(3).has_x_zero() {
            return Err(SphinxError::NodeKey);
        }
        Ok(Self::unchecked(bytes))
    }

    const fn unchecked(bytes: [u8; 32]) -> Self {
        Self { bytes, used: AtomicBool::new(false), table: OnceBox::new() }
    }

    /// The key as it was published.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Prepares the table now, for a key that is known to be used often. Does nothing when there are too many tables.
    pub fn prepare(&self) {
        if self.table.get().is_none()
            && let Some(table) = NodeTable::new(&self.bytes)
        {
            // When another thread was faster, its table stays.
            let _ = self.table.set(Box::new(table));
        }
    }

    /// Eight times `eighth` times the key, in constant time as far as `eighth` is concerned.
    fn multiply(&self, eighth: &Scalar) -> [u8; 32] {
        // A table costs about as much as it saves in two uses.
        if self.used.swap(true, Ordering::Relaxed) {
            self.prepare();
        }
        match self.table.get() {
            Some(table) => table.multiples.multiply(eighth.as_bytes()),
            None => ladder(&self.bytes, eighth.as_bytes()),
        }
    }
}

impl Clone for NodePublicKey {
    fn clone(&self) -> Self {
        Self::unchecked(self.bytes)
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

/// The multiples of eight times a node's key. All tables there are count against one limit.
struct NodeTable {
    multiples: KeyTable,
}

impl NodeTable {
    fn new(key: &[u8; 32]) -> Option<Self> {
        let room = |live: usize| (live < limits::NODE_TABLES_MAX).then_some(live + 1);
        LIVE_TABLES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        // On the twist is no table, but neither is a key.
        let point = Point::from_u(key).unwrap_or(Point::IDENTITY);
        Some(Self { multiples: KeyTable::new(point.double_times(3)) })
    }
}

impl Drop for NodeTable {
    fn drop(&mut self) {
        LIVE_TABLES.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The private Sphinx key of a node. Wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct NodePrivateKey([u8; 32]);

impl NodePrivateKey {
    /// Takes 32 bytes, which are clamped only where they are used.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Draws a key: 32 bytes from `rng`.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The bytes to store.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0)
    }

    /// The key to publish.
    pub fn public(&self) -> NodePublicKey {
        // A clamped multiple of the base point is neither on the twist nor of low order.
        NodePublicKey::unchecked(x25519_public(&self.0))
    }

    /// The secret shared with whoever made `group_element`.
    ///
    /// # Errors
    ///
    /// [`SphinxError::SharedSecret`] when `group_element` is of low order.
    pub fn shared_secret(&self, group_element: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, SphinxError> {
        x25519_checked(&self.0, group_element)
    }
}

/// The sender's half of the agreement with all nodes of a route.
///
/// For an honest node key Y and clamped factors x, b0, b1, ... the chain of X25519 calls X(b1, X(b0, X(x, Y))) gives the
/// u-coordinate of the point \[x·b0·b1\]Y. The product may be reduced modulo the order of the group, so one
/// multiplication per node is enough. Clamped integers are multiples of eight: an eighth of the product, times eight times
/// the key, gives what the clamped chain gives, whatever part of low order the key has.
pub struct SenderChain {
    /// An eighth of the product so far.
    eighth: Scalar,
}

impl SenderChain {
    /// Starts with an ephemeral secret, 32 random bytes that must never be used twice.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self { eighth: eighth_of_clamped(secret) }
    }

    /// What the header of the packet starts with: what the node whose turn it is sees.
    pub fn group_element(&self) -> [u8; 32] {
        multiply_base(&self.eighth)
    }

    /// The secret shared with the node whose turn it is.
    pub fn shared_secret(&self, key: &NodePublicKey) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(key.multiply(&self.eighth))
    }

    /// Multiplies in a node's blinding factor: the next node has its turn.
    pub fn blind(&mut self, factor: &[u8; 32]) {
        self.eighth *= clamped(factor);
    }
}

impl Drop for SenderChain {
    fn drop(&mut self) {
        self.eighth.zeroize();
    }
}

/// The keys that one hop and the sender derive from their shared secret. Wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct HopKeys {
    /// The key of the key stream over the routing information.
    pub stream_key: [u8; 16],
    /// The key of the header's MAC.
    pub mac_key: [u8; 16],
    /// The payload key in versions up to 258; its first 16 bytes are the seed in versions from 259 on.
    pub payload_material: [u8; PAYLOAD_KEY_LEN],
    /// What the group element is multiplied by for the next hop.
    pub blinding_factor: [u8; 32],
    /// What names this packet in the node's replay filter.
    pub replay_tag: [u8; 32],
}

impl HopKeys {
    const LEN: usize = 16 + 16 + PAYLOAD_KEY_LEN + 32 + 32;

    /// A place to put keys.
    pub(super) const EMPTY: Self = Self {
        stream_key: [0; 16],
        mac_key: [0; 16],
        payload_material: [0; PAYLOAD_KEY_LEN],
        blinding_factor: [0; 32],
        replay_tag: [0; 32],
    };

    /// Everything a node needs.
    pub fn for_node(shared_secret: &[u8; 32]) -> Self {
        Self::derive(shared_secret, Self::LEN)
    }

    /// Everything but the replay tag, which stays zero: it would cost the sender a block of its own.
    pub fn for_sender(shared_secret: &[u8; 32]) -> Self {
        Self::derive(shared_secret, Self::LEN - 32)
    }

    fn derive(shared_secret: &[u8; 32], len: usize) -> Self {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        hkdf_sha256(None, shared_secret, HOP_KEYS_INFO, &mut bytes[..len]);
        let mut keys = Self::EMPTY;
        keys.stream_key.copy_from_slice(&bytes[..16]);
        keys.mac_key.copy_from_slice(&bytes[16..32]);
        keys.payload_material.copy_from_slice(&bytes[32..224]);
        keys.blinding_factor.copy_from_slice(&bytes[224..256]);
        keys.replay_tag.copy_from_slice(&bytes[256..]);
        keys
    }

    /// The seed of the payload key, in versions from 259 on.
    pub fn payload_seed(&self) -> [u8; PAYLOAD_SEED_LEN] {
        let mut seed = [0; PAYLOAD_SEED_LEN];
        seed.copy_from_slice(&self.payload_material[..PAYLOAD_SEED_LEN]);
        seed
    }

    /// The payload key in packets of this version.
    pub fn payload_key(&self, version: Version) -> PayloadKey {
        if version.has_payload_seeds() {
            PayloadKey::from_seed(&self.payload_seed())
        } else {
            PayloadKey::from_bytes(&self.payload_material)
        }
    }
}

/// The key of one payload layer. Wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PayloadKey([u8; PAYLOAD_KEY_LEN]);

impl PayloadKey {
    /// A key that was sent or derived in full.
    pub fn from_bytes(bytes: &[u8; PAYLOAD_KEY_LEN]) -> Self {
        Self(*bytes)
    }

    /// The key that belongs to a seed.
    pub fn from_seed(seed: &[u8; PAYLOAD_SEED_LEN]) -> Self {
        let mut key = Self([0; PAYLOAD_KEY_LEN]);
        hkdf_sha256(Some(PAYLOAD_KEY_SALT), seed, PAYLOAD_KEY_INFO, &mut key.0);
        key
    }

    /// All four parts, in the order in which encryption uses them: the keys of stream, hash, stream and hash.
    pub fn as_bytes(&self) -> &[u8; PAYLOAD_KEY_LEN] {
        &self.0
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
    multiply_base(&eighth_of_clamped(secret))
}

/// X25519 that refuses a result of zero.
///
/// # Errors
///
/// [`SphinxError::SharedSecret`] when `point` is of low order.
pub fn x25519_checked(secret: &[u8; 32], point: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, SphinxError> {
    let shared = x25519(secret, point);
    if bool::from(shared.ct_eq(&[0; 32])) {
        return Err(SphinxError::SharedSecret);
    }
    Ok(shared)
}

/// The clamped integer of 32 bytes, modulo the order of the group.
fn clamped(bytes: &[u8; 32]) -> Scalar {
    Scalar::from_bytes_mod_order(clamp_integer(*bytes))
}

/// An eighth of the clamped integer of 32 bytes. That is a multiple of eight below 2^255, so its eighth is a shift and
/// below the order of the group.
fn eighth_of_clamped(bytes: &[u8; 32]) -> Scalar {
    let mut eighth = Zeroizing::new(clamp_integer(*bytes));
    let mut carry = 0;
    for byte in eighth.iter_mut().rev() {
        (*byte, carry) = (*byte >> 3 | carry, *byte << 5);
    }
    Scalar::from_bytes_mod_order(*eighth)
}

/// Eight times `eighth` times the base point.
fn multiply_base(eighth: &Scalar) -> [u8; 32] {
    let table = BASE_TABLE.get_or_init(|| {
        let base = Point::from_u(&X25519_BASEPOINT_BYTES).unwrap_or(Point::IDENTITY);
        Box::new(BaseTable::new(base.double_times(3)))
    });
    table.multiply(eighth.as_bytes())
}

/// Made when it is first needed, which takes a fraction of a millisecond: it would make the file a quarter larger.
static BASE_TABLE: OnceBox<BaseTable> = OnceBox::new();
static LIVE_TABLES: AtomicUsize = AtomicUsize::new(0);

const HOP_KEYS_INFO: &[u8] =
    b"Dwste mou enan moxlo arketa makru kai ena upomoxlio gia na ton topothetisw kai tha kinisw thn gh.";
const PAYLOAD_KEY_SALT: &[u8] = b"sphinx-payload-key-V01-CS01-HKDF:SHA256-SALT";
const PAYLOAD_KEY_INFO: &[u8] = b"sphinx-payload-key-V01-CS01-HKDF:SHA256-INFO";

const _: () = assert!(HOP_KEYS_INFO.len() == 97 && PAYLOAD_KEY_SALT.len() == 44 && PAYLOAD_KEY_INFO.len() == 44);
