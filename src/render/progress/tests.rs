#![allow(clippy::unwrap_used)]

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use super::board::{Crew, Planned};
use super::control::Progress;
use super::drawing::Drawing;
use super::options::Options;
use super::writer::Show;
use crate::render::screen::Reader;
use crate::report::{AgentRunId, AgentStatus, CancelKind, Event, LiveAnswer, ToolStatus, Usage};

const PLAIN: Options = Options {
    draw: false,
    colour: false,
    reader: Reader { ascii: false, takes_commands: false },
    verbose: false,
    transcripts: false,
    quiet: false,
};

/// Keeps what is written to it.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader that has stopped reading: a write signals that it began, and returns when released.
struct Stuck {
    began: Sender<()>,
    release: Receiver<()>,
}

impl Write for Stuck {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        let _ = self.began.send(());
        let _ = self.release.recv();
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All events in the run of one agent.
fn events() -> Vec<Event> {
    let tool = "disk_usage".to_owned();
    vec![
        Event::AgentStarted { agent: AgentRunId(0) },
        Event::ModelCallStarted {
            agent: AgentRunId(0),
            turn: 1,
            answer: Arc::new(LiveAnswer::default()),
        },
        Event::Retrying {
            agent: AgentRunId(0),
            attempt: 1,
            delay: Duration::from_millis(1200),
            error: "429\u{1b}[2J Too Many\nRequests".into(),
        },
        Event::Tokens { agent: AgentRunId(0), usage: usage() },
        Event::ToolStarted {
            agent: AgentRunId(0),
            tool: tool.clone(),
            arguments: json!({"path": "/"}),
        },
        Event::ToolFinished {
            agent: AgentRunId(0),
            tool,
            status: ToolStatus::Failed,
            duration: Duration::from_millis(12),
            cause: Some("exit 1: bo\u{7}om".into()),
        },
        Event::Stopping { reason: CancelKind::Interrupted.into(), grace: Duration::from_secs(2) },
        Event::AgentFinished {
            agent: AgentRunId(0),
            status: AgentStatus::Failed,
            duration: Duration::from_millis(1900),
            message: Some("no\nanswer".into()),
            reason: None,
        },
    ]
}

/// A crew of these agents, each with the model `m`.
pub fn planned(names: &[&str]) -> Crew {
    let planned = |name: &&str| Planned {
        name: (*name).to_owned(),
        model: "m".to_owned(),
        ..Planned::default()
    };
    let agents = names.iter().map(planned).collect();
    Crew { name: "it-support".into(), agents, ..Crew::default() }
}

/// The lines without their times.
fn untimed(text: &str) -> String {
    let line = |line: &str| line.split_once("] ").map_or(line, |(_, rest)| rest).to_owned() + "\n";
    text.lines().map(line).collect()
}

pub fn usage() -> Usage {
    Usage { input_tokens: 300, output_tokens: 90, ..Usage::default() }
}

fn written(options: Options, last: &str) -> String {
    let kept = Kept::default();
    let show = if options.quiet { Show::Nothing } else { Show::Lines };
    let progress =
        Progress::launch(planned(&["disk"]), options, show, Box::new(kept.clone()), None).unwrap();
    let sink = progress.sink();
    events().into_iter().for_each(|event| sink(event));
    sink(Event::AgentStarted { agent: AgentRunId(7) });
    assert!(progress.finish(last.into()));
    sink(Event::AgentStarted { agent: AgentRunId(0) });
    kept.text()
}

#[test]
fn without_a_terminal_each_change_of_state_is_a_line() {
    let expected = "\
disk: started (m)
disk: retrying in 1.2s (429 Too Many Requests)
disk: running disk_usage
disk: disk_usage failed in 12ms: exit 1: boom
stopping: interrupted by Ctrl-C; tools have 2s to exit (Ctrl-C again kills them)
disk: failed in 1.9s, 300 in, 90 out (m): no answer
summary
";
    let text = written(PLAIN, "summary\n");
    assert_eq!(untimed(&text), expected);
    assert!(text.starts_with("[00:00."), "{text}");
}

#[test]
fn verbose_adds_model_calls_and_arguments() {
    let text = written(Options { verbose: true, ..PLAIN }, "");
    assert!(text.contains("disk: model call, turn 1\n"), "{text}");
    assert!(text.contains("disk: running disk_usage {\"path\":\"/\"}\n"), "{text}");
}

#[test]
fn quiet_prints_only_the_last_text() {
    let quiet = Options { quiet: true, ..PLAIN };
    assert_eq!(written(quiet, ""), "");
    assert_eq!(written(quiet, "error\n"), "error\n");
}

#[test]
fn a_stuck_reader_does_not_block_the_run() {
    let (began, has_begun) = channel();
    let (_release, release) = channel();
    let stuck = Box::new(Stuck { began, release });
    let mut progress =
        Progress::launch(planned(&["disk"]), PLAIN, Show::Lines, stuck, None).unwrap();
    let sink = progress.sink();
    sink(Event::AgentStarted { agent: AgentRunId(0) });
    has_begun.recv().unwrap();
    for _ in 0..5000 {
        sink(Event::AgentStarted { agent: AgentRunId(0) });
    }
    let start = Instant::now();
    assert!(!progress.clear());
    assert!(!progress.finish(b"summary".to_vec()));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn dropped_lines_are_counted() {
    let (began, has_begun) = channel();
    let (release, released) = channel();
    let kept = Kept::default();
    struct Slow(Stuck, Kept);
    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.write(bytes);
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let slow = Box::new(Slow(Stuck { began, release: released }, kept.clone()));
    let progress = Progress::launch(planned(&["disk"]), PLAIN, Show::Lines, slow, None).unwrap();
    let sink = progress.sink();
    sink(Event::AgentStarted { agent: AgentRunId(0) });
    has_begun.recv().unwrap();
    for _ in 0..20_000 {
        sink(Event::AgentStarted { agent: AgentRunId(0) });
    }
    drop(release);
    assert!(progress.finish(vec![]));
    let text = kept.text();
    // The lines that fit into 256 KiB, and the one that was being written.
    let kept = 256 * 1024 / "[00:00.0] disk: started (m)\n".len();
    assert_eq!(text.matches("disk: started (m)\n").count(), kept + 1);
    let dropped = 20_000 - kept;
    assert!(text.ends_with(&format!("({dropped} lines dropped: stderr is too slow)\n")));
}

#[test]
fn a_closed_stderr_does_not_block_the_end() {
    let (began, _) = channel();
    let (release, released) = channel();
    drop(release);
    let closed = Box::new(Stuck { began, release: released });
    let mut progress =
        Progress::launch(planned(&["disk"]), PLAIN, Show::Lines, closed, None).unwrap();
    progress.sink()(Event::AgentStarted { agent: AgentRunId(0) });
    assert!(progress.clear());
    assert!(!progress.finish(b"summary".to_vec()));
}

#[test]
fn a_run_is_drawn_and_then_cleared() {
    let kept = Kept::default();
    let show = Show::Drawn(Drawing::new(|| (24, 80)));
    let options = Options { draw: true, ..PLAIN };
    let mut progress =
        Progress::launch(planned(&["disk"]), options, show, Box::new(kept.clone()), None).unwrap();
    let sink = progress.sink();
    sink(Event::AgentStarted { agent: AgentRunId(0) });
    let answer = Arc::new(LiveAnswer::default());
    let call =
        Event::ModelCallStarted { agent: AgentRunId(0), turn: 1, answer: Arc::clone(&answer) };
    sink(call);
    let screen = || {
        let mut screen = vt100::Parser::new(24, 80, 0);
        screen.process(kept.text().as_bytes());
        screen.screen().contents()
    };
    let wait_for = |text: &str| {
        let start = Instant::now();
        while !screen().contains(text) {
            assert!(start.elapsed() < Duration::from_secs(10), "{}", screen());
            std::thread::yield_now();
        }
    };
    wait_for("waiting for the first token");
    answer.push("The disk\u{1b}[2J is full.");
    wait_for("writing, 6 tokens");
    wait_for("\n  The disk is full.");
    assert!(progress.clear());
    assert_eq!(screen(), "");
    assert!(progress.finish(b"summary\n".to_vec()));
    assert_eq!(screen(), "summary");
}
