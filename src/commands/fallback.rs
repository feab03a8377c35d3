//! Where a report is kept that could not be written where it was wanted: the run was paid for.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file for the report of this run: in the folder for temporary files, as `TMPDIR` says.
pub fn path(run_id: &str) -> PathBuf {
    env::temp_dir().join(format!("crew-{run_id}.json"))
}

/// Has `render` write a new file that only this user may read. After an error nothing of it is
/// left.
///
/// # Errors
/// It exists already or cannot be written.
pub fn keep(path: &Path, render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    // Never a file, or a link, that someone else has put there.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut buffered = BufWriter::new(file);
    let written = render(&mut buffered).and_then(|()| buffered.flush());
    if written.is_err() {
        // What could not be written must not be flushed once more.
        drop(buffered.into_parts());
        let _ = fs::remove_file(path);
    }
    written
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn it_is_private_and_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.json");
        keep(&path, |out| out.write_all(b"half").and(Err(io::Error::other("full")))).unwrap_err();
        assert!(!path.exists());
        keep(&path, |out| out.write_all(b"paid for")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "paid for");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("kept.json"), folder.path().join("other"));
        symlink(&other, &path).unwrap();
        keep(&path, |out| out.write_all(b"paid for")).unwrap_err();
        assert!(path.is_symlink() && !other.exists());
    }
}
