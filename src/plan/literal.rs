//! The texts of the file that an expression compares a value with.

use crate::template::{Token, unquoted};

/// The texts that the value between these tokens is compared with, if it is compared as it is.
pub fn literals<'s>(tokens: &[Token<'s>], start: usize, end: usize) -> Vec<&'s str> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let before = |at: usize| at.checked_sub(1).map_or("", text);
    match text(end) {
        "==" | "!=" if begins(before(start)) && ends(text(end + 2)) => {
            unquoted(text(end + 1)).into_iter().collect()
        }
        "in" if begins(before(start)) => list(tokens, end + 1),
        "not" if text(end + 1) == "in" && begins(before(start)) => list(tokens, end + 2),
        after if ends(after) && matches!(before(start), "==" | "!=") => {
            let at = start - 1;
            let is_whole = begins(at.checked_sub(2).map_or("", text));
            unquoted(before(at)).filter(|_| is_whole).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The texts in the brackets at this token, if there is nothing else in them.
fn list<'s>(tokens: &[Token<'s>], open: usize) -> Vec<&'s str> {
    let mut tokens = tokens.get(open..).unwrap_or_default().iter().map(|token| token.text);
    if tokens.next() != Some("[") {
        return Vec::new();
    }
    let mut found = Vec::new();
    while let (Some(literal), Some(sign)) = (tokens.next().and_then(unquoted), tokens.next()) {
        found.push(literal);
        match sign {
            "," => {}
            "]" if ends(tokens.next().unwrap_or_default()) => return found,
            _ => break,
        }
    }
    Vec::new()
}

/// Whether an operand begins after this token.
fn begins(before: &str) -> bool {
    matches!(before, "" | "(" | "[" | "," | "and" | "elif" | "if" | "not" | "or")
}

/// Whether an operand ends before this token.
fn ends(after: &str) -> bool {
    matches!(after, "" | ")" | "]" | "," | "-" | "and" | "else" | "if" | "or")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::tokens;

    #[test]
    fn only_a_value_that_is_compared_as_it_is_counts() {
        for (source, expected) in [
            ("s == 'a'", vec!["a"]),
            ("(x and s != \"a\")", vec!["a"]),
            ("'a' == s or x", vec!["a"]),
            ("s in ['a', \"b\"]", vec!["a", "b"]),
            ("not (s not in ['a'])", vec!["a"]),
            ("s == 'a' | upper", vec![]),
            ("s == 'a' ~ x", vec![]),
            ("x ~ s == 'a'", vec![]),
            ("x ~ 'a' == s", vec![]),
            ("'a' == s | upper", vec![]),
            ("s | upper == 'a'", vec![]),
            ("s in ['a', x]", vec![]),
            ("s in ['a'] + x", vec![]),
            ("s in 'a'", vec![]),
            ("s == 'a\\n'", vec![]),
            ("s == 1", vec![]),
        ] {
            let tokens = tokens(source);
            let start = tokens.iter().position(|token| token.text == "s").unwrap_or_default();
            assert_eq!(literals(&tokens, start, start + 1), expected, "{source}");
        }
    }
}
