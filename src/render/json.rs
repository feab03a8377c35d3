//! The report as one JSON document.

use std::io::{self, BufWriter, Write};

use serde::Serialize;

use crate::text::is_bidi_control;

/// Writes a [`Report`](crate::report::Report), or the document that replaces it when nothing ran,
/// and a newline. The document is streamed, so nothing is held twice.
///
/// Characters that JSON allows but that control a terminal (DEL, C1, bidirectional controls) are
/// written as `\u` escapes. The document stays the same for programs.
pub fn json(document: &impl Serialize, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let mut safe = buffered(out);
    serde_json::to_writer_pretty(&mut safe, document)?;
    safe.write_all(b"\n")?;
    safe.flush()
}

/// The same as one line.
pub fn json_line(document: &impl Serialize, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let mut safe = buffered(out);
    serde_json::to_writer(&mut safe, document)?;
    safe.write_all(b"\n")?;
    safe.flush()
}

/// Buffers on both sides: the document and the escapes are written a few bytes at a time. The first
/// buffer puts writes together and splits none.
fn buffered(out: &mut (impl Write + ?Sized)) -> impl Write {
    BufWriter::new(TerminalSafe(BufWriter::new(out)))
}

/// The only ASCII character that JSON does not escape and that controls a terminal.
const DEL: u8 = 0x7f;

/// Escapes the JSON that passes through it. A character to escape can only be in a string, as the
/// rest of the document is ASCII, and each write has whole characters.
pub struct TerminalSafe<W>(pub W);

impl<W: Write> Write for TerminalSafe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut from = 0;
        if !is_safe(bytes) {
            let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
            for (at, character) in text.match_indices(must_be_escaped) {
                self.0.write_all(&bytes[from..at])?;
                character.chars().try_for_each(|c| write!(self.0, "\\u{:04x}", u32::from(c)))?;
                from = at + character.len();
            }
        }
        self.0.write_all(&bytes[from..])?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whether there is nothing to escape, as in nearly all texts. The standard library looks at many
/// bytes at once, also in a debug build: reports can have 100 MB.
fn is_safe(json: &[u8]) -> bool {
    json.is_ascii() && !json.contains(&DEL)
}

/// A line feed is never in a string, where it is `\n`.
fn must_be_escaped(character: char) -> bool {
    (character.is_control() && character != '\n') || is_bidi_control(character)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::render::fixtures::{answered, report};

    fn written(document: &impl Serialize) -> String {
        let mut out = Vec::new();
        json(document, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_report_is_one_indented_document_and_a_newline() {
        let text = written(&serde_json::json!({"a": [1, {"b": []}], "c": "ö"}));
        let expected =
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": \"ö\"\n}\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn hostile_text_is_escaped_without_loss() {
        let hostile = "\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\"\\\r\n\té🦀";
        let mut agent = answered("disk", hostile);
        agent.name = "disk\u{9b}".into();
        let text = written(&report(vec![agent]));
        assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || is_bidi_control(c)));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["agents"]["disk\u{9b}"]["output"], hostile);
    }

    #[test]
    fn a_closed_reader_is_an_error() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = json(&report(vec![]), &mut Gone).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
