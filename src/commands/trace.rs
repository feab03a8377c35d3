//! `--trace`: a Markdown file for each agent and instance, written while the run goes on.

mod file;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use self::file::AgentFile;
use crate::config::faults::Faults;
use crate::render::progress::{Crew, Trace};
use crate::report::{AgentRunId, Event, EventSink, Role, TranscriptEntry};
use crate::text::quoted;

/// Bytes of one text in an entry.
const MAX_TEXT: usize = 1 << 20;
/// Bytes of a file's name before its ending.
const MAX_NAME: usize = 80;
/// Between two looks at the answers that are being written.
const LOOK: Duration = Duration::from_millis(250);
/// A look at the answers of many agents takes time: the pause after it is this many times as long.
const PAUSE: u32 = 9;
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
            let mut files = Files::new(self.0, Trace::new(crew));
            let _ = end.send(files.write_all(&received));
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
            if let Event::ModelCallStarted { answer, .. } = &event {
                answer.keep(MAX_TEXT);
            }
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
    trace: Trace,
    /// In lower case, as file systems may not tell cases apart.
    names: HashSet<String>,
    files: HashMap<AgentRunId, AgentFile>,
    /// Those whose model may be writing.
    open: BTreeSet<AgentRunId>,
}

impl Files {
    fn new(folder: PathBuf, trace: Trace) -> Self {
        let (names, files, open) = Default::default();
        Self { folder, trace, names, files, open }
    }

    /// Returns the first error after it has tried to write everything.
    fn write_all(&mut self, events: &Receiver<Option<(Instant, Event)>>) -> io::Result<()> {
        let mut result = Ok(());
        let mut next_look = Instant::now();
        loop {
            let received = match self.open.is_empty() {
                true => events.recv().map_err(RecvTimeoutError::from),
                false => events.recv_timeout(next_look.saturating_duration_since(Instant::now())),
            };
            match received {
                Ok(Some((at, event))) => result = result.and(self.write(&event, at)),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(None) | Err(RecvTimeoutError::Disconnected) => return result,
            }
            let now = Instant::now();
            if next_look <= now {
                result = result.and(self.write_answers(now));
                next_look = now + LOOK + now.elapsed() * PAUSE;
            }
        }
    }

    fn write(&mut self, event: &Event, at: Instant) -> io::Result<()> {
        let entry = self.trace.entry(event, at, MAX_TEXT);
        if let Event::ModelCallStarted { agent, answer, .. } = event
            && let Some(file) = self.files.get_mut(agent)
        {
            file.open(Arc::clone(answer));
            self.open.insert(*agent);
        }
        match entry {
            Some((Some(agent), text)) => {
                self.open.remove(&agent);
                let file = self.file(agent)?;
                if is_answer(event) { file.close(&text) } else { file.add(&text) }
            }
            Some((None, text)) => {
                self.files.values_mut().try_for_each(|file| file.add_of_run(&text))
            }
            None => Ok(()),
        }
    }

    /// Writes what models have written since the last time.
    fn write_answers(&mut self, now: Instant) -> io::Result<()> {
        let mut result = Ok(());
        for agent in &self.open {
            let Some(file) = self.files.get_mut(agent) else { continue };
            let Some(piece) = file.answer().and_then(|live| self.trace.unfinished(live)) else {
                continue;
            };
            result = result.and(file.write_piece(&piece, || self.trace.heading(*agent, now)));
        }
        result
    }

    fn file(&mut self, agent: AgentRunId) -> io::Result<&mut AgentFile> {
        if !self.files.contains_key(&agent) {
            let name = self.trace.name(agent).to_owned();
            let file = format!("{}.md", self.file_name(&name));
            let mut file = AgentFile::create(self.folder.join(file))?;
            file.add(&format!("# {name}\n"))?;
            self.files.insert(agent, file);
        }
        self.files.get_mut(&agent).ok_or_else(|| io::ErrorKind::NotFound.into())
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

/// Whether an event has all that a model has answered.
fn is_answer(event: &Event) -> bool {
    let Event::Transcript { entry, .. } = event else { return false };
    matches!(&**entry, TranscriptEntry::Message(message) if message.role == Role::Assistant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_short_and_unique() {
        let mut files = Files::new(PathBuf::new(), Trace::new(Crew::default()));
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
