//! The token counts of a response, under the names of every vendor that serves the API.

use serde::Deserialize;

use crate::chat::TokenUsage;
use crate::provider::json::{Raw, number, object};

#[derive(Deserialize)]
struct Counts<'a> {
    #[serde(borrow)]
    prompt_tokens: Raw<'a>,
    #[serde(borrow)]
    completion_tokens: Raw<'a>,
    #[serde(borrow)]
    input_tokens: Raw<'a>,
    #[serde(borrow)]
    output_tokens: Raw<'a>,
    #[serde(borrow)]
    total_tokens: Raw<'a>,
    #[serde(borrow)]
    prompt_tokens_details: Raw<'a>,
    #[serde(borrow)]
    input_tokens_details: Raw<'a>,
    #[serde(borrow)]
    completion_tokens_details: Raw<'a>,
    #[serde(borrow)]
    output_tokens_details: Raw<'a>,
    /// DeepSeek's name.
    #[serde(borrow)]
    prompt_cache_hit_tokens: Raw<'a>,
}

/// Counts of a part of the tokens. Some vendors report them beside the others, without an object of
/// their own.
#[derive(Default, Deserialize)]
struct Details<'a> {
    #[serde(borrow)]
    cached_tokens: Raw<'a>,
    #[serde(borrow)]
    cache_write_tokens: Raw<'a>,
    #[serde(borrow)]
    cache_creation_tokens: Raw<'a>,
    /// Anthropic's names, as gateways pass them on.
    #[serde(borrow)]
    cache_creation_input_tokens: Raw<'a>,
    #[serde(borrow)]
    cache_read_input_tokens: Raw<'a>,
    #[serde(borrow)]
    reasoning_tokens: Raw<'a>,
}

/// The token counts; `None` if there are none.
pub fn usage(raw: Raw<'_>) -> Option<TokenUsage> {
    let counts: Counts<'_> = object(raw)?;
    let input = number(counts.prompt_tokens.or(counts.input_tokens));
    let output = number(counts.completion_tokens.or(counts.output_tokens));
    if input.is_none() && output.is_none() {
        return None;
    }
    let details = |raw| object::<Details<'_>>(raw).unwrap_or_default();
    let own = details(raw);
    let of_input = details(counts.prompt_tokens_details.or(counts.input_tokens_details));
    let of_output = details(counts.completion_tokens_details.or(counts.output_tokens_details));
    // Of several names for one count, the largest: some vendors send zeros under all but one.
    let largest = |names: &[Raw<'_>]| names.iter().filter_map(|raw| number(*raw)).max();
    let cached = [
        of_input.cached_tokens,
        of_input.cache_read_input_tokens,
        own.cached_tokens,
        own.cache_read_input_tokens,
        counts.prompt_cache_hit_tokens,
    ];
    let written = [
        of_input.cache_write_tokens,
        of_input.cache_creation_tokens,
        of_input.cache_creation_input_tokens,
        own.cache_write_tokens,
        own.cache_creation_tokens,
        own.cache_creation_input_tokens,
    ];
    let reasoning = [of_output.reasoning_tokens, own.reasoning_tokens];
    let usage = TokenUsage {
        input_tokens: input.unwrap_or_default(),
        output_tokens: output.unwrap_or_default(),
        cached_input_tokens: largest(&cached).unwrap_or_default(),
        cache_write_tokens: largest(&written).unwrap_or_default(),
        reasoning_tokens: largest(&reasoning).unwrap_or_default(),
    };
    Some(complete(usage, number(counts.total_tokens).unwrap_or_default()))
}

/// Adds what a vendor counts beside input and output, as `total` shows: xAI and Gemini count
/// reasoning apart from `completion_tokens`, some gateways cached tokens apart from
/// `prompt_tokens`.
fn complete(mut usage: TokenUsage, total: u64) -> TokenUsage {
    let cache = usage.cached_input_tokens.saturating_add(usage.cache_write_tokens);
    let apart = total.saturating_sub(usage.total());
    if cache > usage.input_tokens || (cache > 0 && apart == cache) {
        usage.input_tokens = usage.input_tokens.saturating_add(cache);
    }
    let apart = total.saturating_sub(usage.total());
    let reasoning_apart = match usage.reasoning_tokens > usage.output_tokens {
        true => usage.reasoning_tokens,
        false => 0,
    };
    usage.output_tokens = usage.output_tokens.saturating_add(apart.max(reasoning_apart));
    usage
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;

    #[test]
    fn counts_under_the_names_of_every_vendor() {
        let cached = |details| json!({"prompt_tokens": 100, "prompt_tokens_details": details});
        // Input, output, read from and written to the cache, reasoning.
        for (name, counts, expected) in [
            ("OpenAI", cached(json!({"cached_tokens": 40})), [100, 0, 40, 0, 0]),
            // https://openrouter.ai/docs/use-cases/usage-accounting
            ("OpenRouter", cached(json!({"cache_write_tokens": 60})), [100, 0, 0, 60, 0]),
            (
                "Responses",
                json!({"input_tokens": 9, "output_tokens": 8,
                    "input_tokens_details": {"cached_tokens": 4},
                    "output_tokens_details": {"reasoning_tokens": 3}}),
                [9, 8, 4, 0, 3],
            ),
            (
                "DeepSeek",
                json!({"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101,
                    "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}),
                [100, 1, 64, 0, 0],
            ),
            ("Kimi", json!({"prompt_tokens": 100, "cached_tokens": 30}), [100, 0, 30, 0, 0]),
            (
                "a gateway with Anthropic's names",
                json!({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105,
                    "cache_read_input_tokens": 70, "cache_creation_input_tokens": 20}),
                [100, 5, 70, 20, 0],
            ),
            (
                "a gateway that counts the cache apart",
                json!({"prompt_tokens": 10, "completion_tokens": 5,
                    "cache_read_input_tokens": 70, "cache_creation_input_tokens": 20}),
                [100, 5, 70, 20, 0],
            ),
            (
                "the same, as the total shows",
                json!({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 145,
                    "prompt_tokens_details": {"cached_tokens": 40}}),
                [140, 5, 40, 0, 0],
            ),
            // Values of https://github.com/vercel/ai/pull/12425.
            (
                "xAI",
                json!({"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 399,
                    "completion_tokens_details": {"reasoning_tokens": 386}}),
                [12, 387, 0, 0, 386],
            ),
            (
                "reasoning that cannot be part of the output",
                json!({"prompt_tokens": 12, "completion_tokens": 1,
                    "completion_tokens_details": {"reasoning_tokens": 386}}),
                [12, 387, 0, 0, 386],
            ),
            (
                "reasoning that only the total shows",
                json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115}),
                [10, 105, 0, 0, 0],
            ),
            (
                "a total that is too small",
                json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 3}),
                [10, 5, 0, 0, 0],
            ),
        ] {
            let raw = to_raw_value(&counts).unwrap();
            let [input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning] =
                expected;
            let expected = TokenUsage {
                input_tokens,
                output_tokens,
                cached_input_tokens,
                cache_write_tokens,
                reasoning_tokens: reasoning,
            };
            assert_eq!(usage(Some(&raw)), Some(expected), "{name}");
        }
        let raw = to_raw_value(&json!({"total_tokens": 3})).unwrap();
        assert_eq!(usage(Some(&raw)), None);
    }
}
