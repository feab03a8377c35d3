//! The tools that a server takes: those that it rejects by rules of its own, and how many.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use crate::chat::ToolSpec;

/// What a server takes of an agent's tools, as its rejections reveal it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolLimits {
    /// The rejected tools, with the server's words.
    rejected: BTreeMap<String, String>,
    max: Option<usize>,
}

/// Words of rejections that are about tool calls or their results, not about tools.
const ABOUT_CALLS: [&str; 4] = ["tool_call", "tool call", "tool_result", "tool_use"];
/// Words of rejections of a tool's definition.
const ABOUT_DEFINITIONS: [&str; 5] =
    ["schema", "parameter", "declaration", "definition", "invalid function"];
const TOO_MANY: [&str; 7] =
    ["too long", "too many", "more than", "maximum", "at most", "exceed", "limit"];
/// What precedes the number of a tool in a rejection. The first one that occurs counts.
const BEFORE_NUMBER: [&str; 4] =
    ["function_declarations[", "functiondeclarations[", "tools[", "tools."];

impl ToolLimits {
    /// The limits with what a rejection of a request with these tools reveals, if that is anything.
    /// `shown` are the server's words, fit to be shown.
    pub fn learn(&self, words: &str, shown: &str, tools: &[ToolSpec]) -> Option<Self> {
        let words = words.to_ascii_lowercase();
        let sent = self.select(tools);
        let mut learned = self.clone();
        if let Some(max) = max_tools(&words, sent.len()) {
            learned.max = Some(max);
        } else {
            let rejected = rejected(&words, &sent)?;
            learned.rejected.insert(rejected.name.clone(), shown.to_owned());
        }
        Some(learned)
    }

    /// The tools that the server takes.
    pub fn select<'a>(&self, tools: &'a [ToolSpec]) -> Cow<'a, [ToolSpec]> {
        if self.rejected.is_empty() && self.max.is_none_or(|max| tools.len() <= max) {
            return Cow::Borrowed(tools);
        }
        let accepted = tools.iter().filter(|tool| !self.rejected.contains_key(&tool.name));
        accepted.take(self.max.unwrap_or(usize::MAX)).cloned().collect()
    }

    /// A note for each of these tools that the server does not get. `model_ref` names the model.
    pub fn notes(&self, tools: &[ToolSpec], model_ref: &str) -> Vec<String> {
        let rejected = tools.iter().filter_map(|tool| {
            let why = self.rejected.get(&tool.name)?;
            Some(format!("tool {} was left out: {model_ref} rejects it: {why}", tool.name))
        });
        let mut notes: Vec<String> = rejected.collect();
        let left = tools.len() - notes.len();
        if let Some(max) = self.max.filter(|max| *max < left) {
            notes.push(format!(
                "the last {} of {left} tools were left out: {model_ref} takes {max} at most",
                left - max
            ));
        }
        notes
    }
}

/// The tool that a rejection is about.
fn rejected<'a>(words: &str, tools: &'a [ToolSpec]) -> Option<&'a ToolSpec> {
    if ABOUT_CALLS.iter().any(|about| words.contains(about))
        || !ABOUT_DEFINITIONS.iter().any(|about| words.contains(about))
    {
        return None;
    }
    let number = BEFORE_NUMBER.iter().find_map(|before| {
        let (_, rest) = words.split_once(before)?;
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        rest[..digits].parse::<usize>().ok()
    });
    let mut named = tools.iter().filter(|tool| names(words, &tool.name.to_ascii_lowercase()));
    match (named.next(), named.next()) {
        (Some(only), None) => Some(only),
        (None, _) => tools.get(number?),
        (Some(_), Some(_)) => number.and_then(|number| tools.get(number)),
    }
}

/// Whether a name occurs on its own.
fn names(words: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    // A plain word can occur in any message, unless it is marked as a name.
    let is_plain = name.chars().all(|c| c.is_ascii_alphabetic());
    words.match_indices(name).any(|(at, _)| {
        let (before, after) = (&words[..at], &words[at + name.len()..]);
        let is_quoted = before.ends_with(['\'', '"', '`']) && after.starts_with(['\'', '"', '`']);
        is_quoted || (!is_plain && !before.ends_with(is_part) && !after.starts_with(is_part))
    })
}

/// The number of tools that the server takes, if a rejection of so many says it.
fn max_tools(words: &str, sent: usize) -> Option<usize> {
    if !words.contains("tools") && !words.contains("functions") {
        return None;
    }
    if !TOO_MANY.iter().any(|about| words.contains(about)) || words.contains("schema") {
        return None;
    }
    let numbers = words.split(|c: char| !c.is_ascii_digit()).filter_map(|run| run.parse().ok());
    numbers.filter(|number| (1..sent).contains(number)).max()
}

/// The limits of one endpoint, by model.
#[derive(Debug, Default)]
pub struct LearnedToolLimits(Mutex<HashMap<String, ToolLimits>>);

impl LearnedToolLimits {
    pub fn of(&self, model: &str) -> ToolLimits {
        self.0.lock().get(model).cloned().unwrap_or_default()
    }

    /// Keeps the limits with which the server has accepted a request.
    pub fn keep(&self, model: &str, limits: ToolLimits) {
        if limits != ToolLimits::default() {
            self.0.lock().insert(model.to_owned(), limits);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn tools(names: &[&str]) -> Vec<ToolSpec> {
        let tool = |name: &&str| ToolSpec {
            name: (*name).to_owned(),
            description: String::new(),
            parameters: Arc::default(),
        };
        names.iter().map(tool).collect()
    }

    #[test]
    fn a_rejection_names_a_tool_in_many_ways() {
        let tools = tools(&["s__good", "s__odd", "search"]);
        for (words, left_out) in [
            ("Invalid schema for function 's__odd': 'date-time' is not valid.", Some("s__odd")),
            ("tools.2.custom.input_schema: JSON schema is invalid", Some("search")),
            (
                "Invalid JSON payload: tools[0].function_declarations[1].parameters: bad",
                Some("s__odd"),
            ),
            ("Invalid schema for function 'search'", Some("search")),
            ("the search parameters are wrong", None),
            ("tools[7].parameters is wrong", None),
            ("schemas of s__good and s__odd differ", None),
            ("no tool_call for the parameters of s__odd", None),
            ("s__odd is not here", None),
        ] {
            let learned = ToolLimits::default().learn(words, "why", &tools);
            let sent = learned.as_ref().map(|limits| limits.select(&tools));
            let sent = sent.map(|tools| tools.iter().map(|tool| tool.name.clone()).collect());
            let expected: Option<Vec<String>> = left_out.map(|name| {
                let kept = tools.iter().filter(|tool| tool.name != name);
                kept.map(|tool| tool.name.clone()).collect()
            });
            assert_eq!(sent, expected, "{words}");
            if let (Some(limits), Some(name)) = (learned, left_out) {
                let notes = limits.notes(&tools, "p/m");
                assert_eq!(notes, [format!("tool {name} was left out: p/m rejects it: why")]);
            }
        }
    }

    #[test]
    fn a_rejection_says_how_many_tools_there_may_be() {
        let names: Vec<String> = (0..200).map(|n| format!("t{n}")).collect();
        let tools = tools(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for (words, max) in [
            (
                "Invalid 'tools': array too long. Expected an array with maximum length 128, but \
                 got an array with length 200 instead.",
                Some(128),
            ),
            ("at most 64 tools are supported", Some(64)),
            ("too many functions: 200 exceeds the limit of 100", Some(100)),
            ("too many tools", None),
            ("the tools took 30 seconds", None),
        ] {
            let learned = ToolLimits::default().learn(words, "why", &tools);
            assert_eq!(learned.as_ref().map(|limits| limits.select(&tools).len()), max, "{words}");
            if let (Some(limits), Some(max)) = (learned, max) {
                let note = format!(
                    "the last {} of 200 tools were left out: p/m takes {max} at most",
                    200 - max
                );
                assert_eq!(limits.notes(&tools, "p/m"), [note]);
            }
        }
    }
}
