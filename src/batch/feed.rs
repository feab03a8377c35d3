//! A thread that reads the inputs ahead of those that run, and chooses what is to run.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::input::{BatchInput, Entry};
use super::key::{Content, KeyHash};
use super::keys::{Claim, Keys};
use super::line::Line;
use super::part::Part;
use super::read::{InputReader, ReadError};
use super::sample::{Chooser, Sample};
use crate::template::RunInput;

/// Inputs that wait to be started.
const READ_AHEAD: usize = 16;
/// KiB of inputs that wait or run. One input always may, whatever its size.
const ROOM: u32 = 64 << 10;

/// Which inputs are to run.
#[derive(Debug, Clone)]
pub struct Selection {
    pub part: Part,
    /// The JSON pointer to the key of an input.
    pub key: Option<String>,
    /// Only this many inputs from the beginning.
    pub limit: Option<u64>,
    /// Only this many inputs from all of them.
    pub sample: Option<Sample>,
}

/// What the thread has found.
#[derive(Debug)]
pub enum Next {
    Run(Box<Job>),
    /// An input that cannot be used.
    Unusable(Box<Line>),
    End(io::Result<Totals>),
}

/// An input to run.
#[derive(Debug)]
pub struct Job {
    pub index: u64,
    pub key: String,
    pub content: Content,
    pub input: RunInput,
    /// How often it has been run before.
    pub attempts: u32,
    _room: OwnedSemaphorePermit,
}

/// The inputs in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Those of other parts and repeated ones included.
    pub inputs: u64,
    /// Those of this part that have a key of their own.
    pub keys: u64,
    /// Whether nothing was left out on request.
    pub is_all: bool,
    /// The line of the first input with bytes that are not UTF-8.
    pub first_invalid: Option<u64>,
}

/// Checks that the inputs can be read.
///
/// # Errors
/// They cannot be opened.
pub fn check(path: &Path) -> Result<(), ReadError> {
    InputReader::open(path).map(drop)
}

/// Opens the inputs and starts to read them. Call it within a runtime.
///
/// # Errors
/// They cannot be opened.
pub fn start(
    path: &Path,
    selection: Selection,
    keys: Keys,
) -> Result<(mpsc::Receiver<Next>, Arc<ReadProgress>), ReadError> {
    let reader = InputReader::open(path)?;
    let (send, receive) = mpsc::channel(READ_AHEAD);
    let room = Arc::new(Semaphore::new(ROOM as usize));
    let progress = Arc::new(ReadProgress { size: size(path), ..ReadProgress::default() });
    let mut feed = Feed {
        reader,
        selection,
        keys,
        send,
        room,
        runtime: Handle::current(),
        progress: progress.clone(),
    };
    let sampled = feed.selection.sample.map(|sample| (sample, path.to_owned()));
    thread::Builder::new().name("inputs".to_owned()).spawn(move || {
        let chosen = sampled.map(|(sample, path)| feed.sample(sample, &path)).transpose();
        let end = chosen.and_then(|sample| feed.run(sample));
        // The receiver is gone if the batch has been stopped.
        let _ = feed.send.blocking_send(Next::End(end));
    })?;
    Ok((receive, progress))
}

/// The bytes of a file; 0 for standard input.
fn size(path: &Path) -> u64 {
    let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file);
    metadata.map_or(0, |metadata| metadata.len())
}

/// How far the inputs have been read.
#[derive(Debug, Default)]
pub struct ReadProgress {
    /// Inputs, those of other parts and those that have a result included.
    pub inputs: AtomicU64,
    pub bytes: AtomicU64,
    /// Inputs that were chosen to run.
    pub chosen: AtomicU64,
    /// Bytes of all inputs; 0 if that is not known.
    pub size: u64,
}

struct Feed {
    reader: InputReader,
    selection: Selection,
    keys: Keys,
    send: mpsc::Sender<Next>,
    room: Arc<Semaphore>,
    runtime: Handle,
    progress: Arc<ReadProgress>,
}

impl Feed {
    /// Reads all keys to find those of a sample.
    fn sample(&self, sample: Sample, path: &Path) -> io::Result<(Sample, u128)> {
        let mut chooser = Chooser::new(sample);
        let mut reader = InputReader::open(path).map_err(io::Error::other)?;
        let limit = self.selection.limit.unwrap_or(u64::MAX);
        while let Some(mut entry) = reader.next_entry()?.filter(|entry| entry.index < limit) {
            let input = entry.take_input(self.selection.key.as_deref());
            chooser.see(&input.map_or_else(|_| entry.line_key(), |input| input.key));
        }
        Ok((sample, chooser.limit().unwrap_or_default()))
    }

    /// `sample`: only the keys with at most this hash.
    fn run(&mut self, sample: Option<(Sample, u128)>) -> io::Result<Totals> {
        let mut inputs = 0;
        let limit = self.selection.limit.unwrap_or(u64::MAX);
        let mut is_all = sample.is_none();
        while let Some(entry) = self.reader.next_entry()? {
            if entry.index >= limit {
                is_all = false;
                break;
            }
            inputs += 1;
            self.progress.inputs.fetch_add(1, Ordering::Relaxed);
            self.progress.bytes.fetch_add(entry.bytes, Ordering::Relaxed);
            let Some(next) = self.choose(entry, sample) else { continue };
            self.progress.chosen.fetch_add(1, Ordering::Relaxed);
            if self.send.blocking_send(next).is_err() {
                break;
            }
        }
        let first_invalid = self.reader.first_invalid();
        Ok(Totals { inputs, keys: self.keys.count(), is_all, first_invalid })
    }

    /// What is to be done with an input; `None` if it has a result or belongs to another part.
    fn choose(&mut self, mut entry: Entry, sample: Option<(Sample, u128)>) -> Option<Next> {
        let is_chosen = |key: &str| sample.is_none_or(|(sample, limit)| sample.hash(key) <= limit);
        let input = match entry.take_input(self.selection.key.as_deref()) {
            Ok(input) if is_chosen(&input.key) => input,
            Err(why) if is_chosen(&entry.line_key()) => return self.unusable(&entry, why),
            _ => return None,
        };
        let hash = KeyHash::of(&input.key);
        if !self.selection.part.has(&hash) {
            return None;
        }
        let attempts = match self.keys.claim(&hash, Some(input.content)) {
            Claim::Run { attempts } => attempts,
            Claim::Same => return None,
            Claim::Other => {
                let why = format!("another input has the key {:?} as well", input.key);
                return self.unusable(&entry, why);
            }
        };
        let BatchInput { key, content, input } = input;
        Some(Next::Run(Box::new(Job {
            index: entry.index,
            key,
            content,
            input,
            attempts,
            _room: self.room(entry.bytes)?,
        })))
    }

    fn unusable(&mut self, entry: &Entry, why: String) -> Option<Next> {
        let key = entry.line_key();
        let hash = KeyHash::of(&key);
        if !self.selection.part.has(&hash) {
            return None;
        }
        let Claim::Run { attempts } = self.keys.claim(&hash, None) else { return None };
        let mut line = Line::unusable(key, entry.index, why);
        line.attempts += attempts;
        Some(Next::Unusable(Box::new(line)))
    }

    /// Waits until there is room for an input of this many bytes.
    fn room(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let size = u32::try_from(bytes >> 10).unwrap_or(ROOM).clamp(1, ROOM);
        // Never closed.
        self.runtime.block_on(self.room.clone().acquire_many_owned(size)).ok()
    }
}
