//! What a person sees of a finished run, whole, in terminals of three widths.

#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::fixtures::{answered, ended_by, failed, report, tool_call, with_calls};
use super::{Look, summary, text};
use crate::report::{
    AgentKind, AgentReport, AgentStatus, CancelKind, CancelReason, CheckReport, ErrorKind, Report,
    StepReport, ToolCallReport, ToolStatus, Usage,
};

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

const FIX: &str = "\
# Fixed

- **total** was misspelled in `src/part3.rs`,
- and the test now covers it, so that the same mistake cannot come back with the next change.

```rust
let total: u64 = items.iter().map(|item| item.price * item.count).filter(|price| *price > 0).sum();
```
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

/// More agents than the table lists: steps, instances, checks, and agents that were skipped.
fn audit() -> Report {
    let diff = step("diff", StepReport { exit_code: Some(0), ..StepReport::default() });
    let mut build = step(
        "build",
        StepReport {
            exit_code: Some(101),
            stderr: "   Compiling shop v0.3.0\nerror[E0425]: cannot find value `totl`\n".into(),
            ..StepReport::default()
        },
    );
    (build.status, build.output) = (AgentStatus::Failed, None);
    build.error = failed("build", ErrorKind::Step, "exit 101: cannot find value `totl`").error;
    let instance = |number: usize| {
        let key = format!("src/part{number}.rs");
        let name = AgentReport::instance_name("review", &key);
        let mut item = match number {
            3 => failed(&name, ErrorKind::Overloaded, "500 (after 3 attempts in 0.9s)"),
            _ => answered(&name, "Nothing to report."),
        };
        (item.started_ms, item.duration_ms) = (Some(20), 100 * number as u64);
        item.retries = if number == 3 { 2 } else { 0 };
        AgentReport { key: Some(key), needs: vec!["diff".into()], ..item }
    };
    let message = "1 of 14 instances failed: review[src/part3.rs]";
    let review = AgentReport {
        items: Some((0..14).map(instance).collect()),
        started_ms: Some(20),
        duration_ms: 1310,
        needs: vec!["diff".into()],
        ..failed("review", ErrorKind::ForEach, message)
    };
    let mut fix = answered("fix", FIX);
    fix.checks = vec![
        check(ToolStatus::Failed, "test totals ... FAILED\n1 of 8 tests failed\n[exit code 101]"),
        check(ToolStatus::Succeeded, "8 tests passed\n"),
    ];
    (fix.started_ms, fix.retries) = (Some(1330), 1);
    fix.needs = vec!["diff".into(), "build".into(), "review".into()];
    let deploy = ended_by("deploy", AgentStatus::Skipped, CancelReason::agent_failed("build"));
    let announce = ended_by("announce", AgentStatus::Skipped, CancelKind::When.into());
    let verdict = AgentReport {
        data: Some(json!({"severity": "high", "files": ["src/part3.rs"]})),
        started_ms: Some(3230),
        duration_ms: 0,
        needs: vec!["fix".into()],
        ..answered("verdict", "")
    };
    let agents = vec![diff, build, review, fix, deploy, announce, verdict];
    Report { answer_of: Some("verdict".into()), crew: "audit".into(), ..report(agents) }
}

fn step(name: &str, step: StepReport) -> AgentReport {
    AgentReport {
        kind: AgentKind::Step,
        model: String::new(),
        step: Some(step),
        usage: Usage::default(),
        duration_ms: 12,
        ..answered(name, "+ let total = 0;\n")
    }
}

fn check(status: ToolStatus, output: &str) -> CheckReport {
    CheckReport {
        status,
        exit_code: Some(if status == ToolStatus::Succeeded { 0 } else { 101 }),
        signal: None,
        started_ms: 2000,
        duration_ms: 640,
        output: output.into(),
        truncated: false,
        leaked: false,
        stopped_by: None,
    }
}

fn shown(report: &Report, width: usize) -> String {
    let look = Look { width, wraps: true, ..Look::PLAIN };
    let mut out = Vec::new();
    let above = Look { summary_follows: true, markdown: true, ..look };
    text(report, above, &mut out).unwrap();
    out.push(b'\n');
    summary(report, Look { report_precedes: true, ..look }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_report_fits_its_terminal() {
    let mut changed = String::new();
    for (name, report, width, expected) in [
        ("it-support", run(), 40, include_str!("snapshots/40.txt")),
        ("it-support", run(), 80, include_str!("snapshots/80.txt")),
        ("it-support", run(), 120, include_str!("snapshots/120.txt")),
        ("audit", audit(), 40, include_str!("snapshots/audit-40.txt")),
        ("audit", audit(), 80, include_str!("snapshots/audit-80.txt")),
        ("audit", audit(), 120, include_str!("snapshots/audit-120.txt")),
    ] {
        let text = shown(&report, width);
        if text != expected {
            changed.push_str(&format!("=== {name} {width}\n{text}"));
        }
    }
    assert!(changed.is_empty(), "{changed}");
}
