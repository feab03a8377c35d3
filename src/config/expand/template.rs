//! A variable's value in a template: printed as it is, and never obeyed.

use minijinja::machinery::{Token, tokenize};

use super::Part;

/// Whether every value stands between the braces of the template rather than inside them, where
/// it would be code. Also true of what is no template: that is noted elsewhere.
pub fn keeps_apart(parts: &[Part<'_>]) -> bool {
    let values = parts.iter().filter(|part| matches!(part, Part::Environment(_))).count();
    if values == 0 {
        return true;
    }
    let file: String = parts.iter().map(|part| part.or("")).collect();
    let stand_in = stand_in(&file);
    let marked: String = parts.iter().map(|part| part.or(&stand_in)).collect();
    let mut apart = 0;
    for token in tokenize(&marked, false, Default::default()) {
        match token {
            Ok((Token::TemplateData(text), _)) => apart += text.matches(&stand_in).count(),
            Ok(_) => {}
            Err(_) => return true,
        }
    }
    // What is raw is printed, but nothing in it can be escaped.
    apart == values && !file.contains("endraw")
}

/// A word that the text does not hold: with more of one letter than it has anywhere in a row.
fn stand_in(text: &str) -> String {
    let longest = text.split(|c| c != 'V').map(str::len).max().unwrap_or_default();
    format!("x{}x", "V".repeat(longest + 1))
}

impl Part<'_> {
    fn or<'a>(&'a self, value: &'a str) -> &'a str {
        match self {
            Part::File(text) => text,
            Part::Environment(_) => value,
        }
    }
}

/// Adds the value so that it comes out as it is: as a string in braces where it would mean
/// something as text of the template, or where white space around it could be dropped.
pub fn push(value: &str, out: &mut String) {
    let opened = out.ends_with('{');
    let is_plain = !value.contains('{') && value.trim() == value;
    if is_plain && !opened {
        return out.push_str(value);
    }
    // A brace before it must not become one with those that come now.
    let before = if opened { out.pop() } else { None };
    let value: String = before.into_iter().chain(value.chars()).collect();
    out.push_str("{{");
    // The escapes of JSON are the template's as well.
    out.push_str(&serde_json::Value::String(value).to_string());
    out.push_str("}}");
}
