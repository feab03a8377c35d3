//! Finds a crew's file and reads it in bounded time and memory.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::expand::Env;
use super::faults::{Fault, Faults};
use super::sources::Source;

/// Bytes of a file that is written by hand.
pub const MAX_FILE: u64 = 1 << 20;

const NAMES: [&str; 3] = ["agents.yaml", "agents.yml", "crew.yaml"];

/// The named file, or else the first of the usual files that exists.
pub fn find(named: Option<&Path>, env: Env<'_>) -> Result<PathBuf, Faults> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let user = user_file(env);
    let places = NAMES.iter().map(PathBuf::from).chain(user.clone());
    // A dangling link counts as well: if crew skipped it, it would run another file.
    places.into_iter().find(|place| place.symlink_metadata().is_ok()).ok_or_else(|| {
        let beside = user.map(|user| format!(" or {}", user.display())).unwrap_or_default();
        let message = format!("no crew file found: there is no {}{beside}", NAMES.join(", "));
        let hint = "write an agents.yaml, or choose a file with --config".to_owned();
        Faults::unplaced(None, message, Some(hint))
    })
}

fn user_file(env: Env<'_>) -> Option<PathBuf> {
    // The XDG specification says to ignore relative paths.
    let absolute = |path: String| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let folder = env("XDG_CONFIG_HOME").and_then(absolute);
    let folder = folder.or_else(|| Some(env("HOME").and_then(absolute)?.join(".config")))?;
    Some(folder.join("crew").join("agents.yaml"))
}

/// Reads a crew's file.
///
/// # Errors
/// As [`read_up_to`].
pub fn read(file: &Path) -> Result<String, ReadError> {
    read_up_to(file, MAX_FILE, "a crew file")
}

/// The reason why a text file cannot be used.
#[derive(Debug)]
pub enum ReadError {
    Unreadable {
        message: String,
        hint: &'static str,
    },
    /// `text` has a replacement character where the first invalid byte is.
    NotUtf8 {
        text: String,
        line: usize,
        column: usize,
    },
}

impl ReadError {
    pub const NOT_UTF8: (&str, &str) = ("invalid UTF-8", "save the file as UTF-8");

    /// Why the file cannot be used.
    pub fn message(&self) -> String {
        match self {
            Self::Unreadable { message, .. } => message.clone(),
            Self::NotUtf8 { .. } => Self::NOT_UTF8.0.to_owned(),
        }
    }

    /// The fault of a file that the user named.
    pub fn into_faults(self, file: &Path) -> Faults {
        match self {
            Self::Unreadable { message, hint } => {
                Faults::unplaced(Some(file.to_owned()), message, Some(hint.to_owned()))
            }
            Self::NotUtf8 { text, line, column } => {
                let (message, hint) = Self::NOT_UTF8;
                let fault = Fault {
                    file: Some(file.to_string_lossy().into_owned()),
                    path: None,
                    line: Some(line),
                    column: Some(column),
                    message: message.to_owned(),
                    hint: Some(hint.to_owned()),
                };
                let source = Source { file: file.to_owned(), text };
                Faults { sources: vec![source], faults: vec![fault], warnings: Vec::new() }
            }
        }
    }
}

/// Reads a text file of at most `max_bytes`. `what` names its content in messages.
///
/// # Errors
/// It cannot be read, is too large, not a regular file, or not UTF-8.
pub fn read_up_to(file: &Path, max_bytes: u64, what: &str) -> Result<String, ReadError> {
    let refuse = |message: String, hint| Err(ReadError::Unreadable { message, hint });
    let shown = file.display();
    let kind = match fs::metadata(file) {
        Ok(metadata) => metadata.file_type(),
        Err(error) => {
            return refuse(format!("cannot read {shown}: {}", plain(&error)), "check the path");
        }
    };
    if kind.is_dir() {
        return refuse(format!("{shown} is a directory"), "choose a file in it");
    }
    // Opening a pipe blocks until its other end is open, and a device may never end.
    if !kind.is_file() {
        return refuse(format!("{shown} is not a regular file"), "copy it to a regular file");
    }
    let mut bytes = Vec::new();
    if let Err(error) =
        File::open(file).and_then(|opened| opened.take(max_bytes + 1).read_to_end(&mut bytes))
    {
        let hint = "check the file's permissions";
        return refuse(format!("cannot read {shown}: {}", plain(&error)), hint);
    }
    if bytes.len() as u64 > max_bytes {
        let max = match max_bytes >> 20 {
            0 => format!("{} KiB", max_bytes >> 10),
            mebibytes => format!("{mebibytes} MiB"),
        };
        let message = format!("{shown} is larger than {max}, the maximum for {what}");
        return refuse(message, "check that this is the right file");
    }
    text(bytes)
}

/// The bytes of a file as text.
///
/// # Errors
/// They are not UTF-8.
pub fn text(mut bytes: Vec<u8>) -> Result<String, ReadError> {
    // A byte order mark is not part of the text.
    if bytes.starts_with("\u{feff}".as_bytes()) {
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let before = String::from_utf8_lossy(before);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        ReadError::NotUtf8 { text, line, column }
    })
}

/// The error without the number from the operating system.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}
