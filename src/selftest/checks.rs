//! Whether a run ended as promised: a pure function of what was seen of it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::case::{Case, Ends, Expect};
use super::strays::Stray;
use crate::report::millis;

/// What a busy machine may add to a promise. It is a promise of the kernel's as well, that crew
/// gets to run at all: on one core shared with two other programs, say, this takes a while.
pub const SLACK: Duration = Duration::from_millis(400);
/// How long after a stop every model call is closed, as promised.
const CALLS_CLOSED: Duration = Duration::from_millis(50);

/// What was seen of one run of crew after its end.
#[derive(Debug)]
pub struct Seen {
    pub status: ExitStatus,
    /// `None` if nobody was there to read it.
    pub stdout: Option<String>,
    pub stderr: String,
    /// From the last thing that happened to crew to its end and that of its tools.
    pub took: Duration,
    /// Names, in the order of the file.
    pub agents: Vec<String>,
    pub calls_open: usize,
    /// From the last thing that happened to crew until the last call was closed.
    pub calls_closed: Option<Duration>,
    /// Alive when all should have been over.
    pub left: Vec<Stray>,
}

/// What did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    pub text: String,
    /// It may have been the machine, which had other things to do.
    pub is_late: bool,
}

impl Failing {
    pub fn late(text: String) -> Self {
        Self { text, is_late: true }
    }
}

impl From<String> for Failing {
    fn from(text: String) -> Self {
        Self { text, is_late: false }
    }
}

/// Everything that did not hold.
pub fn failings(case: &Case, seen: &Seen) -> Vec<Failing> {
    let mut failings = Vec::new();
    if let Some(left) = left(&seen.left) {
        failings.push(left.into());
    }
    if !ended_so(case.ends, seen.status) {
        failings.push(format!("crew ended with {}, not with {}", seen.status, case.ends).into());
    }
    if seen.left.is_empty() && seen.took > case.promise.limit + SLACK {
        let (took, limit) = (millis(seen.took), millis(case.promise.limit));
        failings.push(Failing::late(format!("it took {took}ms instead of {limit}ms")));
    }
    if seen.calls_open > 0 {
        failings
            .push(Failing::late(format!("the server still sees {} calls open", seen.calls_open)));
    }
    let is_stopped = case.ends == Ends::ByAny || matches!(case.ends, Ends::By(_));
    if let Some(closed) = seen.calls_closed.filter(|closed| *closed > CALLS_CLOSED + SLACK)
        && is_stopped
    {
        let closed = millis(closed);
        failings.push(Failing::late(format!(
            "calls were closed after {closed}ms instead of {CALLS_CLOSED:?}"
        )));
    }
    match &seen.stdout {
        Some(stdout) if case.ends != Ends::By(Signal::SIGKILL) => {
            failings.extend(report_failings(case, seen, stdout));
        }
        _ => {}
    }
    for expect in case.expect {
        if let Expect::Lines(number, word) = expect {
            let lines = seen.stderr.lines().filter(|line| line.contains(word)).count();
            if lines != *number {
                failings.push(
                    format!("{lines} lines of stderr speak of {word:?}, not {number}").into(),
                );
            }
        }
    }
    failings
}

/// `None` if nothing is.
pub fn left(strays: &[Stray]) -> Option<String> {
    let (first, others) = strays.split_first()?;
    let others = match others.len() {
        0 => String::new(),
        number => format!(" and {number} more"),
    };
    Some(format!("left alive: process {} ({}){others}", first.pid, first.command))
}

fn ended_so(ends: Ends, status: ExitStatus) -> bool {
    let by = |signal: Signal| status.signal() == Some(signal as i32);
    match ends {
        Ends::Exit(code) => status.code() == Some(code.into()),
        Ends::By(signal) => by(signal),
        Ends::ByAny => [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM].into_iter().any(by),
    }
}

fn report_failings(case: &Case, seen: &Seen, stdout: &str) -> Vec<Failing> {
    let report: Value = match serde_json::from_str(stdout) {
        Ok(report) => report,
        Err(_) if stdout.is_empty() => return vec!["there was no report".to_owned().into()],
        Err(error) => return vec![format!("the report is not one JSON document: {error}").into()],
    };
    let mut failings = Vec::new();
    let names = |agents: &serde_json::Map<String, Value>| agents.keys().cloned().collect();
    let listed: Vec<String> = report["agents"].as_object().map(names).unwrap_or_default();
    if listed != seen.agents {
        failings.push(
            format!("the report lists {} of {} agents", listed.len(), seen.agents.len()).into(),
        );
    }
    let code = seen.status.code().or(seen.status.signal().map(|signal| 128 + signal));
    if report["exit_code"].as_i64() != code.map(i64::from) {
        failings.push(format!("the report says exit_code {}", report["exit_code"]).into());
    }
    if report.pointer("/cleanup/survivors") != Some(&Value::Array(Vec::new())) {
        failings
            .push(format!("the report says survivors {}", report["cleanup"]["survivors"]).into());
    }
    for expect in case.expect {
        let found = |pointer| report.pointer(pointer).unwrap_or(&Value::Null);
        match *expect {
            Expect::Is(pointer, value) if *found(pointer) != value.json() => {
                failings
                    .push(format!("{pointer} is {}, not {}", found(pointer), value.json()).into());
            }
            Expect::AtMost(pointer, most)
                if found(pointer).as_u64().is_none_or(|number| number > most) =>
            {
                failings
                    .push(Failing::late(format!("{pointer} is {}, above {most}", found(pointer))));
            }
            _ => {}
        }
    }
    failings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selftest::cases::CASES;

    const REPORT: &str =
        r#"{"agents": {"deaf": {}}, "exit_code": 130, "cleanup": {"survivors": []}}"#;

    fn case(name: &str) -> &'static Case {
        CASES.iter().find(|case| case.name == name).unwrap_or(&CASES[0])
    }

    fn good() -> Seen {
        Seen {
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
    fn what_was_promised_has_no_faults() {
        assert_eq!(failings(case("family"), &good()), []);
    }

    #[test]
    fn each_broken_promise_is_one_fault() {
        let stray = Stray { pid: 7, command: "sleep 9".to_owned() };
        let changed = |text: &str, by: &str| Some(REPORT.replace(text, by));
        for (expected, seen) in [
            ("left alive: process 7 (sleep 9) and 1 more", {
                Seen { left: vec![stray.clone(), stray], ..good() }
            }),
            ("it took 1210ms", Seen { took: Duration::from_millis(1210), ..good() }),
            ("the server still sees 3", Seen { calls_open: 3, ..good() }),
            ("calls were closed after 500ms", {
                Seen { calls_closed: Some(Duration::from_millis(500)), ..good() }
            }),
            ("there was no report", Seen { stdout: Some(String::new()), ..good() }),
            ("not one JSON document", Seen { stdout: Some(REPORT.repeat(2)), ..good() }),
            ("lists 0 of 1", Seen { stdout: changed(r#""deaf": {}"#, ""), ..good() }),
            ("says exit_code 0", Seen { stdout: changed("130", "0"), ..good() }),
            ("says survivors [1]", Seen { stdout: changed("[]", "[1]"), ..good() }),
            ("crew ended with signal: 15", {
                let stdout = changed("130", "143");
                Seen { status: ExitStatus::from_raw(15), stdout, ..good() }
            }),
        ] {
            let found = failings(case("family"), &seen);
            assert!(found.len() == 1 && found[0].text.contains(expected), "{expected}: {found:?}");
        }
    }

    #[test]
    fn what_a_case_expects_besides_is_looked_at() {
        let report = REPORT.replace("deaf", "leaver").replace(
            "{}",
            r#"{"status": "succeeded", "tool_calls": [{"leaked": true, "duration_ms": 1001}]}"#,
        );
        let seen = Seen { agents: vec!["leaver".to_owned()], stdout: Some(report), ..good() };
        let pointer = "/agents/leaver/tool_calls/0/duration_ms";
        let expected = Failing::late(format!("{pointer} is 1001, above 1000"));
        assert_eq!(failings(case("leaver"), &seen), [expected]);
        let seen =
            Seen { stderr: "a guardian process\nno guardian process\n".to_owned(), ..good() };
        let found = failings(case("guardian-killed"), &seen);
        assert!(
            found.iter().any(|failing| failing.text.starts_with("2 lines of stderr")),
            "{found:?}"
        );
    }
}
