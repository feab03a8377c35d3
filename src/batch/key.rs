//! The key and the content of an input, and their hashes: the same on every machine.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text::digest::{canonical, hex, sha256};

/// The SHA-256 of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    pub fn of(key: &str) -> Self {
        Self(sha256(key.as_bytes()))
    }

    /// The part, from 1 to `parts`, that the key belongs to.
    pub fn part(&self, parts: u32) -> u32 {
        let last = self.0.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        // The remainder is smaller than a `u32`.
        (last % u64::from(parts.max(1))) as u32 + 1
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Names the content of an input: the beginning of the SHA-256 of its canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Content(u32);

impl Content {
    pub(super) fn number(self) -> u32 {
        self.0
    }
}

impl From<Content> for String {
    fn from(content: Content) -> Self {
        format!("{:08x}", content.0)
    }
}

impl TryFrom<String> for Content {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u32::from_str_radix(&text, 16).map(Self)
    }
}

/// The hash of an input: SHA-256 of its canonical form as 64 hexadecimal digits, and its beginning.
pub fn of_content(input: &Value) -> (String, Content) {
    let hash = sha256(canonical(input).as_bytes());
    let content = hash.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    (hex(&hash), Content(content))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_inputs_have_equal_hashes_on_every_machine() {
        // printf %s '{"a":1,"b":"é"}' | sha256sum
        let expected = "09ad9fd2fb648cb2f62141215828ea00a62c299db05d20aa9ade2f527a301cc6";
        let (hash, content) = of_content(&json!({"b": "é", "a": 1.0}));
        assert_eq!(hash, expected);
        assert_eq!(of_content(&json!({"a": 1, "b": "é"})), (hash.clone(), content));
        assert_eq!(canonical(&json!({"b": "é", "a": 1.0})), "{\"a\":1,\"b\":\"é\"}");
        let written = serde_json::to_value(content).unwrap();
        assert_eq!(written, json!(hash[..8]));
        assert_eq!(serde_json::from_value::<Content>(written).unwrap(), content);
        for other in [json!({"a": 1}), json!("a"), json!({"a": "1", "b": "é"}), json!({})] {
            assert_ne!(of_content(&other).0, hash, "{other}");
        }
    }

    #[test]
    fn keys_are_spread_over_the_parts() {
        let mut counts = [0; 3];
        for key in 0..3000 {
            counts[KeyHash::of(&key.to_string()).part(3) as usize - 1] += 1;
        }
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
        assert_eq!(KeyHash::of("a").part(1), 1);
    }
}
