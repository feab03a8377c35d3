//! Signals and time limits at random moments, in runs with all kinds of agents: with tools, steps,
//! instances and checks. Linux only: the test looks for leftover processes in /proc.
//!
//! `CREW_RANDOM_STOPS=300 cargo test --test stopping random_stop::` runs 300 rounds. A failure
//! names its seed; `CREW_RANDOM_SEED` makes it the first one.
#![expect(clippy::print_stdout, reason = "a failed round must be repeatable")]

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::random::Random;
use crate::support::crew::{Crew, Ended, Running};
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::{Script, delayed, hang, stream, text, tool_call};
use indoc::formatdoc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

const ROUNDS: u64 = 30;
/// Concurrent rounds: a round mostly waits.
const SIDE_BY_SIDE: usize = 4;
/// The maximum time from the start to the first signal, in milliseconds.
const LATEST: u64 = 400;
const GRACE: Duration = Duration::from_millis(200);
/// The README's limit for the exit of a run with tools after the grace period.
const PROMISED: Duration = Duration::from_millis(500);
/// The limit for processes that outlive crew after a SIGKILL.
const PROMISED_AFTER_SIGKILL: Duration = Duration::from_secs(1);
/// For a machine that is busy with other tests.
const SLACK: Duration = Duration::from_secs(2);

/// The lines of tools, steps, instances and checks: some end, some never do, some resist.
const TOOLS: [(&str, &str); 11] = [
    ("quick", "echo done"),
    ("slow", "echo begun; sleep 0.1; echo done"),
    ("timed", "exec sleep 1000"),
    ("leaver", "sleep 1000 & echo left"),
    ("deaf_leaver", "(trap '' TERM INT HUP; while :; do sleep 1000; done) & echo left"),
    ("sleeper", "echo begun; exec sleep 1000"),
    ("deaf", "trap '' TERM INT HUP; while :; do sleep 1000; done"),
    ("writer", "while :; do echo again and again; done"),
    ("stopped", "kill -STOP $$; exec sleep 1000"),
    ("family", "sleep 1000 & (sleep 1000; :) & sleep 1000 | sleep 1000"),
    // Without the mark in its environment, it must have it on its command line.
    ("bare", "exec env -i sh -c 'while :; do sleep 0.02; done; : MARK'"),
];
/// The number of tools at the start of the list that end by themselves or by their timeout.
const ENDING: usize = 5;

/// The behavior of the model server, by the name of the model.
const MODELS: [&str; 6] = ["answers", "asks", "fails", "stalls", "drips", "silent"];
const ENDING_MODELS: usize = 3;

fn reply(request: &Request) -> Script {
    match request.model() {
        "answers" => delayed(Duration::from_millis(50), text("an answer")),
        "asks" if request.has_tool_results() => text("used it"),
        "asks" => tool_call("slow", &json!({})),
        "fails" => stream().text("begun").cut(),
        "stalls" => stream().text("begun").stall(),
        "drips" => stream().drip(": alive\n".repeat(1000), Duration::from_millis(5)),
        _ => hang(),
    }
}

/// One round, which depends on the seed only.
struct Round {
    /// A text in the environment of each tool.
    mark: String,
    agents: Vec<String>,
    yaml: String,
    /// The signals and the pauses before them.
    signals: Vec<(Duration, Signal)>,
}

impl Round {
    fn new(seed: u64, base_url: &str) -> Self {
        let mut random = Random(seed);
        let mark = format!("crew-random-stop-{}-{seed}", std::process::id());
        // Some runs have a time limit, which ends them about when the signal does.
        let limit = random.one_in(4).then(|| 50 + random.below(LATEST));
        let timeout = limit.map(|limit| format!(", timeout: {limit}ms")).unwrap_or_default();
        let mut yaml = formatdoc! {"
            limits: {{grace: {}ms, on_failure: continue{timeout}}}
            defaults: {{model: offline, retries: 0}}
            providers: {{mock: {{api: openai, base_url: {base_url:?}}}}}
            tools:
        ", GRACE.as_millis()};
        let lines = TOOLS.map(|(name, line)| (name, json!(line.replace("MARK", &mark))));
        for (name, line) in &lines {
            let timeout = if *name == "timed" { "100ms" } else { "1m" };
            let _ = writeln!(yaml, "  {name}: {{shell: {line}, env: [MARK], timeout: {timeout}}}");
        }
        yaml.push_str("agents:\n");
        // Some runs end before the signal.
        let short = random.one_in(4);
        let (tools, models) =
            if short { (ENDING, ENDING_MODELS) } else { (TOOLS.len(), MODELS.len()) };
        let mut agents: Vec<String> = Vec::new();
        for number in 0..1 + random.below(7) {
            let needs = match agents.last() {
                Some(last) if random.one_in(5) => format!(", needs: [{last}]"),
                Some(last) if random.one_in(5) => format!(", needs: {{{last}: done}}"),
                _ => String::new(),
            };
            let (tool, line) = random.pick(&lines[..tools]);
            let timeout = if *tool == "timed" { ", timeout: 100ms" } else { "" };
            let (name, does) = match random.below(6) {
                0 => (*tool, format!("tools: [{tool}]")),
                1 => (*tool, format!("shell: {line}, env: [MARK]{timeout}")),
                2 => {
                    let (_, other) = random.pick(&lines[..tools]);
                    let items = format!("[{line}, {other}, {line}]");
                    let command = "command: [sh, -c, '{{ item }}'], env: [MARK]";
                    (*tool, format!("for_each: {items}, {command}{timeout}"))
                }
                3 => (*tool, format!("check: {{shell: {line}, env: [MARK]{timeout}}}")),
                _ => {
                    let model = random.pick(&MODELS[..models]);
                    (*model, format!("model: mock/{model}, tools: [slow]"))
                }
            };
            let name = format!("a{number}-{name}");
            let _ = writeln!(yaml, "  {name}: {{{does}{needs}}}");
            agents.push(name);
        }
        Self { mark, agents, yaml, signals: signals(&mut random) }
    }
}

/// One signal, sometimes two or three; a SIGKILL is the last one.
fn signals(random: &mut Random) -> Vec<(Duration, Signal)> {
    let number = *random.pick(&[1, 1, 1, 2, 2, 3]);
    let mut signals = Vec::new();
    for at in 0..number {
        let pause = random.below(if at == 0 { LATEST } else { 120 });
        let signal = match random.below(10) {
            0..4 => Signal::SIGINT,
            4..7 => Signal::SIGTERM,
            7..9 => Signal::SIGHUP,
            _ => Signal::SIGKILL,
        };
        signals.push((Duration::from_millis(pause), signal));
        if signal == Signal::SIGKILL {
            break;
        }
    }
    signals
}

#[test]
fn a_signal_at_any_moment_stops_the_run_cleanly() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let rounds = number("CREW_RANDOM_STOPS").unwrap_or(ROUNDS);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first = number("CREW_RANDOM_SEED").unwrap_or(now.as_millis() as u64);
    println!("{rounds} rounds from CREW_RANDOM_SEED={first}");
    let (next, stopped) = (AtomicU64::new(0), AtomicU64::new(0));
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let round = next.fetch_add(1, Ordering::Relaxed);
                    if round >= rounds {
                        break;
                    }
                    let seed = first.wrapping_add(round);
                    match catch_unwind(AssertUnwindSafe(|| play(seed))) {
                        Ok(was_stopped) => stopped.fetch_add(was_stopped.into(), Ordering::Relaxed),
                        Err(_) => {
                            println!("that was CREW_RANDOM_SEED={seed}");
                            failed.lock().unwrap().push(seed);
                            0
                        }
                    };
                }
            });
        }
    });
    let (failed, stopped) = (failed.into_inner().unwrap(), stopped.into_inner());
    assert!(failed.is_empty(), "{} of {rounds} rounds failed, seeds {failed:?}", failed.len());
    // A single run may end before its signal, but not all of them.
    assert!(stopped > 0 || rounds < 10, "no run was there to be stopped");
}

/// Plays one round; returns whether crew was stopped and reported so.
fn play(seed: u64) -> bool {
    let server = ModelServer::start(reply);
    let round = Round::new(seed, &server.base_url());
    let _sweep = Sweep(&round.mark);
    // To a file: on a busy machine, a slow reader of a pipe would count as a closed one.
    let crew = Crew::new(&round.yaml).env("MARK", &round.mark);
    let stdout = File::create(crew.path("report")).unwrap();
    let running = crew.stdout(stdout.into()).start();
    let mut handled = false;
    let mut signalled = None;
    for (pause, signal) in &round.signals {
        thread::sleep(*pause);
        if signalled.is_none() {
            handled = is_handled(&running, *signal);
        }
        signalled.get_or_insert_with(Instant::now);
        running.signal(*signal);
    }
    let ended = running.wait();
    let took = signalled.unwrap().elapsed();
    let context =
        format!("{:?} {:?} {}\n{}", round.signals, ended.status, round.yaml, ended.stderr);
    let is_killed = ended.status.signal() == Some(Signal::SIGKILL as i32);
    let limit = if is_killed { PROMISED_AFTER_SIGKILL + SLACK } else { Duration::ZERO };
    let left = left_after(limit, &round.mark);
    assert!(left.is_empty(), "still alive: {left:#?}\n{context}");
    server.wait_for("every connection to be closed", |state| state.open_connections == 0);
    assert!(took < last_pauses(&round) + GRACE + PROMISED + SLACK, "took {took:?}\n{context}");
    !is_killed && check_report(&round, &ended, handled, &context)
}

/// The time between the first signal and the last one.
fn last_pauses(round: &Round) -> Duration {
    round.signals.iter().skip(1).map(|(pause, _)| *pause).sum()
}

/// Checks that the report agrees with the exit status; returns whether a signal or the time limit
/// stopped crew.
fn check_report(round: &Round, ended: &Ended, handled: bool, context: &str) -> bool {
    let signal = ended.status.signal();
    assert!(
        signal.is_none_or(|signal| round.signals.iter().any(|(_, sent)| *sent as i32 == signal)),
        "ended by another signal\n{context}"
    );
    let stdout = std::fs::read_to_string(ended.path().join("report")).unwrap();
    if stdout.is_empty() {
        assert!(signal.is_some() && !handled, "no report\n{context}");
        return false;
    }
    let report: Value = serde_json::from_str(&stdout)
        .unwrap_or_else(|error| panic!("{error} in {stdout}\n{context}"));
    let code = ended.status.code().or_else(|| Some(128 + signal?));
    assert_eq!(report["exit_code"].as_i64(), code.map(i64::from), "{report:#}\n{context}");
    let listed: Vec<&String> = report["agents"].as_object().unwrap().keys().collect();
    assert_eq!(listed, round.agents.iter().collect::<Vec<_>>(), "{context}");
    for agent in report["agents"].as_object().unwrap().values() {
        check_agent(agent, context);
        let items = agent["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().for_each(|item| check_agent(item, context));
        // All of them are known, or the agent never started.
        assert!(items.len() == 3 || items.is_empty(), "{agent:#}\n{context}");
    }
    assert_eq!(report["cleanup"]["survivors"], json!([]), "{context}");
    let cancelled = report["status"] == "cancelled";
    assert_eq!(cancelled, signal.is_some(), "{report:#}\n{context}");
    let timed_out = report["status"] == "timed_out";
    assert_eq!(timed_out, ended.status.code() == Some(124), "{report:#}\n{context}");
    cancelled || timed_out
}

/// Checks that an agent or an instance has an end, and its answer if it finished.
fn check_agent(agent: &Value, context: &str) {
    let status = agent["status"].as_str().unwrap_or_default();
    let known = ["succeeded", "failed", "timed_out", "cancelled", "skipped"];
    assert!(known.contains(&status), "{agent:#}\n{context}");
    let has_answer = agent["output"].as_str().is_some_and(|output| !output.is_empty());
    let is_kept = has_answer || agent["items"].is_array();
    assert!(status != "succeeded" || is_kept, "{agent:#}\n{context}");
}

/// Whether crew handles the signal already: before that, it may die without a report.
fn is_handled(running: &Running, signal: Signal) -> bool {
    let path = format!("/proc/{}/status", running.child.id());
    let status = std::fs::read_to_string(path).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask & (1 << (signal as i32 - 1)) != 0)
}

/// The processes with this mark that are still alive after `limit`.
fn left_after(limit: Duration, mark: &str) -> Vec<(Pid, String)> {
    let deadline = Instant::now() + limit;
    loop {
        let left = marked(mark);
        if left.is_empty() || Instant::now() >= deadline {
            return left;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The processes with the mark in their environment or command line, and that command line. A
/// zombie has neither.
fn marked(mark: &str) -> Vec<(Pid, String)> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let found = pids.filter_map(|pid| {
        let read = |name: &str| {
            let bytes = std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let command = read("cmdline");
        (command.contains(mark) || read("environ").contains(mark))
            .then(|| (Pid::from_raw(pid), command))
    });
    found.collect()
}

/// Kills the leftover processes of a failed round.
struct Sweep<'a>(&'a str);

impl Drop for Sweep<'_> {
    fn drop(&mut self) {
        for (pid, _) in marked(self.0) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}
