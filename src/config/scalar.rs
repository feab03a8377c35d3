//! The type of a scalar: a text, unless it is written like a number, a boolean or null.

use serde_yaml::Number;

use super::node::Node;

/// A value without quotes and without a tag.
pub fn plain(text: &str) -> Node {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Node::Null,
        "true" | "True" | "TRUE" => Node::Bool(true),
        "false" | "False" | "FALSE" => Node::Bool(false),
        _ => number(text).unwrap_or_else(|| self::text(text)),
    }
}

pub fn text(text: &str) -> Node {
    Node::Text { text: text.to_owned(), expanded: false }
}

/// A value with a tag of YAML itself, such as `int`. `None` if the value does not fit the tag.
pub fn tagged(tag: &str, text: &str) -> Option<Node> {
    match (tag, plain(text)) {
        ("bool", node @ Node::Bool(_)) => Some(node),
        ("null", node @ Node::Null) => Some(node),
        ("int", node @ (Node::Int(_) | Node::UInt(_))) => Some(node),
        ("float", Node::Int(value)) => Some(Node::Float(value as f64)),
        ("float", Node::UInt(value)) => Some(Node::Float(value as f64)),
        ("float", node @ Node::Float(_)) => Some(node),
        ("bool" | "null" | "int" | "float", _) => None,
        _ => Some(self::text(text)),
    }
}

fn number(text: &str) -> Option<Node> {
    // Most values are texts. This saves trying every form of a number.
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return None;
    }
    let Ok(number) = text.parse::<Number>() else { return large(text).map(Node::Float) };
    match (number.as_i64(), number.as_u64()) {
        (Some(value), _) => Some(Node::Int(value)),
        (None, Some(value)) => Some(Node::UInt(value)),
        (None, None) => number.as_f64().map(Node::Float),
    }
}

/// A whole number of more than 64 bits.
fn large(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    text.parse().ok().filter(|_| is_number)
}
