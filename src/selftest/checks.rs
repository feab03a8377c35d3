//! Checks whether a run ended as promised: a pure function of what was observed.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::case::{Case, Ends, Expect};
use crate::process::Survivor;
use crate::report::millis;

/// The time that a busy machine may add to a limit. crew can keep a promise only while the kernel
/// schedules it: on one core shared with two other programs it may have to wait.
pub const SLACK: Duration = Duration::from_millis(400);
/// The promised time from a stop until every call is closed.
const CALLS_LIMIT: Duration = Duration::from_millis(50);

/// What was observed of one run of crew.
#[derive(Debug)]
pub struct Observed {
    pub status: ExitStatus,
    /// `None` if the case closed it.
    pub stdout: Option<String>,
    pub stderr: String,
    /// The time from the last event to the end of crew and its tools.
    pub took: Duration,
    /// The names of the agents in the order of the file.
    pub agents: Vec<String>,
    pub calls_open: usize,
    /// The time from the last event until the last call was closed.
    pub calls_closed: Option<Duration>,
    /// Processes still alive after the end.
    pub left: Vec<Survivor>,
}

/// A broken promise, or another reason why a case failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub text: String,
    /// The reason may be a busy machine.
    pub is_late: bool,
}

impl Violation {
    pub fn late(text: String) -> Self {
        Self { text, is_late: true }
    }
}

impl From<String> for Violation {
    fn from(text: String) -> Self {
        Self { text, is_late: false }
    }
}

/// Returns every violation.
pub fn violations(case: &Case, observed: &Observed) -> Vec<Violation> {
    let mut violations = Vec::new();
    if let Some(text) = still_alive(&observed.left) {
        violations.push(text.into());
    }
    if !is_expected(case.ends, observed.status) {
        violations
            .push(format!("crew ended with {}, expected {}", observed.status, case.ends).into());
    }
    if observed.left.is_empty() && observed.took > case.promise.limit + SLACK {
        let (took, limit) = (millis(observed.took), millis(case.promise.limit));
        violations.push(Violation::late(format!("it took {took}ms, the limit is {limit}ms")));
    }
    if observed.calls_open > 0 {
        violations.push(Violation::late(format!("{} calls are still open", observed.calls_open)));
    }
    let is_stopped = case.ends == Ends::ByAny || matches!(case.ends, Ends::By(_));
    if let Some(closed) = observed.calls_closed.filter(|closed| *closed > CALLS_LIMIT + SLACK)
        && is_stopped
    {
        let closed = millis(closed);
        violations.push(Violation::late(format!(
            "calls were closed after {closed}ms, the limit is {CALLS_LIMIT:?}"
        )));
    }
    match &observed.stdout {
        Some(stdout) if case.inputs.is_some() => violations.extend(missing_lines(case, stdout)),
        Some(stdout) if case.ends != Ends::By(Signal::SIGKILL) => {
            violations.extend(report_violations(case, observed, stdout));
        }
        _ => {}
    }
    for expect in case.expect {
        if let Expect::Lines(number, word) = expect {
            let lines = observed.stderr.lines().filter(|line| line.contains(word)).count();
            if lines != *number {
                violations.push(
                    format!("{lines} lines on stderr contain {word:?}, expected {number}").into(),
                );
            }
        }
    }
    violations
}

/// Describes the processes that are still alive; `None` if there are none.
pub fn still_alive(survivors: &[Survivor]) -> Option<String> {
    let (first, others) = survivors.split_first()?;
    let others = match others.len() {
        0 => String::new(),
        number => format!(" and {number} more"),
    };
    Some(format!("still alive: process {} ({}){others}", first.pid, first.command))
}

fn is_expected(ends: Ends, status: ExitStatus) -> bool {
    let by = |signal: Signal| status.signal() == Some(signal as i32);
    match ends {
        Ends::Exit(code) => status.code() == Some(code.into()),
        Ends::By(signal) => by(signal),
        Ends::ByAny => [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM].into_iter().any(by),
    }
}

/// A batch that was stopped prints a line for each of its inputs.
fn missing_lines(case: &Case, stdout: &str) -> Option<Violation> {
    let is_cancelled = |line: &&str| {
        let line: Result<Value, _> = serde_json::from_str(line);
        line.is_ok_and(|line| line["status"] == "cancelled")
    };
    let lines = stdout.lines().filter(is_cancelled).count();
    let inputs = if case.ends == Ends::By(Signal::SIGKILL) { 0 } else { case.times() };
    let found = format!("{lines} of {inputs} inputs were reported as cancelled");
    (lines != inputs || stdout.lines().count() != inputs).then(|| found.into())
}

fn report_violations(case: &Case, observed: &Observed, stdout: &str) -> Vec<Violation> {
    let report: Value = match serde_json::from_str(stdout) {
        Ok(report) => report,
        Err(_) if stdout.is_empty() => return vec!["there is no report".to_owned().into()],
        Err(error) => return vec![format!("the report is not one JSON document: {error}").into()],
    };
    let mut violations = Vec::new();
    let names = |agents: &serde_json::Map<String, Value>| agents.keys().cloned().collect();
    let listed: Vec<String> = report["agents"].as_object().map(names).unwrap_or_default();
    if listed != observed.agents {
        violations.push(
            format!("the report lists {} of {} agents", listed.len(), observed.agents.len()).into(),
        );
    }
    let code = observed.status.code().or(observed.status.signal().map(|signal| 128 + signal));
    if report["exit_code"].as_i64() != code.map(i64::from) {
        violations.push(format!("exit_code is {} in the report", report["exit_code"]).into());
    }
    if report.pointer("/cleanup/survivors") != Some(&Value::Array(Vec::new())) {
        violations
            .push(format!("survivors is {} in the report", report["cleanup"]["survivors"]).into());
    }
    for expect in case.expect {
        let found = |pointer| report.pointer(pointer).unwrap_or(&Value::Null);
        match *expect {
            Expect::Is(pointer, value) if *found(pointer) != value.json() => {
                violations.push(
                    format!("{pointer} is {}, expected {}", found(pointer), value.json()).into(),
                );
            }
            Expect::AtMost(pointer, max)
                if found(pointer).as_u64().is_none_or(|number| number > max) =>
            {
                violations.push(Violation::late(format!(
                    "{pointer} is {}, the maximum is {max}",
                    found(pointer)
                )));
            }
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selftest::cases::{CASES, find};

    const REPORT: &str =
        r#"{"agents": {"deaf": {}}, "exit_code": 130, "cleanup": {"survivors": []}}"#;

    fn case(name: &str) -> &'static Case {
        find(name).unwrap_or(&CASES[0])
    }

    fn good() -> Observed {
        Observed {
            status: ExitStatus::from_raw(Signal::SIGINT as i32),
            stdout: Some(REPORT.to_owned()),
            stderr: String::new(),
            took: Duration::from_millis(310),
            agents: vec!["deaf".to_owned()],
            calls_open: 0,
            calls_closed: None,
            left: Vec::new(),
        }
    }

    #[test]
    fn a_run_that_ends_as_promised_has_no_violations() {
        assert_eq!(violations(case("family"), &good()), []);
    }

    #[test]
    fn each_broken_promise_is_one_violation() {
        let survivor = Survivor { pid: 7, command: "sleep 9".to_owned() };
        let changed = |text: &str, by: &str| Some(REPORT.replace(text, by));
        for (expected, observed) in [
            ("still alive: process 7 (sleep 9) and 1 more", {
                Observed { left: vec![survivor.clone(), survivor], ..good() }
            }),
            ("it took 1210ms", Observed { took: Duration::from_millis(1210), ..good() }),
            ("3 calls are still open", Observed { calls_open: 3, ..good() }),
            ("calls were closed after 500ms", {
                Observed { calls_closed: Some(Duration::from_millis(500)), ..good() }
            }),
            ("there is no report", Observed { stdout: Some(String::new()), ..good() }),
            ("not one JSON document", Observed { stdout: Some(REPORT.repeat(2)), ..good() }),
            ("lists 0 of 1", Observed { stdout: changed(r#""deaf": {}"#, ""), ..good() }),
            ("exit_code is 0", Observed { stdout: changed("130", "0"), ..good() }),
            ("survivors is [1]", Observed { stdout: changed("[]", "[1]"), ..good() }),
            ("crew ended with signal: 15", {
                let stdout = changed("130", "143");
                Observed { status: ExitStatus::from_raw(15), stdout, ..good() }
            }),
        ] {
            let found = violations(case("family"), &observed);
            assert!(found.len() == 1 && found[0].text.contains(expected), "{expected}: {found:?}");
        }
    }

    #[test]
    fn a_batch_that_was_stopped_has_a_line_for_each_input() {
        let batch = case("batch-deaf");
        let lines = "{\"status\": \"cancelled\"}\n".repeat(batch.times());
        let observed = |stdout: &str| Observed { stdout: Some(stdout.to_owned()), ..good() };
        assert_eq!(violations(batch, &observed(&lines)), []);
        for wrong in [&lines[1..], "", &lines.replace("cancelled", "failed")] {
            let found = violations(batch, &observed(wrong));
            assert!(
                found.len() == 1 && found[0].text.contains("inputs were reported"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn the_further_expectations_of_a_case_are_checked() {
        let report = REPORT.replace("deaf", "leaver").replace(
            "{}",
            r#"{"status": "succeeded", "tool_calls": [{"leaked": true, "duration_ms": 1001}]}"#,
        );
        let observed =
            Observed { agents: vec!["leaver".to_owned()], stdout: Some(report), ..good() };
        let pointer = "/agents/leaver/tool_calls/0/duration_ms";
        let expected = Violation::late(format!("{pointer} is 1001, the maximum is 1000"));
        assert_eq!(violations(case("leaver"), &observed), [expected]);
        let observed =
            Observed { stderr: "a guardian process\nno guardian process\n".to_owned(), ..good() };
        let found = violations(case("guardian-killed"), &observed);
        assert!(
            found.iter().any(|violation| violation.text.starts_with("2 lines on stderr")),
            "{found:?}"
        );
    }
}
