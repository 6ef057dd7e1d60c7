//! A client's long-term keys and its registration with a gateway, and their bytes for the store.
//!
//! Both records begin with a version byte, so that a later version can read what an earlier one has left. They hold
//! secrets in the clear: whoever stores them seals them first.

use alloc::string::String;
use alloc::vec::Vec;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::gateway::{ClientId, IdentityKeypair, SharedKey};
use crate::limits;
use crate::message::{AckKey, Address, EncryptionKey, GatewayId, MessageError};

/// The long-term keys of a client. Everything that others know about it follows from them and from its gateway.
pub struct Identity {
    /// Signs handshakes and logins; its public half is where packets are addressed.
    pub signing: IdentityKeypair,
    /// Opens what others have sealed to this client.
    pub encryption: EncryptionKey,
    /// Seals and opens the content of acks. Never leaves the client.
    pub ack: AckKey,
}

impl Identity {
    /// Length of [`Self::to_bytes`].
    pub const LEN: usize = 1 + 32 + 32 + 16;

    /// Draws new keys, in this order: 32 bytes for signing, 32 for encryption, 16 for acks.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self {
            signing: IdentityKeypair::generate(rng),
            encryption: EncryptionKey::random(rng),
            ack: AckKey::random(rng),
        }
    }

    /// The record for the store: version, signing seed, encryption key, ack key; 81 bytes.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::LEN));
        bytes.push(IDENTITY_VERSION);
        bytes.extend_from_slice(&*self.signing.to_bytes());
        bytes.extend_from_slice(self.encryption.as_bytes());
        bytes.extend_from_slice(self.ack.as_bytes());
        bytes
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Version`] when a newer version has written it, [`IdentityError::Malformed`] when it is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        let mut rest = versioned(bytes, IDENTITY_VERSION)?;
        let identity = Self {
            signing: IdentityKeypair::from_bytes(&Zeroizing::new(rest.take()?)),
            encryption: EncryptionKey::from_bytes(rest.take()?),
            ack: AckKey::from_bytes(rest.take()?),
        };
        rest.0.is_empty().then_some(identity).ok_or(IdentityError::Malformed)
    }

    /// The address of this client while it is registered with `gateway`.
    ///
    /// # Errors
    ///
    /// [`MessageError::Address`] when `gateway` is no point of the identity curve.
    pub fn address(&self, gateway: GatewayId) -> Result<Address, MessageError> {
        Address::new(self.client_id().0, self.encryption.public(), gateway)
    }

    /// How the gateway knows this client.
    pub fn client_id(&self) -> ClientId {
        self.signing.client_id()
    }
}

/// What a client keeps of a registration in order to log in again.
pub struct Registration {
    /// Whom the client is registered with.
    pub gateway: GatewayId,
    /// Where that gateway was reached; at most [`limits::GATEWAY_URL_LEN_MAX`] bytes.
    pub url: String,
    /// What the registration has left.
    pub shared: SharedKey,
    /// The time in the last login request, in seconds since 1970; zero before the first. The next one has to be later,
    /// since the gateway refuses a time that was used.
    pub last_login: u64,
}

impl Registration {
    /// The record for the store: version, gateway, shared key, last login (big endian), URL to the end.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(REGISTRATION_LEN_MIN + self.url.len()));
        bytes.push(REGISTRATION_VERSION);
        bytes.extend_from_slice(&self.gateway.0);
        bytes.extend_from_slice(self.shared.as_bytes());
        bytes.extend_from_slice(&self.last_login.to_be_bytes());
        bytes.extend_from_slice(self.url.as_bytes());
        bytes
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Version`] when a newer version has written it, [`IdentityError::Malformed`] when it is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        let mut rest = versioned(bytes, REGISTRATION_VERSION)?;
        let gateway = GatewayId::from_bytes(rest.take()?).map_err(|_| IdentityError::Malformed)?;
        let shared = SharedKey::from_bytes(&Zeroizing::new(rest.take()?));
        let last_login = u64::from_be_bytes(rest.take()?);
        let url = core::str::from_utf8(rest.0).map_err(|_| IdentityError::Malformed)?;
        if url.len() > limits::GATEWAY_URL_LEN_MAX {
            return Err(IdentityError::Malformed);
        }
        Ok(Self { gateway, url: String::from(url), shared, last_login })
    }

    /// The time to put into the next login request: `now`, or a second after the last one if that is later.
    pub fn next_login(&self, now_unix: u64) -> u64 {
        now_unix.max(self.last_login.saturating_add(1))
    }
}

/// Why a stored record cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The record is damaged.
    #[error("damaged record")]
    Malformed,
    /// The record was written by a newer version of this program.
    #[error("a record of version {0}")]
    Version(u8),
}

/// What is left of a record.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], IdentityError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(IdentityError::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }
}

/// What follows the version byte, if that is the one version there is.
fn versioned(bytes: &[u8], version: u8) -> Result<Rest<'_>, IdentityError> {
    match bytes {
        [found, rest @ ..] if *found == version => Ok(Rest(rest)),
        [found, ..] => Err(IdentityError::Version(*found)),
        [] => Err(IdentityError::Malformed),
    }
}

const IDENTITY_VERSION: u8 = 1;
const REGISTRATION_LEN_MIN: usize = 1 + 32 + 32 + 8;
const REGISTRATION_VERSION: u8 = 1;
