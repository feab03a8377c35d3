//! Which reasoning efforts a model accepts. The tables know the families that reject values; what
//! they do not know is learned from rejections.
//!
//! Sources: <https://platform.openai.com/docs/guides/reasoning>,
//! <https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking>,
//! <https://platform.claude.com/docs/en/build-with-claude/effort>,
//! <https://ai.google.dev/gemini-api/docs/thinking>,
//! <https://openrouter.ai/docs/use-cases/reasoning-tokens>.

use crate::chat::Effort;
use crate::vendor::Api;

use Effort::{High, Low, Max, Medium, Minimal, None as Off, XHigh};

/// A set of efforts. By default all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Efforts(u8);

impl Default for Efforts {
    fn default() -> Self {
        Self::of(&Effort::ALL)
    }
}

impl Efforts {
    const fn of(efforts: &[Effort]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < efforts.len() {
            set |= 1 << efforts[at] as u8;
            at += 1;
        }
        Self(set)
    }

    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn contains(self, effort: Effort) -> bool {
        self.0 & (1 << effort as u8) != 0
    }

    /// The accepted effort that comes closest: the highest below, else the lowest. Reasoning stays
    /// on if it was asked for and can be on. `None` if the model accepts no effort.
    pub fn nearest(self, wanted: Effort) -> Option<Effort> {
        let mut accepted = Effort::ALL.into_iter().filter(|effort| self.contains(*effort));
        let below = |effort: &Effort| *effort <= wanted && (*effort > Off || wanted == Off);
        let highest = accepted.clone().rfind(below);
        highest
            .or_else(|| accepted.clone().find(|effort| *effort > Off))
            .or_else(|| accepted.next())
    }

    /// The efforts that a server's words about a rejected request leave: those that it lists, or
    /// none. `None` if the words are about something else.
    pub fn in_words(words: &str) -> Option<Self> {
        let mentions = |name: &str| words.contains(name);
        let is_sampling = mentions("temperature") || mentions("top_p");
        if !mentions("effort") && (is_sampling || !mentions("thinking")) {
            return None;
        }
        const LISTS: [&str; 5] =
            ["supported values", "one of", "valid values", "allowed values", "should be"];
        let list =
            LISTS.iter().find_map(|start| words.split_once(start)).map_or("", |(_, list)| list);
        let words = || list.split(|c: char| !c.is_ascii_alphanumeric());
        let listed = Effort::ALL.into_iter().filter(|e| words().any(|word| word == e.name()));
        Some(Self::of(&listed.collect::<Vec<_>>()))
    }
}

/// The efforts that a model may accept.
pub fn of_model(api: Api, model: &str) -> Efforts {
    match api {
        Api::OpenAi | Api::OpenAiResponses => of_openai(model),
        Api::Anthropic => of_claude(model),
        Api::Gemini => of_gemini(model),
    }
}

fn of_openai(model: &str) -> Efforts {
    const FAMILIES: [(&str, &[Effort]); 14] = [
        ("gpt-5.1-codex-max", &[Off, Low, Medium, High, XHigh]),
        ("gpt-5.1", &[Off, Low, Medium, High]),
        ("gpt-5.2", &[Off, Low, Medium, High, XHigh]),
        ("gpt-5-pro", &[High]),
        ("gpt-5-chat", &[]),
        ("gpt-5-", &[Minimal, Low, Medium, High]),
        ("gpt-4", &[]),
        ("gpt-3", &[]),
        ("chatgpt-", &[]),
        ("o1-mini", &[]),
        ("o1-preview", &[]),
        ("o1", &[Low, Medium, High]),
        ("o3", &[Low, Medium, High]),
        ("o4", &[Low, Medium, High]),
    ];
    let family = FAMILIES.iter().find(|(start, _)| model.starts_with(start));
    match family {
        Some((_, efforts)) => Efforts::of(efforts),
        None if model == "gpt-5" => Efforts::of(&[Minimal, Low, Medium, High]),
        None => Efforts::default(),
    }
}

/// The version in the name of a Claude model, such as (4, 6) of `claude-opus-4-6-20260101`.
fn claude_version(model: &str) -> Option<(u32, u32)> {
    let (_, name) = model.split_once("claude")?;
    // Longer numbers are dates.
    let number = |part: &str| part.parse::<u32>().ok().filter(|_| part.len() <= 2);
    let mut parts = name.split(['-', '.', '@', ':', '_']).skip_while(|part| number(part).is_none());
    let major = number(parts.next()?)?;
    Some((major, parts.next().and_then(number).unwrap_or(0)))
}

fn of_claude(model: &str) -> Efforts {
    match claude_version(model) {
        Some(version) if version < (3, 7) => Efforts::of(&[]),
        Some(version) if version < (4, 6) => Efforts::of(&[Off, Minimal, Low, Medium, High]),
        Some((4, 6)) => Efforts::of(&[Off, Low, Medium, High, Max]),
        _ => Efforts::of(&[Off, Low, Medium, High, XHigh, Max]),
    }
}

/// Whether a model of Anthropic's API decides itself how much to think, guided by an effort. Older
/// ones take a budget of tokens.
pub fn is_adaptive(model: &str) -> bool {
    claude_version(model).is_none_or(|version| version >= (4, 6))
}

/// The version in the name of a Gemini model, such as (2, 5).
fn gemini_version(model: &str) -> Option<(u32, u32)> {
    let (_, name) = model.split_once("gemini-")?;
    let mut numbers = name.split('-').next()?.split('.').map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next().flatten().unwrap_or(0)))
}

fn of_gemini(model: &str) -> Efforts {
    let is_pro = model.contains("pro");
    match gemini_version(model) {
        Some(version) if version < (2, 5) => Efforts::of(&[]),
        Some((2, _)) if is_pro => Efforts::of(&[Minimal, Low, Medium, High, XHigh]),
        Some((2, _)) => Efforts::of(&[Off, Minimal, Low, Medium, High, XHigh]),
        Some((3, 0)) if is_pro => Efforts::of(&[Low, High]),
        Some(_) if is_pro => Efforts::of(&[Low, Medium, High]),
        _ => Efforts::of(&[Minimal, Low, Medium, High]),
    }
}

/// Whether a model of Gemini's API takes a level. Older ones take a budget of tokens.
pub fn has_levels(model: &str) -> bool {
    gemini_version(model).is_none_or(|version| version >= (3, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effort_is_clamped_to_what_the_model_accepts() {
        use Api::{Anthropic, Gemini, OpenAi, OpenAiResponses};
        for (api, model, wanted, expected) in [
            (OpenAiResponses, "gpt-5", Max, Some(High)),
            (OpenAiResponses, "gpt-5-mini", Off, Some(Minimal)),
            (OpenAiResponses, "gpt-5-pro", Low, Some(High)),
            (OpenAi, "gpt-5.1", Minimal, Some(Low)),
            (OpenAi, "gpt-5.1", XHigh, Some(High)),
            (OpenAi, "gpt-5.2", XHigh, Some(XHigh)),
            (OpenAi, "gpt-4o-mini", Low, None),
            (OpenAi, "o3-mini", Off, Some(Low)),
            (OpenAi, "qwen3:8b", Max, Some(Max)),
            (Anthropic, "claude-opus-4-7", XHigh, Some(XHigh)),
            (Anthropic, "claude-opus-4-6-20260205", XHigh, Some(High)),
            (Anthropic, "claude-sonnet-5", Minimal, Some(Low)),
            (Anthropic, "claude-sonnet-4-5-20250929", Max, Some(High)),
            (Anthropic, "claude-3-7-sonnet-20250219", Off, Some(Off)),
            (Anthropic, "claude-3-5-haiku-20241022", High, None),
            (Gemini, "gemini-2.5-pro", Off, Some(Minimal)),
            (Gemini, "gemini-2.5-flash", Off, Some(Off)),
            (Gemini, "gemini-3-pro-preview", Medium, Some(Low)),
            (Gemini, "gemini-3.1-pro-preview", Medium, Some(Medium)),
            (Gemini, "gemini-3-flash", Max, Some(High)),
            (Gemini, "gemini-2.0-flash", High, None),
        ] {
            assert_eq!(of_model(api, model).nearest(wanted), expected, "{model} {wanted:?}");
        }
    }

    #[test]
    fn generations_of_models() {
        let adaptive = ["claude-opus-4-6", "claude-sonnet-5", "claude-fable-5", "kimi-k2"];
        assert!(adaptive.into_iter().all(is_adaptive));
        let older = ["claude-opus-4-5-20251101", "claude-sonnet-4-20250514", "claude-3-7-sonnet"];
        assert!(!older.into_iter().any(is_adaptive));
        assert!(has_levels("gemini-3.1-pro-preview") && !has_levels("gemini-2.5-flash"));
    }

    /// The first is the wording of OpenAI's API
    /// (github.com/openai/openai-agents-python/issues/2089).
    #[test]
    fn words_of_servers_name_the_efforts_that_are_left() {
        let listed = |words: &str| Efforts::in_words(&words.to_ascii_lowercase());
        for (words, expected) in [
            (
                "Unsupported value: 'minimal' is not supported with the 'gpt-5.1' model. \
                 Supported values are: 'none', 'low', 'medium', and 'high'. (reasoning.effort)",
                Some(&[Off, Low, Medium, High][..]),
            ),
            (
                "reasoning_effort: Input should be 'low', 'medium' or 'high'",
                Some(&[Low, Medium, High]),
            ),
            ("Unrecognized request argument supplied: reasoning_effort", Some(&[])),
            ("Thinking level is not supported for this model.", Some(&[])),
            ("`temperature` may only be set to 1 when thinking is enabled", None),
            ("model not found", None),
        ] {
            assert_eq!(listed(words), expected.map(Efforts::of), "{words}");
        }
    }
}
