//! The keys that have been seen, in at most 32 bytes each.

use super::key::{Content, KeyHash};

/// Many small lists: adding to one moves few entries, and they do not all grow at once.
const SHARDS: usize = 1 << 14;
const STATE_BITS: u32 = 8;
const CONTENT_BITS: u32 = 32;
/// Bits of an entry that are not the key's.
const LOW_BITS: u32 = CONTENT_BITS + STATE_BITS;
/// The state of a key whose input is done or has been claimed; other states count its attempts.
const CLAIMED: u8 = 0;

/// The set of keys. An entry is a number: 88 bits of the key's hash, 32 of its content's, and how
/// many times an input that is to be run again has been run. A list has room for at most twice its
/// entries.
#[derive(Debug)]
pub struct Keys {
    shards: Vec<Vec<u128>>,
    count: u64,
}

/// The result of claiming a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The input is to be run. It has been run this often.
    Run { attempts: u32 },
    /// An equal input has the key.
    Same,
    /// Another input has the key.
    Other,
}

impl Default for Keys {
    fn default() -> Self {
        Self { shards: vec![Vec::new(); SHARDS], count: 0 }
    }
}

impl Keys {
    /// Claims a key for an input, which is then not run again.
    pub fn claim(&mut self, key: &KeyHash, content: Option<Content>) -> Claim {
        let (shard, entry) = self.place(key, content, CLAIMED);
        match find(shard, entry) {
            Err(at) => {
                shard.insert(at, entry);
                self.count += 1;
                Claim::Run { attempts: 0 }
            }
            Ok(at) => match shard[at] as u8 {
                CLAIMED if shard[at] == entry => Claim::Same,
                CLAIMED => Claim::Other,
                attempts => {
                    shard[at] = entry;
                    Claim::Run { attempts: attempts.into() }
                }
            },
        }
    }

    /// Notes that an input has been run `attempts` times and is to be run again.
    pub fn run_again(&mut self, key: &KeyHash, attempts: u32) {
        let state = u8::try_from(attempts).unwrap_or(u8::MAX).max(1);
        let (shard, entry) = self.place(key, None, state);
        match find(shard, entry) {
            Ok(at) => shard[at] = entry,
            Err(at) => {
                shard.insert(at, entry);
                self.count += 1;
            }
        }
    }

    /// The number of keys.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn place(
        &mut self,
        key: &KeyHash,
        content: Option<Content>,
        state: u8,
    ) -> (&mut Vec<u128>, u128) {
        let first = key.bytes().first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
        let content = content.map_or(0, Content::number);
        let key = first >> LOW_BITS << LOW_BITS;
        let entry = key | u128::from(content) << STATE_BITS | u128::from(state);
        // The first bits, of which there are as many as the shards need.
        let shard = (first >> (128 - SHARDS.trailing_zeros())) as usize;
        (&mut self.shards[shard], entry)
    }
}

fn find(shard: &[u128], entry: u128) -> Result<usize, usize> {
    shard.binary_search_by_key(&(entry >> LOW_BITS), |known| known >> LOW_BITS)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::key::of_content;
    use super::*;

    #[test]
    fn a_key_belongs_to_one_input() {
        let mut keys = Keys::default();
        let content = |value| Some(of_content(&value).1);
        let (one, other) = (KeyHash::of("1"), KeyHash::of("2"));
        assert_eq!(keys.claim(&one, content(json!("a"))), Claim::Run { attempts: 0 });
        assert_eq!(keys.claim(&one, content(json!("a"))), Claim::Same);
        assert_eq!(keys.claim(&one, content(json!("b"))), Claim::Other);
        keys.run_again(&other, 300);
        assert_eq!(keys.claim(&other, content(json!("a"))), Claim::Run { attempts: 255 });
        assert_eq!(keys.claim(&other, content(json!("a"))), Claim::Same);
        assert_eq!(keys.count(), 2);
    }

    #[test]
    fn a_key_takes_at_most_32_bytes() {
        let mut keys = Keys::default();
        let count = 300_000;
        for key in 0..count {
            keys.claim(&KeyHash::of(&key.to_string()), None);
        }
        let room: usize = keys.shards.iter().map(Vec::capacity).sum();
        assert!(room * size_of::<u128>() <= 32 * count, "{room} places for {count} keys");
    }
}
