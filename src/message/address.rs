//! The address a client hands out, the identity of a gateway, and the tag an unknown sender goes by.

use core::fmt;

use alloc::string::String;

use rand_core::CryptoRng;

use super::MessageError;
use crate::sphinx::Destination;

/// The length of an address as bytes.
pub const ADDRESS_LEN: usize = 96;

/// What others need in order to reach a client: its identity, the key to encrypt to, and its gateway.
///
/// As text: the three in base58, `identity.encryption@gateway`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    identity: [u8; 32],
    encryption: [u8; 32],
    gateway: GatewayId,
}

impl Address {
    /// Puts an address together from a client's own keys.
    ///
    /// # Errors
    ///
    /// [`MessageError::Address`] when `identity` or `gateway` is no point of the identity curve.
    pub fn new(identity: [u8; 32], encryption: [u8; 32], gateway: GatewayId) -> Result<Self, MessageError> {
        if is_identity(&identity) && is_identity(&gateway.0) {
            Ok(Self { identity, encryption, gateway })
        } else {
            Err(MessageError::Address)
        }
    }

    /// Reads the text form. The length of a piece says nothing, since leading zeros are short: only what it decodes to
    /// counts.
    ///
    /// # Errors
    ///
    /// [`MessageError::Address`] unless there is one `@`, one `.` before it, three pieces of 32 bytes, and both identities
    /// are points of their curve.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let read = || {
            let (client, gateway) = text.split_once('@')?;
            let (identity, encryption) = client.split_once('.')?;
            // A second `@` or `.` is in one of the pieces now, where it is no digit.
            Some((base58(identity)?, base58(encryption)?, GatewayId(base58(gateway)?)))
        };
        let (identity, encryption, gateway) = read().ok_or(MessageError::Address)?;
        Self::new(identity, encryption, gateway)
    }

    /// Reads identity, encryption key and gateway, 32 bytes each.
    ///
    /// # Errors
    ///
    /// [`MessageError::Address`] when one of the identities is no point of its curve.
    pub fn from_bytes(bytes: &[u8; ADDRESS_LEN]) -> Result<Self, MessageError> {
        let Self { identity, encryption, gateway } = Self::restored(bytes);
        Self::new(identity, encryption, gateway)
    }

    /// An address that an earlier run knew, as it was written down. Its points are not checked again: that takes longer
    /// than all the rest of reading it, and one that is none reaches nobody.
    pub(crate) fn restored(bytes: &[u8; ADDRESS_LEN]) -> Self {
        let mut pieces = [[0; 32]; 3];
        for (piece, bytes) in pieces.iter_mut().zip(bytes.as_chunks::<32>().0) {
            *piece = *bytes;
        }
        let [identity, encryption, gateway] = pieces;
        Self { identity, encryption, gateway: GatewayId(gateway) }
    }

    /// Identity, encryption key and gateway, 32 bytes each.
    pub fn to_bytes(&self) -> [u8; ADDRESS_LEN] {
        let mut bytes = [0; ADDRESS_LEN];
        let pieces = [&self.identity, &self.encryption, &self.gateway.0];
        for (place, piece) in bytes.chunks_exact_mut(32).zip(pieces) {
            place.copy_from_slice(piece);
        }
        bytes
    }

    /// Whom a packet for this client is delivered to: the identity key, verbatim.
    pub fn identity(&self) -> Destination {
        Destination(self.identity)
    }

    /// The X25519 key that fragments are sealed to. Any 32 bytes: see [`seal_to`](super::seal_to) for unusable ones.
    pub fn encryption_key(&self) -> &[u8; 32] {
        &self.encryption
    }

    /// The gateway that the client is linked to.
    pub fn gateway(&self) -> GatewayId {
        self.gateway
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}@{}", text(&self.identity), text(&self.encryption), self.gateway)
    }
}

impl fmt::Debug for Address {
    // Addresses never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(..)")
    }
}

/// The identity key of a gateway.
///
/// The bytes are not checked when the tuple is written by hand; [`GatewayId::parse`] and [`Address`] check them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayId(pub [u8; 32]);

impl GatewayId {
    /// Reads 32 bytes.
    ///
    /// # Errors
    ///
    /// [`MessageError::GatewayId`] when they are no point of the identity curve.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, MessageError> {
        if is_identity(&bytes) { Ok(Self(bytes)) } else { Err(MessageError::GatewayId) }
    }

    /// Reads base58.
    ///
    /// # Errors
    ///
    /// [`MessageError::GatewayId`] unless it decodes to 32 bytes that are a point of the identity curve.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        Self::from_bytes(base58(text).ok_or(MessageError::GatewayId)?)
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(&self.0))
    }
}

impl fmt::Debug for GatewayId {
    // Which gateways exist is public, which one a client uses is not: it does not reach a log either.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayId(..)")
    }
}

/// What an unknown sender goes by, and what to answer to: random bytes, one value for each sender and recipient.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SenderTag(pub [u8; 16]);

impl SenderTag {
    /// Draws a tag: 16 bytes from `rng`.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// Reads base58.
    ///
    /// # Errors
    ///
    /// [`MessageError::SenderTag`] unless it decodes to 16 bytes.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        base58(text).map(Self).ok_or(MessageError::SenderTag)
    }

    /// The tag's bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SenderTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(&self.0))
    }
}

impl fmt::Debug for SenderTag {
    // A tag is a pseudonym: it does not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SenderTag(..)")
    }
}

/// Whether the bytes decompress to a point of the identity curve.
fn is_identity(bytes: &[u8; 32]) -> bool {
    ed25519_dalek::VerifyingKey::from_bytes(bytes).is_ok()
}

/// Exactly `N` bytes of base58. The cost is bounded: decoding stops where the bytes no longer fit.
fn base58<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let len = bs58::decode(text).onto(&mut bytes).ok()?;
    (len == N).then_some(bytes)
}

fn text(bytes: &[u8]) -> String {
    bs58::encode(bytes).into_string()
}
