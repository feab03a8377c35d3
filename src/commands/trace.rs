//! `--trace`: a Markdown file for each agent and instance, written while the run goes on.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use crate::config::faults::Faults;
use crate::render::progress::{Crew, Trace};
use crate::report::{AgentRunId, Event, EventSink};
use crate::text::quoted;

/// Bytes of one file.
const MAX_FILE: usize = 64 << 20;
/// Bytes of one text in an entry.
const MAX_TEXT: usize = 1 << 20;
/// Bytes of a file's name before its ending.
const MAX_NAME: usize = 80;
/// How long the end of the run waits for the last entries.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The folder for the files.
#[derive(Debug)]
pub struct TraceFolder(PathBuf);

impl TraceFolder {
    /// Makes the folder, for the user only, unless it exists.
    ///
    /// # Errors
    /// It cannot be made, or no file can be written to it.
    pub fn open(path: &Path) -> Result<Self, Faults> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        let usable = made.and_then(|()| tempfile::tempfile_in(path).map(drop));
        usable.map_err(|error| {
            let path = quoted(&path.to_string_lossy());
            let message = format!("--trace: cannot write to the directory {path}: {error}");
            Faults::unplaced(None, message, None)
        })?;
        Ok(Self(path.to_owned()))
    }

    /// Starts the thread that writes the files.
    ///
    /// # Errors
    /// The system denies a thread.
    pub fn start(self, crew: Crew) -> io::Result<TraceWriter> {
        let (events, received) = channel();
        let (end, ended) = channel();
        let thread = thread::Builder::new().name("trace".into());
        thread.spawn(move || {
            let mut files = Files::new(self.0);
            let written = files.write_all(Trace::new(crew), &received);
            let _ = end.send(written);
        })?;
        Ok(TraceWriter { events, ended })
    }
}

/// Writes the files of one run. The engine never waits for it.
#[derive(Debug)]
pub struct TraceWriter {
    /// `None` ends the thread.
    events: Sender<Option<(Instant, Event)>>,
    ended: Receiver<io::Result<()>>,
}

impl TraceWriter {
    /// The sink that writes events to the files and passes them on.
    pub fn sink(&self, next: EventSink) -> EventSink {
        let events = self.events.clone();
        Arc::new(move |event: Event| {
            let _ = events.send(Some((Instant::now(), event.clone())));
            next(event);
        })
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// A file lacks something.
    pub fn finish(self) -> io::Result<()> {
        let _ = self.events.send(None);
        self.ended.recv_timeout(MAX_WAIT).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

struct Files {
    folder: PathBuf,
    /// In lower case, as file systems may not tell cases apart.
    names: HashSet<String>,
    files: HashMap<AgentRunId, AgentFile>,
}

struct AgentFile {
    path: PathBuf,
    /// Bytes so far.
    size: usize,
}

impl Files {
    fn new(folder: PathBuf) -> Self {
        Self { folder, names: HashSet::new(), files: HashMap::new() }
    }

    /// Returns the first error after it has tried to write everything.
    fn write_all(
        &mut self,
        mut trace: Trace,
        events: &Receiver<Option<(Instant, Event)>>,
    ) -> io::Result<()> {
        let mut result = Ok(());
        while let Ok(Some((at, event))) = events.recv() {
            let Some((agent, text)) = trace.entry(&event, at, MAX_TEXT) else { continue };
            let written = match agent {
                Some(agent) => self.add(agent, trace.name(agent), &text),
                None => self.files.values_mut().try_for_each(|file| file.add(&text)),
            };
            result = result.and(written);
        }
        result
    }

    fn add(&mut self, agent: AgentRunId, name: &str, text: &str) -> io::Result<()> {
        if let Some(file) = self.files.get_mut(&agent) {
            return file.add(text);
        }
        let file = format!("{}.md", self.file_name(name));
        let path = self.folder.join(file);
        // One of an earlier run may be a link, or readable for others.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let file = self.files.entry(agent).or_insert(AgentFile { path, size: 0 });
        file.add(&format!("# {name}\n"))?;
        file.add(text)
    }

    /// A name that any file system takes: the agent's, with `_` for other characters.
    fn file_name(&mut self, agent: &str) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let plain: String =
            agent.chars().map(|c| if is_plain(c) { c } else { '_' }).take(MAX_NAME).collect();
        // Hidden files would be overlooked.
        let plain = plain.trim_start_matches('.').trim_end_matches('_');
        let plain = if plain.is_empty() { "agent" } else { plain };
        let mut unique = plain.to_owned();
        let mut number = 2;
        while !self.names.insert(unique.to_ascii_lowercase()) {
            unique = format!("{plain}-{number}");
            number += 1;
        }
        unique
    }
}

impl AgentFile {
    /// Appends an entry. Opens the file each time: there may be more agents than files that a
    /// process can have open.
    fn add(&mut self, entry: &str) -> io::Result<()> {
        if self.size > MAX_FILE {
            return Ok(());
        }
        self.size += entry.len() + 1;
        let entry = match self.size > MAX_FILE {
            true => format!("\nThe trace ends here: {} MiB are full.\n", MAX_FILE >> 20),
            false => format!("{entry}\n"),
        };
        let mut options = OpenOptions::new();
        options.append(true).custom_flags(OFlag::O_NOFOLLOW.bits());
        options.open(&self.path)?.write_all(entry.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_short_and_unique() {
        let mut files = Files::new(PathBuf::new());
        let mut name = |agent: &str| files.file_name(agent);
        assert_eq!(name("disk"), "disk");
        assert_eq!(name("review[src/main.rs]"), "review_src_main.rs");
        assert_eq!(name("review[src_main.rs]"), "review_src_main.rs-2");
        assert_eq!(name("Disk"), "Disk-2");
        assert_eq!(name("../.."), "_..");
        assert_eq!(name("…"), "agent");
        assert!(name(&"x".repeat(1000)).len() <= MAX_NAME);
    }
}
