//! The keeper of one case: a process of its own, so that whatever escapes a run of crew becomes the
//! child of exactly this process and is found, told of and ended.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use nix::unistd::getppid;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::case::Case;
use super::checks::Failing;
use super::outcome::{CaseReport, CaseStatus};
use super::strays::Stray;
use super::{checks, stage, strays};
use crate::report::millis;

/// The last bound: everything that a case waits for has one of its own.
const LONGEST: Duration = Duration::from_secs(8);

/// Plays a case in a new folder `dir` and removes it; `None` if whoever started this has gone.
/// Nothing that was started is alive afterwards.
///
/// # Errors
/// No runtime or folder could be had.
pub fn keep(case: &Case, dir: &Path) -> io::Result<Option<CaseReport>> {
    let parent = getppid();
    strays::adopt_all();
    std::fs::create_dir(dir)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let played = runtime.block_on(async {
        tokio::select! {
            played = timeout(LONGEST, stage::play(case, dir)) => Some(played),
            () = abandoned() => None,
        }
    });
    let report = played.map(|played| match played {
        Ok(Ok(seen)) => {
            let failings = checks::failings(case, &seen);
            report(case, Some(seen.took), seen.left, failings)
        }
        unfinished => {
            let failing = match unfinished {
                Ok(Err(failing)) => failing,
                _ => Failing::late(format!("it had not ended after {LONGEST:?}")),
            };
            let left = strays::living(dir);
            let told = checks::left(&left).map(Failing::late);
            report(case, None, left, [Some(failing), told].into_iter().flatten().collect())
        }
    });
    strays::end_all(dir);
    std::fs::remove_dir_all(dir)?;
    let is_abandoned = report.is_none() || getppid() != parent;
    if let Some(folder) = dir.parent().filter(|_| is_abandoned) {
        // Nobody else is there to do so. It fails as long as another keeper is.
        let _ = std::fs::remove_dir(folder);
    }
    Ok(report)
}

fn report(
    case: &Case,
    took: Option<Duration>,
    left: Vec<Stray>,
    failings: Vec<Failing>,
) -> CaseReport {
    let status = if failings.is_empty() { CaseStatus::Held } else { CaseStatus::Failed };
    let late = !failings.is_empty() && failings.iter().all(|failing| failing.is_late);
    let texts: Vec<String> = failings.into_iter().map(|failing| failing.text).collect();
    let detail = (!texts.is_empty()).then(|| texts.join("; "));
    CaseReport { stop_ms: took.map(millis), left, late, ..CaseReport::new(case, status, detail) }
}

/// Completes when the other end of standard input has been closed: nobody waits for the case.
async fn abandoned() {
    let stdin = io::stdin().as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd);
    match stdin {
        Ok(mut stdin) => while matches!(stdin.read(&mut [0; 64]).await, Ok(1..)) {},
        Err(_) => std::future::pending().await,
    }
}
