//! Finding a crew's file and reading it, in bounded time and memory.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::expand::Env;
use super::faults::Faults;
use crate::report::Fault;

/// Bytes of a file that is written by hand. Far more than a crew needs.
pub const MAX_FILE: u64 = 1 << 20;

const NAMES: [&str; 3] = ["agents.yaml", "agents.yml", "crew.yaml"];

/// The file that was named, or else the first of the usual places that has one.
pub fn find(named: Option<&Path>, env: Env<'_>) -> Result<PathBuf, Faults> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let user = user_file(env);
    let places = NAMES.iter().map(PathBuf::from).chain(user.clone());
    // A link that leads nowhere counts as well: passing over it would run another file.
    places.into_iter().find(|place| place.symlink_metadata().is_ok()).ok_or_else(|| {
        let beside = user.map(|user| format!(" or {}", user.display())).unwrap_or_default();
        let message = format!("no crew here: there is no {}{beside}", NAMES.join(", "));
        let hint = "write an agents.yaml, or name a file with --config".to_owned();
        Faults::unplaced(None, message, Some(hint))
    })
}

fn user_file(env: Env<'_>) -> Option<PathBuf> {
    // The specification of base directories asks to ignore what is not absolute.
    let absolute = |path: String| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let folder = env("XDG_CONFIG_HOME").and_then(absolute);
    let folder = folder.or_else(|| Some(env("HOME").and_then(absolute)?.join(".config")))?;
    Some(folder.join("crew").join("agents.yaml"))
}

/// The text of a crew's file.
pub fn read(file: &Path) -> Result<String, Faults> {
    read_up_to(file, MAX_FILE, "a crew's file")
}

/// The text of a file that may have so many bytes; `what` it is.
pub fn read_up_to(file: &Path, largest: u64, what: &str) -> Result<String, Faults> {
    let refuse = |message: String, hint: &str| {
        let hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
        Err(Faults::unplaced(Some(file.to_owned()), message, hint))
    };
    let shown = file.display();
    let kind = match fs::metadata(file) {
        Ok(metadata) => metadata.file_type(),
        Err(error) => {
            return refuse(format!("cannot read {shown}: {}", plain(&error)), "check the path");
        }
    };
    if kind.is_dir() {
        return refuse(format!("{shown} is a folder"), "name the file in it");
    }
    // Opening a pipe waits for its other end, and a device may never end.
    if !kind.is_file() {
        return refuse(format!("{shown} is not a regular file"), "copy it to one");
    }
    let mut bytes = Vec::new();
    if let Err(error) =
        File::open(file).and_then(|opened| opened.take(largest + 1).read_to_end(&mut bytes))
    {
        let hint = "check the file's permissions";
        return refuse(format!("cannot read {shown}: {}", plain(&error)), hint);
    }
    if bytes.len() as u64 > largest {
        let most = match largest >> 20 {
            0 => format!("{} KiB", largest >> 10),
            mebibytes => format!("{mebibytes} MiB"),
        };
        let message = format!("{shown} is larger than {most}, the most {what} may have");
        return refuse(message, "check that it is the right file");
    }
    text(file, bytes)
}

/// The text that a file's bytes are.
pub fn text(file: &Path, mut bytes: Vec<u8>) -> Result<String, Faults> {
    // A byte order mark is no part of the text.
    if bytes.starts_with("\u{feff}".as_bytes()) {
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map_err(|error| not_utf8(file, &error))
}

fn not_utf8(file: &Path, error: &std::string::FromUtf8Error) -> Faults {
    let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let before = String::from_utf8_lossy(before);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let fault = Fault {
        path: None,
        line: Some(line),
        column: Some(column),
        message: "this is not valid UTF-8".to_owned(),
        hint: Some("save the file in the encoding UTF-8".to_owned()),
    };
    let source = String::from_utf8_lossy(error.as_bytes()).into_owned();
    Faults { file: Some(file.to_owned()), source, faults: vec![fault] }
}

/// Without the number of the operating system.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}
