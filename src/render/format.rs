//! The formats of a report. A new one is a file beside this one, a variant here and a value of
//! `--output`.

use std::io::{self, Write};

use super::events::last_line;
use super::screen::Reader;
use super::{Look, answer, json, text};
use crate::config::faults::InvalidReport;
use crate::report::Report;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one document, whatever happened.
    Json,
    /// For programs: the events as they happen, and the report as the last line.
    Jsonl,
    /// The crew's answer and nothing else.
    Answer,
}

impl Format {
    /// Writes the report of a run.
    pub fn write(&self, report: &Report, look: Look, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Text if look.reader != Reader::default() => {
                let mut shown = Vec::new();
                text(report, look, &mut shown)?;
                out.write_all(look.reader.adapt(&String::from_utf8_lossy(&shown)).as_bytes())
            }
            Self::Text => text(report, look, out),
            Self::Json => json(report, out),
            Self::Jsonl => last_line(report, out),
            Self::Answer => answer(report, look, out),
        }
    }

    /// Writes the document that replaces a report when nothing ran. Only formats for programs have
    /// one: people read the faults on stderr.
    pub fn write_invalid(&self, report: &InvalidReport, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Text | Self::Answer => Ok(()),
            Self::Json => json(report, out),
            Self::Jsonl => last_line(report, out),
        }
    }
}
