//! Takes from hostile text everything that could make a terminal do more than show it.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

const ESC: char = '\u{1b}';
const BEL: char = '\u{7}';
/// The one-character form of `ESC \`, which ends a string sequence.
const STRING_TERMINATOR: char = '\u{9c}';

/// Strips escape sequences, control characters but `\n` and `\t`, and the bidirectional controls
/// that can make text read differently from what it says; `\r\n` becomes `\n`.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_stripped) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            ESC => skip_escape(&mut rest),
            '\u{9b}' => skip_control_sequence(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(&mut rest),
            _ if is_stripped(character) => {}
            _ => clean.push(character),
        }
    }
    Cow::Owned(clean)
}

/// [`sanitize`] for a place that has one line only, such as a heading or a table: a run
/// of line breaks, tabs and what blanks follow them becomes one space.
pub fn inline(text: &str) -> Cow<'_, str> {
    let clean = sanitize(text);
    let trimmed = clean.trim();
    if trimmed.len() == clean.len() && !clean.contains(breaks_a_line) {
        return clean;
    }
    let mut line = String::with_capacity(trimmed.len());
    let mut after_break = false;
    for character in trimmed.chars() {
        if breaks_a_line(character) {
            after_break = true;
        } else if !(after_break && character == ' ') {
            if after_break && !line.ends_with(' ') {
                line.push(' ');
            }
            after_break = false;
            line.push(character);
        }
    }
    Cow::Owned(line)
}

/// The symbols that crew draws with, replaced by ASCII characters of the same width.
pub fn without_symbols(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let replaced = |symbol: char| match symbol {
        '✓' => '+',
        '✗' => 'x',
        '…' => '~',
        '█' => '#',
        '░' | '·' => '.',
        '─' | '⊘' => '-',
        '→' => '>',
        '│' => '|',
        '•' => '*',
        // The spinner.
        '\u{2800}'..='\u{28ff}' => ['|', '/', '-', '\\'][symbol as usize % 4],
        _ => symbol,
    };
    Cow::Owned(text.chars().map(replaced).collect())
}

/// The text with a zero-width space in everything that the runner of GitHub Actions takes for a
/// command: `::` at the start of a line, and `##[` anywhere.
pub fn without_commands(text: &str) -> Cow<'_, str> {
    let starts = |line: &str| line.trim_start().starts_with("::");
    if !text.contains("##[") && !text.lines().any(starts) {
        return Cow::Borrowed(text);
    }
    let inert = text.split_inclusive('\n').map(|line| match starts(line) {
        true => line.replacen("::", ":\u{200b}:", 1),
        false => line.to_owned(),
    });
    Cow::Owned(inert.collect::<String>().replace("##[", "##\u{200b}["))
}

fn breaks_a_line(character: char) -> bool {
    matches!(character, '\n' | '\t' | '\u{2028}' | '\u{2029}')
}

fn is_stripped(character: char) -> bool {
    (character.is_control() && !matches!(character, '\n' | '\t')) || is_bidi_control(character)
}

/// Whether a character changes the direction of the text around it. Formats that can escape such
/// characters do so instead of stripping them.
pub fn is_bidi_control(character: char) -> bool {
    matches!(character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What follows an ESC. Anything that is no escape sequence is left where it is.
fn skip_escape(rest: &mut Peekable<Chars<'_>>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            skip_control_sequence(rest);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            rest.next();
            skip_string(rest);
        }
        Some(' '..='~') => {
            while rest.next_if(|next| matches!(next, ' '..='/')).is_some() {}
            rest.next_if(|next| matches!(next, '0'..='~'));
        }
        _ => {}
    }
}

/// CSI: parameters, intermediates, one final character.
fn skip_control_sequence(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|next| matches!(next, ' '..='?')).is_some() {}
    rest.next_if(|next| matches!(next, '@'..='~'));
}

/// OSC, DCS and the like, up to their terminator. One without a terminator loses its line only: a
/// stray introducer must not swallow the rest of an answer that was paid for.
fn skip_string(rest: &mut Peekable<Chars<'_>>) {
    while let Some(character) = rest.next_if(|next| *next != '\n') {
        match character {
            BEL | STRING_TERMINATOR => return,
            ESC => {
                // `ESC \` ends it; any other sequence aborts it and is a sequence of its own.
                if rest.next_if_eq(&'\\').is_none() {
                    skip_escape(rest);
                }
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_text_is_not_copied() {
        let text = "Größe: 12 %\n\tあ 🦀\n";
        assert!(matches!(sanitize(text), Cow::Borrowed(same) if same == text));
        assert!(matches!(inline("one line"), Cow::Borrowed("one line")));
    }

    #[test]
    fn escape_sequences_go_and_the_text_around_them_stays() {
        for (hostile, clean) in [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("a\u{1b}[2J\u{1b}[1;1Hb", "ab"),
            ("a\u{1b}[?1049hb", "ab"),
            ("a\u{9b}31mb", "ab"),
            ("a\u{1b}]0;title\u{7}b", "ab"),
            ("a\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\b", "alinkb"),
            ("a\u{9d}52;c;ZXZpbA==\u{9c}b", "ab"),
            ("a\u{1b}Pq#0\u{1b}\\b", "ab"),
            ("a\u{90}q\u{9c}b", "ab"),
            ("a\u{1b}_apc\u{1b}\\b\u{1b}^pm\u{1b}\\c\u{1b}Xsos\u{1b}\\d", "abcd"),
            ("a\u{1b}cb", "ab"),
            ("a\u{1b}(Bb", "ab"),
            ("a\u{1b}", "a"),
            ("a\u{1b}[", "a"),
            ("a\u{1b}[31", "a"),
            ("a\u{1b}あ", "aあ"),
            ("a\u{1b}[3あ", "aあ"),
            ("a\u{1b}\u{1b}[31mb", "ab"),
            ("\u{1b}]0;a\u{1b}[31mb", "b"),
        ] {
            assert_eq!(sanitize(hostile), clean, "{hostile:?}");
        }
    }

    #[test]
    fn an_unterminated_string_sequence_loses_its_line_only() {
        assert_eq!(sanitize("a\u{1b}]0;title\nb"), "a\nb");
        assert_eq!(sanitize("a\u{1b}Pq"), "a");
    }

    #[test]
    fn control_and_bidi_characters_go() {
        assert_eq!(sanitize("a\0b\u{8}\u{b}\u{7f}\u{85}c\r\nd\re"), "abc\nde");
        assert_eq!(sanitize("x\u{202e}gpj.exe\u{2066}y\u{200f}\u{61c}"), "xgpj.exey");
    }

    #[test]
    fn one_line_stays_one_line() {
        assert_eq!(inline(" a\r\n\n b\tc\u{2028}d\n"), "a b c d");
        assert_eq!(inline("\n"), "");
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_acts_on_a_terminal_is_left(
            text in r"([\x1b\x9b\x9d\x90\[\]\\P;0-9A-Za-z\r\n\x07\x9c\u{202e} あ]|\x1b\[|\x1b\])*",
        ) {
            let clean = sanitize(&text);
            proptest::prop_assert!(!clean.chars().any(is_stripped));
            proptest::prop_assert!(sanitize(&clean) == clean);
            proptest::prop_assert!(!inline(&text).contains('\n'));
        }
    }
}
