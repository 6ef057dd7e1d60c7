//! An identity to take along: to another browser, another machine, or a safe place. `docs/PROTOCOL.md`, section 11.
//!
//! It is sealed under a key that Argon2id ([RFC 9106](https://www.rfc-editor.org/rfc/rfc9106)) makes of a passphrase, with
//! XChaCha20-Poly1305. What it costs to make that key stands in the file, so that it can be raised later and old files still
//! open; it is authentic like everything else in it.

use alloc::vec::Vec;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::identity::{Identity, IdentityError, Registration};
use crate::limits;

/// What it costs to try a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB, from 8 to [`limits::KDF_MEMORY_KIB_MAX`].
    pub memory_kib: u32,
    /// How often all of it is gone through, from 1 to [`limits::KDF_PASSES_MAX`].
    pub passes: u8,
}

impl Default for Cost {
    /// 64 MiB and three passes, the second choice of RFC 9106, section 4, with one lane in place of four: wasm has one
    /// thread.
    fn default() -> Self {
        Self { memory_kib: 65_536, passes: 3 }
    }
}

impl Cost {
    /// Whether any of it is less than in `other`.
    pub fn is_below(self, other: Self) -> bool {
        self.memory_kib < other.memory_kib || self.passes < other.passes
    }

    /// The greater of both.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { memory_kib: self.memory_kib.max(other.memory_kib), passes: self.passes.max(other.passes) }
    }

    /// The key of a passphrase.
    ///
    /// # Errors
    /// [`BackupError::Cost`] when it is out of range, or there is not enough memory for it.
    pub fn key(self, passphrase: &str, salt: &[u8; SALT_LEN]) -> Result<Zeroizing<[u8; KEY_LEN]>, BackupError> {
        if self.memory_kib > limits::KDF_MEMORY_KIB_MAX || self.passes > limits::KDF_PASSES_MAX {
            return Err(BackupError::Cost);
        }
        let params =
            Params::new(self.memory_kib, self.passes.into(), 1, Some(KEY_LEN)).map_err(|_| BackupError::Cost)?;
        let mut key = Zeroizing::new([0; KEY_LEN]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), salt, &mut *key)
            .map_err(|_| BackupError::Cost)?;
        Ok(key)
    }
}

/// What a backup holds.
pub struct Backup {
    /// The keys.
    pub identity: Identity,
    /// Where the client was registered; without it another address comes of the keys.
    pub registration: Option<Registration>,
}

impl Backup {
    /// The bytes of the file. Draws salt and nonce from `rng`.
    ///
    /// # Errors
    /// [`BackupError::Cost`], as [`Cost::key`].
    pub fn seal(&self, passphrase: &str, cost: Cost, rng: &mut dyn CryptoRng) -> Result<Vec<u8>, BackupError> {
        let mut salt = [0; SALT_LEN];
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut salt);
        rng.fill_bytes(&mut nonce);
        let mut plain = self.identity.to_bytes();
        if let Some(registration) = &self.registration {
            // In a vector of its own length: a grown one would leave keys behind where it was before.
            plain = Zeroizing::new([plain.as_slice(), registration.to_bytes().as_slice()].concat());
        }
        let memory = cost.memory_kib.to_be_bytes();
        let mut file = [&MAGIC[..], &[VERSION], &memory, &[cost.passes, LANES], &salt, &nonce].concat();
        let key = cost.key(passphrase, &salt)?;
        let sealed = XChaCha20Poly1305::new((&*key).into())
            .encrypt(&XNonce::from(nonce), Payload { msg: &plain, aad: &file })
            .map_err(|_| BackupError::NotOne)?;
        file.extend_from_slice(&sealed);
        Ok(file)
    }

    /// What is in a file.
    ///
    /// # Errors
    /// [`BackupError`]; nobody can tell a wrong passphrase from a damaged file.
    pub fn open(file: &[u8], passphrase: &str) -> Result<Self, BackupError> {
        if file.len() > limits::BACKUP_LEN_MAX {
            return Err(BackupError::NotOne);
        }
        let rest = file.strip_prefix(&MAGIC).ok_or(BackupError::NotOne)?;
        match rest.first() {
            Some(&VERSION) => {}
            Some(&version) => return Err(BackupError::Version(version)),
            None => return Err(BackupError::NotOne),
        }
        let (head, sealed) = file.split_at_checked(HEAD_LEN).ok_or(BackupError::NotOne)?;
        let mut head_rest = head.get(MAGIC.len() + 1..).unwrap_or_default();
        let memory_kib = u32::from_be_bytes(take(&mut head_rest)?);
        let [passes, lanes] = take(&mut head_rest)?;
        let salt = take(&mut head_rest)?;
        let nonce: [u8; NONCE_LEN] = take(&mut head_rest)?;
        if lanes != LANES {
            return Err(BackupError::Cost);
        }
        let key = Cost { memory_kib, passes }.key(passphrase, &salt)?;
        let plain = XChaCha20Poly1305::new((&*key).into())
            .decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: head })
            .map(Zeroizing::new)
            .map_err(|_| BackupError::Passphrase)?;
        let (identity, registration) = plain.split_at_checked(Identity::LEN).ok_or(IdentityError::Malformed)?;
        let registration = Some(registration).filter(|bytes| !bytes.is_empty()).map(Registration::from_bytes);
        Ok(Self { identity: Identity::from_bytes(identity)?, registration: registration.transpose()? })
    }
}

/// Why a file cannot be used, or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// It is something else.
    #[error("not an exported identity")]
    NotOne,
    /// It was written by a newer version of this program.
    #[error("an exported identity of version {0}")]
    Version(u8),
    /// The passphrase is another one, or the file is damaged.
    #[error("wrong passphrase, or a damaged file")]
    Passphrase,
    /// The key would take more memory or time than is allowed, or is there.
    #[error("the key of the passphrase would cost too much")]
    Cost,
    /// It opens, and what is in it cannot be read.
    #[error(transparent)]
    Content(#[from] IdentityError),
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], BackupError> {
    let (taken, others) = rest.split_first_chunk().ok_or(BackupError::NotOne)?;
    *rest = others;
    Ok(*taken)
}

const MAGIC: [u8; 8] = *b"mixletid";
const VERSION: u8 = 1;
const LANES: u8 = 1;
const KEY_LEN: usize = 32;
/// Length of the salt.
pub const SALT_LEN: usize = 16;
const NONCE_LEN: usize = 24;
const HEAD_LEN: usize = MAGIC.len() + 1 + 4 + 2 + SALT_LEN + NONCE_LEN;
