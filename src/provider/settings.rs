//! The settings of a request that some models reject, such as `temperature` at reasoning models.

use super::request::ChatRequest;

/// One flag for each setting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RejectedSettings {
    temperature: bool,
    top_p: bool,
    stop: bool,
    seed: bool,
}

impl RejectedSettings {
    /// The settings that the words about a rejected request name. `words` are in lower case.
    pub fn in_words(words: &str) -> Self {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let names = |names: &[&str]| words.split(|c| !is_part(c)).any(|word| names.contains(&word));
        Self {
            temperature: names(&["temperature"]),
            top_p: names(&["top_p", "topp"]),
            stop: names(&["stop", "stop_sequences", "stopsequences"]),
            seed: names(&["seed"]),
        }
    }

    /// These and the others, as far as they concern the request.
    pub fn and(self, other: Self, request: &ChatRequest<'_>) -> Self {
        Self {
            temperature: self.temperature
                || (other.temperature && request.settings.temperature.is_some()),
            top_p: self.top_p || (other.top_p && request.settings.top_p.is_some()),
            stop: self.stop || (other.stop && !request.settings.stop.is_empty()),
            seed: self.seed || (other.seed && request.settings.seed.is_some()),
        }
    }

    /// Takes the rejected settings out of the request. Returns the names of those that it had.
    pub fn leave_out(self, request: &mut ChatRequest<'_>) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.temperature && request.settings.temperature.take().is_some() {
            names.push("temperature");
        }
        if self.top_p && request.settings.top_p.take().is_some() {
            names.push("top_p");
        }
        if self.stop && !std::mem::take(&mut request.settings.stop).is_empty() {
            names.push("stop");
        }
        if self.seed && request.settings.seed.take().is_some() {
            names.push("seed");
        }
        names
    }
}
