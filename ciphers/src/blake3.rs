//! BLAKE3 with the traits that HMAC wants.

use hmac::digest::{
    FixedOutput, HashMarker, Output, OutputSizeUser, Update,
    common::BlockSizeUser,
    consts::{U32, U64},
};

/// BLAKE3 as a hash with blocks of 64 bytes.
///
/// The crate has these traits too, but of another generation in older versions: with our own, any version will do, and
/// tests can stand next to crates that ask for an old one.
#[derive(Clone, Default)]
pub struct Blake3(::blake3::Hasher);

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
