//! Plays one case: crew is started on its file, what the case says happens to it, and its end is
//! measured.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::case::{Case, Step, Tool};
use super::checks::{Failing, SLACK, Seen};
use super::crew_file::{crew_file, den};
use super::server::{Server, State};
use super::strays;
use super::zoo::Animal;

/// How often what nobody tells is looked at.
const POLL: Duration = Duration::from_millis(2);
/// What something may take that has no promise of its own: to start, to say what it does.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long crew's end is waited for beyond what it may take: to tell late from never.
const LATE: Duration = Duration::from_millis(500);
/// Threads of a volley, and signals of each.
const VOLLEY: (usize, usize) = (4, 5);

/// A run of crew that has been started.
struct Stage<'a> {
    case: &'a Case,
    dir: &'a Path,
    server: Option<Server>,
    crew: Child,
    pid: Pid,
    stdout: Option<Output>,
    stderr: Output,
    agents: Vec<String>,
}

/// Plays `case` in the empty folder `dir`. Whoever calls this ends what is left when it has ended
/// or was dropped.
///
/// # Errors
/// It did not come to crew's end in good order: what was waited for, or what could not be done.
pub async fn play(case: &Case, dir: &Path) -> Result<Seen, Failing> {
    let mut stage =
        Stage::set(case, dir).await.map_err(|error| format!("could not start: {error}"))?;
    stage.until("every tool and every call was there", Stage::everybody_is_there).await?;
    let mut since = Instant::now();
    for step in case.steps {
        since = stage.step(*step).await?.unwrap_or(since);
    }
    stage.end(since).await
}

impl<'a> Stage<'a> {
    async fn set(case: &'a Case, dir: &'a Path) -> io::Result<Self> {
        let server = match case.calls {
            Some(calls) => Some(Server::start(calls.manners).await?),
            None => None,
        };
        let base_url = server.as_ref().map(Server::base_url);
        let (file, agents) = crew_file(case, dir, base_url.as_deref());
        let path = dir.join("agents.yaml");
        fs::write(&path, file.to_string())?;
        for tool in case.tools() {
            fs::create_dir(den(dir, tool))?;
        }
        let mut crew = Command::new(super::executable())
            .args(["run", "--output", "json", "--input", "go", "--config"])
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
            pid: pid.ok_or_else(|| io::Error::other("crew has no id"))?,
            stdout: crew.stdout.take().map(Output::collect),
            stderr: Output::collect(crew.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?),
            crew,
            agents,
        })
    }

    fn everybody_is_there(&self) -> bool {
        let calls = self.case.calls.map_or(0, |calls| calls.agents);
        let is_there =
            |tool: &Tool| strays::recorded(&den(self.dir, tool)).len() >= tool.animal.members();
        self.case.tools().all(is_there) && self.server().calls >= calls
    }

    /// Waits for what has to happen while crew runs.
    async fn until(
        &mut self,
        what: &str,
        has_happened: impl Fn(&Self) -> bool,
    ) -> Result<(), Failing> {
        let asked = Instant::now();
        while !has_happened(self) {
            if let Ok(Some(status)) = self.crew.try_wait() {
                let _ = timeout(SLACK, &mut self.stderr.reader).await;
                let said = self.stderr.text();
                let said = said.lines().find(|line| line.starts_with("error")).unwrap_or(&said);
                let text = format!("crew ended ({status}) before {what}; it said: {said}");
                return Err(text.into());
            }
            if asked.elapsed() > PATIENCE {
                return Err(Failing::late(format!("waited {PATIENCE:?} in vain until {what}")));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Returns when it happened, if something happened to crew.
    async fn step(&mut self, step: Step) -> Result<Option<Instant>, Failing> {
        let now = Instant::now();
        match step {
            Step::Gone(animal) => {
                let is_gone =
                    |stage: &Self| !stage.members(animal).into_iter().any(strays::is_alive);
                let what = format!("nothing of {} was alive", animal.name());
                return self.until(&what, is_gone).await.map(|()| None);
            }
            Step::Alive(animal) => {
                let members = self.members(animal);
                return match members.into_iter().all(strays::is_alive) {
                    true => Ok(None),
                    false => Err(format!("crew stopped {} as well", animal.name()).into()),
                };
            }
            Step::Says(word) => {
                let says = |stage: &Self| stage.stderr.text().contains(word);
                return self.until(&format!("it said {word:?}"), says).await.map(|()| None);
            }
            Step::Signal(signal) => send(self.pid, signal)?,
            Step::Volley => volley(self.pid)?,
            Step::KillCrew => send(self.pid, Signal::SIGKILL)?,
            Step::KillGuardian => send(self.guardian()?, Signal::SIGKILL)?,
            Step::CloseOutput => {
                let output =
                    self.stdout.take().ok_or_else(|| "the output is closed already".to_owned())?;
                output.reader.abort();
                // Only then the pipe is closed.
                let _ = output.reader.await;
            }
        }
        Ok(Some(now))
    }

    fn members(&self, animal: Animal) -> Vec<Pid> {
        let own = self.case.tools().filter(|tool| tool.animal == animal);
        own.flat_map(|tool| strays::recorded(&den(self.dir, tool))).collect()
    }

    /// The child of crew that is no animal.
    fn guardian(&self) -> Result<Pid, Failing> {
        let mut children = strays::children(self.pid);
        children.retain(|child| !child.command.contains(" --as "));
        match children.as_slice() {
            [guardian] => Ok(Pid::from_raw(guardian.pid)),
            others => Err(format!("crew has {} guardians of its own, not 1", others.len()).into()),
        }
    }

    fn server(&self) -> State {
        self.server.as_ref().map(Server::state).unwrap_or_default()
    }

    /// Waits for crew's end and looks around.
    async fn end(mut self, since: Instant) -> Result<Seen, Failing> {
        let longest = self.case.promise.limit + SLACK + LATE;
        let ended = timeout(longest.saturating_sub(since.elapsed()), self.crew.wait());
        let status = ended
            .await
            .map_err(|_| Failing::late(format!("crew had not ended after {longest:?}")))?;
        let status = status.map_err(|error| error.to_string())?;
        let mut took = since.elapsed();
        let mut left = strays::living(self.dir);
        // Nobody but its guardian can clean up after a crew that was killed: that is a promise too.
        while self.case.steps.contains(&Step::KillCrew)
            && !left.is_empty()
            && since.elapsed() < self.case.promise.limit + SLACK
        {
            sleep(POLL).await;
            (left, took) = (strays::living(self.dir), since.elapsed());
        }
        // The end of a connection travels through the kernel before the server hears of it.
        let ended = Instant::now();
        while self.server().open > 0 && ended.elapsed() < SLACK {
            sleep(POLL).await;
        }
        let stdout = match self.stdout {
            Some(stdout) => Some(stdout.whole().await),
            None => None,
        };
        let state = self.server.as_ref().map(Server::state).unwrap_or_default();
        Ok(Seen {
            status,
            stdout,
            stderr: self.stderr.whole().await,
            took,
            agents: self.agents,
            calls_open: state.open,
            calls_closed: state.closed_at.map(|closed_at| closed_at.duration_since(since)),
            left,
        })
    }
}

fn send(pid: Pid, signal: Signal) -> Result<(), Failing> {
    kill(pid, signal).map_err(|error| format!("could not send {signal} to {pid}: {error}").into())
}

/// Each sender has another signal to begin with.
fn volley(pid: Pid) -> Result<(), Failing> {
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    let (senders, each) = VOLLEY;
    thread::scope(|scope| {
        let sender =
            |first| move || (0..each).try_for_each(|n| send(pid, signals[(first + n) % 3]));
        let senders: Vec<_> = (0..senders).map(|first| scope.spawn(sender(first))).collect();
        // Crew is not reaped before this returns, so no signal can reach anybody else.
        senders.into_iter().try_for_each(|sender| sender.join().unwrap_or(Ok(())))
    })
}

/// What a pipe of crew's has brought so far.
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
                lock(&shared).extend_from_slice(&buffer[..length]);
            }
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.bytes)).into_owned()
    }

    /// To its end, unless somebody else holds it open.
    async fn whole(self) -> String {
        let _ = timeout(SLACK, self.reader).await;
        String::from_utf8_lossy(&lock(&self.bytes)).into_owned()
    }
}

fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}
