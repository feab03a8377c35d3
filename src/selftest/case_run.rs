//! Runs one case: starts crew on the case's file, performs the steps, and observes crew's end.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::case::{Case, Step, Tool};
use super::checks::{Observed, SLACK, Violation};
use super::crew_file::{crew_file, pid_dir};
use super::fixture::Fixture;
use super::leftovers::{self, recorded_pids};
use super::server::{Server, State};
use crate::process;

/// How often to check a condition that sends no notification.
const POLL: Duration = Duration::from_millis(2);
/// The time for everything without a limit of its own, such as starting a tool.
const STEP_TIMEOUT: Duration = Duration::from_secs(3);
/// How long to wait for crew beyond its limit, to tell late from never.
const LATE: Duration = Duration::from_millis(500);
/// The threads of a volley, and the signals that each one sends.
const VOLLEY: (usize, usize) = (4, 5);

/// A started run of crew.
struct CaseRun<'a> {
    case: &'a Case,
    dir: &'a Path,
    server: Option<Server>,
    crew: Child,
    pid: Pid,
    stdout: Option<Output>,
    stderr: Output,
    agents: Vec<String>,
}

/// Runs `case` in the empty folder `dir`. The caller kills the processes that are left, even if
/// the future is dropped.
///
/// # Errors
/// A step failed, or crew did not end in time.
pub async fn run(case: &Case, dir: &Path) -> Result<Observed, Violation> {
    let started = CaseRun::start(case, dir).await;
    let mut run = started.map_err(|error| format!("cannot start crew: {error}"))?;
    run.until("every tool and every call had started", CaseRun::has_started).await?;
    let mut since = Instant::now();
    for step in case.steps {
        since = run.step(*step).await?.unwrap_or(since);
    }
    run.end(since).await
}

impl<'a> CaseRun<'a> {
    async fn start(case: &'a Case, dir: &'a Path) -> io::Result<Self> {
        let server = match case.calls {
            Some(calls) => Some(Server::start(calls.behaviour).await?),
            None => None,
        };
        let base_url = server.as_ref().map(Server::base_url);
        let program = process::executable()?;
        let (file, agents) = crew_file(case, dir, &program, base_url.as_deref());
        let path = dir.join("agents.yaml");
        fs::write(&path, file.to_string())?;
        for tool in case.tools() {
            fs::create_dir(pid_dir(dir, tool))?;
        }
        let arguments = match case.inputs {
            Some(inputs) => batch(dir, inputs)?,
            None => ["run", "--no-history", "--output", "json", "--input", "go"]
                .map(str::to_owned)
                .to_vec(),
        };
        let mut crew = Command::new(program)
            .args(arguments)
            .arg("--config")
            .arg(path)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs([("HOME", dir), ("TMPDIR", dir)])
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = crew.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok(Self {
            case,
            dir,
            server,
            pid: pid.ok_or_else(|| io::Error::other("crew has no pid"))?,
            stdout: crew.stdout.take().map(Output::collect),
            stderr: Output::collect(crew.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?),
            crew,
            agents,
        })
    }

    fn has_started(&self) -> bool {
        let times = self.case.times();
        let calls = self.case.calls.map_or(0, |calls| calls.agents * times);
        let has_started = |tool: &Tool| {
            recorded_pids(&pid_dir(self.dir, tool)).len() >= tool.fixture.processes() * times
        };
        self.case.tools().all(has_started) && self.server_state().calls >= calls
    }

    /// Waits until `condition` holds, while crew runs.
    async fn until(
        &mut self,
        what: &str,
        condition: impl Fn(&Self) -> bool,
    ) -> Result<(), Violation> {
        let started = Instant::now();
        while !condition(self) {
            if let Ok(Some(status)) = self.crew.try_wait() {
                let _ = timeout(SLACK, &mut self.stderr.reader).await;
                let stderr = self.stderr.text();
                let error = stderr.lines().find(|line| line.starts_with("error"));
                let stderr = error.unwrap_or(&stderr);
                return Err(format!("crew ended ({status}) before {what}: {stderr}").into());
            }
            if started.elapsed() > STEP_TIMEOUT {
                let text = format!("timed out after {STEP_TIMEOUT:?}, before {what}");
                return Err(Violation::late(text));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Performs a step. Returns its time if it was an event for crew.
    async fn step(&mut self, step: Step) -> Result<Option<Instant>, Violation> {
        let now = Instant::now();
        match step {
            Step::Gone(fixture) => {
                let is_gone = |run: &Self| !run.pids(fixture).into_iter().any(process::is_alive);
                let what = format!("{} had ended", fixture.name());
                return self.until(&what, is_gone).await.map(|()| None);
            }
            Step::Alive(fixture) => {
                if self.pids(fixture).into_iter().all(process::is_alive) {
                    return Ok(None);
                }
                return Err(format!("crew also stopped {}", fixture.name()).into());
            }
            Step::Prints(text) => {
                let prints = |run: &Self| run.stderr.text().contains(text);
                return self.until(&format!("crew printed {text:?}"), prints).await.map(|()| None);
            }
            Step::Signal(signal) => send(self.pid, signal)?,
            Step::Volley => volley(self.pid)?,
            Step::KillCrew => send(self.pid, Signal::SIGKILL)?,
            Step::KillGuardian => send(self.guardian()?, Signal::SIGKILL)?,
            Step::CloseOutput => {
                let output = self.stdout.take();
                let output = output.ok_or_else(|| "stdout is already closed".to_owned())?;
                output.reader.abort();
                // The pipe is closed once the task has ended.
                let _ = output.reader.await;
            }
        }
        Ok(Some(now))
    }

    fn pids(&self, fixture: Fixture) -> Vec<Pid> {
        let tools = self.case.tools().filter(|tool| tool.fixture == fixture);
        tools.flat_map(|tool| recorded_pids(&pid_dir(self.dir, tool))).collect()
    }

    /// crew's only child.
    fn guardian(&self) -> Result<Pid, Violation> {
        match process::children(self.pid).as_slice() {
            [guardian] => Ok(*guardian),
            others => Err(format!("crew has {} children, expected 1", others.len()).into()),
        }
    }

    fn server_state(&self) -> State {
        self.server.as_ref().map(Server::state).unwrap_or_default()
    }

    /// Waits for crew's end and collects the observations.
    async fn end(mut self, since: Instant) -> Result<Observed, Violation> {
        let limit = self.case.promise.limit + SLACK;
        let patience = limit + LATE;
        let ended = timeout(patience.saturating_sub(since.elapsed()), self.crew.wait());
        let status = ended
            .await
            .map_err(|_| Violation::late(format!("crew had not ended after {patience:?}")))?;
        let status = status.map_err(|error| error.to_string())?;
        let mut took = since.elapsed();
        let mut left = leftovers::find(self.dir);
        // If crew was killed, its guardian still has to clean up.
        let was_killed = self.case.steps.contains(&Step::KillCrew);
        while was_killed && !left.is_empty() && since.elapsed() < limit {
            sleep(POLL).await;
            left = leftovers::find(self.dir);
            took = since.elapsed();
        }
        // The kernel takes a moment to report the end of a connection to the server.
        let ended = Instant::now();
        while self.server_state().open > 0 && ended.elapsed() < SLACK {
            sleep(POLL).await;
        }
        let state = self.server_state();
        let stdout = match self.stdout {
            Some(stdout) => Some(stdout.into_text().await),
            None => None,
        };
        Ok(Observed {
            status,
            stdout,
            stderr: self.stderr.into_text().await,
            took,
            agents: self.agents,
            calls_open: state.open,
            calls_closed: state.closed_at.map(|closed_at| closed_at.duration_since(since)),
            left,
        })
    }
}

/// The arguments of a batch whose lines go to stdout, and its inputs as a file.
fn batch(dir: &Path, inputs: usize) -> io::Result<Vec<String>> {
    let path = dir.join("in.jsonl");
    fs::write(&path, (0..inputs).map(|number| format!("\"{number}\"\n")).collect::<String>())?;
    let (path, jobs) = (path.to_string_lossy(), inputs.to_string());
    Ok(["batch", "run", &*path, "--out", "-", "--jobs", &jobs].map(str::to_owned).to_vec())
}

fn send(pid: Pid, signal: Signal) -> Result<(), Violation> {
    kill(pid, signal).map_err(|error| format!("cannot send {signal} to {pid}: {error}").into())
}

/// Each thread starts with a different signal.
fn volley(pid: Pid) -> Result<(), Violation> {
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    let (threads, each) = VOLLEY;
    thread::scope(|scope| {
        let sender =
            |first| move || (0..each).try_for_each(|n| send(pid, signals[(first + n) % 3]));
        let senders: Vec<_> = (0..threads).map(|first| scope.spawn(sender(first))).collect();
        // crew is reaped later, so its pid cannot belong to another process yet.
        senders.into_iter().try_for_each(|sender| sender.join().unwrap_or(Ok(())))
    })
}

/// The output that has arrived through a pipe.
struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Output {
    fn collect(mut pipe: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let shared = Arc::clone(&bytes);
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
                shared.lock().extend_from_slice(&buffer[..length]);
            }
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock()).into_owned()
    }

    /// Reads to the end, unless another process holds the pipe open.
    async fn into_text(mut self) -> String {
        let _ = timeout(SLACK, &mut self.reader).await;
        self.text()
    }
}
