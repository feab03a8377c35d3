//! The terminal around a question: signals, time limits, and the progress display.

use std::os::unix::process::ExitStatusExt;

use serde_json::json;

use super::common::{ASKED, calls, crew, in_turns, statuses, written};
use crate::support::crew::wait_for;
use crate::support::pty::Pty;

#[test]
fn ctrl_c_at_a_question_stops_the_run() {
    let terminal = Pty::open();
    let before = terminal.settings();
    let crew = crew("a: {tools: [write]}, b: {tools: [write]}");
    let running = terminal.start(crew.stderr(terminal.as_stderr())).start();
    terminal.wait_for(ASKED, 1);
    terminal.type_in("\u{3}");
    let ended = running.wait();
    assert_eq!(ended.status.signal(), Some(2));
    let report = ended.json();
    assert_eq!(report["reason"]["kind"], "interrupted", "{report:#}");
    // The other agent may not have made its call yet.
    let calls: Vec<_> = ["a", "b"].iter().flat_map(|agent| calls(&report, agent)).collect();
    assert!(!calls.is_empty(), "{report:#}");
    for call in calls {
        assert_eq!(
            (&call["status"], &call["stopped_by"]),
            (&json!("cancelled"), &json!("interrupted"))
        );
        assert!(call["output"].as_str().unwrap().contains("waiting for approval"), "{call}");
    }
    assert_eq!(written(ended.path()), "");
    assert!(before == terminal.settings());
    terminal.wait_for("^C\r\n(question withdrawn)\r\n", 1);
    let shown = terminal.shown();
    assert_eq!(shown.matches("wants to run").count(), 1, "{shown:?}");
    terminal.wait_for("interrupted", 1);
}

#[test]
fn waiting_for_a_reply_counts_against_the_agents_timeout() {
    let terminal = Pty::open();
    let crew = crew("a: {tools: [write], timeout: 500ms}, b: {tools: [write]}");
    let running = terminal.start(crew.args(&["-k"])).start();
    terminal.wait_for("(question withdrawn)", 1);
    terminal.wait_for(ASKED, 2);
    terminal.type_in("y\n");
    let ended = running.wait();
    let report = ended.report(1);
    assert_eq!(report["agents"]["a"]["status"], "timed_out", "{report:#}");
    let call = &calls(&report, "a")[0];
    assert_eq!(
        (&call["status"], &call["stopped_by"]),
        (&json!("timed_out"), &json!("agent_timeout"))
    );
    assert_eq!(statuses(&report, "b"), ["succeeded"]);
    assert_eq!(written(ended.path()), "something\n");
}

#[test]
fn a_question_from_the_background_does_not_suspend_crew() {
    let terminal = Pty::open();
    let crew = crew("a: {tools: [write], timeout: 500ms}");
    // A background job of a shell: access to the terminal would suspend it.
    let crew = crew.through("set -m; \"$0\" \"$@\" & wait $!; exit $?; true");
    let running = terminal.start(crew).start();
    terminal.wait_for(ASKED, 1);
    terminal.type_in("y\n");
    let ended = running.wait();
    assert_eq!(ended.report(1)["agents"]["a"]["status"], "timed_out");
    assert_eq!(written(ended.path()), "");
}

#[test]
fn a_question_is_asked_although_the_reader_of_stderr_is_gone() {
    let terminal = Pty::open();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (_server, crew) = in_turns(&["one", "two"]);
    let running = terminal.start(crew.stderr(writer.into())).start();
    for times in [1, 2] {
        terminal.wait_for(ASKED, times);
        terminal.type_in("y\n");
    }
    assert_eq!(statuses(&running.wait().report(0), "a"), ["succeeded", "succeeded"]);
}

#[test]
fn the_progress_display_goes_on_above_a_question() {
    const SIZE: (u16, u16) = (24, 80);
    let terminal = Pty::sized(SIZE.0, SIZE.1);
    let (_server, crew) = in_turns(&["one", "two"]);
    let crew = crew.env("WAIT", "1").env("TERM", "xterm").stderr(terminal.as_stderr());
    let running = terminal.start(crew).start();
    for (times, what) in [(1, "one"), (2, "two")] {
        let asked = format!("  | \"what\": \"{what}\"\n[y]es, [n]o; every call of write");
        let screen = terminal.wait_for_screen(SIZE, &asked);
        let (above, question) = screen.rsplit_once("a wants to run write:\n").unwrap();
        assert!(above.contains("agents  0:") && above.contains(" a  "), "{screen}");
        // The display changes, and the question does not.
        let moved = wait_for("another frame", || {
            Some(terminal.screen(SIZE.0, SIZE.1)).filter(|now| *now != screen)
        });
        assert_eq!(moved.rsplit_once("a wants to run write:\n").unwrap().1, question);
        assert_eq!(moved.matches("agents  0:").count(), 1, "{moved}");
        terminal.type_in("y\n");
        let screen = terminal.wait_for_screen(SIZE, "  write, ");
        // The question stays, without the display above it.
        assert_eq!(screen.matches("wants to run").count(), times, "{screen}");
        let (before, after) = screen.rsplit_once(&asked).unwrap();
        assert!(!before.contains("agents  0:"), "{screen}");
        assert_eq!(after.matches("agents  0:").count(), 1, "{screen}");
        std::fs::write(running.path(what), "").unwrap();
    }
    let ended = running.wait();
    assert_eq!(written(ended.path()), "one\ntwo\n");
    let screen = terminal.wait_for_screen(SIZE, "1 of 1 agent succeeded");
    assert!(!screen.contains("agents  0:"), "{screen}");
}

#[test]
fn the_display_above_a_question_follows_the_size_of_the_terminal() {
    let terminal = Pty::sized(24, 80);
    let (_server, crew) = in_turns(&[&"x".repeat(60)]);
    let crew = crew.env("TERM", "xterm").stderr(terminal.as_stderr());
    let running = terminal.start(crew).start();
    terminal.wait_for_screen((24, 80), "Allow a to run write? ");
    // It would not be on the screen again, and must not count.
    terminal.type_in("n");
    terminal.wait_for_screen((24, 80), "Allow a to run write? n");
    let row = |x: usize| format!("{}\n", "x".repeat(x));
    let (first, what, last) =
        ("a wants to run write:\n", "  | \"what\": \"xxx", "Allow a to run write? ");
    for (times, size, rows) in [
        (2, (24, 40), &[first, what, &row(25), "  | xxx", last][..]),
        // There is no room for the display.
        (3, (6, 30), &["ne[v]er", last]),
        (4, (24, 70), &[first, what, &row(52), "  | xxxx\"\n", last]),
    ] {
        terminal.resize(size.0, size.1);
        terminal.wait_for("wants to run write:", times);
        let screen = wait_for("the question", || {
            let screen = terminal.screen(size.0, size.1);
            let place = |(from, row): (usize, &str)| Some(from + screen.get(from..)?.find(row)?);
            rows.iter().try_fold(0, |from, row| place((from, row))).map(|_| screen.clone())
        });
        assert!(screen.matches("wants to run").count() <= 1, "{screen}");
        if size.0 == 24 {
            assert_eq!(screen.matches("agents  0:").count(), 1, "{screen}");
            wait_for("another frame", || (terminal.screen(size.0, size.1) != screen).then_some(()));
            assert_eq!(terminal.screen(size.0, size.1).matches("agents  0:").count(), 1);
        }
    }
    terminal.type_in("y\n");
    let report = running.wait().report(0);
    assert_eq!(statuses(&report, "a"), ["succeeded"]);
    let screen = terminal.wait_for_screen((24, 70), "1 of 1 agent succeeded");
    assert!(!screen.contains("agents  0:"), "{screen}");
    assert_eq!(screen.matches("wants to run").count(), 1, "{screen}");
}

#[test]
fn a_question_that_is_withdrawn_takes_the_display_with_it() {
    let terminal = Pty::sized(24, 80);
    let crew = crew("a: {tools: [write], timeout: 700ms}");
    let crew = crew.env("TERM", "xterm").stderr(terminal.as_stderr());
    let running = terminal.start(crew).start();
    terminal.wait_for_screen((24, 80), "Allow a to run write? ");
    terminal.type_in("what?\n");
    terminal.wait_for(ASKED, 2);
    running.wait();
    let screen = terminal.wait_for_screen((24, 80), "0 of 1 agent succeeded");
    assert!(screen.starts_with("a wants to run write:\n"), "{screen}");
    assert!(screen.contains("(question withdrawn)\n"), "{screen}");
    assert!(!screen.contains("agents  0:"), "{screen}");
}
