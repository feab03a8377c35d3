//! How values with several forms, and mappings in the order of the file, are decoded.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// Implements [`Deserialize`] for a type that has several forms in the file, by a visitor that the
/// decoder calls by the form of the value. The decoder knows the type by its name.
macro_rules! forms {
    ($type:ident, { $($method:item)* }) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Forms;

                impl<'de> serde::de::Visitor<'de> for Forms {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(stringify!($type))
                    }

                    $($method)*
                }

                deserializer.deserialize_newtype_struct(stringify!($type), Forms)
            }
        }
    };
}

pub(super) use forms;

/// The items of a list.
pub fn items<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(list: A) -> Result<Vec<T>, A::Error> {
    Vec::deserialize(SeqAccessDeserializer::new(list))
}

/// The entries of a mapping.
pub fn entries<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    map: A,
) -> Result<Vec<(String, T)>, A::Error> {
    Entries::deserialize(MapAccessDeserializer::new(map)).map(|entries| entries.0)
}

/// A mapping in the order in which it is written.
#[derive(Debug)]
pub struct Entries<T>(pub Vec<(String, T)>);

impl<T> Entries<T> {
    /// The entries of a mapping. A missing mapping has none.
    pub fn of(entries: Option<&Self>) -> &[(String, T)] {
        entries.map(|entries| entries.0.as_slice()).unwrap_or_default()
    }
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(InOrder(PhantomData))
    }
}
