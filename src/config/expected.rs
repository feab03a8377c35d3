//! The types that values of the file should have, as messages name them.

use std::fmt;

use super::node::Node;

/// The expected type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Text,
    /// `DurationText`
    Duration,
    /// `SizeText`, which may also be a number.
    Size,
    /// `ModelTexts`: a text or a list of texts.
    Models,
    /// `NeedsConfig`: a list of texts or a mapping.
    Needs,
    /// `EnvConfig`: a list of texts or a mapping.
    Env,
    /// `ConditionText`: a text or a boolean.
    Condition,
    /// `ConfirmText`: a boolean or `destructive`.
    Confirm,
    /// `ItemsConfig`: a list of any values or a text.
    Items,
    /// `EnvValue`: a text or nothing.
    EnvValue,
    Boolean,
    WholeNumber,
    Number,
    JsonNumber,
    List,
    Mapping,
}

impl Expected {
    /// The kind of text that a newtype of the file's structs holds.
    pub fn text_of(newtype: &str) -> Self {
        match newtype {
            "DurationText" => Self::Duration,
            "SizeText" => Self::Size,
            "ModelTexts" => Self::Models,
            "NeedsConfig" => Self::Needs,
            "EnvConfig" => Self::Env,
            "ConditionText" => Self::Condition,
            "ConfirmText" => Self::Confirm,
            "ItemsConfig" => Self::Items,
            "EnvValue" => Self::EnvValue,
            _ => Self::Text,
        }
    }

    /// Advice on a value of another type.
    pub fn hint(self, found: &Node) -> Option<&'static str> {
        match (self, found) {
            (Self::Duration, Node::Int(_) | Node::UInt(_)) => {
                Some("give the number a unit: ms, s, m or h")
            }
            (Self::Text, Node::Int(_) | Node::UInt(_) | Node::Float(_) | Node::Bool(_)) => {
                Some("put it in quotes")
            }
            (Self::WholeNumber | Self::Number, Node::Text { text, .. }) => {
                text.parse::<f64>().is_ok().then_some("write it without quotes")
            }
            (Self::Mapping, Node::List(_)) => {
                Some("write name: {…} for each entry, without dashes")
            }
            (Self::List, Node::Text { .. }) => Some("write it in brackets: [a, b]"),
            _ => None,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "a text",
            Self::Duration => "a duration such as 30s",
            Self::Size => "a size such as 64KiB",
            Self::Models => "a model such as openai/gpt-4o-mini, or a list of them",
            Self::Needs => "a list of agents, or a mapping from agent to succeeded or done",
            Self::Env => "a list of variables, or a mapping from variable to value",
            Self::Condition => "an expression, or true or false",
            Self::Confirm => "true, false or destructive",
            Self::Items => "a list, or an expression that yields one",
            Self::EnvValue => "a text, or nothing to pass the variable on",
            Self::Boolean => "true or false",
            Self::WholeNumber => "a whole number, not negative",
            Self::Number => "a number",
            Self::JsonNumber => "a number that JSON can hold",
            Self::List => "a list",
            Self::Mapping => "a mapping",
        })
    }
}
