//! Starts and measures a process.
//!
//! Each process has a small launcher between itself and the benchmark, since the kernel reports the
//! peak memory of the largest child only.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::Context;
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

pub const ROLE: &str = "launch";
pub const TERMINAL_ROLE: &str = "launch-on-terminal";

/// Nanoseconds of the machine's monotonic clock, which all processes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// Milliseconds since an earlier moment.
    pub fn since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e6
    }
}

pub fn now() -> Moment {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| now.num_nanoseconds());
    Moment(now.unsigned_abs())
}

/// The time and memory of one process.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    pub started: Moment,
    pub ended: Moment,
    /// Milliseconds of processor time, in user and kernel mode.
    pub cpu: f64,
    /// Peak memory in KiB.
    pub peak: f64,
}

impl Taken {
    /// Milliseconds from start to end.
    pub fn wall(&self) -> f64 {
        self.ended.since(self.started)
    }
}

/// The launcher: starts `program` in the folder with its output in files there, and prints its
/// process id, then its time and memory.
pub fn run(folder: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    measure(command(folder, program, arguments)?)
}

/// The launcher with stderr on a terminal of 24 rows and 80 columns, copied to the file.
pub fn run_on_terminal(folder: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let OpenptyResult { master, slave } = openpty(Some(&size), None)?;
    let mut copy = File::create(folder.join("stderr"))?;
    // The time of this thread is not the program's. At the end, the terminal reports an error.
    std::thread::spawn(move || io::copy(&mut File::from(master), &mut copy));
    let mut command = command(folder, program, arguments)?;
    command.env("TERM", "xterm").stderr(slave);
    measure(command)
}

fn command(folder: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<Command> {
    let file = |name: &str| File::create(folder.join(name));
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.stdout(file("stdout")?).stderr(file("stderr")?);
    Ok(command)
}

fn measure(mut command: Command) -> anyhow::Result<()> {
    let mut stdout = io::stdout();
    let started = now();
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    writeln!(stdout, "{}", child.id())?;
    let status = child.wait()?;
    let ended = now();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = (usage.user_time() + usage.system_time()).num_microseconds();
    let status = status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
    Ok(writeln!(stdout, "{} {} {cpu} {} {status}", started.0, ended.0, usage.max_rss())?)
}

/// A process under measurement.
pub struct Launched {
    launcher: Child,
    output: BufReader<ChildStdout>,
    pub pid: Pid,
}

impl Launched {
    pub fn start(folder: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        Self::launch(ROLE, folder, program, arguments)
    }

    /// The same with stderr on a terminal.
    pub fn on_terminal(folder: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        Self::launch(TERMINAL_ROLE, folder, program, arguments)
    }

    fn launch(
        role: &str,
        folder: &Path,
        program: &str,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let mut launcher = Command::new(std::env::current_exe()?)
            .arg(role)
            .arg(folder)
            .arg(program)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(launcher.stdout.take().context("no stdout")?);
        let mut pid = String::new();
        output.read_line(&mut pid)?;
        let pid = pid.trim().parse().context("nothing was started")?;
        Ok(Self { launcher, output, pid: Pid::from_raw(pid) })
    }

    pub fn signal(&self, signal: Signal) -> anyhow::Result<Moment> {
        let sent = now();
        kill(self.pid, signal)?;
        Ok(sent)
    }

    /// Waits for the process to exit with this status.
    pub fn wait(mut self, status: i32) -> anyhow::Result<Taken> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        self.launcher.wait()?;
        let numbers: Vec<i64> = line.split_whitespace().flat_map(str::parse).collect();
        let [started, ended, cpu, peak, found] = numbers[..] else {
            anyhow::bail!("unexpected output of the launcher: {line:?}");
        };
        anyhow::ensure!(
            found == i64::from(status),
            "ended with status {found} instead of {status}"
        );
        Ok(Taken {
            started: Moment(started.unsigned_abs()),
            ended: Moment(ended.unsigned_abs()),
            cpu: cpu as f64 / 1e3,
            peak: peak as f64,
        })
    }
}

impl Drop for Launched {
    /// Stops the process if the benchmark fails.
    fn drop(&mut self) {
        if matches!(self.launcher.try_wait(), Ok(None)) {
            let _ = kill(self.pid, Signal::SIGTERM);
            let _ = self.launcher.wait();
        }
    }
}

/// Resident memory of a process in KiB.
pub fn memory(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
    Ok(number.parse()?)
}
