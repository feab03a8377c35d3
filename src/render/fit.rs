//! Text measured in columns of a terminal, not in bytes or characters.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The width of one line of text, in columns.
pub fn width(text: &str) -> usize {
    if is_plain(text) { text.len() } else { text.width() }
}

/// Whether a text has visible ASCII characters and blanks only, as nearly all texts do: each takes
/// one column and one byte, and none controls a terminal.
pub fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Cuts `text` to `room` columns, with `…` in place of the rest.
pub fn cut(text: &str, room: usize) -> Cow<'_, str> {
    if text.len() <= room && is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut used = 0;
    let mut end = 0;
    for (at, character) in text.char_indices() {
        let columns = columns(character);
        if used + columns > room {
            return match room {
                0 => Cow::Borrowed(""),
                _ => Cow::Owned(format!("{}…", &text[..end])),
            };
        }
        used += columns;
        if used < room {
            end = at + character.len_utf8();
        }
    }
    Cow::Borrowed(text)
}

/// The end of `text` in `room` columns, with `…` in place of what comes before.
pub fn tail(text: &str, room: usize) -> Cow<'_, str> {
    if width(text) <= room {
        return Cow::Borrowed(text);
    }
    let mut used = 1;
    let start = text.char_indices().rev().take_while(|(_, character)| {
        used += columns(*character);
        used <= room
    });
    let start = start.last().map_or(text.len(), |(at, _)| at);
    Cow::Owned(format!("…{}", &text[start..]))
}

/// Columns of one character. Their sum is never less than the terminal needs, whatever joins.
fn columns(character: char) -> usize {
    match character {
        // Makes the symbol before it an emoji, which is wider by one.
        '\u{fe0f}' => 1,
        _ => character.width().unwrap_or(0),
    }
}

/// Splits one line of text into pieces of at most `room` columns.
pub fn rows(text: &str, room: usize) -> Vec<&str> {
    pieces(text, |rest| fitting(rest, room))
}

/// Like [`rows`], but splits between words where possible and drops the blanks there.
pub fn wrap(text: &str, room: usize) -> Vec<&str> {
    let end = |rest: &str| match fitting(rest, room) {
        end if rest[end..].is_empty() || rest[end..].starts_with(' ') => end,
        end => rest[..end].rfind(' ').map_or(end, |blank| blank + 1),
    };
    pieces(text, end).into_iter().map(str::trim).filter(|piece| !piece.is_empty()).collect()
}

fn pieces(mut rest: &str, end: impl Fn(&str) -> usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(end(rest));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// The bytes that fit into `room` columns, at least those of the first character.
fn fitting(text: &str, room: usize) -> usize {
    let mut used = 0;
    let too_wide = text.char_indices().find(|(at, character)| {
        used += columns(*character);
        used > room && *at > 0
    });
    too_wide.map_or(text.len(), |(at, _)| at)
}

/// Cuts or pads `text` to `room` columns.
pub fn pad(text: &str, room: usize) -> String {
    let text = cut(text, room);
    let fill = room.saturating_sub(width(&text));
    format!("{text}{}", " ".repeat(fill))
}

/// The first `room` bytes of a value as JSON on one line. No more is serialized: arguments come
/// from a model and can be megabytes.
pub fn compact(value: &Value, room: usize) -> String {
    let mut head = Capped { bytes: Vec::new(), room, full: false };
    // The only possible error is a full buffer.
    let _ = serde_json::to_writer(&mut head, value);
    let mut text = String::from_utf8_lossy(&head.bytes).into_owned();
    if head.full {
        // The last character may be incomplete.
        text.truncate(text.trim_end_matches('\u{fffd}').len());
        text.push('…');
    }
    text
}

struct Capped {
    bytes: Vec<u8>,
    room: usize,
    full: bool,
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..taken]);
        if taken < bytes.len() {
            self.full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_cut_by_columns() {
        for (text, room, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("abcd", 1, "…"),
            ("abcd", 0, ""),
            ("", 0, ""),
            ("ああ", 4, "ああ"),
            ("あああ", 4, "あ…"),
            ("あああ", 5, "ああ…"),
            ("あ", 1, "…"),
            ("a❤\u{fe0f}", 2, "a…"),
            ("e\u{301}e\u{301}e", 2, "e\u{301}…"),
        ] {
            let fitted = cut(text, room);
            assert_eq!(fitted, expected, "{text:?} in {room}");
            assert!(width(&fitted) <= room);
        }
        assert_eq!(pad("あ", 4), "あ  ");
        assert_eq!(pad("あああ", 4), "あ… ");
    }

    #[test]
    fn text_wraps_between_words() {
        for (text, room, expected) in [
            ("", 3, &[][..]),
            ("abc", 3, &["abc"]),
            ("abc de f", 5, &["abc", "de f"]),
            ("abc de f", 3, &["abc", "de", "f"]),
            ("abcdef g", 4, &["abcd", "ef g"]),
            ("a  b", 2, &["a", "b"]),
            ("ああ い", 4, &["ああ", "い"]),
            ("あ", 1, &["あ"]),
            ("ab", 0, &["a", "b"]),
        ] {
            assert_eq!(wrap(text, room), expected, "{text:?} in {room}");
        }
    }

    #[test]
    fn json_stops_where_the_room_ends() {
        assert_eq!(compact(&json!({"path": "/", "n": 1}), 80), r#"{"path":"/","n":1}"#);
        assert_eq!(compact(&json!("ああ"), 6), "\"あ…");
        assert_eq!(compact(&json!("x".repeat(1_000_000)), 4), "\"xxx…");
        assert_eq!(compact(&json!(null), 0), "…");
    }
}
