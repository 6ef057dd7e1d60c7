//! HKDF over BLAKE3, which the gateway handshake and the end-to-end layer derive their keys with.

use hmac::digest::{
    FixedOutput, HashMarker, Output, OutputSizeUser, Update,
    common::BlockSizeUser,
    consts::{U32, U64},
};

/// HKDF (RFC 5869) over HMAC (RFC 2104) whose hash is plain BLAKE3; BLAKE3's own keyed modes are not used.
pub(crate) type Blake3Hkdf = hkdf::GenericHkdf<hmac::SimpleHmac<Blake3>>;

/// BLAKE3 as a hash with blocks of 64 bytes.
///
/// The crate has these traits too, but of another generation in older versions: with our own, any version will do, and
/// tests can stand next to crates that ask for an old one.
#[derive(Clone, Default)]
pub(crate) struct Blake3(blake3::Hasher);

impl Update for Blake3 {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

impl FixedOutput for Blake3 {
    fn finalize_into(self, out: &mut Output<Self>) {
        out.copy_from_slice(self.0.finalize().as_bytes());
    }
}

impl HashMarker for Blake3 {}

impl OutputSizeUser for Blake3 {
    type OutputSize = U32;
}

impl BlockSizeUser for Blake3 {
    type BlockSize = U64;
}
