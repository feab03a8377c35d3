//! The words and signs of an expression, and the names in it with their attributes.

/// Operators of two characters.
const PAIRS: [&str; 6] = ["==", "!=", "<=", ">=", "//", "**"];

/// A word, a number, a quoted text or a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'s> {
    pub text: &'s str,
    /// Where it begins, in bytes.
    pub at: usize,
}

/// A name and its attributes, also in brackets: `agents["my-agent"].output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePath<'s> {
    /// As written.
    pub source: &'s str,
    pub parts: Vec<&'s str>,
    /// The number of its tokens.
    pub length: usize,
}

/// The text without its quotes. Texts with escapes are left out.
pub fn unquoted(text: &str) -> Option<&str> {
    let inside = text.strip_prefix(['"', '\''])?.strip_suffix(['"', '\''])?;
    (!inside.contains('\\')).then_some(inside)
}

/// The tokens of an expression.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = source[at..].chars().next() {
        let rest = &source[at..];
        let length = if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        } else if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if matches!(first, '"' | '\'') {
            quoted(rest, first)
        } else if PAIRS.iter().any(|pair| rest.starts_with(pair)) {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(Token { text: &rest[..length], at });
        at += length;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of a quoted text, its quotes included.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The name that begins at this token, or nothing if that is no name.
pub fn name_at<'s>(source: &'s str, tokens: &[Token<'s>], start: usize) -> Option<NamePath<'s>> {
    let first = tokens.get(start)?;
    let is_attribute = start.checked_sub(1).is_some_and(|before| tokens[before].text == ".");
    let begins_a_name = |c: char| c.is_alphabetic() || c == '_';
    if is_attribute || !first.text.starts_with(begins_a_name) {
        return None;
    }
    let (attributes, length) = attributes(tokens.get(start + 1..).unwrap_or_default());
    let parts = [vec![first.text], attributes].concat();
    let end = start + 1 + length;
    let last = tokens[end - 1];
    let source = &source[first.at..last.at + last.text.len()];
    Some(NamePath { source, parts, length: end - start })
}

/// The attributes that the tokens begin with, and the number of their tokens.
pub fn attributes<'s>(tokens: &[Token<'s>]) -> (Vec<&'s str>, usize) {
    let (mut parts, mut length) = (Vec::new(), 0);
    while let Some((attribute, more)) = attribute(tokens.get(length..).unwrap_or_default()) {
        parts.push(attribute);
        length += more;
    }
    (parts, length)
}

/// The token after the bracket that closes the one at `open`.
pub fn after_bracket(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    let closes = |token: &Token<'_>| {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    };
    let rest = tokens.get(open..).unwrap_or_default();
    open + rest.iter().position(closes).map_or(rest.len(), |close| close + 1)
}

/// An attribute and the number of its tokens.
fn attribute<'s>(tokens: &[Token<'s>]) -> Option<(&'s str, usize)> {
    match tokens {
        [dot, name, ..] if dot.text == "." && name.text.starts_with(is_word) => {
            Some((name.text, 2))
        }
        [open, name, close, ..] if open.text == "[" && close.text == "]" => {
            let name = name.text.strip_prefix(['"', '\''])?.strip_suffix(['"', '\''])?;
            Some((name, 3))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_words_and_texts_are_tokens() {
        for (source, expected) in [
            ("", vec![]),
            ("a==1", vec!["a", "==", "1"]),
            ("(ä.b|trim)!='x\\'=='", vec!["(", "ä", ".", "b", "|", "trim", ")", "!=", "'x\\'=='"]),
            ("\"open", vec!["\"open"]),
            ("→ x", vec!["→", "x"]),
        ] {
            let found: Vec<&str> = tokens(source).iter().map(|token| token.text).collect();
            assert_eq!(found, expected, "{source}");
        }
    }

    #[test]
    fn a_name_has_its_attributes_in_either_form() {
        let name = |source: &'static str| name_at(source, &tokens(source), 0);
        let found = name("agents['my-agent'] .output | trim").map(|name| (name.source, name.parts));
        let parts = vec!["agents", "my-agent", "output"];
        assert_eq!(found, Some(("agents['my-agent'] .output", parts)));
        assert_eq!(name("a[0].b").map(|name| name.source), Some("a"));
        assert_eq!(name("'a'.b"), None);
        assert_eq!(name_at("a.b", &tokens("a.b"), 2), None);
    }
}
