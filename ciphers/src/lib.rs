//! The ciphers and hashes of packets, fragments and frames.
//!
//! The crates that they come from are generic, and generic code is compiled where it is used, by the settings of who uses
//! it. The client is compiled for size and these for speed; so they are plain functions in a crate of its own, and each
//! exists once.

#![no_std]
#![forbid(unsafe_code)]

mod blake3;

use aes::Aes128;
use aes_gcm_siv::aead::AeadInOut;
use aes_gcm_siv::aead::inout::InOutBuf;
use aes_gcm_siv::{Aes256GcmSiv, Nonce, Tag};
use blake2::Blake2bMac;
use blake2::digest::{FixedOutput, Update, consts::U32};
use chacha20::ChaCha20;
use ctr::Ctr64BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// AES-128 in counter mode, in place. The network counts in the last eight bytes of the block only.
#[inline(never)]
pub fn aes128_ctr(key: &[u8; 16], iv: &[u8; 16], bytes: &mut [u8]) {
    Ctr64BE::<Aes128>::new(key.into(), iv.into()).apply_keystream(bytes);
}

/// ChaCha20 from a nonce and a counter of zero, in place.
#[inline(never)]
pub fn chacha20(key: &[u8; 32], bytes: &mut [u8]) {
    ChaCha20::new(key.into(), &[0; 12].into()).apply_keystream(bytes);
}

/// Keyed BLAKE2b with 32 bytes of output. Zeros for a key of more than 64 bytes, which nobody has.
#[inline(never)]
pub fn blake2b(key: &[u8], data: &[u8]) -> [u8; 32] {
    Blake2bMac::<U32>::new_from_slice(key).map_or([0; 32], |mut mac| {
        Update::update(&mut mac, data);
        mac.finalize_fixed().into()
    })
}

/// HMAC-SHA256.
#[inline(never)]
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    Hmac::<Sha256>::new_from_slice(key).map_or([0; 32], |mut mac| {
        Mac::update(&mut mac, data);
        mac.finalize().into_bytes().into()
    })
}

/// HKDF-SHA256. At most 255 times 32 bytes; beyond that nothing is written.
#[inline(never)]
pub fn hkdf_sha256(salt: Option<&[u8]>, secret: &[u8], info: &[u8], out: &mut [u8]) {
    let fits = hkdf::Hkdf::<Sha256>::new(salt, secret).expand(info, out);
    debug_assert!(fits.is_ok(), "HKDF gives 255 blocks");
}

/// HKDF over HMAC over plain BLAKE3, without info; BLAKE3's own keyed modes are not used. At most 255 times 32 bytes.
#[inline(never)]
pub fn hkdf_blake3(salt: Option<&[u8]>, secret: &[u8], out: &mut [u8]) {
    let fits = hkdf::GenericHkdf::<hmac::SimpleHmac<blake3::Blake3>>::new(salt, secret).expand(&[], out);
    debug_assert!(fits.is_ok(), "HKDF gives 255 blocks");
}

/// A key of AES-256-GCM-SIV, with its key schedule. Wiped when dropped.
pub struct GcmSiv(Aes256GcmSiv);

impl GcmSiv {
    /// The key with these bytes.
    #[inline(never)]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Aes256GcmSiv::new(key.into()))
    }

    /// Encrypts in place, without associated data, and gives the tag. `None` only above 64 GiB.
    #[inline(never)]
    pub fn seal(&self, nonce: &[u8; 12], text: &mut [u8]) -> Option<[u8; 16]> {
        let tag = self.0.encrypt_inout_detached(&Nonce::from(*nonce), &[], InOutBuf::from(text));
        Some(tag.ok()?.into())
    }

    /// Decrypts in place; `false` when the tag does not fit, and then `text` is worthless.
    #[must_use]
    #[inline(never)]
    pub fn open(&self, nonce: &[u8; 12], text: &mut [u8], tag: &[u8; 16]) -> bool {
        self.0.decrypt_inout_detached(&Nonce::from(*nonce), &[], InOutBuf::from(text), &Tag::from(*tag)).is_ok()
    }
}
