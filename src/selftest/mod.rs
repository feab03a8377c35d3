//! `crew selftest`: the promises of crew, tried out on the user's own machine.
//!
//! Each case is a real run of this program, with tools ([`zoo`]) and model servers ([`server`]) that
//! behave as badly as any, and something that happens to it. Each has a process of its own that
//! plays it ([`keeper`]): what escapes a run is found there and ended.

pub mod case;
mod cases;
mod checks;
mod crew_file;
pub mod keeper;
mod outcome;
mod server;
mod stage;
mod strays;
pub mod zoo;

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
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

use crate::report::millis;
use case::Case;
use cases::CASES;
pub use outcome::{CaseReport, CaseStatus, SCHEMA_VERSION, SelftestReport, SelftestStatus};
pub use strays::Stray;

/// All cases together; what has not ended by then has failed.
const LONGEST: Duration = Duration::from_secs(14);
/// A keeper ends by itself before that.
const LONGEST_CASE: Duration = Duration::from_secs(12);
/// Cases mostly wait: so many at once for each core, and no more than so many.
const CASES_PER_CORE: usize = 2;
const MOST_CASES: usize = 8;
/// So often is tried what is late: another program may have had the processor.
const MOST_ATTEMPTS: u32 = 3;

/// How a self-test ended.
#[derive(Debug)]
pub enum Ended {
    All(SelftestReport),
    /// By a signal to this process.
    By(Signal),
}

/// This program; on Linux even if its file has been replaced meanwhile.
fn executable() -> PathBuf {
    match cfg!(target_os = "linux") {
        true => PathBuf::from("/proc/self/exe"),
        false => std::env::current_exe().unwrap_or_else(|_| PathBuf::from("crew")),
    }
}

/// The cases of these names, or all.
///
/// # Errors
/// The name that there is no case of.
pub fn choose(names: &[String]) -> Result<Vec<&'static Case>, String> {
    if let Some(unknown) = names.iter().find(|name| find(name).is_none()) {
        return Err(unknown.clone());
    }
    let is_wanted = |case: &&Case| names.is_empty() || names.iter().any(|name| name == case.name);
    Ok(CASES.iter().filter(is_wanted).collect())
}

pub fn find(name: &str) -> Option<&'static Case> {
    CASES.iter().find(|case| case.name == name)
}

/// Plays the cases and tells of each in their order. When it returns, nothing that was started is
/// alive, and no file is left.
///
/// # Errors
/// No runtime or no temporary folder could be had.
pub fn run(wanted: &[&'static Case], told: impl FnMut(&CaseReport)) -> anyhow::Result<Ended> {
    strays::adopt_all();
    let started = Instant::now();
    let folder = tempfile::Builder::new().prefix("crew-selftest-").tempdir()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let played = runtime.block_on(async {
        tokio::select! {
            signal = stopped() => Err(signal),
            cases = all(wanted, folder.path(), told) => Ok(cases),
        }
    });
    // When the time was over some were still at it: those cases have failed, their processes are ours.
    let left = match &played {
        Ok((_, true)) => strays::living(folder.path()),
        _ => Vec::new(),
    };
    strays::end_all(folder.path());
    let removed = folder.close();
    let cases = match played {
        Ok((cases, _)) => cases,
        Err(signal) => return Ok(Ended::By(signal?)),
    };
    removed?;
    let failed = !left.is_empty() || cases.iter().any(|case| case.status == CaseStatus::Failed);
    Ok(Ended::All(SelftestReport {
        schema_version: SCHEMA_VERSION,
        status: if failed { SelftestStatus::Failed } else { SelftestStatus::Passed },
        duration_ms: millis(started.elapsed()),
        slack_ms: millis(checks::SLACK),
        cases,
        left,
    }))
}

/// Completes with the first signal that asks this process to end.
async fn stopped() -> io::Result<Signal> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut hang_ups = signal(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupts.recv() => Signal::SIGINT,
        _ = terminations.recv() => Signal::SIGTERM,
        _ = hang_ups.recv() => Signal::SIGHUP,
    })
}

/// What those that are being played share.
struct Playing<'a> {
    folder: &'a Path,
    places: Semaphore,
    number_of_places: u32,
}

/// Also whether all have ended in time.
async fn all(
    wanted: &[&'static Case],
    folder: &Path,
    mut told: impl FnMut(&CaseReport),
) -> (Vec<CaseReport>, bool) {
    let at_once = available_parallelism().map_or(1, |cores| cores.get() * CASES_PER_CORE);
    let at_once = at_once.min(MOST_CASES);
    let playing = Playing {
        folder,
        places: Semaphore::new(at_once),
        number_of_places: u32::try_from(at_once).unwrap_or(1),
    };
    // What is known of each, and all there is when the time is over.
    let reports: Vec<_> = wanted.iter().map(|case| RefCell::new(unfinished(case))).collect();
    let mut number_told = 0;
    let play = wanted.iter().zip(&reports).map(|(case, report)| playing.play(case, report));
    // All are asked at once, so that one that takes long holds up nothing but its own row.
    let mut played = stream::iter(play).buffered(wanted.len().max(1));
    let in_time = timeout(LONGEST, async {
        while let Some(report) = played.next().await {
            told(&report.borrow());
            number_told += 1;
        }
    })
    .await;
    reports[number_told..].iter().for_each(|report| told(&report.borrow()));
    drop(played);
    (reports.into_iter().map(RefCell::into_inner).collect(), in_time.is_ok())
}

fn unfinished(case: &Case) -> CaseReport {
    let detail = format!("it had not ended {LONGEST:?} after the start of all");
    CaseReport::new(case, CaseStatus::Failed, Some(detail))
}

impl Playing<'_> {
    /// Plays the case, and again if nothing but time was wrong: then nothing else runs, so that
    /// the cases do not stand in each other's way.
    async fn play<'r>(
        &self,
        case: &'static Case,
        report: &'r RefCell<CaseReport>,
    ) -> &'r RefCell<CaseReport> {
        if !case.is_promised_here() {
            let detail = Some("Linux only".to_owned());
            report.replace(CaseReport::new(case, CaseStatus::Skipped, detail));
            return report;
        }
        for attempts in 1..=MOST_ATTEMPTS {
            let is_alone = case.alone || attempts > 1;
            let places = if is_alone { self.number_of_places } else { 1 };
            // It fails only when closed, and nobody closes it.
            let _places = self.places.acquire_many(places).await;
            let played = CaseReport { attempts, ..self.one(case).await };
            let was_late = played.late;
            report.replace(played);
            if !was_late {
                break;
            }
        }
        report
    }

    /// Has a keeper play the case.
    async fn one(&self, case: &'static Case) -> CaseReport {
        let failed = |detail| CaseReport::new(case, CaseStatus::Failed, Some(detail));
        match timeout(LONGEST_CASE, keeper_of(case, &self.folder.join(case.name))).await {
            Ok(Ok(report)) => report,
            Ok(Err(error)) => failed(format!("could not be played: {error:#}")),
            Err(_elapsed) => failed(format!("its keeper had not ended after {LONGEST_CASE:?}")),
        }
    }
}

async fn keeper_of(case: &Case, dir: &Path) -> anyhow::Result<CaseReport> {
    let mut keeper = Command::new(executable())
        .args(["selftest", "--keep", case.name])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A terminal's Ctrl-C is for this process, which then ends the others.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    // Its end tells the keeper that nobody waits any more, whatever becomes of this process.
    let held = keeper.stdin.take();
    let output = keeper.wait_with_output().await?;
    drop(held);
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::anyhow!("its keeper ended with {}: {}", output.status, said.trim())
    })
}
