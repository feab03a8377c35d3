//! `--output-file`: opened before anything runs, replaced in one step when the report is complete.
//!
//! The report is written to a temporary file beside the target and renamed over it, so that at any
//! moment the target is either the old file or the whole new one. A target that is no regular file
//! (`/dev/null`, a named pipe, `/dev/stdout`) can't be replaced and is written directly.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tempfile::NamedTempFile;

/// As many as Linux follows before it gives up.
const MOST_SYMLINKS: usize = 40;
/// Where a path names something of this process rather than a file to be replaced.
const OWN_STREAMS: [&str; 4] = ["/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/"];

/// Why a report can't go, or did not go, where the user wants it.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    #[error("--output-file {path:?} is a directory: name a file in it")]
    Directory { path: PathBuf },
    #[error("the folder of --output-file {path:?} does not exist: create {folder:?} first")]
    NoFolder { path: PathBuf, folder: PathBuf },
    #[error("--output-file {path:?} is a named pipe that nothing reads: start its reader first")]
    NoReader { path: PathBuf },
    #[error("can't write --output-file {path:?}: {source}: choose a file that you may write")]
    Open { path: PathBuf, source: io::Error },
    #[error("could not write the report to {path:?}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("could not replace {path:?}: {source}: the report was kept as {kept:?}")]
    Replace { path: PathBuf, kept: PathBuf, source: io::Error },
}

/// A file that will hold the report. Dropped before [`OutputFile::write`], it leaves no trace.
#[derive(Debug)]
pub struct OutputFile {
    /// As the user wrote it, for messages.
    path: PathBuf,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Replace { temporary: NamedTempFile, target: PathBuf },
    Direct(File),
}

impl OutputFile {
    /// Finds out all that can be wrong with `path` without changing what is there.
    pub fn open(path: &Path) -> Result<Self, OutputError> {
        let sink = if is_own_stream(path) {
            Sink::Direct(open_direct(path)?)
        } else {
            let target = follow(path).map_err(|source| open_error(path, source))?;
            match fs::metadata(&target) {
                Ok(existing) if existing.is_dir() => {
                    return Err(OutputError::Directory { path: path.into() });
                }
                Ok(existing) if !existing.is_file() => Sink::Direct(open_direct(path)?),
                Ok(existing) => replace(path, target, Some(existing.permissions()))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    replace(path, target, None)?
                }
                Err(source) => return Err(open_error(path, source)),
            }
        };
        Ok(Self { path: path.into(), sink })
    }

    /// Has `render` write the whole report and puts it in place. After an error the target is what
    /// it was before, unless it is no regular file.
    pub fn write(
        self,
        render: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        let Self { path, sink } = self;
        let failed = |source| OutputError::Write { path: path.clone(), source };
        match sink {
            Sink::Direct(file) => through_buffer(&file, render).map_err(failed),
            Sink::Replace { temporary, target } => {
                through_buffer(temporary.as_file(), render).map_err(failed)?;
                // Else a crash of the machine could leave an empty file under the target's name.
                temporary.as_file().sync_all().map_err(failed)?;
                put_in_place(temporary, &target, &path)
            }
        }
    }
}

fn through_buffer(
    file: &File,
    render: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffered = BufWriter::new(file);
    render(&mut buffered)?;
    buffered.flush()
}

fn put_in_place(temporary: NamedTempFile, target: &Path, path: &Path) -> Result<(), OutputError> {
    let Err(error) = temporary.persist(target) else { return Ok(()) };
    // The run was paid for: its report must not go with the temporary file.
    match error.file.keep() {
        Ok((_, kept)) => Err(OutputError::Replace { path: path.into(), kept, source: error.error }),
        Err(_) => Err(OutputError::Write { path: path.into(), source: error.error }),
    }
}

fn open_error(path: &Path, source: io::Error) -> OutputError {
    OutputError::Open { path: path.into(), source }
}

fn is_own_stream(path: &Path) -> bool {
    OWN_STREAMS.iter().any(|own| path.as_os_str().as_bytes().starts_with(own.as_bytes()))
}

/// What the last component of `path` stands for in the end; it need not exist.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MOST_SYMLINKS {
        match fs::read_link(&target) {
            Ok(next) => target = folder_of(&target).join(next),
            // Not a link, or not there.
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

fn replace(
    path: &Path,
    target: PathBuf,
    existing: Option<Permissions>,
) -> Result<Sink, OutputError> {
    let folder = folder_of(&target);
    let Some(name) = target.file_name().filter(|_| !target.as_os_str().as_bytes().ends_with(b"/"))
    else {
        return Err(OutputError::Directory { path: path.into() });
    };
    if !folder.is_dir() {
        return Err(OutputError::NoFolder { path: path.into(), folder: folder.into() });
    }
    if existing.is_some() {
        // A rename would get round a file's write protection.
        OpenOptions::new().write(true).open(&target).map_err(|error| open_error(path, error))?;
    }
    let mut prefix = OsString::from(".");
    prefix.push(name.to_string_lossy().chars().take(32).collect::<String>());
    prefix.push(".");
    let temporary = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".tmp")
        // What the umask leaves of it, as for any new file.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(|error| open_error(path, error))?;
    if let Some(permissions) = existing {
        let mode = Permissions::from_mode(permissions.mode() & 0o777);
        temporary.as_file().set_permissions(mode).map_err(|error| open_error(path, error))?;
    }
    Ok(Sink::Replace { temporary, target })
}

/// Opened without waiting: a named pipe would otherwise hold up crew until someone reads it.
fn open_direct(path: &Path) -> Result<File, OutputError> {
    let file = OpenOptions::new()
        .append(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)
        .map_err(|source| direct_error(path, source))?;
    set_blocking(&file).map_err(|source| open_error(path, source))?;
    Ok(file)
}

fn direct_error(path: &Path, source: io::Error) -> OutputError {
    let is_pipe = fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
    if is_pipe && source.raw_os_error() == Some(nix::errno::Errno::ENXIO as i32) {
        return OutputError::NoReader { path: path.into() };
    }
    open_error(path, source)
}

/// Writing does wait: a slow reader gets the whole report.
fn set_blocking(file: &File) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL)?);
    fcntl(file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use tempfile::TempDir;

    use super::*;

    fn folder() -> TempDir {
        TempDir::new().unwrap()
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn put(path: &Path, text: &str) -> Result<(), OutputError> {
        OutputFile::open(path)?.write(|out| out.write_all(text.as_bytes()))
    }

    #[test]
    fn a_new_file_has_the_usual_permissions() {
        let folder = folder();
        let path = folder.path().join("report.json");
        put(&path, "new").unwrap();
        let usual = folder.path().join("usual");
        File::create(&usual).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&usual));
        assert_eq!(names(&folder), ["report.json", "usual"]);
    }

    #[test]
    fn an_existing_file_is_replaced_in_one_step_and_keeps_its_permissions() {
        let folder = folder();
        let path = folder.path().join("report.json");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        OutputFile::open(&path)
            .unwrap()
            .write(|out| {
                out.write_all(b"new")?;
                out.flush()?;
                assert_eq!(fs::read_to_string(&path).unwrap(), "old");
                Ok(())
            })
            .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(names(&folder), ["report.json"]);
    }

    #[test]
    fn a_run_that_ends_otherwise_leaves_everything_as_it_was() {
        let folder = folder();
        let path = folder.path().join("report.json");
        drop(OutputFile::open(&path).unwrap());
        assert!(names(&folder).is_empty());
        fs::write(&path, "old").unwrap();
        let error = OutputFile::open(&path)
            .unwrap()
            .write(|out| {
                out.write_all(b"half")?;
                Err(io::Error::other("full"))
            })
            .unwrap_err();
        assert!(error.to_string().contains("report.json"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(&folder), ["report.json"]);
    }

    #[test]
    fn links_are_followed_and_stay_links() {
        let folder = folder();
        fs::create_dir(folder.path().join("sub")).unwrap();
        symlink("sub/real", folder.path().join("one")).unwrap();
        symlink("one", folder.path().join("two")).unwrap();
        for text in ["the target is new", "the target exists"] {
            put(&folder.path().join("two"), text).unwrap();
            assert_eq!(fs::read_to_string(folder.path().join("sub/real")).unwrap(), text);
            assert!(folder.path().join("two").is_symlink());
        }
        symlink("loop", folder.path().join("loop")).unwrap();
        assert!(matches!(
            OutputFile::open(&folder.path().join("loop")),
            Err(OutputError::Open { .. })
        ));
    }

    #[test]
    fn directories_and_missing_folders_are_refused() {
        let folder = folder();
        symlink(".", folder.path().join("link")).unwrap();
        for name in ["", "link", "new/", "..", "."] {
            let error = OutputFile::open(&folder.path().join(name)).unwrap_err();
            assert!(matches!(error, OutputError::Directory { .. }), "{name}: {error}");
        }
        let error = OutputFile::open(&folder.path().join("no/report")).unwrap_err();
        assert!(matches!(error, OutputError::NoFolder { .. }), "{error}");
        assert!(error.to_string().ends_with("/no\" first"), "{error}");
        assert!(OutputFile::open(Path::new("")).is_err());
        assert_eq!(names(&folder), ["link"]);
    }

    #[test]
    fn what_is_no_file_is_written_directly() {
        put(Path::new("/dev/null"), "gone").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[test]
    fn a_named_pipe_needs_its_reader() {
        let folder = folder();
        let path = folder.path().join("pipe");
        nix::unistd::mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
        assert!(matches!(OutputFile::open(&path), Err(OutputError::NoReader { .. })));
        // Both ends at once never waits.
        let mut reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        put(&path, "through").unwrap();
        let mut text = [0; 7];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"through");
        assert_eq!(names(&folder), ["pipe"]);
    }

    #[test]
    fn a_report_that_can_not_be_put_in_place_is_kept() {
        let folder = folder();
        let path = folder.path().join("report.json");
        let error = OutputFile::open(&path)
            .unwrap()
            .write(|out| {
                fs::create_dir(&path)?;
                out.write_all(b"paid for")
            })
            .unwrap_err();
        let OutputError::Replace { kept, .. } = error else { panic!("{error}") };
        assert_eq!(fs::read_to_string(kept).unwrap(), "paid for");
    }
}
