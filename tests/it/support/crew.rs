//! Runs crew as its user would: in a folder with a crew's file, through pipes.

use std::io::Read;
use std::ops::{Deref, DerefMut};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indoc::formatdoc;
use nix::libc;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::mock_model::ModelServer;

/// The limit of each wait, far beyond what any test needs.
pub const PATIENCE: Duration = Duration::from_secs(30);

const PROGRAM: &str = env!("CARGO_BIN_EXE_crew");

/// A command line of crew and the folder to run it in.
pub struct Crew {
    folder: Folder,
    command: Command,
}

/// The working directory of a run.
struct Folder {
    path: PathBuf,
    /// Removes the folder, unless the test made it.
    _own: Option<TempDir>,
}

/// A new folder with this `agents.yaml`, for several runs.
pub fn folder(yaml: impl AsRef<[u8]>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("agents.yaml"), yaml).unwrap();
    folder
}

impl Crew {
    /// `crew run` in a new folder with this `agents.yaml`.
    pub fn new(yaml: impl AsRef<[u8]>) -> Self {
        Self::with_file(yaml).args(&["run"])
    }

    /// `crew run` of the crew `team` with these agents, whose models are at the server.
    pub fn team(server: &ModelServer, agents: &str) -> Self {
        Self::new(formatdoc! {"
            name: team
            providers: {{mock: {{base_url: '{}'}}}}
            defaults: {{retries: 1, timeout: 20s}}
            limits: {{on_failure: continue}}
            tools: {{build: {{description: b, shell: exec sleep 1000}}}}
            agents: {agents}
        ", server.base_url()})
    }

    /// `crew check` in a new folder with this `agents.yaml`.
    pub fn check(yaml: impl AsRef<[u8]>) -> Self {
        Self::with_file(yaml).args(&["check"])
    }

    /// `crew` without arguments in a folder of the test's.
    pub fn at(folder: &Path) -> Self {
        let command = in_folder(Command::new(PROGRAM), folder);
        Self { folder: Folder { path: folder.to_owned(), _own: None }, command }
    }

    fn with_file(yaml: impl AsRef<[u8]>) -> Self {
        let own = folder(yaml);
        let mut crew = Self::at(own.path());
        crew.folder._own = Some(own);
        crew
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path.join(name)
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(self, name: &str, value: &str) -> Self {
        self.envs(&[(name, value)])
    }

    pub fn envs(mut self, variables: &[(&str, &str)]) -> Self {
        self.command.envs(variables.iter().copied());
        self
    }

    /// `crew run`, started by a shell after it has run `preparation`. Replaces the command line:
    /// call it before any other option.
    pub fn through(self, preparation: &str) -> Self {
        let script = format!("{preparation} && exec \"$0\" \"$@\"");
        let mut command = in_folder(Command::new("sh"), &self.folder.path);
        command.args(["-c", &script, PROGRAM, "run"]);
        Self { command, ..self }
    }

    /// Calls `in_child` between fork and exec; async-signal-safe calls only.
    #[expect(unsafe_code, reason = "only code in the child can do this")]
    pub fn prepare(
        mut self,
        in_child: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        // SAFETY: the caller passes async-signal-safe code only.
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

    /// Runs to the end.
    pub fn run_as_is(self) -> Ended {
        self.start_as_is().wait()
    }

    /// Starts with `--input go`.
    pub fn start(self) -> Running {
        self.args(&["--input", "go"]).start_as_is()
    }

    pub fn start_as_is(mut self) -> Running {
        let mut child = self.command.spawn().unwrap();
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let child = OwnChild(child);
        Running { folder: self.folder, child, stdout, stderr, started: Instant::now() }
    }
}

/// Resets the signals to what a terminal's shell leaves: the process that runs the tests may ignore
/// some, as under nohup or in the background of a script.
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

/// This command in this folder, with pipes and a minimal environment.
fn in_folder(command: Command, folder: &Path) -> Command {
    let mut command = with_usual_signals(command);
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", folder)
        .env("DIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The output of a pipe, read by a thread.
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

/// A child that does not outlive a test that fails.
pub struct OwnChild(Child);

impl Deref for OwnChild {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for OwnChild {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for OwnChild {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A run in progress.
pub struct Running {
    folder: Folder,
    pub child: OwnChild,
    stdout: Collected,
    stderr: Collected,
    started: Instant,
}

impl Running {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path.join(name)
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Stops crew as Ctrl-Z does.
    pub fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        wait_for("the stop", || state(self.pid()).starts_with('T').then_some(()));
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// The pid that a tool wrote with `echo $$ > "$DIR/name"`, once its line is complete. Only the
    /// shell does that: crew would count a further process if it were still running.
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
            folder: self.folder,
        }
    }
}

/// A finished run.
pub struct Ended {
    pub status: ExitStatus,
    pub took: Duration,
    /// The peak of its resident memory in bytes.
    pub peak_memory: u64,
    pub stdout: String,
    pub stderr: String,
    folder: Folder,
}

impl Ended {
    /// The one JSON document on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.stdout, self.stderr))
    }

    /// The report of a run that exited with `code`; its own `exit_code` must agree.
    #[track_caller]
    pub fn report(&self, code: i32) -> Value {
        let report = self.json();
        assert_eq!(self.status.code(), Some(code), "{report:#}\n{}", self.stderr);
        assert_eq!(report["exit_code"], code, "{report:#}");
        report
    }

    pub fn path(&self) -> &Path {
        &self.folder.path
    }
}

/// The peak of a running child's memory in bytes, where the system reports it.
fn peak_memory(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// The exit status of a child and its peak memory; `None` while it runs. The system counts from the
/// fork on, so the peak includes what the test's own process had in memory at that moment.
#[expect(unsafe_code, reason = "no safe wrapper returns the usage of a single child")]
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

/// Polls until there is a value.
#[track_caller]
pub fn wait_for<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(Instant::now() < deadline, "gave up waiting for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process runs; a zombie does not.
pub fn is_alive(pid: Pid) -> bool {
    let state = state(pid);
    !state.is_empty() && !state.starts_with('Z')
}

/// The state of a process as `ps` names it: `T` if it is stopped. Empty if there is no process.
fn state(pid: Pid) -> String {
    let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
