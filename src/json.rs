//! What reading JSON from the network needs beyond the derived readers.

use core::fmt;
use core::marker::PhantomData;

use alloc::vec::Vec;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Whether JSON text is an object rather than something else: derived readers alone would also take an array with the
/// fields in order.
pub(crate) fn is_object(text: &[u8]) -> bool {
    text.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) == Some(&b'{')
}

/// As [`is_object`] for what is inside of other JSON. Derived readers alone would also take an array with the fields in order.
pub(crate) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Only<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Only<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Only(PhantomData))
    }
}

/// Reads an array, and keeps at most `MAX` elements of it: what comes from the network has a bound while it is read.
pub(crate) struct Capped<T, const MAX: usize> {
    /// The first `MAX` elements.
    pub items: Vec<T>,
    /// Whether there were more.
    pub overflown: bool,
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Capped<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Elements<T, MAX> {
            type Value = Capped<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Capped<T, MAX>, A::Error> {
                let mut items = Vec::new();
                while items.len() < MAX {
                    match array.next_element()? {
                        Some(item) => items.push(item),
                        None => return Ok(Capped { items, overflown: false }),
                    }
                }
                let mut overflown = false;
                while array.next_element::<IgnoredAny>()?.is_some() {
                    overflown = true;
                }
                Ok(Capped { items, overflown })
            }
        }

        deserializer.deserialize_seq(Elements(PhantomData))
    }
}
