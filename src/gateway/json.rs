//! Byte strings as text frames write them.

use core::fmt;

use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64, Encoding};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, SeqAccess, Visitor};

use crate::json::is_object;

/// Reads the whole of `text` as one object.
pub(super) fn object<T: DeserializeOwned>(text: &str) -> Option<T> {
    if is_object(text.as_bytes()) { serde_json::from_str(text).ok() } else { None }
}

/// A byte array: in JSON an array of integers from 0 to 255, of at most `MAX` elements.
pub(super) struct Bytes<const MAX: usize>(pub Vec<u8>);

impl<'de, const MAX: usize> Deserialize<'de> for Bytes<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Capped<const MAX: usize>;

        impl<'de, const MAX: usize> Visitor<'de> for Capped<MAX> {
            type Value = Bytes<MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of bytes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Bytes<MAX>, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = array.next_element()? {
                    if bytes.len() == MAX {
                        return Err(A::Error::custom("too many elements"));
                    }
                    bytes.push(byte);
                }
                Ok(Bytes(bytes))
            }
        }

        deserializer.deserialize_seq(Capped)
    }
}

/// As [`Bytes`], of exactly `N` elements.
pub(super) struct Array<const N: usize>(pub [u8; N]);

impl<'de, const N: usize> Deserialize<'de> for Array<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Bytes::<N>::deserialize(deserializer)?.0.try_into().map(Self).map_err(|_| D::Error::custom("wrong length"))
    }
}

/// `N` bytes as standard base64 with padding.
pub(super) struct Base64Array<const N: usize>(pub [u8; N]);

impl<'de, const N: usize> Deserialize<'de> for Base64Array<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; N];
        match Base64::decode(text, &mut bytes) {
            Ok(decoded) if decoded.len() == N => Ok(Self(bytes)),
            _ => Err(D::Error::custom("wrong base64")),
        }
    }
}
