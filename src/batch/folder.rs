//! The folder of a batch: locked, compared with what is about to run, and its results taken up.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::feed::Totals;
use super::key::KeyHash;
use super::keys::{Claim, Keys};
use super::part::Part;
use super::results::{LineHead, ResultsReader};
use super::run_file::{self, FileError, RunFile, temporary};
use super::state::{PartState, Work, now_ms};
use crate::cancel::Cancellation;
use crate::plan::Fingerprint;
use crate::report::{RunStatus, Usage};

/// How long to wait for a lock that is held: `crew batch status` holds it for a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_POLL: Duration = Duration::from_millis(10);
/// Bytes that are copied before crew looks whether it is to stop.
const PIECE: u64 = 64 << 20;

/// Which inputs that have a line run again. Those that were cancelled always do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    Failed,
    None,
}

/// What happens to results of a crew that has changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    Refuse,
    Rerun,
    Keep,
}

/// How a folder is taken up.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub part: Part,
    pub retry: Retry,
    pub changed: Changed,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("another process works on {}", .0.display())]
    Locked(PathBuf),
    #[error("cannot lock {}: {error}", path.display())]
    NoLock { path: PathBuf, error: io::Error },
    #[error("{} has results and no {}", .0.display(), run_file::NAME)]
    NoRunFile(PathBuf),
    #[error("the keys of this batch are {pinned}, not {given}")]
    Key { pinned: String, given: String },
    #[error(
        "a process that started at the same time has divided {} in another way: run this one again",
        .0.display()
    )]
    Parts(PathBuf),
    #[error("the crew has changed since: {0}")]
    Changed(String),
    #[error("stopped while {} was read", .0.display())]
    Stopped(PathBuf),
}

impl FolderError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Changed(_) => {
                Some("--changed rerun runs all inputs again, keep keeps their results")
            }
            Self::Locked(_) => Some("wait for it, or stop it"),
            Self::NoRunFile(_) => Some("give a new folder, or put the file back"),
            Self::Key { .. } => Some("give the same --key, or a new folder"),
            Self::File(_) | Self::NoLock { .. } | Self::Parts(_) | Self::Stopped(_) => None,
        }
    }
}

/// A folder that this process works in.
#[derive(Debug)]
pub struct Folder {
    pub path: PathBuf,
    pub part: Part,
    pub run: RunFile,
    /// The keys that have a line, and those that run again.
    pub keys: Keys,
    pub state: PartState,
    pub found: Found,
    _lock: File,
}

/// The results of earlier processes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    pub succeeded: u64,
    /// Those that do not run again.
    pub failed: u64,
    /// Those that run again.
    pub again: u64,
    /// All that was spent in this part.
    pub spent: Usage,
}

impl Folder {
    /// Takes up a folder, or makes it. `wanted` is what is about to run.
    ///
    /// # Errors
    /// Nothing has changed, but perhaps an empty folder was made.
    pub fn open(
        path: &Path,
        wanted: RunFile,
        options: Options,
        cancel: &Cancellation,
    ) -> Result<Self, FolderError> {
        let Options { part, .. } = options;
        fs::create_dir_all(path).map_err(|error| FileError::write(path, error))?;
        let lock = lock(&part.lock(path))?;
        let run = agree(path, wanted, options)?;
        let state = PartState::read(&part.state(path))?;
        let mut folder = Self {
            path: path.to_owned(),
            part,
            run,
            keys: Keys::default(),
            found: Found { spent: state.spent, ..Found::default() },
            state,
            _lock: lock,
        };
        folder.take_up(options.retry, cancel)?;
        Ok(folder)
    }

    /// Notes that the work begins.
    pub fn began(&mut self) {
        let lines = self.found.succeeded + self.found.failed;
        self.state.work = Some(Work { started_ms: now_ms(), lines, ended_ms: None });
        self.write_state();
    }

    /// Notes that the work has ended, and how many inputs there are, where they have been counted
    /// or read to their end.
    pub fn ended(&mut self, counted: Option<u64>, totals: Option<Totals>) {
        self.state.inputs = counted.or(self.state.inputs);
        if let Some(Totals { inputs, keys, .. }) = totals.filter(|totals| totals.is_all) {
            (self.state.inputs, self.state.keys) = (Some(inputs), Some(keys));
        }
        if let Some(work) = &mut self.state.work {
            work.ended_ms = Some(now_ms());
        }
        self.write_state();
    }

    /// Only `crew batch status` misses it if it cannot be written.
    fn write_state(&self) {
        let _ = self.state.replace(&self.part.state(&self.path));
    }

    /// Reads the results, and removes the lines of inputs that run again.
    fn take_up(&mut self, retry: Retry, cancel: &Cancellation) -> Result<(), FolderError> {
        let path = self.part.results(&self.path);
        let Some(mut results) = ResultsReader::open(&path)? else { return Ok(()) };
        let mut rewritten: Option<Rewritten> = None;
        loop {
            go_on(cancel, &path)?;
            let kept_until = results.end();
            let Some(head) = results.next::<LineHead<'_>>()? else { break };
            let is_kept = self.note(&head, retry);
            match &mut rewritten {
                None if is_kept => {}
                None => rewritten = Some(Rewritten::begin(&path, kept_until, cancel)?),
                Some(rewritten) if is_kept => rewritten.add(results.bytes())?,
                Some(_) => {}
            }
        }
        if let Some(rewritten) = rewritten {
            // First what the removed lines took: a crash in between counts it twice, which stops a
            // batch with a budget too early rather than too late.
            self.state.replace(&self.part.state(&self.path))?;
            rewritten.finish()?;
        } else if results.is_torn() {
            cut(&path, results.end()).map_err(|error| FileError::write(&path, error))?;
        }
        Ok(())
    }

    /// Enters a line; whether it stays.
    fn note(&mut self, head: &LineHead<'_>, retry: Retry) -> bool {
        let key = KeyHash::of(&head.key);
        self.found.spent += head.usage;
        let is_current = self.run.accepts(&head.fingerprint);
        let is_final = match head.status {
            RunStatus::Succeeded => true,
            RunStatus::Cancelled => false,
            RunStatus::Failed | RunStatus::TimedOut | RunStatus::Invalid => retry == Retry::None,
        };
        if !is_current || !is_final {
            self.state.spent += head.usage;
            self.found.again += 1;
            // What an earlier crew did is no attempt of this one.
            let attempts = if is_current { head.attempts } else { 0 };
            if attempts > 0 {
                self.keys.run_again(&key, attempts);
            }
            return false;
        }
        let is_first = matches!(self.keys.claim(&key, head.content), Claim::Run { .. });
        match head.status {
            _ if !is_first => {}
            RunStatus::Succeeded => self.found.succeeded += 1,
            _ => self.found.failed += 1,
        }
        is_first
    }
}

/// A results file that replaces the old one.
struct Rewritten {
    path: PathBuf,
    out: BufWriter<NamedTempFile>,
}

impl Rewritten {
    /// With the lines up to `end`.
    fn begin(path: &Path, end: u64, cancel: &Cancellation) -> Result<Self, FolderError> {
        let write = |error| FileError::write(path, error);
        let temporary = temporary(path).map_err(write)?;
        let mut out = BufWriter::with_capacity(1 << 18, temporary);
        let mut kept = File::open(path).map_err(write)?;
        let mut left = end;
        while left > 0 {
            go_on(cancel, path)?;
            let mut piece = io::Read::take(&mut kept, left.min(PIECE));
            match io::copy(&mut piece, &mut out).map_err(write)? {
                0 => break,
                copied => left -= copied,
            }
        }
        Ok(Self { path: path.to_owned(), out })
    }

    fn add(&mut self, line: &[u8]) -> Result<(), FileError> {
        let added = self.out.write_all(line).and_then(|()| self.out.write_all(b"\n"));
        added.map_err(|error| FileError::write(&self.path, error))
    }

    fn finish(self) -> Result<(), FileError> {
        let Self { path, out } = self;
        let finish = || -> io::Result<()> {
            let temporary = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            temporary.as_file().sync_all()?;
            temporary.persist(&path).map_err(|failed| failed.error)?;
            Ok(())
        };
        finish().map_err(|error| FileError::write(&path, error))
    }
}

/// # Errors
/// A signal has arrived.
fn go_on(cancel: &Cancellation, path: &Path) -> Result<(), FolderError> {
    match cancel.is_cancelled() {
        true => Err(FolderError::Stopped(path.to_owned())),
        false => Ok(()),
    }
}

fn cut(path: &Path, length: u64) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.set_len(length)
}

fn lock(path: &Path) -> Result<File, FolderError> {
    let open = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    let file = open.map_err(|error| FileError::write(path, error))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_POLL),
            Err(TryLockError::WouldBlock) => {
                return Err(FolderError::Locked(path.with_extension("jsonl")));
            }
            Err(TryLockError::Error(error)) => {
                return Err(FolderError::NoLock { path: path.to_owned(), error });
            }
        }
    }
}

/// The folder's `run.json`, made or renewed where that is asked for.
fn agree(path: &Path, wanted: RunFile, options: Options) -> Result<RunFile, FolderError> {
    let pinned = match RunFile::read(path)? {
        Some(pinned) => pinned,
        None if options.part.results(path).exists() => {
            return Err(FolderError::NoRunFile(path.to_owned()));
        }
        None => wanted.clone().create(path)?,
    };
    if pinned.key != wanted.key {
        let named = |key: Option<String>| key.unwrap_or_else(|| "the hashes of inputs".to_owned());
        return Err(FolderError::Key { pinned: named(pinned.key), given: named(wanted.key) });
    }
    if pinned.parts != wanted.parts {
        return Err(FolderError::Parts(path.to_owned()));
    }
    if pinned.fingerprint.hash == wanted.fingerprint.hash {
        return Ok(pinned);
    }
    let RunFile { mut kept, .. } = pinned;
    let Fingerprint { hash, .. } = &pinned.fingerprint;
    match options.changed {
        Changed::Refuse => {
            return Err(FolderError::Changed(pinned.fingerprint.changes(&wanted.fingerprint)));
        }
        Changed::Keep => kept.push(hash.clone()),
        Changed::Rerun => kept.clear(),
    }
    let run = RunFile { fingerprint: wanted.fingerprint, kept, ..pinned };
    run.replace(path)?;
    Ok(run)
}
