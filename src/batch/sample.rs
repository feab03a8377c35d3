//! A sample of the inputs: those whose keys have the smallest hashes. It does not depend on the
//! order of the inputs, and a larger sample contains the smaller one.

use std::collections::BTreeSet;

use super::key::KeyHash;

/// The value of `--sample`, and what chooses another sample of the same size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    pub count: usize,
    pub seed: u64,
}

/// Finds the largest hash of a sample while all keys pass by.
#[derive(Debug)]
pub struct Chooser {
    sample: Sample,
    /// Equal keys count once.
    smallest: BTreeSet<u128>,
}

impl Chooser {
    pub fn new(sample: Sample) -> Self {
        Self { sample, smallest: BTreeSet::new() }
    }

    pub fn see(&mut self, key: &str) {
        let hash = self.sample.hash(key);
        if self.smallest.len() < self.sample.count {
            self.smallest.insert(hash);
        } else if self.smallest.last().is_some_and(|largest| hash < *largest)
            && self.smallest.insert(hash)
        {
            self.smallest.pop_last();
        }
    }

    /// The largest hash in the sample.
    pub fn limit(&self) -> Option<u128> {
        self.smallest.last().copied()
    }
}

impl Sample {
    pub fn hash(&self, key: &str) -> u128 {
        let hash = KeyHash::of(&format!("{}:{key}", self.seed));
        hash.bytes().first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_its_size_and_is_part_of_a_larger_one() {
        let chosen = |count, seed| {
            let sample = Sample { count, seed };
            let mut chooser = Chooser::new(sample);
            let keys: Vec<String> = (0..1000).map(|key| (key % 500).to_string()).collect();
            keys.iter().for_each(|key| chooser.see(key));
            let limit = chooser.limit().unwrap_or_default();
            let chosen = keys.into_iter().filter(|key| sample.hash(key) <= limit);
            chosen.collect::<BTreeSet<_>>()
        };
        let small = chosen(20, 0);
        assert_eq!(small.len(), 20);
        assert!(small.is_subset(&chosen(30, 0)));
        assert_ne!(small, chosen(20, 1));
        assert_eq!(chosen(900, 0).len(), 500);
    }
}
