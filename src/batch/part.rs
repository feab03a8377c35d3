//! A part of a batch, and the names of its files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::key::KeyHash;

/// More parts than any engine starts.
const MAX_PARTS: u32 = 1_000_000;

/// The inputs that one process runs: all of them, or those whose key hashes to `number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// From 1.
    pub number: u32,
    pub of: u32,
}

impl Part {
    /// All inputs.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// `None` unless `number` is from 1 to `of`.
    pub fn new(number: u64, of: u64) -> Option<Self> {
        let (number, of) = (u32::try_from(number).ok()?, u32::try_from(of).ok()?);
        ((1..=of).contains(&number) && of <= MAX_PARTS).then_some(Self { number, of })
    }

    pub fn all(of: u32) -> impl Iterator<Item = Self> {
        (1..=of).map(move |number| Self { number, of })
    }

    /// The part whose results are in a file of this name.
    pub fn of_results(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".jsonl")?;
        if stem == Self::WHOLE.stem() {
            return Some(Self::WHOLE);
        }
        let (number, of) = stem.strip_prefix("part-")?.split_once("-of-")?;
        let part = Self::new(number.parse().ok()?, of.parse().ok()?)?;
        (part.stem() == stem).then_some(part)
    }

    pub fn has(self, key: &KeyHash) -> bool {
        self.of == 1 || key.part(self.of) == self.number
    }

    /// [`Part::has`], without a hash where there is one part.
    pub fn has_key(self, key: &str) -> bool {
        self.of == 1 || self.has(&KeyHash::of(key))
    }

    /// The results of this part.
    pub fn results(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.jsonl", self.stem()))
    }

    /// What its results do not say; see [`PartState`](super::state::PartState).
    pub fn state(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.state.json", self.stem()))
    }

    /// Locked by the process that works on this part.
    pub fn lock(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.lock", self.stem()))
    }

    fn stem(self) -> String {
        match self {
            Self::WHOLE => "results".to_owned(),
            Self { number, of } => format!("part-{number}-of-{of}"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected K/N with K from 1 to N, such as 1/8".to_owned();
        // `parse` also takes a sign.
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u64>().ok()).flatten()
        };
        let (part, of) = text.split_once('/').ok_or_else(expected)?;
        let (part, of) = number(part).zip(number(of)).ok_or_else(expected)?;
        if part == 0 && of > 0 {
            return Err(format!("parts count from 1: the first one is 1/{of}"));
        }
        Self::new(part, of).ok_or_else(expected)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn k_of_n_counts_from_one() {
        assert_eq!("3/8".parse(), Ok(Part { number: 3, of: 8 }));
        for bad in ["", "3", "/", "0/8", "9/8", "1/0", "0/0", "-1/8", "+1/8", "1/8/8", " 1/8"] {
            assert!(bad.parse::<Part>().is_err(), "{bad}");
        }
        assert!("0/8".parse::<Part>().unwrap_err().contains("1/8"));
    }

    #[test]
    fn a_results_file_names_its_part() {
        for part in [Part::WHOLE, Part { number: 3, of: 8 }] {
            let path = part.results(Path::new("."));
            assert_eq!(Part::of_results(path.file_name().unwrap().to_str().unwrap()), Some(part));
        }
        for other in ["part-9-of-8.jsonl", "part-03-of-8.jsonl", "part-1-of-1.jsonl", "part-1"] {
            assert_eq!(Part::of_results(other), None, "{other}");
        }
    }
}
