//! Recordings: the exchanges of a run with models, HTTP tools and MCP servers, as lines of JSON.
//!
//! A recorded answer is found by what was asked, not by order, so that agents side by side replay
//! exactly. Equal requests are answered in their recorded order, those of the same agent first.

mod exchange;
mod file;
mod known;
mod nearest;

use std::io::{self, Write};
use std::path::Path;

use parking_lot::Mutex;
use serde_json::Value;

use crate::secret::Secrets;
use exchange::Exchange;
pub use exchange::{Asked, Kind};
use file::Opened;
pub use file::{OpenError, RecordingFile, RecordingMode};
use known::Known;
pub use nearest::differences;

/// A recording in use by a run.
#[derive(Debug)]
pub struct Recording {
    file: RecordingFile,
    secrets: Secrets,
    known: Mutex<Known>,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    /// `None`: nothing is recorded.
    file: Option<std::fs::File>,
    /// Why an exchange is missing in the file.
    failure: Option<String>,
}

/// What a recording knows of a request.
#[derive(Debug)]
pub enum Found {
    /// `has_more`: the next equal request has an answer as well.
    Response { response: Value, has_more: bool },
    /// It has to be asked.
    Live,
    /// It is not recorded, and must not be asked. The message says what comes nearest.
    Missing(String),
}

impl Recording {
    /// Exchanges are redacted by `secrets`, also by those that are added later.
    pub fn new(file: RecordingFile, secrets: Secrets) -> Self {
        let Opened { known, writer } = file.take();
        let writer = Mutex::new(Writer { file: writer, failure: None });
        Self { file, secrets, known: Mutex::new(known), writer }
    }

    /// Begins to record. With [`RecordingMode::Record`] what the file held is lost now, and not
    /// while the run could still be refused.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin(&self) -> io::Result<()> {
        match (&mut self.writer.lock().file, self.file.mode()) {
            (Some(file), RecordingMode::Record) => file::begin(file),
            _ => Ok(()),
        }
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Whether no request goes out.
    pub fn is_replay(&self) -> bool {
        self.file.mode() == RecordingMode::Replay
    }

    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The answer to a request, which the same request does not get again.
    pub fn take(&self, asked: &Asked) -> Found {
        self.look_up(asked, true)
    }

    /// The answer to a request, which stays for the next one.
    pub fn look_at(&self, asked: &Asked) -> Found {
        self.look_up(asked, false)
    }

    fn look_up(&self, asked: &Asked, take: bool) -> Found {
        if self.file.mode() == RecordingMode::Record {
            // A new recording answers nothing.
            return Found::Live;
        }
        let request = self.secrets.redact_value(asked.request.clone());
        let mut known = self.known.lock();
        match known.look_up(asked.kind, &asked.agent, &request, take) {
            Some((response, has_more)) => Found::Response { response, has_more },
            None if !self.is_replay() => Found::Live,
            None => {
                let file = self.file.path().display();
                let nearest = known.nearest(asked.kind, &asked.agent, &request);
                Found::Missing(format!("not in the recording {file}: {nearest}"))
            }
        }
    }

    /// Adds an exchange to the file, unless nothing is recorded.
    pub fn record(&self, asked: &Asked, response: Value) {
        let exchange = Exchange {
            kind: asked.kind,
            agent: self.secrets.redact(asked.agent.clone()),
            request: self.secrets.redact_value(asked.request.clone()),
            response: self.secrets.redact_value(response),
        };
        let mut writer = self.writer.lock();
        let Some(file) = &mut writer.file else { return };
        let end = file.metadata().map(|found| found.len());
        // A line in one write: only SIGKILL can tear it, and readers leave out a torn last line.
        if let Err(error) = file.write_all(exchange.line().as_bytes()) {
            // A torn line, as of a full disk, would become a part of the next one.
            let _ = end.and_then(|end| file.set_len(end));
            writer.failure.get_or_insert_with(|| error.to_string());
        }
    }

    /// Why an exchange could not be recorded, if one could not.
    pub fn failure(&self) -> Option<String> {
        let failure = self.writer.lock().failure.clone()?;
        Some(format!("cannot write the recording {}: {failure}", self.file.path().display()))
    }
}

#[cfg(test)]
mod tests;
