//! What servers demand of the turns and tools in a request, as their rejections reveal it.

/// The deviations to observe. By default none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TurnQuirks {
    /// The server demands `reasoning_content` on every turn of the model, also on those of other
    /// models.
    pub reasoning: bool,
    /// The server accepts only ids of calls with nine letters and digits.
    pub short_ids: bool,
    /// The server does not know Gemini's `parametersJsonSchema`, or rejects a schema in it.
    pub no_json_schema: bool,
}

/// Words of servers that reject `reasoning_content`, not the lack of it.
const UNKNOWN: [&str; 6] =
    ["unsupported", "not supported", "not permitted", "unrecognized", "unknown", "unexpected"];

impl TurnQuirks {
    /// The quirks that a server's words, in lower case, reveal.
    pub fn in_words(words: &str) -> Self {
        let mentions = |name: &str| words.contains(name);
        let is_about_id = ["tool call id", "tool_call_id", "tool_calls", "call_id", "call id"];
        let is_about_length = ["length of 9", "9 characters", "maximum length", "string too long"];
        Self {
            reasoning: mentions("reasoning_content") && !UNKNOWN.iter().any(|word| mentions(word)),
            short_ids: is_about_id.iter().any(|words| mentions(words))
                && is_about_length.iter().any(|words| mentions(words)),
            no_json_schema: ["parametersjsonschema", "parameters_json_schema"]
                .iter()
                // All that Gemini says about some schemas.
                .chain(&["contains an invalid argument"])
                .any(|words| mentions(words)),
        }
    }

    pub fn and(self, other: Self) -> Self {
        Self {
            reasoning: self.reasoning || other.reasoning,
            short_ids: self.short_ids || other.short_ids,
            no_json_schema: self.no_json_schema || other.no_json_schema,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_reveal_what_a_server_demands() {
        for (words, reasoning, short_ids) in [
            ("tool call id was call_1 but must be a-z, a-z, 0-9, with a length of 9.", false, true),
            (
                "invalid 'messages[2].tool_calls[0].id': string too long. maximum length 40",
                false,
                true,
            ),
            ("reasoning_content is missing in assistant tool call message at index 2", true, false),
            ("the `reasoning_content` in the thinking mode must be passed back", true, false),
            ("property 'reasoning_content' is unsupported", false, false),
            ("messages: string too long", false, false),
        ] {
            let found = TurnQuirks::in_words(words);
            assert_eq!((found.reasoning, found.short_ids), (reasoning, short_ids), "{words}");
        }
    }
}
