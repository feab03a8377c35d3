//! The words for the names and numbers of the report.

use std::fmt;
use std::time::Duration;

use anstyle::Style;
use serde::Serialize;

use super::paint::{BAD, GOOD, WARN};
use crate::report::{AgentError, AgentStatus, CancelKind, CancelReason, Cost, ToolStatus, Usage};
use crate::text::{inline, truncate};

/// Characters of the condition that an agent was skipped by.
const MAX_CONDITION: usize = 80;

/// A value of the report by the name it has in the JSON, so that each is found in the other.
struct Name<T>(T);

impl<T: Serialize> fmt::Display for Name<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.serialize(formatter)
    }
}

/// A status of the report as the JSON has it: `timed_out`.
pub fn name(value: impl Serialize) -> String {
    Name(value).to_string()
}

/// A status of the report in words: `timed out`.
pub fn status(status: impl Serialize) -> String {
    name(status).replace('_', " ")
}

pub fn mark(status: AgentStatus) -> &'static str {
    match status {
        AgentStatus::Succeeded => "✓",
        AgentStatus::Failed | AgentStatus::TimedOut => "✗",
        AgentStatus::Cancelled | AgentStatus::Skipped => "⊘",
    }
}

pub fn agent_style(status: AgentStatus) -> Style {
    match status {
        AgentStatus::Succeeded => GOOD,
        AgentStatus::Failed | AgentStatus::TimedOut => BAD,
        AgentStatus::Cancelled | AgentStatus::Skipped => WARN,
    }
}

pub fn tool_style(status: ToolStatus) -> Style {
    match status {
        ToolStatus::Succeeded => GOOD,
        ToolStatus::Failed | ToolStatus::TimedOut => BAD,
        ToolStatus::Cancelled | ToolStatus::Rejected => WARN,
    }
}

/// `timeout (agent): no answer within 30s`, on one line and safe to show.
pub fn error(error: &AgentError) -> String {
    let kind = Name(error.kind);
    let message = inline(&error.message);
    match error.scope {
        Some(scope) => format!("{kind} ({}): {message}", Name(scope)),
        None => format!("{kind}: {message}"),
    }
}

/// The reason why something was stopped.
pub fn reason(reason: &CancelReason) -> String {
    if let CancelReason { kind: CancelKind::When, agent: None, expression: Some(condition) } =
        reason
    {
        let condition = truncate(inline(condition).into_owned(), MAX_CONDITION);
        return format!("when {condition} is false");
    }
    match (reason.kind, &reason.agent) {
        (CancelKind::AgentFailed, Some(agent)) => format!("{} failed", inline(agent)),
        (CancelKind::When, Some(agent)) => format!("the condition of {} is false", inline(agent)),
        (kind, _) => cancel_kind(kind).to_owned(),
    }
}

pub fn cancel_kind(kind: CancelKind) -> &'static str {
    match kind {
        CancelKind::When => "its condition is false",
        CancelKind::FailIf => "fail_if holds",
        CancelKind::ToolTimeout => "tool timeout",
        CancelKind::AgentTimeout => "agent timeout",
        CancelKind::AgentFailed => "another agent failed",
        CancelKind::OutputClosed => "stdout was closed",
        CancelKind::Drained => "the batch was asked to stop",
        CancelKind::Timeout => "run timeout",
        CancelKind::Hangup => "ended by SIGHUP",
        CancelKind::Terminated => "terminated by SIGTERM",
        CancelKind::Interrupted => "interrupted by Ctrl-C",
    }
}

/// How long something took: `<1ms`, `12ms`, `1.9s`, `2m05s`, `1h02m`; rounded down, so that no limit
/// seems to be exceeded.
pub fn millis(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 if ms == 0 => "<1ms".to_owned(),
        0 => format!("{ms}ms"),
        1..60 => format!("{seconds}.{}s", ms % 1000 / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

pub fn duration(duration: Duration) -> String {
    millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// A limit as it is written in a file: `2s`, not `2.0s`.
pub fn limit(limit: Duration) -> String {
    match (limit.as_secs(), limit.subsec_millis()) {
        (0, 0) => "0ms".to_owned(),
        (seconds @ 1..60, 0) => format!("{seconds}s"),
        _ => duration(limit),
    }
}

/// `7.2k in, 194 out`, with `~` before it if some of them are estimated, or `None` without any.
pub fn tokens(usage: &Usage) -> Option<String> {
    let (read, written) = (usage.input_tokens, usage.output_tokens);
    let about = if usage.estimated_tokens > 0 { "~" } else { "" };
    let tokens = || format!("{about}{} in, {} out", short(read), short(written));
    (read > 0 || written > 0).then(tokens)
}

/// `812`, `7.2k`, `1.3M`; rounded down.
pub fn short(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => format!("{}.{}k", number / 1_000, number % 1_000 / 100),
        _ => format!("{}.{}M", number / 1_000_000, number % 1_000_000 / 100_000),
    }
}

/// `0.7s`, `12.3s`, `2m05s`: one form for a column of times.
pub fn tenths(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds}.{}s", time.subsec_millis() / 100),
        _ => duration(time),
    }
}

/// The time of a log line since the start of the run: `00:01.9`, `1:02:03.4`.
pub fn clock(time: Duration) -> String {
    let (seconds, tenth) = (time.as_secs(), time.subsec_millis() / 100);
    let (minutes, rest) = (seconds / 60, seconds % 60);
    match minutes {
        0..60 => format!("{minutes:02}:{rest:02}.{tenth}"),
        _ => format!("{}:{:02}:{rest:02}.{tenth}", minutes / 60, minutes % 60),
    }
}

/// `cost 0.0123`, or `cost 0.0123 and 2 unpriced calls`; `None` if nothing is known.
pub fn cost(cost: Cost) -> Option<String> {
    let known = format!("cost {}", amount(cost.known?));
    Some(match cost.unpriced_calls {
        0 => known,
        calls => format!("{known} and {}", count(calls, "unpriced call", "unpriced calls")),
    })
}

/// `0.0123`. A cost that is not zero never looks like zero.
pub fn amount(cost: f64) -> String {
    match cost {
        0.0 => "0".to_owned(),
        small if small < 0.0001 => "< 0.0001".to_owned(),
        cost => format!("{cost:.4}"),
    }
}

/// `1 process`, `2 processes`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Each key once, in the order of its first appearance, with all that belongs to it. Many agents of
/// a large crew end alike.
pub fn grouped<K: PartialEq, T>(all: impl IntoIterator<Item = (K, T)>) -> Vec<(K, Vec<T>)> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for (key, one) in all {
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(one),
            None => groups.push((key, vec![one])),
        }
    }
    groups
}

pub fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// `a, b, c`, or `a, b, c and 4 more`.
pub fn names<'a>(names: impl IntoIterator<Item = &'a str>, max: usize) -> String {
    let names: Vec<_> = names.into_iter().collect();
    let shown: Vec<_> = names.iter().take(max).map(|name| inline(name)).collect();
    match names.len().saturating_sub(max) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{ErrorKind, Scope};

    #[test]
    fn durations_are_short_and_never_rounded_up() {
        for (ms, text) in [
            (0, "<1ms"),
            (999, "999ms"),
            (1000, "1.0s"),
            (1999, "1.9s"),
            (59_999, "59.9s"),
            (60_000, "1m00s"),
            (125_900, "2m05s"),
            (3_720_000, "1h02m"),
            (u64::MAX, "5124095576030h25m"),
        ] {
            assert_eq!(millis(ms), text);
        }
        assert_eq!(limit(Duration::from_secs(2)), "2s");
        assert_eq!(limit(Duration::from_millis(1500)), "1.5s");
        assert_eq!(limit(Duration::ZERO), "0ms");
    }

    #[test]
    fn tokens_and_times_are_short() {
        for (number, text) in
            [(999, "999"), (7202, "7.2k"), (999_999, "999.9k"), (1_250_000, "1.2M")]
        {
            assert_eq!(short(number), text);
        }
        assert_eq!(clock(Duration::from_millis(61_950)), "01:01.9");
        assert_eq!(clock(Duration::from_secs(3_723)), "1:02:03.0");
    }

    #[test]
    fn a_status_is_its_name_in_the_json() {
        assert_eq!(status(AgentStatus::TimedOut), "timed out");
        assert_eq!(status(ToolStatus::Rejected), "rejected");
    }

    #[test]
    fn errors_are_one_harmless_line() {
        let hostile = AgentError {
            kind: ErrorKind::Timeout,
            scope: Some(Scope::Agent),
            message: "no\u{1b}[2J answer\nwithin 30s".into(),
            used_up: false,
        };
        assert_eq!(error(&hostile), "timeout (agent): no answer within 30s");
        assert_eq!(
            error(&AgentError { scope: None, kind: ErrorKind::MaxTurns, ..hostile }),
            "max_turns: no answer within 30s"
        );
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(names(["a", "b"], 2), "a, b");
        assert_eq!(names(["a", "b\u{7}", "c", "d"], 2), "a, b and 2 more");
        assert_eq!(count(1, "process", "processes"), "1 process");
        assert_eq!(count(0, "process", "processes"), "0 processes");
    }

    #[test]
    fn a_reason_names_the_agent_that_failed() {
        assert_eq!(reason(&CancelReason::agent_failed("net")), "net failed");
        assert_eq!(reason(&CancelKind::Interrupted.into()), "interrupted by Ctrl-C");
        let condition = CancelReason::condition_false("a.b\n  > \u{1b}3".to_owned());
        assert_eq!(reason(&condition), format!("when {} is false", inline("a.b\n  > \u{1b}3")));
        let long = reason(&CancelReason::condition_false("x".repeat(500)));
        assert_eq!(long, format!("when {}… is false", "x".repeat(79)));
    }
}
