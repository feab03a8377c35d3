//! The last reports of this user on this machine.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::expand::Env;
use crate::render;
use crate::report::Report;

/// Reports that are kept.
const MAX_REPORTS: usize = 50;
/// How long the end of a run waits for a file system.
const MAX_KEEPING: Duration = Duration::from_secs(2);
/// What the names of files begin with while they are written.
const TEMPORARY: &str = ".crew-";
/// After this time a temporary file is one that a killed crew has left.
const MAX_WRITING: Duration = Duration::from_secs(3600);

/// A folder with one JSON report for each run.
#[derive(Debug, Clone)]
pub struct History {
    folder: PathBuf,
}

impl History {
    /// The history of this user; `None` without a home folder.
    pub fn of_user() -> Option<Self> {
        Self::new(&|name| std::env::var(name).ok())
    }

    fn new(env: Env<'_>) -> Option<Self> {
        // The XDG specification says to ignore relative paths.
        let absolute = |path: String| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
        let state = env("XDG_STATE_HOME").and_then(absolute);
        let state = state.or_else(|| Some(env("HOME").and_then(absolute)?.join(".local/state")))?;
        Some(Self { folder: state.join("crew/runs") })
    }

    /// The reports, the newest one first. Run ids begin with the time.
    pub fn files(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut files: Vec<PathBuf> = files.filter(|file| run_id(file).is_some()).collect();
        files.sort_unstable_by(|one, other| other.cmp(one));
        files
    }

    /// The reports whose id begins with this text; `last` is the newest one.
    pub fn find(&self, id: &str) -> Vec<PathBuf> {
        let mut files = self.files();
        match id {
            "last" => files.truncate(1),
            _ => files.retain(|file| run_id(file).is_some_and(|found| found.starts_with(id))),
        }
        files
    }

    /// Keeps a report, and as many earlier ones as have room. Returns a note if it cannot.
    pub async fn keep(self, report: &Arc<Report>) -> Option<String> {
        let (done, result) = oneshot::channel();
        let (report, folder) = (Arc::clone(report), self.folder.clone());
        let thread = thread::Builder::new().name("history".to_owned());
        let started = thread.spawn(move || done.send(self.add(&report)));
        let error = match started {
            Err(error) => error,
            Ok(_) => match tokio::time::timeout(MAX_KEEPING, result).await {
                Ok(Ok(Ok(()))) => return None,
                Ok(Ok(Err(error))) => error,
                Ok(Err(_)) | Err(_) => io::ErrorKind::TimedOut.into(),
            },
        };
        Some(format!("the report is not in the history: cannot write to {folder:?}: {error}"))
    }

    fn add(&self, report: &Report) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        fs::set_permissions(&self.folder, Permissions::from_mode(0o700))?;
        // Only for this user, as all temporary files.
        let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.folder)?;
        render::json(report, &mut file)?;
        file.persist(self.folder.join(format!("{}.json", report.run_id)))?;
        for old in self.files().iter().skip(MAX_REPORTS) {
            // Another run may have removed it.
            let _ = fs::remove_file(old);
        }
        self.remove_leftovers()
    }

    fn remove_leftovers(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)?.filter_map(Result::ok) {
            let is_temporary = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
            let written = entry.metadata().and_then(|found| found.modified());
            let age = written.ok().and_then(|written| written.elapsed().ok());
            if is_temporary && age.is_some_and(|age| age > MAX_WRITING) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

/// The id in the name of a report.
fn run_id(file: &Path) -> Option<&str> {
    let name = file.file_name()?.to_str()?;
    name.strip_suffix(".json").filter(|id| !id.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_follows_the_xdg_specification() {
        let folder = |state: Option<&str>, home: Option<&str>| {
            let env = |name: &str| match name {
                "XDG_STATE_HOME" => state.map(str::to_owned),
                _ => home.map(str::to_owned),
            };
            History::new(&env).map(|history| history.folder)
        };
        let (state, home) = ("/s/crew/runs", "/h/.local/state/crew/runs");
        assert_eq!(folder(Some("/s"), Some("/h")), Some(state.into()));
        assert_eq!(folder(Some("relative"), Some("/h")), Some(home.into()));
        assert_eq!(folder(None, Some("/h")), Some(home.into()));
        assert_eq!(folder(None, None), None);
        assert_eq!(folder(Some(""), Some("")), None);
    }
}
