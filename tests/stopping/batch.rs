//! Batches that are stopped, or killed: what has a line is never lost, and only calls in flight are
//! paid for twice.
#![expect(clippy::print_stdout, reason = "a failed test must be repeatable")]

use std::collections::{HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::{PipeWriter, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indoc::formatdoc;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;

use crate::random::Random;
use crate::support::batch::{Batch, parsed};
use crate::support::crew::{Running, wait_for};
use crate::support::mock_model::ModelServer;
use crate::support::script::{self, delayed};

const JOBS: usize = 8;

fn inputs(count: usize) -> String {
    (0..count).map(|number| format!("{{\"id\": {number}}}\n")).collect()
}

fn yaml(server: &ModelServer) -> String {
    formatdoc! {"
        limits: {{grace: 500ms}}
        providers: {{p: {{base_url: '{}'}}}}
        agents: {{a: {{model: p/m}}}}
    ", server.base_url()}
}

/// Answers calls after this time.
fn server(after: Duration) -> ModelServer {
    ModelServer::start(move |_| delayed(after, script::text("x")))
}

#[test]
fn signals_stop_a_batch_and_the_next_run_continues() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let server =
            ModelServer::start(|request| match request.messages()[0]["content"].as_str() {
                Some(text) if text.contains("7") => script::stream().stall(),
                _ => script::text("x"),
            });
        let batch = Batch::new(yaml(&server), inputs(10));
        let running = batch.crew(&["-j", "3", "--key", "/id"]).start_as_is();
        server.wait_for("the other answers", |state| state.finished == 9);
        wait_for("the other lines", || (batch.lines().len() == 9).then_some(()));
        running.signal(signal);
        let asked = Instant::now();
        let ended = running.wait();
        assert!(asked.elapsed() < Duration::from_millis(1500), "{:?}", asked.elapsed());
        assert_eq!(ended.status.signal(), Some(signal as i32), "{}", ended.stderr);
        assert_eq!(
            (batch.keys("succeeded").len(), batch.keys("cancelled")),
            (9, vec!["7".to_owned()])
        );
        assert!(batch.line("7")["answer"].is_null());
    }
}

#[test]
fn a_batch_drains_on_request() {
    for signal in [Signal::SIGUSR1, Signal::SIGUSR2] {
        let server = server(Duration::from_millis(200));
        let batch = Batch::new(yaml(&server), inputs(40));
        let running = batch.crew(&["-j", "4"]).start_as_is();
        server.wait_for("calls", |state| state.requests.len() >= 6);
        running.signal(signal);
        let ended = running.wait();
        assert_eq!(ended.status.code(), Some(75), "{}", ended.stderr);
        let done = batch.keys("succeeded").len();
        assert_eq!((batch.lines().len(), server.requests().len()), (done, done));
        assert!(done < 40);
        assert_eq!(batch.run(&[]).status.code(), Some(0));
        assert_eq!((batch.keys("succeeded").len(), server.requests().len()), (40, 40));
    }
}

#[test]
fn draining_has_a_limit_and_nothing_left_is_success() {
    let slow = server(Duration::from_secs(60));
    let batch = Batch::new(yaml(&slow), inputs(3));
    let running = batch.crew(&["--drain", "100ms"]).start_as_is();
    slow.wait_for("calls", |state| state.open_calls == 3);
    running.signal(Signal::SIGUSR1);
    let ended = running.wait();
    assert_eq!(ended.status.code(), Some(75), "{}", ended.stderr);
    assert_eq!(batch.keys("cancelled").len(), 3);
    let server = server(Duration::from_millis(300));
    let batch = Batch::new(yaml(&server), inputs(3));
    let running = batch.crew(&[]).start_as_is();
    server.wait_for("calls", |state| state.open_calls == 3);
    running.signal(Signal::SIGUSR2);
    let ended = running.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn two_batches_never_share_a_folder() {
    let server = server(Duration::from_secs(60));
    let batch = Batch::new(yaml(&server), inputs(3));
    let running = batch.crew(&[]).start_as_is();
    server.wait_for("calls", |state| state.open_calls == 3);
    let ended = batch.run(&[]);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("another process works on out/results.jsonl"),
        "{}",
        ended.stderr
    );
    running.signal(Signal::SIGINT);
    running.wait();
}

#[test]
fn a_batch_that_was_suspended_goes_on() {
    let server = server(Duration::from_millis(50));
    let batch = Batch::new(yaml(&server), inputs(30));
    let running = batch.crew(&["-j", "4"]).start_as_is();
    server.wait_for("calls", |state| state.requests.len() >= 8);
    running.signal(Signal::SIGSTOP);
    thread::sleep(Duration::from_millis(500));
    running.signal(Signal::SIGCONT);
    let ended = running.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!((batch.keys("succeeded").len(), server.requests().len()), (30, 30));
}

/// The promise of docs/batch.md. `CREW_BATCH_KILLS` sets how often.
#[test]
fn a_killed_batch_loses_no_finished_line() {
    let kills = std::env::var("CREW_BATCH_KILLS").ok().and_then(|kills| kills.parse().ok());
    let kills: usize = kills.unwrap_or(12);
    let seed = std::env::var("CREW_RANDOM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| std::process::id().into());
    println!("CREW_RANDOM_SEED={seed}");
    let mut random = Random(seed);
    let count = 40 * kills;
    let server = server(Duration::from_millis(15));
    let batch = Batch::new(yaml(&server), inputs(count));
    let results = batch.path("out/results.jsonl");
    let jobs = JOBS.to_string();
    let args = ["--key", "/id", "-j", &jobs, "--reports"];
    let mut finished: HashMap<String, Value> = HashMap::new();
    for _ in 0..kills {
        let before = server.requests().len();
        let running = batch.crew(&args).start_as_is();
        server.wait_for("a call", |state| state.requests.len() > before);
        thread::sleep(Duration::from_micros(random.below(120_000)));
        running.signal(Signal::SIGKILL);
        running.wait();
        let text = fs::read_to_string(&results).unwrap_or_default();
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let mut found = HashMap::new();
        for line in whole.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let key = line["key"].as_str().unwrap().to_owned();
            let report = batch.read(&format!("out/reports/{key}.json"));
            assert!(report.ends_with("}\n"), "a line without its report: {report}");
            assert!(found.insert(key, line).is_none(), "a key has two lines");
        }
        for (key, line) in finished {
            assert_eq!(found.get(&key), Some(&line), "a finished line was lost or changed");
        }
        finished = found;
        let calls = server.requests().len();
        println!("{} lines, {calls} calls", finished.len());
    }
    let ended = batch.run(&args);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(batch.keys("succeeded").len(), count);
    let twice = server.requests().len() - count;
    assert!(twice <= kills * JOBS, "{twice} calls were paid for twice in {kills} kills");
}

/// The lines that were kept in this folder for temporary files, as stderr says.
fn kept(folder: &Path, stderr: &str) -> Vec<Value> {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let lines = parsed(&fs::read_to_string(&files[0]).unwrap());
    let said = format!("{} results were kept in {}", lines.len(), files[0].display());
    assert!(stderr.contains(&said), "{said}: {stderr}");
    lines
}

/// A batch whose reader reads nothing, and whose lines go to a pipe that holds one of them.
fn unread(server: &ModelServer, tmp: &Path, writer: PipeWriter) -> (Batch, Running) {
    let batch = Batch::new(yaml(server), inputs(500));
    let before = server.requests().len();
    let args = ["--out", "-", "-j", "4", "--drain", "300ms"];
    let crew = batch.command("in.jsonl", &args).stdout(writer.into());
    let running = crew.env("TMPDIR", tmp.to_str().unwrap()).start_as_is();
    // 64 lines more than the pipe holds wait.
    server.wait_for("calls", |state| state.requests.len() >= before + 60);
    (batch, running)
}

fn long_answers() -> ModelServer {
    let long = "x".repeat(40_000);
    ModelServer::start(move |_| script::text(&long))
}

#[test]
fn a_reader_that_stalls_holds_up_no_stop() {
    let server = long_answers();
    for (signal, code) in [(Signal::SIGINT, None), (Signal::SIGUSR1, Some(3))] {
        let (_reader, writer) = std::io::pipe().unwrap();
        let (before, tmp) = (server.requests().len(), tempfile::tempdir().unwrap());
        let (_batch, running) = unread(&server, tmp.path(), writer);
        running.signal(signal);
        // It would wait for ever.
        let ended = running.wait();
        assert_eq!(ended.status.code(), code, "{}", ended.stderr);
        assert!(ended.stderr.contains("its reader does not read"), "{}", ended.stderr);
        assert!(server.requests().len() < before + 90, "inputs start though no line is taken");
        assert!(kept(tmp.path(), &ended.stderr).len() >= 50);
    }
}

#[test]
fn lines_that_a_reader_leaves_behind_are_kept() {
    let server = long_answers();
    let (reader, writer) = std::io::pipe().unwrap();
    let tmp = tempfile::tempdir().unwrap();
    let (_batch, running) = unread(&server, tmp.path(), writer);
    drop(reader);
    let ended = running.wait();
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("its reader has closed it"), "{}", ended.stderr);
    let kept = kept(tmp.path(), &ended.stderr);
    let keys: HashSet<String> = kept.iter().map(|line| line["key"].to_string()).collect();
    assert!(keys.len() == kept.len() && keys.len() >= 50, "{}", keys.len());
    // What was cancelled runs again anyway.
    assert!(kept.iter().all(|line| line["status"] == "succeeded"));
}

#[test]
fn a_reader_that_leaves_ends_the_batch() {
    let server = server(Duration::from_millis(50));
    let batch = Batch::new(yaml(&server), inputs(200));
    let (reader, writer) = std::io::pipe().unwrap();
    let args = ["--out", "-", "-j", "4"];
    let running = batch.command("in.jsonl", &args).stdout(writer.into()).start_as_is();
    server.wait_for("calls", |state| state.requests.len() >= 8);
    drop(reader);
    let ended = running.wait();
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert!(server.requests().len() < 200);
}

/// Results without an end, in a pipe, until crew leaves it.
fn endless_results(path: &Path, written: &AtomicU64) {
    let mut pipe = OpenOptions::new().write(true).open(path).unwrap();
    let mut line = Vec::new();
    for key in 0.. {
        line.clear();
        let usage = r#""usage":{"model_calls":0,"input_tokens":0,"output_tokens":0}"#;
        writeln!(
            line,
            r#"{{"key":"{key}","index":{key},"status":"succeeded",{usage},"attempts":1,"duration_ms":1,"fingerprint":""}}"#
        )
        .unwrap();
        if pipe.write_all(&line).is_err() {
            return;
        }
        written.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_signal_ends_the_reading_of_earlier_results() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let batch = Batch::new("agents: {a: {model: offline}}", inputs(3));
        assert_eq!(batch.run(&["--limit", "0"]).status.code(), Some(0));
        let results = batch.path("out/results.jsonl");
        fs::remove_file(&results).unwrap();
        mkfifo(&results, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let written = Arc::new(AtomicU64::new(0));
        let writer = thread::spawn({
            let written = written.clone();
            move || endless_results(&results, &written)
        });
        let running = batch.crew(&["--retry", "none"]).start_as_is();
        wait_for("results", || (written.load(Ordering::Relaxed) > 5000).then_some(()));
        running.signal(signal);
        let ended = running.wait();
        assert_eq!(ended.status.signal(), Some(signal as i32), "{}", ended.stderr);
        assert!(ended.stderr.contains("stopped"), "{}", ended.stderr);
        writer.join().unwrap();
    }
}

#[test]
fn a_recording_goes_on_after_stops() {
    const INPUTS: usize = 60;
    let server = ModelServer::start(|request| {
        let text = request.contents("user")[0];
        delayed(Duration::from_millis(15), script::text(&format!("answer to {text}")))
    });
    let batch = Batch::new(yaml(&server), inputs(INPUTS));
    let mut random = Random(std::process::id().into());
    let args = ["--key", "/id", "-j", "4", "--replay-or-record", "r.jsonl"];
    let mut stops = 0;
    let ended = loop {
        let before = server.requests().len();
        let running = batch.crew(&args).start_as_is();
        server.wait_for("a call", |state| state.requests.len() > before || before >= INPUTS);
        thread::sleep(Duration::from_micros(random.below(40_000)));
        running.signal(*random.pick(&[Signal::SIGKILL, Signal::SIGTERM]));
        stops += 1;
        let ended = running.wait();
        if ended.status.code().is_some() || server.requests().len() >= INPUTS {
            break batch.run(&args);
        }
    };
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    // A call whose answer was recorded is never paid for again.
    let calls = server.requests().len();
    assert!((INPUTS..=INPUTS + 4 * stops).contains(&calls), "{calls} calls, {stops} stops");
    let recorded = parsed(&batch.read("r.jsonl"));
    assert_eq!(recorded.iter().filter(|line| line["kind"] == "recording").count(), 1);
    let again =
        batch.command("in.jsonl", &["--key", "/id", "--out", "again", "--replay", "r.jsonl"]);
    let ended = again.run_as_is();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(server.requests().len(), calls);
    let answers = |results: &str| {
        let lines = parsed(&batch.read(results)).into_iter();
        let answer = |line: Value| (line["key"].to_string(), line["answer"].to_string());
        lines.map(answer).collect::<HashMap<_, _>>()
    };
    assert_eq!(answers("again/results.jsonl"), answers("out/results.jsonl"));
}

#[test]
fn inputs_that_run_out_of_time_in_a_suspension_run_again() {
    let server = server(Duration::from_millis(400));
    let yaml = yaml(&server).replace("grace: 500ms", "grace: 500ms, timeout: 1500ms");
    let batch = Batch::new(yaml, inputs(60));
    let running = batch.crew(&["-j", "30"]).start_as_is();
    server.wait_for("calls", |state| state.open_calls >= 25);
    running.signal(Signal::SIGSTOP);
    thread::sleep(Duration::from_millis(2500));
    running.signal(Signal::SIGCONT);
    let ended = running.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(batch.keys("succeeded").len(), 60);
}
