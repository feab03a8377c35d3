//! The supervisor of one case: a process of its own that adopts, reports and kills everything that
//! escapes the case's run of crew.

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
use super::checks::{self, Violation};
use super::report::{CaseReport, CaseStatus};
use super::{case_run, leftovers};
use crate::process::Survivor;
use crate::report::millis;

/// A last limit: everything that a case waits for has its own.
const MAX_DURATION: Duration = Duration::from_secs(8);

/// Runs a case in a new folder `dir`, which it removes afterwards. Nothing that was started is then
/// alive. `None` if the self-test has gone.
///
/// # Errors
/// The runtime or the folder could not be created.
pub fn supervise(case: &Case, dir: &Path) -> io::Result<Option<CaseReport>> {
    let parent = getppid();
    leftovers::adopt_orphans();
    std::fs::create_dir(dir)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let report = tokio::select! {
            report = run(case, dir) => Some(report),
            () = abandoned() => None,
        };
        leftovers::kill_all(dir).await;
        report
    });
    std::fs::remove_dir_all(dir)?;
    let is_abandoned = report.is_none() || getppid() != parent;
    if let Some(folder) = dir.parent().filter(|_| is_abandoned) {
        // The last supervisor removes the common folder; for the others this fails.
        let _ = std::fs::remove_dir(folder);
    }
    Ok(report)
}

async fn run(case: &Case, dir: &Path) -> CaseReport {
    let result = match timeout(MAX_DURATION, case_run::run(case, dir)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(Violation::late(format!("did not end within {MAX_DURATION:?}"))),
    };
    match result {
        Ok(observed) => {
            let violations = checks::violations(case, &observed);
            report(case, Some(observed.took), observed.left, violations)
        }
        Err(violation) => {
            let left = leftovers::find(dir);
            let alive = checks::still_alive(&left).map(Violation::late);
            report(case, None, left, [violation].into_iter().chain(alive).collect())
        }
    }
}

fn report(
    case: &Case,
    took: Option<Duration>,
    left: Vec<Survivor>,
    violations: Vec<Violation>,
) -> CaseReport {
    let status = if violations.is_empty() { CaseStatus::Held } else { CaseStatus::Failed };
    let late = !violations.is_empty() && violations.iter().all(|violation| violation.is_late);
    let texts: Vec<String> = violations.into_iter().map(|violation| violation.text).collect();
    let detail = (!texts.is_empty()).then(|| texts.join("; "));
    CaseReport { stop_ms: took.map(millis), left, late, ..CaseReport::new(case, status, detail) }
}

/// Completes when the self-test has closed the other end of standard input.
async fn abandoned() {
    let stdin = io::stdin().as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd);
    match stdin {
        Ok(mut stdin) => while matches!(stdin.read(&mut [0; 64]).await, Ok(1..)) {},
        Err(_) => std::future::pending().await,
    }
}
