//! The report as one JSON document.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, PrettyFormatter, Serializer};

use super::fit;
use crate::text::is_bidi_control;

/// Writes a [`Report`](crate::report::Report), or the document that replaces it when nothing ran,
/// and a newline. The document is streamed, so nothing is held twice.
///
/// Characters that JSON allows but that control a terminal (DEL, C1, bidirectional controls) are
/// written as `\u` escapes. The document stays the same for programs.
pub fn json(document: &impl Serialize, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let mut buffered = io::BufWriter::new(out);
    let mut serializer = Serializer::with_formatter(&mut buffered, TerminalSafe::default());
    document.serialize(&mut serializer)?;
    buffered.write_all(b"\n")?;
    buffered.flush()
}

#[derive(Default)]
struct TerminalSafe(PrettyFormatter<'static>);

impl Formatter for TerminalSafe {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fit::is_plain(fragment) {
            return out.write_all(fragment.as_bytes());
        }
        let mut plain = 0;
        for (at, character) in fragment.char_indices() {
            if character.is_control() || is_bidi_control(character) {
                out.write_all(&fragment.as_bytes()[plain..at])?;
                write!(out, "\\u{:04x}", u32::from(character))?;
                plain = at + character.len_utf8();
            }
        }
        out.write_all(&fragment.as_bytes()[plain..])
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.0.write_char_escape(out, escape)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
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
