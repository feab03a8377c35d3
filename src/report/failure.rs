//! The cause of a failed tool call, in one line.

use super::calls::{ToolCallReport, ToolStatus};
use crate::text::{inline, truncate};

/// Characters of a cause.
const MAX_CAUSE: usize = 200;
const NOT_RUN: &str = "not run: ";

impl ToolCallReport {
    /// Why the call failed: `exit 3: error: boom`, `no such program: kubectl`. `None` for a call
    /// that succeeded or was stopped.
    pub fn cause(&self) -> Option<String> {
        let (words, note) = self.words_and_note();
        let note = note.unwrap_or_default();
        let cause = match self.status {
            ToolStatus::Succeeded | ToolStatus::Cancelled | ToolStatus::TimedOut => return None,
            ToolStatus::Rejected => note.strip_prefix(NOT_RUN).unwrap_or(note).to_owned(),
            ToolStatus::Failed => match (self.exit_code, &self.signal) {
                (_, Some(signal)) => with(signal, telling(words)),
                (Some(code), None) => with(&format!("exit {code}"), telling(words)),
                (None, None) if note.is_empty() => telling(words).to_owned(),
                (None, None) => note.to_owned(),
            },
        };
        Some(truncate(inline(&cause).into_owned(), MAX_CAUSE))
    }

    /// The last `count` lines of what the tool wrote.
    pub fn last_lines(&self, count: usize) -> impl Iterator<Item = &str> {
        let lines: Vec<&str> = self.words_and_note().0.trim_end().lines().collect();
        let start = lines.len().saturating_sub(count);
        lines.into_iter().skip(start)
    }

    /// The output without crew's note at its end, and the note.
    fn words_and_note(&self) -> (&str, Option<&str>) {
        let output = self.output.trim_end();
        let start = output.rfind('\n').map_or(0, |at| at + 1);
        let note = output[start..].strip_prefix('[').and_then(|note| note.strip_suffix(']'));
        match note {
            Some(note) if self.status != ToolStatus::Succeeded => (&output[..start], Some(note)),
            _ => (output, None),
        }
    }
}

/// The line that says most: the first that begins like an error, else the last.
fn telling(words: &str) -> &str {
    let lines = || words.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_error =
        |line: &&str| line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error"));
    lines().find(is_error).or_else(|| lines().next_back()).unwrap_or_default()
}

fn with(end: &str, words: &str) -> String {
    if words.is_empty() { end.to_owned() } else { format!("{end}: {words}") }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn failed(output: &str, exit_code: Option<i32>, signal: Option<&str>) -> ToolCallReport {
        ToolCallReport {
            tool: "t".into(),
            arguments: Value::Null,
            status: ToolStatus::Failed,
            exit_code,
            signal: signal.map(Into::into),
            http_status: None,
            started_ms: 0,
            duration_ms: 2000,
            output: output.into(),
            truncated: false,
            leaked: false,
            stopped_by: None,
        }
    }

    #[test]
    fn the_cause_is_one_telling_line() {
        for (output, code, signal, expected) in [
            ("a\nerror: boom\nhelp\n[exit code 3]", Some(3), None, "exit 3: error: boom"),
            (
                "Traceback\n  x\nKeyError: 'a'\n[exit code 1]",
                Some(1),
                None,
                "exit 1: KeyError: 'a'",
            ),
            ("[exit code 2]", Some(2), None, "exit 2"),
            ("so far\n[ended by SIGSEGV]", None, Some("SIGSEGV"), "SIGSEGV: so far"),
            ("[no such program: kubectl]", None, None, "no such program: kubectl"),
            ("the disk\u{1b}[2J is\u{202e} full", None, None, "the disk is full"),
        ] {
            assert_eq!(failed(output, code, signal).cause().as_deref(), Some(expected));
        }
    }

    #[test]
    fn other_endings_have_their_own_words() {
        let with = |status, output| ToolCallReport { status, ..failed(output, None, None) };
        let cause = |status, output| with(status, output).cause();
        assert_eq!(cause(ToolStatus::TimedOut, "x"), None);
        let rejected = cause(ToolStatus::Rejected, "[not run: the arguments do not match]");
        assert_eq!(rejected.as_deref(), Some("the arguments do not match"));
        assert_eq!(cause(ToolStatus::Succeeded, "[x]"), None);
        assert_eq!(cause(ToolStatus::Cancelled, "[x]"), None);
    }

    #[test]
    fn the_last_lines_are_the_tools_own() {
        let call = failed("1\n2\n3\n[exit code 1]", Some(1), None);
        assert_eq!(call.last_lines(2).collect::<Vec<_>>(), ["2", "3"]);
        assert_eq!(call.last_lines(9).count(), 3);
    }
}
