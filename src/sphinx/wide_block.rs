//! LIONESS, the wide-block cipher of the payload (Anderson and Biham, 1996).
//!
//! A block of any length above 32 bytes is split into a left half of 32 bytes and the rest. Four rounds change one half
//! by the other: a stream cipher, ChaCha20, the rest by the left half; a keyed hash, BLAKE2b, the left half by the rest.
//! A change of one bit changes all of the block in both directions, so a tampered payload is noise at the last hop.

use mixlet_ciphers::{blake2b, chacha20};
use zeroize::Zeroizing;

use super::keys::PayloadKey;
use super::params::PAYLOAD_KEY_LEN;

/// Adds a layer. A block of at most 32 bytes, which no packet has, stays as it is.
pub fn encrypt(key: &PayloadKey, block: &mut [u8]) {
    let (k1, k2, k3, k4) = parts(key);
    if let Some((left, right)) = halves(block) {
        stream(left, k1, right);
        hash(left, k2, right);
        stream(left, k3, right);
        hash(left, k4, right);
    }
}

/// Removes a layer: undoes [`encrypt`].
pub fn decrypt(key: &PayloadKey, block: &mut [u8]) {
    let (k1, k2, k3, k4) = parts(key);
    if let Some((left, right)) = halves(block) {
        hash(left, k4, right);
        stream(left, k3, right);
        hash(left, k2, right);
        stream(left, k1, right);
    }
}

fn parts(key: &PayloadKey) -> (&[u8], &[u8], &[u8], &[u8]) {
    let (k1, rest) = key.as_bytes().split_at(STREAM_KEY_LEN);
    let (k2, rest) = rest.split_at(HASH_KEY_LEN);
    let (k3, k4) = rest.split_at(STREAM_KEY_LEN);
    (k1, k2, k3, k4)
}

fn halves(block: &mut [u8]) -> Option<(&mut [u8; LEFT_LEN], &mut [u8])> {
    let (left, right) = block.split_first_chunk_mut()?;
    (!right.is_empty()).then_some((left, right))
}

/// Changes the right half by the key stream that the left half gives.
fn stream(left: &[u8; LEFT_LEN], key: &[u8], right: &mut [u8]) {
    let mut stream_key = Zeroizing::new(*left);
    for (byte, key) in stream_key.iter_mut().zip(key) {
        *byte ^= key;
    }
    chacha20(&stream_key, right);
}

/// Changes the left half by the hash of the right one.
fn hash(left: &mut [u8; LEFT_LEN], key: &[u8], right: &[u8]) {
    for (byte, hash) in left.iter_mut().zip(blake2b(key, right)) {
        *byte ^= hash;
    }
}

const LEFT_LEN: usize = 32;
const STREAM_KEY_LEN: usize = LEFT_LEN;
const HASH_KEY_LEN: usize = 64;

const _: () = assert!(2 * (STREAM_KEY_LEN + HASH_KEY_LEN) == PAYLOAD_KEY_LEN);
