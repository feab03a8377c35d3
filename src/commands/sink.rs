//! Where a report goes: standard output, or the file of `--output-file` or `--report`, which is
//! opened before anything runs.
//!
//! A file is replaced in one step. The report is written to a temporary file beside it and renamed
//! over it, so at any moment the file is either the old one or the whole new one. A target that is
//! not a regular file (`/dev/null`, a named pipe, `/dev/stdout`) cannot be replaced and is written
//! directly.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tempfile::NamedTempFile;

/// As many as Linux follows before it gives up.
const MAX_SYMLINKS: usize = 40;
/// Prefixes of paths that name an open stream of this process, not a file to replace.
const OWN_STREAMS: [&str; 4] = ["/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/"];

/// Why a path cannot be used, to be said after the option that names it. Nothing has run yet.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path:?} is a directory: name a file in it")]
    Directory { path: PathBuf },
    #[error("{path:?}: its directory does not exist: create {folder:?} first")]
    NoFolder { path: PathBuf, folder: PathBuf },
    #[error("{path:?} is a named pipe without a reader: start its reader first")]
    NoReader { path: PathBuf },
    #[error("{path:?} cannot be written: {source}: choose a file that you can write")]
    Denied { path: PathBuf, source: io::Error },
}

impl OpenError {
    fn denied(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Denied { path: path.into(), source: source.into() }
    }
}

/// Why the report was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("the reader of the report has gone")]
    ReaderGone,
    #[error("could not write the report to {place}: {source}")]
    Write { place: String, source: io::Error },
    #[error("could not replace {path:?}: {source}; the report was kept as {kept:?}")]
    Replace { path: PathBuf, kept: PathBuf, source: io::Error },
}

impl WriteError {
    fn new(place: impl Into<String>, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Write { place: place.into(), source },
        }
    }
}

/// Where the report goes. A sink that is dropped before [`Sink::write`] leaves no trace. `path` is
/// as the user wrote it.
#[derive(Debug)]
pub enum Sink {
    Stdout,
    Replace { path: PathBuf, target: PathBuf, temporary: NamedTempFile },
    Direct { path: PathBuf, file: File },
}

impl Sink {
    /// Finds everything that can be wrong with `path` and changes nothing at it. Without a path
    /// the report goes to stdout.
    pub fn open(path: Option<&Path>) -> Result<Self, OpenError> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        if is_own_stream(path) {
            return Self::direct(path);
        }
        let target = follow(path).map_err(|error| OpenError::denied(path, error))?;
        match fs::metadata(&target) {
            Ok(existing) if existing.is_dir() => Err(OpenError::Directory { path: path.into() }),
            Ok(existing) if !existing.is_file() => Self::direct(path),
            Ok(existing) => Self::replace(path, target, Some(existing.permissions())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::replace(path, target, None)
            }
            Err(error) => Err(OpenError::denied(path, error)),
        }
    }

    /// Opens a file that grows during the run: it is emptied, and not replaced at the end.
    pub fn open_growing(path: Option<&Path>) -> Result<Self, OpenError> {
        match Self::open(path)? {
            Self::Replace { path, target, .. } => {
                let file = OpenOptions::new().write(true).create(true).truncate(true).open(target);
                let file = file.map_err(|error| OpenError::denied(&path, error))?;
                Ok(Self::Direct { path, file })
            }
            other => Ok(other),
        }
    }

    /// The open file, or standard output.
    pub fn duplicate(&self) -> io::Result<File> {
        match self {
            Self::Stdout => Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
            Self::Direct { file, .. } => file.try_clone(),
            Self::Replace { temporary, .. } => temporary.as_file().try_clone(),
        }
    }

    /// Whether it is a regular file, which no reader can keep waiting.
    pub fn is_file(&self) -> bool {
        self.duplicate().and_then(|out| out.metadata()).is_ok_and(|found| found.is_file())
    }

    /// Opens a file to write at its end.
    pub fn append(path: &Path) -> Result<Self, OpenError> {
        if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
            return Self::direct(path);
        }
        let open = OpenOptions::new().append(true).create(true).open(path);
        let file = open.map_err(|error| OpenError::denied(path, error))?;
        Ok(Self::Direct { path: path.into(), file })
    }

    /// Writes the whole report with `render` and puts it in place. After an error a regular file
    /// is as it was before.
    pub fn write(
        self,
        render: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), WriteError> {
        match self {
            Self::Stdout => render(&mut io::stdout().lock())
                .map_err(|error| WriteError::new("standard output", error)),
            Self::Direct { path, mut file } => {
                render(&mut file).map_err(|error| WriteError::new(format!("{path:?}"), error))
            }
            Self::Replace { path, target, mut temporary } => {
                render(&mut temporary)
                    // Otherwise a crash of the machine could leave an empty file under this name.
                    .and_then(|()| temporary.as_file().sync_all())
                    .map_err(|error| WriteError::new(format!("{path:?}"), error))?;
                put_in_place(temporary, &target, path)
            }
        }
    }

    fn replace(
        path: &Path,
        target: PathBuf,
        existing: Option<Permissions>,
    ) -> Result<Self, OpenError> {
        let denied = |error| OpenError::denied(path, error);
        let folder = folder_of(&target);
        let is_folder = target.as_os_str().as_bytes().ends_with(b"/");
        let Some(name) = target.file_name().filter(|_| !is_folder) else {
            return Err(OpenError::Directory { path: path.into() });
        };
        if !folder.is_dir() {
            return Err(OpenError::NoFolder { path: path.into(), folder: folder.into() });
        }
        if existing.is_some() {
            // A rename would bypass the file's write protection.
            OpenOptions::new().write(true).open(&target).map_err(denied)?;
        }
        let mut prefix = OsString::from(".");
        prefix.push(name.to_string_lossy().chars().take(32).collect::<String>());
        prefix.push(".");
        let temporary = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".tmp")
            // Less the umask, as for any new file.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(denied)?;
        if let Some(permissions) = existing {
            let mode = Permissions::from_mode(permissions.mode() & 0o777);
            temporary.as_file().set_permissions(mode).map_err(denied)?;
        }
        Ok(Self::Replace { path: path.into(), target, temporary })
    }

    /// Opens without waiting: a named pipe would otherwise block crew until it has a reader.
    /// Writing does wait, so a slow reader gets the whole report.
    fn direct(path: &Path) -> Result<Self, OpenError> {
        let file = OpenOptions::new()
            .append(true)
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
            .open(path);
        let file = match file {
            Ok(file) => file,
            Err(error) if has_no_reader(path, &error) => {
                return Err(OpenError::NoReader { path: path.into() });
            }
            Err(error) => return Err(OpenError::denied(path, error)),
        };
        set_blocking(&file).map_err(|error| OpenError::denied(path, error))?;
        Ok(Self::Direct { path: path.into(), file })
    }
}

fn put_in_place(temporary: NamedTempFile, target: &Path, path: PathBuf) -> Result<(), WriteError> {
    let Err(error) = temporary.persist(target) else { return Ok(()) };
    // The run was paid for: keep its report when the temporary file goes.
    match error.file.keep() {
        Ok((_, kept)) => Err(WriteError::Replace { path, kept, source: error.error }),
        Err(_) => Err(WriteError::new(format!("{path:?}"), error.error)),
    }
}

fn is_own_stream(path: &Path) -> bool {
    OWN_STREAMS.iter().any(|own| path.as_os_str().as_bytes().starts_with(own.as_bytes()))
}

/// The regular file that would be replaced by writing to `path`, in a form that is the same for
/// every way to write it. `None` for a device, a pipe, or a path that cannot be written at all.
pub fn replaced(path: &Path) -> Option<PathBuf> {
    let target = follow(path).ok()?;
    let special = fs::metadata(&target).is_ok_and(|found| !found.is_file());
    if is_own_stream(path) || special {
        return None;
    }
    Some(fs::canonicalize(folder_of(&target)).ok()?.join(target.file_name()?))
}

/// The path that the last component of `path` finally links to; it need not exist.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MAX_SYMLINKS {
        match fs::read_link(&target) {
            Ok(next) => target = folder_of(&target).join(next),
            // Not a link, or it does not exist.
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn has_no_reader(path: &Path, error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ENXIO as i32)
        && fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

fn set_blocking(file: &File) -> nix::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL)?);
    fcntl(file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
