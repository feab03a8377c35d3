//! Text cut to a bounded length, and text on one line.

/// The longest name or value of a file that a message repeats, in characters.
const MAX_QUOTED: usize = 64;

/// Cuts a text to `limit` characters. The last of them is an ellipsis if anything is missing.
pub fn truncate(mut text: String, limit: usize) -> String {
    if let Some((keep, _)) = text.char_indices().nth(limit.saturating_sub(1))
        && text[keep..].chars().nth(1).is_some()
    {
        text.truncate(keep);
        text.push('…');
    }
    text
}

/// A name or value in quotes, escaped and of readable length.
pub fn quoted(text: &str) -> String {
    let start: String = text.chars().take(MAX_QUOTED + 1).collect();
    format!("{:?}", truncate(start, MAX_QUOTED))
}

/// Words as a choice: `a, b or c`.
pub fn either(words: &[&str]) -> String {
    match words {
        [several @ .., last] if !several.is_empty() => {
            format!("{} or {last}", several.join(", "))
        }
        _ => words.concat(),
    }
}

/// The text on one line: runs of white space become one space, and control characters and those
/// that hide text or change its direction are left out.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c == '\0') {
        let before = line.len();
        line.extend(word.chars().filter(|c| !is_invisible(*c)));
        if line.len() > before {
            line.push(' ');
        }
    }
    line.truncate(line.trim_end().len());
    line
}

fn is_invisible(c: char) -> bool {
    c.is_control()
        || super::is_bidi_control(c)
        || matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_character_of_a_cut_text_is_an_ellipsis() {
        for (text, limit, expected) in
            [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("ああああ", 2, "あ…"), ("", 0, "")]
        {
            assert_eq!(truncate(text.to_owned(), limit), expected);
        }
        assert_eq!(quoted("a\n"), r#""a\n""#);
        assert_eq!(quoted(&"x".repeat(65)), format!("\"{}…\"", "x".repeat(63)));
    }

    #[test]
    fn one_line_holds_nothing_that_a_terminal_acts_on() {
        assert_eq!(one_line("two\r\nlines \u{1b}[31m\t\u{202e}x\u{61c}"), "two lines [31m x");
    }
}
