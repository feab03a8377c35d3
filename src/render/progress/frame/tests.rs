#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::frame;
use crate::render::fit;
use crate::render::progress::board::Board;
use crate::render::progress::drawing::Drawing;
use crate::render::progress::tests::{planned, usage};
use crate::report::{
    AgentRunId, AgentStatus, CancelKind, CancelReason, Event, LiveAnswer, ToolStatus,
};
use crate::text::sanitize;

/// The moment of a frame: 65 seconds after the start of the board's run.
fn moment(board: &Board) -> Instant {
    board.started + Duration::from_secs(65)
}

fn start(board: &mut Board, agents: std::ops::Range<usize>) {
    for agent in agents {
        let at = board.started + Duration::from_millis(agent as u64);
        board.apply(&Event::AgentStarted { agent: AgentRunId(agent) }, at);
    }
}

fn finish(board: &mut Board, agent: usize, status: AgentStatus, message: Option<&str>) {
    let finished = Event::AgentFinished {
        agent: AgentRunId(agent),
        status,
        duration: Duration::from_millis(1234),
        message: message.map(str::to_owned),
        reason: (status == AgentStatus::Skipped).then(|| CancelReason::agent_failed("net")),
    };
    board.apply(&finished, board.started);
}

fn call(board: &mut Board, agent: usize, text: &str) {
    let answer = Arc::new(LiveAnswer::default());
    answer.push(text);
    let call = Event::ModelCallStarted { agent: AgentRunId(agent), turn: 1, answer };
    board.apply(&call, board.started);
}

/// Six agents: one runs tools, one waits for a retry, one for its server, one is done, one writes,
/// one waits for others.
fn busy_board() -> Board {
    let mut crew = planned(&["disk", "net", "名前", "cpu", "mem", "summary"]);
    crew.agents[5].needs = vec![0, 1, 2, 3];
    let mut board = Board::new(crew, false);
    start(&mut board, 0..5);
    board.apply(&Event::Tokens { agent: AgentRunId(0), usage: usage() }, board.started);
    let begun = moment(&board) - Duration::from_millis(2400);
    for tool in ["disk_usage", "du\u{1b}[2J\n", "df"] {
        let tool = tool.to_owned();
        let event = Event::ToolStarted { agent: AgentRunId(0), tool, arguments: json!({}) };
        board.apply(&event, begun);
    }
    for tool in ["disk_usage", "never started"] {
        let event = Event::ToolFinished {
            agent: AgentRunId(0),
            tool: tool.to_owned(),
            status: ToolStatus::Succeeded,
            duration: Duration::from_millis(1),
            cause: None,
        };
        board.apply(&event, begun);
    }
    let now = moment(&board);
    let delay = Duration::from_millis(1200);
    let error = "503 Service Unavailable".to_owned();
    board.apply(&Event::Retrying { agent: AgentRunId(1), attempt: 1, delay, error }, now);
    finish(&mut board, 2, AgentStatus::Succeeded, None);
    let (reason, wait) = ("the server asked to wait", Duration::from_millis(3500));
    board.apply(&Event::Queued { agent: AgentRunId(3), reason, wait }, now);
    call(&mut board, 4, &"The memory\u{1b}[2J\n is\u{202e} fine. ".repeat(20));
    board
}

#[test]
fn a_frame_has_a_header_and_a_line_per_agent() {
    let mut board = busy_board();
    let now = moment(&board);
    let expected = [
        "it-support  1:05  1 of 6 done  ~300 in, 230 out",
        "⠋ disk     1m05s  du, 2.4s and 1 more  300 in, 90 out",
        "⠋ net      1m04s  retrying in 2s: 503 Service Unavailable",
        "✓ 名前      1.2s  done",
        "⠋ cpu      1m04s  rate limited, 4s left",
        "⠋ mem      1m04s  writing, 140 tokens  …ry is fine. The memory is fine.",
        "· summary         after disk, net, cpu",
    ];
    assert_eq!(frame(&board, now, (72, 24), false), expected);
    let reason = CancelReason::agent_failed("net");
    board.apply(&Event::Stopping { reason, grace: Duration::ZERO }, now);
    let lines = frame(&board, now, (80, 24), false);
    assert_eq!(lines.last().unwrap(), "stopping: net failed");
}

#[test]
fn the_answer_of_the_only_agent_streams() {
    let mut board = Board::new(planned(&["disk", "summary"]), false);
    start(&mut board, 0..2);
    finish(&mut board, 0, AgentStatus::Succeeded, None);
    call(&mut board, 1, "# Result\n\nThe disk is full and the log grows.\n\nDelete it.");
    let lines = frame(&board, moment(&board), (30, 24), false);
    let expected = ["  # Result", "  The disk is full and the", "  log grows.", "  Delete it."];
    assert_eq!(lines[3..], expected);
    // Its end, where not all of it fits.
    let lines = frame(&board, moment(&board), (30, 7), false);
    assert_eq!(lines[3..], ["  log grows.", "  Delete it."]);
}

#[test]
fn of_many_agents_the_failed_and_the_oldest_are_shown() {
    let names: Vec<String> = (0..60).map(|n| format!("a{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut board = Board::new(planned(&names), false);
    start(&mut board, 0..55);
    finish(&mut board, 3, AgentStatus::Failed, Some("401 no\u{1b}[2J key"));
    finish(&mut board, 0, AgentStatus::Succeeded, None);
    let lines = frame(&board, moment(&board), (80, 24), false);
    assert_eq!(lines[0], "it-support  1:05  ██░░░░░░░░  1 of 60 done, 1 failed");
    assert_eq!(lines[1], "✗ a03   1.2s  failed: 401 no key");
    assert!(lines[2].starts_with("⠋ a01 ") && lines[3].starts_with("⠋ a02 "), "{lines:#?}");
    assert_eq!((lines.len(), lines[11].as_str()), (12, "… 50 more"));
    let low = frame(&board, moment(&board), (40, 8), false);
    assert_eq!(low[0], "it-support  1:05  1 of 60 done, 1 fail…");
    assert_eq!((low.len(), low[5].as_str()), (6, "… 56 more"));
}

#[test]
fn frames_fit_every_size() {
    let mut board = busy_board();
    let reason = CancelKind::Timeout.into();
    let stopping = Event::Stopping { reason, grace: Duration::from_secs(2) };
    board.apply(&stopping, board.started);
    for width in 0..100 {
        for (height, colour) in [(24, false), (24, true), (7, false), (3, false), (1, true)] {
            let lines = frame(&board, moment(&board), (width, height), colour);
            assert!(lines.len() <= height.max(2), "{width} x {height}: {lines:#?}");
            for line in lines {
                assert!(fit::width(&sanitize(&line)) < width, "{width}: {line}");
                assert!(colour || !line.contains('\u{1b}'));
            }
        }
    }
    assert!(frame(&Board::new(planned(&[]), false), moment(&board), (80, 24), false).is_empty());
}

#[test]
fn a_drawing_replaces_itself_and_leaves_nothing() {
    let mut screen = vt100::Parser::new(10, 40, 0);
    let mut drawing = Drawing::new(|| (10, 40));
    assert_eq!(drawing.size(), (40, 10));
    let lines = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
    let mut show = |text: String| {
        screen.process(text.as_bytes());
        screen.screen().contents()
    };
    show("$ crew run\r\n".into());
    assert_eq!(
        show(drawing.draw(lines(&["disk  1s", "名前  2s"]))),
        "$ crew run\ndisk  1s\n名前  2s"
    );
    let three = lines(&["disk", "名前  3s", "stopping"]);
    assert_eq!(show(drawing.draw(three.clone())), "$ crew run\ndisk\n名前  3s\nstopping");
    assert_eq!(drawing.draw(three), "");
    assert_eq!(show(drawing.draw(lines(&["2/2"]))), "$ crew run\n2/2");
    assert_eq!(show(drawing.clear()), "$ crew run");
    assert_eq!(drawing.clear(), "");
    assert_eq!(show("report".into()), "$ crew run\nreport");
}
