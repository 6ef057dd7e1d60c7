//! What all vector tests share: the files, hexadecimal text, and a generator whose bytes a test chooses.

use core::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use serde_json::Value;

#[cfg(not(target_arch = "wasm32"))]
pub use core::prelude::v1::test;
#[cfg(target_arch = "wasm32")]
pub use wasm_bindgen_test::wasm_bindgen_test as test;

/// One file of `tests/vectors`, compiled in since browsers have no files: `vectors!("packets/ack.json")`.
macro_rules! vectors {
    ($path:literal) => {
        serde_json::from_str::<serde_json::Value>(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/vectors/",
            $path
        )))
        .expect(concat!($path, " is JSON"))
    };
}
pub(crate) use vectors;

/// Bytes of hexadecimal text.
pub fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd number of digits");
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("a hexadecimal digit")).collect()
}

/// Shorter ways into JSON. Each panics with the name of what is missing.
pub trait Fields {
    /// The field `name`.
    fn field(&self, name: &str) -> &Value;

    /// The elements of the array `name`.
    fn list(&self, name: &str) -> &[Value] {
        self.field(name).as_array().unwrap_or_else(|| panic!("{name} is no array"))
    }

    /// The string `name`.
    fn text(&self, name: &str) -> &str {
        self.field(name).as_str().unwrap_or_else(|| panic!("{name} is no string"))
    }

    /// The bytes of the hexadecimal string `name`.
    fn bytes(&self, name: &str) -> Vec<u8> {
        hex(self.text(name))
    }

    /// As [`Fields::bytes`], for a length that is known.
    fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name).try_into().unwrap_or_else(|_| panic!("{name} has not {N} bytes"))
    }

    /// The number `name`, written as a number or as decimal text.
    fn number(&self, name: &str) -> u64 {
        let value = self.field(name);
        value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{name} is no number"))
    }
}

impl Fields for Value {
    fn field(&self, name: &str) -> &Value {
        self.get(name).unwrap_or_else(|| panic!("no field {name}"))
    }
}

/// A generator that gives exactly the bytes it was made with, and panics when they run out or are asked for in
/// other portions than whole.
pub struct Script(Vec<u8>);

impl Script {
    /// Gives `parts` one after the other.
    pub fn new(parts: &[&[u8]]) -> Self {
        Self(parts.concat())
    }

    /// Asserts that everything was drawn.
    pub fn finish(self) {
        assert!(self.0.is_empty(), "{} bytes were not drawn", self.0.len());
    }
}

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        assert!(bytes.len() <= self.0.len(), "the script has ended");
        let rest = self.0.split_off(bytes.len());
        bytes.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Script {}
