//! Runs the program as its user would: in a folder with a crew's file, through pipes.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// Far beyond what any test needs: whoever waits that long waits for ever.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with an `agents.yaml`, and how crew is to be run in it.
pub struct Crew {
    dir: TempDir,
    command: Command,
}

impl Crew {
    pub fn new(yaml: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("agents.yaml"), yaml).unwrap();
        let command = in_folder(Command::new(env!("CARGO_BIN_EXE_crew")), "run", dir.path());
        Self { dir, command }
    }

    /// `crew check` in place of `crew run`.
    pub fn checking(yaml: &str) -> Self {
        let mut crew = Self::new(yaml);
        crew.command =
            in_folder(Command::new(env!("CARGO_BIN_EXE_crew")), "check", crew.dir.path());
        crew
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Has a shell run this first and then become crew: to begin with before any other option.
    pub fn through(self, preparation: &str) -> Self {
        let script = format!("{preparation} && exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_crew")]);
        Self { command: in_folder(command, "run", self.dir.path()), ..self }
    }

    /// Has crew's process do this before it becomes crew; async-signal-safe calls only.
    #[expect(unsafe_code, reason = "only code in the child can do this")]
    pub fn prepare(
        mut self,
        in_child: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        // SAFETY: what is done is the caller's promise.
        unsafe { self.command.pre_exec(in_child) };
        self
    }

    pub fn stdin(mut self, stdin: Stdio) -> Self {
        self.command.stdin(stdin);
        self
    }

    pub fn stdout(mut self, stdout: Stdio) -> Self {
        self.command.stdout(stdout);
        self
    }

    pub fn stderr(mut self, stderr: Stdio) -> Self {
        self.command.stderr(stderr);
        self
    }

    /// Runs with `--input go` to the end.
    pub fn run(self) -> Ended {
        self.args(&["--input", "go"]).run_as_is()
    }

    pub fn run_as_is(self) -> Ended {
        self.start_as_is().wait()
    }

    pub fn start(self) -> Running {
        self.args(&["--input", "go"]).start_as_is()
    }

    pub fn start_as_is(mut self) -> Running {
        let mut child = self.command.spawn().unwrap();
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        Running { dir: self.dir, child, stdout, stderr, started: Instant::now() }
    }
}

/// Signals as a terminal's shell would leave them: whoever runs the tests may ignore some, as under
/// nohup or in a script's background.
#[expect(unsafe_code, reason = "only code in the child can do this")]
fn with_usual_signals(mut command: Command) -> Command {
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; sigaction is one.
    unsafe {
        command.pre_exec(|| {
            for usual in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
                signal(usual, SigHandler::SigDfl)?;
            }
            Ok(())
        });
    }
    command
}

/// This command of crew in this folder, with hardly anything in its environment.
fn in_folder(command: Command, subcommand: &str, folder: &Path) -> Command {
    let mut command = with_usual_signals(command);
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", folder)
        .env("DIR", folder)
        .arg(subcommand)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What a pipe has brought so far, read by a thread until its end.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> Collected {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let shared = bytes.clone();
    let reader = thread::spawn(move || {
        let mut buffer = [0; 64 * 1024];
        let Some(mut pipe) = pipe else { return };
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            shared.lock().unwrap().extend_from_slice(&buffer[..length]);
        }
    });
    Collected { bytes, reader }
}

impl Collected {
    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn whole(self) -> String {
        self.reader.join().unwrap();
        String::from_utf8(std::mem::take(&mut *self.bytes.lock().unwrap())).unwrap()
    }
}

/// A run that has been started.
pub struct Running {
    dir: TempDir,
    pub child: Child,
    stdout: Collected,
    stderr: Collected,
    started: Instant,
}

impl Running {
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// The pid a tool wrote with `echo $$ > "$DIR/name"`, once its line is whole. No program but the
    /// shell is needed for that: another one could still be there to be counted.
    pub fn pid_from(&self, name: &str) -> Pid {
        let path = self.path(name);
        let text = wait_for(&format!("{name} to be written"), || {
            std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'))
        });
        Pid::from_raw(text.trim().parse().unwrap())
    }

    pub fn wait_for_stderr(&self, text: &str) {
        wait_for(&format!("{text:?} on stderr"), || {
            self.stderr.so_far().contains(text).then_some(())
        });
    }

    pub fn wait_for_file(&self, name: &str) {
        let path = self.path(name);
        wait_for(&format!("{name} to be there"), || path.exists().then_some(()));
    }

    pub fn wait(self) -> Ended {
        let mut seen = None;
        let (status, counted) = wait_for("crew to end", || {
            seen = peak_memory(&self.child).or(seen);
            reap(&self.child)
        });
        let (took, peak_memory) = (self.started.elapsed(), seen.unwrap_or(counted));
        Ended {
            status,
            took,
            peak_memory,
            stdout: self.stdout.whole(),
            stderr: self.stderr.whole(),
            dir: self.dir,
        }
    }
}

/// A run that has ended.
pub struct Ended {
    pub status: ExitStatus,
    pub took: Duration,
    /// Bytes that were in memory at once.
    pub peak_memory: u64,
    pub stdout: String,
    pub stderr: String,
    dir: TempDir,
}

impl Ended {
    /// The one JSON document on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.stdout, self.stderr))
    }

    /// The report of a run that exited with `code`, which must also stand in it.
    #[track_caller]
    pub fn report(&self, code: i32) -> Value {
        let report = self.json();
        assert_eq!(self.status.code(), Some(code), "{report:#}\n{}", self.stderr);
        assert_eq!(report["exit_code"], code, "{report:#}");
        report
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// The peak of a running child's memory in bytes, where the system reports it.
fn peak_memory(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// How a child has ended and the most memory it took; `None` if it has not. The system counts from
/// the fork on, so this is never less than what the test's own process took at the start of the run.
#[expect(unsafe_code, reason = "nothing safe tells what a single child took")]
fn reap(child: &Child) -> Option<(ExitStatus, u64)> {
    let pid = child.id().try_into().unwrap();
    let mut status = 0;
    // SAFETY: all zeroes is a valid `rusage`, and both pointers are valid during the call.
    let (reaped, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(pid, &mut status, libc::WNOHANG, &mut usage), usage)
    };
    assert!(reaped >= 0, "{}", std::io::Error::last_os_error());
    // The unit is the system's own.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    let peak = u64::try_from(usage.ru_maxrss).unwrap() * unit;
    (reaped > 0).then(|| (ExitStatus::from_raw(status), peak))
}

/// Asks until there is an answer.
#[track_caller]
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process runs; one that waits to be reaped does not.
pub fn is_alive(pid: Pid) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8_lossy(&output.stdout);
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}
