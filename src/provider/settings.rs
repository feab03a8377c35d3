//! The settings of a request that some models reject, such as `temperature` at reasoning models, or
//! take up to a limit.

use super::request::ChatRequest;

/// One flag for each setting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RejectedSettings {
    temperature: bool,
    top_p: bool,
    /// `top_p` beside `temperature`.
    both: bool,
    stop: bool,
    seed: bool,
    /// The most output tokens that the model takes as a limit.
    pub most_output: Option<u32>,
}

impl RejectedSettings {
    /// The settings that the words about a rejected request name. `words` are in lower case.
    pub fn in_words(words: &str) -> Self {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let names = |names: &[&str]| words.split(|c| !is_part(c)).any(|word| names.contains(&word));
        let (temperature, top_p) = (names(&["temperature"]), names(&["top_p", "topp"]));
        let one_only = ["cannot both", "not both", "only one"];
        let both = temperature && top_p && one_only.iter().any(|one| words.contains(one));
        let limits =
            ["max_tokens", "max_completion_tokens", "max_output_tokens", "maxoutputtokens"];
        Self {
            temperature: temperature && !both,
            top_p: top_p && !both,
            both,
            stop: names(&["stop", "stop_sequences", "stopsequences"]),
            seed: names(&["seed"]),
            most_output: if names(&limits) { most_in_words(words) } else { None },
        }
    }

    /// These and the others, as far as they concern the request.
    pub fn and(self, other: Self, request: &ChatRequest<'_>) -> Self {
        Self {
            temperature: self.temperature
                || (other.temperature && request.settings.temperature.is_some()),
            top_p: self.top_p || (other.top_p && request.settings.top_p.is_some()),
            both: self.both || other.both,
            stop: self.stop || (other.stop && !request.settings.stop.is_empty()),
            seed: self.seed || (other.seed && request.settings.seed.is_some()),
            // Learned once, so that repetitions end.
            most_output: self.most_output.or(other.most_output),
        }
    }

    /// Takes the rejected settings out of the request. Returns the names of those that it had.
    pub fn leave_out(self, request: &mut ChatRequest<'_>) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.temperature && request.settings.temperature.take().is_some() {
            names.push("temperature");
        }
        let is_beside = self.both && request.settings.temperature.is_some();
        if (self.top_p || is_beside) && request.settings.top_p.take().is_some() {
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

/// The limit that the words about one that is too large state, as in `8192 > 4096`, `at most 4096` or
/// `[1, 4096]`.
fn most_in_words(words: &str) -> Option<u32> {
    const BEFORE: [&str; 6] =
        ["> ", "<= ", "at most ", "less than or equal to ", "[1, ", "(inclusive) to "];
    let stated = |before: &&str| {
        let (_, rest) = words.split_once(*before)?;
        let rest = rest.trim_start_matches('`');
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let most: u32 = rest[..end].parse().ok()?;
        most.checked_sub(rest[end..].starts_with(" (exclusive)").into())
    };
    BEFORE.iter().find_map(stated).filter(|most| *most > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of Anthropic, OpenAI (twice), Groq, DeepSeek and Vertex.
    #[test]
    fn words_about_a_limit_state_the_most_that_a_model_takes() {
        for (words, most) in [
            (
                "max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens for \
                 claude-3-opus-20240229",
                Some(4096),
            ),
            (
                "max_tokens is too large: 99999. this model supports at most 16384 completion \
                 tokens, whereas you provided 99999.",
                Some(16384),
            ),
            (
                "invalid 'max_output_tokens': integer above maximum value. expected a value <= \
                 128000, but got 200000 instead.",
                Some(128_000),
            ),
            ("body -> max_tokens: must be less than or equal to `8192`", Some(8192)),
            ("invalid max_tokens value, the valid range of max_tokens is [1, 8192]", Some(8192)),
            (
                "it has a maxoutputtokens value of 99999 but the supported range is from 1 \
                 (inclusive) to 65537 (exclusive)",
                Some(65536),
            ),
            ("invalid 'max_output_tokens': expected a value >= 16, but got 5", None),
            ("`max_tokens` must be greater than `thinking.budget_tokens`", None),
            ("max_tokens: at most 0", None),
            ("at most 128 tools", None),
        ] {
            assert_eq!(RejectedSettings::in_words(words).most_output, most, "{words}");
        }
    }
}
