//! Text from models, servers and tools, until it has been made fit to be shown.
//!
//! Such text may hold a secret that crew has sent, control characters, and any number of bytes.
//! [`Untrusted`] cannot be printed, compared with a report or put into an event: its exits are the
//! methods that take [`Secrets`]. What goes back to the model that wrote it leaves through
//! [`Untrusted::to_its_source`].

use std::fmt;

use crate::secret::Secrets;

/// Text that may hold secrets, bounded by the code that received it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Untrusted(String);

impl Untrusted {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text without secrets.
    pub fn redact(self, secrets: &Secrets) -> String {
        secrets.redact(self.0)
    }

    /// The text without secrets, of which the middle may have been left out: parts of secrets on
    /// either side of the mark go as well.
    pub fn redact_excerpt(self, secrets: &Secrets) -> String {
        self.redact_output(secrets, true)
    }

    /// An output without secrets. `truncated`: the middle was left out.
    pub fn redact_output(self, secrets: &Secrets, truncated: bool) -> String {
        secrets.redact_output(self.0, truncated)
    }

    /// The beginning of a text that was cut, without secrets and without the part of one at its
    /// end.
    pub fn redact_beginning(self, secrets: &Secrets) -> String {
        secrets.redact_part(&self.0, false)
    }

    /// The raw text, for the conversation with the model that wrote it and for nothing else.
    pub fn to_its_source(&self) -> &str {
        &self.0
    }

    /// Adds to the end.
    pub fn push_str(&mut self, text: &str) {
        self.0.push_str(text);
    }

    /// Adds a line to the end.
    pub fn push_line(&mut self, line: &str) {
        if !self.0.is_empty() && !self.0.ends_with('\n') {
            self.0.push('\n');
        }
        self.0.push_str(line);
    }

    /// Empties the text and keeps its memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The text with more around it.
    pub fn map(self, around: impl FnOnce(String) -> String) -> Self {
        Self(around(self.0))
    }

    /// Whether it says `words`.
    pub fn contains(&self, words: &str) -> bool {
        self.0.contains(words)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is nothing but white space.
    pub fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Untrusted({} bytes)", self.0.len())
    }
}

impl<T: Into<String>> From<T> for Untrusted {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}
