//! The findings in the structured answers of a crew: what review agents say about lines of files.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use crate::report::{AgentReport, AgentStatus, Report};
use crate::text::{inline, sanitize, truncate};

/// The most that code scanning services take of one file.
const MAX_FINDINGS: usize = 25_000;
/// Characters of a message and of the name of a rule.
const MAX_MESSAGE: usize = 8_000;
const MAX_RULE: usize = 100;
/// Readers keep lines in 32 bits.
const MAX_LINE: u64 = i32::MAX as u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Error,
    Warning,
    Note,
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// What an agent says about a place in a file. All texts are safe to show; `file`, `rule` and
/// `agent` are one line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// Relative, without `.` and `..`.
    pub file: String,
    /// From 1.
    pub line: Option<u64>,
    /// Not before `line`.
    pub end_line: Option<u64>,
    pub level: Level,
    pub rule: String,
    pub message: String,
}

/// The findings of all agents that succeeded, each once, the most severe ones first.
#[derive(Debug, Default)]
pub struct Findings {
    pub found: Vec<Finding>,
    /// Why some are missing.
    pub notes: Vec<String>,
}

impl Findings {
    pub fn of(report: &Report) -> Self {
        let agents = report.agents.iter().flat_map(AgentReport::with_instances);
        let succeeded = agents.filter(|agent| agent.status == AgentStatus::Succeeded);
        let values = succeeded.filter_map(|agent| agent.data.as_ref()?.get("findings")?.as_array());
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let (mut incomplete, mut outside, mut too_many) = (0, 0, 0);
        for value in values.flatten() {
            match finding(value) {
                Ok(finding) if seen.contains(&finding) => {}
                Ok(_) if found.len() == MAX_FINDINGS => too_many += 1,
                Ok(finding) => {
                    seen.insert(finding.clone());
                    found.push(finding);
                }
                Err(LeftOut::Incomplete) => incomplete += 1,
                Err(LeftOut::Outside) => outside += 1,
            }
        }
        found.sort_by_key(|finding| finding.level);
        let notes = [
            (outside, "file is not a relative path inside the folder"),
            (incomplete, "`file` or `message` is missing"),
            (too_many, "number is over 25000"),
        ];
        let notes = notes.into_iter().filter(|(count, _)| *count > 0);
        let note = |(count, why)| match count {
            1 => format!("1 finding was left out: its {why}"),
            _ => format!("{count} findings were left out: their {why}"),
        };
        Self { found, notes: notes.map(note).collect() }
    }
}

enum LeftOut {
    Incomplete,
    Outside,
}

fn finding(value: &Value) -> Result<Finding, LeftOut> {
    let text =
        |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let line =
        |key| value.get(key).and_then(Value::as_u64).filter(|line| (1..=MAX_LINE).contains(line));
    let (Some(file), Some(message)) = (text("file"), text("message")) else {
        return Err(LeftOut::Incomplete);
    };
    let start = line("line");
    Ok(Finding {
        file: inside(file).ok_or(LeftOut::Outside)?,
        line: start,
        end_line: line("end_line").filter(|end| start.is_some_and(|start| *end >= start)),
        level: match text("level") {
            Some("error") => Level::Error,
            Some("note" | "notice" | "info") => Level::Note,
            _ => Level::Warning,
        },
        rule: truncate(inline(text("rule").unwrap_or("finding")).into_owned(), MAX_RULE),
        message: truncate(sanitize(message).trim().to_owned(), MAX_MESSAGE),
    })
}

/// The path without `.` and `..`. `None` for one that leads out of the folder, or is not the name
/// of a file.
fn inside(path: &str) -> Option<String> {
    let path = path.trim();
    if inline(path) != path || path.starts_with('/') || path.ends_with('/') || path.contains('\\') {
        return None;
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            // A drive or the scheme of an address.
            part if parts.is_empty() && part.ends_with(':') => return None,
            part => parts.push(part),
        }
    }
    if parts.is_empty() || parts[0].get(1..2) == Some(":") { None } else { Some(parts.join("/")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_folder() {
        for (path, expected) in [
            ("src/main.rs", Some("src/main.rs")),
            ("./src//a/../b c.rs", Some("src/b c.rs")),
            ("a:b", None),
            ("dir/a:b", Some("dir/a:b")),
            ("...", Some("...")),
            ("/etc/passwd", None),
            ("../x", None),
            ("a/../../x", None),
            ("a/..", None),
            ("C:/x", None),
            ("a\\b", None),
            ("file:///etc/passwd", None),
            ("https://evil.example/x", None),
            ("a\nb", None),
            ("a\u{202e}b", None),
            ("src/", None),
            (".", None),
        ] {
            assert_eq!(inside(path).as_deref(), expected, "{path:?}");
        }
    }
}
