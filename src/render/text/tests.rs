#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::render::fixtures::{
    answered, ended_by, failed, report, timed_out, tool_call, with_calls,
};
use crate::report::{CancelKind, CancelReason, ErrorKind};

const LOOK: Look = Look { width: 80, ..Look::PLAIN };

fn shown(agents: Vec<AgentReport>, look: Look) -> String {
    let mut out = Vec::new();
    text(&report(agents), look, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_ending_has_its_block() {
    let agents = vec![
        with_calls(answered("disk", "The disk is full.\n\n"), vec![tool_call()]),
        timed_out("net"),
        failed("cpu", ErrorKind::Auth, "401 Unauthorized\nbad key"),
        ended_by("mem", AgentStatus::Cancelled, CancelKind::Interrupted.into()),
        ended_by("summary", AgentStatus::Skipped, CancelReason::agent_failed("net")),
    ];
    let expected = r#"✓ disk succeeded in 1.8s, 300 in, 90 out (openai/gpt-4o-mini)

The disk is full.

  disk_usage {"path":"/"} succeeded in 12ms

✗ net timed out in 30.0s (openai/gpt-4o-mini)

text streamed so far
(partial: the agent ended before its answer was complete)

error timeout (agent): no answer within 30s

✗ cpu failed in 210ms (openai/gpt-4o-mini)

error auth: 401 Unauthorized bad key

⊘ mem cancelled: interrupted by Ctrl-C (openai/gpt-4o-mini)

⊘ summary skipped: net failed (openai/gpt-4o-mini)
"#;
    assert_eq!(shown(agents, LOOK), expected);
    assert_eq!(shown(vec![], LOOK), "");
}

#[test]
fn hostile_text_cannot_control_the_terminal() {
    let mut agent = answered("disk", "a\u{1b}[2Jb\r\n\u{1b}]0;t\u{7}c\u{202e}d\n");
    agent.model = "x/\u{1b}[31m\ny".into();
    let call = ToolCallReport {
        tool: "rm\u{1b}[8m\n-rf".into(),
        arguments: json!({"\u{9b}31m": "\u{1b}[0m\n\u{202e}"}),
        status: ToolStatus::Rejected,
        output: "[not run: no tool \u{1b}[1mrm\u{1b}[0m; there are: disk_usage]".into(),
        exit_code: None,
        signal: Some("\u{1b}c".into()),
        ..tool_call()
    };
    let verbose = Look { verbose: true, ..LOOK };
    let expected = r#"✓ disk succeeded in 1.8s, 300 in, 90 out (x/ y)

ab
cd

  rm -rf {"":"\u001b[0m\n"} rejected: no tool rm; there are: disk_usage
    | [not run: no tool rm; there are: disk_usage]
"#;
    assert_eq!(shown(vec![with_calls(agent, vec![call])], verbose), expected);
}

#[test]
fn a_structured_answer_is_formatted() {
    let mut agent = answered("triage", "```json\n{\"severity\":\"high\\u001b[2J\"}\n```");
    agent.data = Some(json!({"severity": "high\u{1b}[2J\u{202e}", "parts": [1]}));
    let text = shown(vec![agent.clone()], LOOK);
    let formatted =
        "\n{\n  \"severity\": \"high\\u001b[2J\\u202e\",\n  \"parts\": [\n    1\n  ]\n}\n";
    assert!(text.ends_with(formatted), "{text}");
    // Without a value, the text of the model is shown.
    agent.data = Some(json!(null));
    agent.status = AgentStatus::Failed;
    assert!(shown(vec![agent], LOOK).contains("```json"));
}

#[test]
fn everything_unusual_about_a_tool_call_is_shown() {
    let call = ToolCallReport {
        status: ToolStatus::TimedOut,
        exit_code: None,
        signal: Some("SIGTERM".into()),
        truncated: true,
        leaked: true,
        stopped_by: Some(CancelKind::ToolTimeout),
        ..tool_call()
    };
    let line = tool_lines(&call, Look { width: 200, ..LOOK }).concat();
    assert_eq!(
        line,
        "  disk_usage {\"path\":\"/\"} timed out in 12ms (SIGTERM, stopped: tool timeout, \
             output truncated, left processes behind)"
    );
    let call = ToolCallReport { status: ToolStatus::Failed, exit_code: Some(2), ..tool_call() };
    let call = ToolCallReport { output: "a\nerror: boom\n[exit code 2]".into(), ..call };
    let expected = "  disk_usage {\"path\":\"/\"} failed in 12ms: exit 2: error: boom";
    assert_eq!(tool_lines(&call, LOOK), [expected]);
    let narrow = tool_lines(&call, Look { width: 40, ..LOOK });
    assert_eq!(narrow, ["  disk_usage {\"path\":\"/\"} failed in 12ms", "    exit 2: error: boom"]);
    let text = shown(vec![with_calls(answered("disk", ""), vec![call])], LOOK);
    assert!(text.ends_with("error: boom\n    | a\n    | error: boom\n"), "{text}");
}

#[test]
fn headings_and_tool_lines_are_cut_but_answers_are_not() {
    let answer = "wide: ".to_owned() + &"あ".repeat(60);
    let mut call = tool_call();
    call.arguments = json!({"path": "ディレクトリ".repeat(100)});
    call.output = "あ".repeat(100);
    let agent = with_calls(answered(&"n".repeat(64), &answer), vec![call]);
    for width in [0, 1, 5, 20, 40, 80] {
        for colour in [false, true] {
            let text = shown(vec![agent.clone()], Look { width, colour, verbose: true, ..LOOK });
            for line in text.lines().filter(|line| *line != answer) {
                assert!(fit::width(&sanitize(line)) <= width, "{width}: {line}");
            }
            assert!(text.contains(&format!("\n{answer}\n")));
        }
    }
    let narrow = shown(vec![agent], Look { width: 40, ..LOOK });
    assert!(narrow.contains("\n  disk_usage {\"path\":… succeeded in 12ms\n"), "{narrow}");
}

#[test]
fn long_outputs_show_head_and_tail() {
    let output: String = (1..=20).map(|n| format!("{n}\tx\n")).collect();
    let call = ToolCallReport { output, ..tool_call() };
    let text =
        shown(vec![with_calls(answered("disk", ""), vec![call])], Look { verbose: true, ..LOOK });
    assert!(text.contains("    | 8    x\n    | … 4 more lines …\n    | 13    x\n"), "{text}");
    assert!(text.ends_with("    | 20    x\n"));
}

#[test]
fn colours_are_used_on_request() {
    let look = Look { colour: true, ..LOOK };
    let text = shown(vec![answered("disk", "x")], look);
    assert!(text.starts_with("\u{1b}[32m✓\u{1b}[0m \u{1b}[1mdisk\u{1b}[0m "), "{text:?}");
}
