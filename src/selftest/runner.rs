//! Runs the selected cases, several at a time, each under a supervisor of its own.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream;
use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::case::Case;
use super::report::{CaseReport, CaseStatus, SCHEMA_VERSION, SelftestReport, SelftestStatus};
use super::{checks, leftovers};
use crate::process;
use crate::report::millis;

/// The limit for all cases together. Cases that have not ended by then have failed.
const MAX_DURATION: Duration = Duration::from_secs(14);
/// The limit for one case. A supervisor ends by itself before that.
const MAX_CASE_DURATION: Duration = Duration::from_secs(12);
/// Cases mostly wait, so several can share a core.
const CASES_PER_CORE: usize = 2;
const MAX_CASES: usize = 8;
/// How often a late case is run: another program may have used the processor.
const MAX_ATTEMPTS: u32 = 3;

/// How a self-test ended.
#[derive(Debug)]
pub enum Outcome {
    Finished(SelftestReport),
    /// A signal to this process stopped it.
    Stopped(Signal),
}

/// Runs the cases and calls `on_finished` for each one, in order. Afterwards no process that was
/// started is alive, and no file is left.
///
/// # Errors
/// The runtime or a temporary folder could not be created.
pub fn run(
    cases: &[&'static Case],
    on_finished: impl FnMut(&CaseReport),
) -> anyhow::Result<Outcome> {
    leftovers::adopt_orphans();
    let started = Instant::now();
    let folder = tempfile::Builder::new().prefix("crew-selftest-").tempdir()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        tokio::select! {
            signal = stopped() => Err(signal),
            reports = run_all(cases, folder.path(), on_finished) => Ok(reports),
        }
    });
    let left = match &result {
        // Some cases have timed out, and their processes may be alive.
        Ok((_, false)) => leftovers::find(folder.path()),
        _ => Vec::new(),
    };
    runtime.block_on(leftovers::kill_all(folder.path()));
    let removed = folder.close();
    let reports = match result {
        Ok((reports, _)) => reports,
        Err(signal) => return Ok(Outcome::Stopped(signal?)),
    };
    removed?;
    let failed = !left.is_empty() || reports.iter().any(|case| case.status == CaseStatus::Failed);
    Ok(Outcome::Finished(SelftestReport {
        schema_version: SCHEMA_VERSION,
        status: if failed { SelftestStatus::Failed } else { SelftestStatus::Passed },
        duration_ms: millis(started.elapsed()),
        slack_ms: millis(checks::SLACK),
        cases: reports,
        left,
    }))
}

/// Completes with the first signal that asks this process to end.
async fn stopped() -> io::Result<Signal> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => Signal::SIGINT,
        _ = terminate.recv() => Signal::SIGTERM,
        _ = hangup.recv() => Signal::SIGHUP,
    })
}

/// The limit on concurrent cases.
struct Slots {
    semaphore: Semaphore,
    total: u32,
}

impl Slots {
    fn new() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let total = (cores * CASES_PER_CORE).min(MAX_CASES);
        Self { semaphore: Semaphore::new(total), total: u32::try_from(total).unwrap_or(1) }
    }
}

/// Runs all cases. Also returns whether all have ended in time.
async fn run_all(
    cases: &[&'static Case],
    folder: &Path,
    mut on_finished: impl FnMut(&CaseReport),
) -> (Vec<CaseReport>, bool) {
    let slots = Slots::new();
    // If the time is over, the current state of each report is all there is.
    let reports: Vec<_> = cases.iter().map(|case| RefCell::new(unfinished(case))).collect();
    let mut finished = 0;
    let runs =
        cases.iter().zip(&reports).map(|(case, report)| run_case(case, folder, &slots, report));
    // All are polled from the start, so a slow case delays only its own row.
    let mut runs = stream::iter(runs).buffered(cases.len().max(1));
    let in_time = timeout(MAX_DURATION, async {
        while let Some(report) = runs.next().await {
            on_finished(&report.borrow());
            finished += 1;
        }
    })
    .await;
    reports[finished..].iter().for_each(|report| on_finished(&report.borrow()));
    drop(runs);
    (reports.into_iter().map(RefCell::into_inner).collect(), in_time.is_ok())
}

fn unfinished(case: &Case) -> CaseReport {
    let detail = format!("did not end within {MAX_DURATION:?} of the start of the self-test");
    CaseReport::new(case, CaseStatus::Failed, Some(detail))
}

/// Runs a case. If it is merely late, runs it again while no other case runs.
async fn run_case<'r>(
    case: &'static Case,
    folder: &Path,
    slots: &Slots,
    report: &'r RefCell<CaseReport>,
) -> &'r RefCell<CaseReport> {
    if !case.is_supported() {
        let detail = Some("Linux only".to_owned());
        report.replace(CaseReport::new(case, CaseStatus::Skipped, detail));
        return report;
    }
    for attempts in 1..=MAX_ATTEMPTS {
        let is_alone = case.alone || attempts > 1;
        // The semaphore is never closed, so this cannot fail.
        let _slots = slots.semaphore.acquire_many(if is_alone { slots.total } else { 1 }).await;
        let current = CaseReport { attempts, ..run_once(case, &folder.join(case.name)).await };
        let was_late = current.late;
        report.replace(current);
        if !was_late {
            break;
        }
    }
    report
}

async fn run_once(case: &'static Case, dir: &Path) -> CaseReport {
    let failed = |detail| CaseReport::new(case, CaseStatus::Failed, Some(detail));
    match timeout(MAX_CASE_DURATION, run_supervisor(case, dir)).await {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => failed(format!("could not be run: {error:#}")),
        Err(_elapsed) => failed(format!("its supervisor did not end in {MAX_CASE_DURATION:?}")),
    }
}

async fn run_supervisor(case: &Case, dir: &Path) -> anyhow::Result<CaseReport> {
    let mut supervisor = Command::new(process::executable()?)
        .args(["selftest", "--supervise", case.name])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A Ctrl-C on the terminal must reach only this process, which ends the others.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    // Even if this process is killed, the end of stdin tells the supervisor to stop.
    let stdin = supervisor.stdin.take();
    let output = supervisor.wait_with_output().await?;
    drop(stdin);
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        anyhow::anyhow!("its supervisor ended with {}: {}", output.status, stderr.trim())
    })
}
