//! What a person sees of a finished run, whole, in terminals of three widths.

#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::fixtures::{answered, failed, report, tool_call, with_calls};
use super::{Look, summary, text};
use crate::report::{AgentReport, ErrorKind, Report, ToolCallReport, ToolStatus};

const ANSWER: &str = "\
## The disk is full

The journal has grown **without bound** since the last rotation; the service that writes it was \
restarted 41 times in the last hour.

1. `journalctl --vacuum-size=1G` frees 12 GB at once.
2. Set a limit in *journald.conf*, so that it stays free.

| mount | used | what fills it |
|---|---|---|
| / | 98 % | /var/log/journal |
| /home | 41 % | nothing unusual |
";

fn run() -> Report {
    let broken = ToolCallReport {
        tool: "smart".into(),
        arguments: json!({"device": "/dev/sda", "verbose": true}),
        status: ToolStatus::Failed,
        exit_code: Some(2),
        output: "smartctl 7.4\nerror: cannot open /dev/sda: Permission denied\n[exit code 2]"
            .into(),
        ..tool_call()
    };
    let mut disk = with_calls(answered("disk", ANSWER), vec![tool_call(), broken]);
    disk.duration_ms = 900;
    let net = failed("net", ErrorKind::RateLimited, "429 Too Many Requests: slow down, please");
    let summary = AgentReport {
        started_ms: Some(901),
        duration_ms: 1239,
        needs: vec!["disk".into(), "net".into()],
        ..answered("summary", "Free the journal first.")
    };
    Report { answer_of: Some("summary".into()), ..report(vec![summary, disk, net]) }
}

fn shown(width: usize) -> String {
    let look = Look { width, summary_follows: true, wraps: true, markdown: true, ..Look::PLAIN };
    let mut out = Vec::new();
    text(&run(), look, &mut out).unwrap();
    out.push(b'\n');
    summary(&run(), look, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_report_fits_its_terminal() {
    let mut changed = String::new();
    for (width, expected) in [
        (40, include_str!("snapshots/40.txt")),
        (80, include_str!("snapshots/80.txt")),
        (120, include_str!("snapshots/120.txt")),
    ] {
        let text = shown(width);
        if text != expected {
            changed.push_str(&format!("=== {width}\n{text}"));
        }
    }
    assert!(changed.is_empty(), "{changed}");
}
