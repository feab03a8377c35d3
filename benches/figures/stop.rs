//! The time to stop a thousand open calls, and a hundred running tools.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::launch::{self, Launched, Moment};
use crate::measure::{Bench, MIB};
use crate::table::{Goal, Row};

const CALLS: usize = 1000;
const TOOLS: usize = 100;
const TIMES: usize = 9;

/// The limit for conditions that hold at once unless something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// The delay of an answer that never arrives.
const HOLD: &str = "hold";

/// crew's exit status after SIGINT.
const INTERRUPTED: i32 = -(Signal::SIGINT as i32);
const KILLED: i32 = -(Signal::SIGKILL as i32);

/// The memory of open calls that are never answered, and the time to stop them. Its floor is the time
/// that the kernel takes to kill a process.
pub fn open_calls(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let alone = (one_waiting(bench, Client::Crew)?, one_waiting(bench, Client::Bare)?);
    let (mut crew, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        bare.push(stopped(bench, Client::Bare, CALLS)?);
        crew.push(stopped(bench, Client::Crew, CALLS)?);
    }
    let row = |name: &str, unit, beside, goal, of: &dyn Fn(&Stopped, u64) -> f64| Row {
        name: name.to_owned(),
        unit,
        crew: crew.iter().map(|stopped| of(stopped, alone.0)).collect(),
        floor: bare.iter().map(|stopped| of(stopped, alone.1)).collect(),
        beside,
        goal,
    };
    let each =
        |stopped: &Stopped, alone| stopped.memory.saturating_sub(alone) as f64 / (CALLS - 1) as f64;
    Ok(vec![
        row("memory of a waiting agent", "KiB", "bare client", Goal::None, &each),
        row("1000 waiting agents: memory", "MiB", "bare client", Goal::None, &|stopped, _| {
            stopped.memory as f64 / MIB
        }),
        row(
            "1000 open calls: SIGINT to the last closed",
            "ms",
            "SIGKILL",
            Goal::AtMost(50.0),
            &|s, _| s.closed,
        ),
        row("1000 open calls: SIGINT to exit", "ms", "SIGKILL", Goal::AtMost(100.0), &|s, _| {
            s.exited
        }),
    ])
}

#[derive(Clone, Copy)]
enum Client {
    Crew,
    Bare,
}

struct Stopped {
    /// KiB in use while all calls were open.
    memory: u64,
    /// Milliseconds from the signal until the server saw the last connection closed.
    closed: f64,
    /// Milliseconds from the signal to the end of the process.
    exited: f64,
}

fn one_waiting(bench: &mut Bench, client: Client) -> anyhow::Result<u64> {
    Ok(stopped(bench, client, 1)?.memory)
}

fn stopped(bench: &mut Bench, client: Client, calls: usize) -> anyhow::Result<Stopped> {
    let (launched, signal, status) = match client {
        Client::Crew => {
            let file = bench.crew_file(calls, HOLD, Some(calls))?;
            (bench.crew(&file)?, Signal::SIGINT, INTERRUPTED)
        }
        Client::Bare => (bench.bare(HOLD, calls, 1)?, Signal::SIGKILL, KILLED),
    };
    until("all calls to be open", || Ok(bench.server.seen()?.open == calls as u64))?;
    let memory = launch::memory(launched.pid.as_raw().unsigned_abs())?;
    let sent = launched.signal(signal)?;
    let taken = launched.wait(status)?;
    until("all calls to be closed", || Ok(bench.server.seen()?.open == 0))?;
    let closed = bench.server.seen()?.last_end.since(sent);
    Ok(Stopped { memory, closed, exited: taken.ended.since(sent) })
}

/// The time to stop tools that would run for a week. The floor is stopping as many child processes.
pub fn tools(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    // No other process on the machine sleeps for exactly this long.
    let duration = format!("600000.{}", std::process::id());
    let mut yaml = format!(
        "defaults: {{model: offline, tool_timeout: 10m}}\n\
         tools:\n  wait: {{description: Waits, command: [sleep, '{duration}']}}\nagents:\n"
    );
    for agent in 0..TOOLS {
        yaml.push_str(&format!("  clerk{agent}: {{tools: [wait]}}\n"));
    }
    let file = bench.write("tools.yaml", &yaml)?;
    let (mut exited, mut gone, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TIMES {
        floor.push(own_sleepers(&duration)?);
        let launched = bench.crew(&file)?;
        until("all tools to run", || Ok(sleepers(&duration)? == TOOLS))?;
        let (exit, end) = interrupted(launched, &duration)?;
        exited.push(exit);
        gone.push(end);
    }
    let row = |what: &str, crew, floor| Row {
        name: format!("{TOOLS} tools: SIGINT {what}"),
        unit: "ms",
        crew,
        floor,
        beside: "SIGTERM to all",
        // The default grace, and the time that crew may need beyond it.
        goal: Goal::AtMost(2500.0),
    };
    Ok(vec![row("to exit", exited, floor.clone()), row("until nothing is alive", gone, floor)])
}

fn interrupted(launched: Launched, duration: &str) -> anyhow::Result<(f64, f64)> {
    let sent = launched.signal(Signal::SIGINT)?;
    let taken = launched.wait(INTERRUPTED)?;
    let exit = taken.ended.since(sent);
    // No process may be left by now. Searching for one takes a while itself.
    let mut end = taken.ended;
    until("all tools to be gone", || {
        let left = sleepers(duration)?;
        if left > 0 {
            end = launch::now();
        }
        Ok(left == 0)
    })?;
    Ok((exit, end.since(sent)))
}

/// The milliseconds to send SIGTERM to as many processes and wait for all.
fn own_sleepers(duration: &str) -> anyhow::Result<f64> {
    let start = || Command::new("sleep").arg(duration).stdin(Stdio::null()).spawn();
    let mut children = (0..TOOLS).map(|_| start()).collect::<Result<Vec<_>, _>>()?;
    let sent: Moment = launch::now();
    for child in &children {
        kill(Pid::from_raw(child.id().try_into()?), Signal::SIGTERM)?;
    }
    for child in &mut children {
        child.wait()?;
    }
    Ok(launch::now().since(sent))
}

/// The number of processes that sleep for this long. A process that has exited has no command line,
/// even before it is reaped.
fn sleepers(duration: &str) -> anyhow::Result<usize> {
    let command = format!("sleep\0{duration}\0");
    let mut count = 0;
    for entry in std::fs::read_dir("/proc").context("processes are counted through /proc")? {
        let path = entry?.path().join("cmdline");
        count += usize::from(std::fs::read(path).is_ok_and(|line| line == command.as_bytes()));
    }
    Ok(count)
}

fn until(what: &str, mut reached: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !reached()? {
        anyhow::ensure!(Instant::now() < deadline, "timed out waiting for {what}");
        sleep(Duration::from_millis(1));
    }
    Ok(())
}
