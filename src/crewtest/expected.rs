//! What has to hold of a report.

use std::path::{Path as FilePath, PathBuf};

use minijinja::Value;
use minijinja::value::Serde;

use super::mismatch::Mismatch;
use super::snapshot;
use crate::config::faults::FaultLog;
use crate::config::place::Path;
use crate::config::test_file::{ExpectConfig, StatusConfig};
use crate::plan::CrewPlan;
use crate::report::{Report, RunStatus, word};
use crate::template::{Expression, Template, unknown_callees};
use crate::text::{quoted, truncate};

/// The names that an expression may use: the fields of a report.
const FIELDS: [&str; 15] = [
    "agents",
    "answer",
    "answer_of",
    "cleanup",
    "crew",
    "duration_ms",
    "exit_code",
    "fail_if",
    "input",
    "reason",
    "run_id",
    "schema_version",
    "started_at",
    "status",
    "usage",
];
/// Characters of a value that a mismatch shows.
const MAX_SEEN: usize = 200;

/// What has to hold of the report of a test.
#[derive(Debug, Default)]
pub struct Expected {
    status: Option<RunStatus>,
    exit_code: Option<u64>,
    assertions: Vec<Expression>,
    pub snapshot: Option<PathBuf>,
}

/// A path in a test's file, which begins at the file's folder.
pub fn beside(file: &FilePath, text: &str) -> PathBuf {
    file.parent().unwrap_or(FilePath::new("")).join(text)
}

/// Checks what a test expects. Without any expectation, the run has to succeed.
pub fn check(
    config: Option<&ExpectConfig>,
    file: &FilePath,
    crew: &CrewPlan,
    log: &FaultLog,
) -> Expected {
    let Some(config) = config else {
        return Expected { status: Some(RunStatus::Succeeded), ..Expected::default() };
    };
    let root = Path::Root.key("expect");
    let assertions = root.key("assert");
    let assertion =
        |(at, text): (usize, &String)| assertion(text, crew, &assertions.index(at), log);
    let texts = config.assert.iter().flatten().map(|condition| &condition.0);
    let mut status = config.status.map(|status| match status {
        StatusConfig::Succeeded => RunStatus::Succeeded,
        StatusConfig::Failed => RunStatus::Failed,
        StatusConfig::TimedOut => RunStatus::TimedOut,
        StatusConfig::Cancelled => RunStatus::Cancelled,
    });
    if status.is_none() && config.exit_code.is_none() {
        status = Some(RunStatus::Succeeded);
    }
    Expected {
        status,
        exit_code: config.exit_code,
        assertions: texts.enumerate().filter_map(assertion).collect(),
        snapshot: config.snapshot.as_ref().map(|text| beside(file, text)),
    }
}

/// An expression whose names are in the report. `None`: a fault has been logged.
fn assertion(text: &str, crew: &CrewPlan, path: &Path<'_>, log: &FaultLog) -> Option<Expression> {
    let fault = |error| log.value(path, format!("invalid expression: {error}"), None);
    let expression = Expression::parse(text).map_err(fault).ok()?;
    for (callee, name) in unknown_callees(&expression.as_template()) {
        let hint = log.nearest(name, callee.names().iter().copied());
        log.word(path, name, format!("there is no {} {}", callee.word(), quoted(name)), hint);
    }
    let agents = || crew.agents.iter().map(|agent| agent.name.as_str());
    for name in expression.names() {
        let field = name.split('.').next().unwrap_or_default();
        if !FIELDS.contains(&field) && !Template::is_global(field) {
            let known = || format!("known: {}", FIELDS.join(", "));
            let hint = log.nearest(field, FIELDS).unwrap_or_else(known);
            log.word(path, field, format!("a report has no {}", quoted(field)), Some(hint));
        }
    }
    for name in expression.paths() {
        if let ["agents", agent, ..] = name.parts[..]
            && !agents().any(|known| known == agent)
        {
            let hint = log.nearest(agent, agents());
            log.word(path, agent, format!("there is no agent {}", quoted(agent)), hint);
        }
    }
    Some(expression)
}

impl Expected {
    /// What does not hold of a report. `update`: the snapshot is rewritten.
    pub fn compare(&self, report: &Report, update: bool) -> Vec<Mismatch> {
        let json = serde_json::to_value(report).unwrap_or_default();
        let mut found = Vec::new();
        if let Some(status) = self.status.filter(|status| *status != report.status) {
            let (name, seen) = (word(status), word(report.status));
            let message = format!("expected status {name}, found {seen}");
            found.push(Mismatch { message, seen: failures(report) });
        }
        if let Some(code) = self.exit_code.filter(|code| *code != u64::from(report.exit_code)) {
            let message = format!("expected exit code {code}, found {}", report.exit_code);
            found.push(Mismatch { message, seen: failures(report) });
        }
        let values = Value::from(Serde(&json));
        found.extend(self.assertions.iter().filter_map(|expression| refuted(expression, &values)));
        if let Some(path) = &self.snapshot {
            found.extend(snapshot::compare(path, report, update));
        }
        found
    }
}

/// Why an expression does not hold, if it does not.
fn refuted(expression: &Expression, values: &Value) -> Option<Mismatch> {
    let message = match expression.holds(values.clone()) {
        Ok(true) => return None,
        Ok(false) => format!("not true: {}", expression.source()),
        Err(error) => format!("{}: {error}", expression.source()),
    };
    let seen = expression.seen(&FIELDS, values).into_iter();
    let line = |(name, value): (String, serde_json::Value)| {
        truncate(format!("{name} is {value}"), MAX_SEEN)
    };
    Some(Mismatch { message, seen: seen.map(line).collect() })
}

/// The agents that did not succeed, and why.
fn failures(report: &Report) -> Vec<String> {
    let agents = report.agents.iter().flat_map(|agent| agent.with_instances());
    let failed = agents.filter(|agent| !agent.ended_well() && agent.items.is_none());
    let line = |agent: &crate::report::AgentReport| {
        let (_, why) = agent.failure()?;
        Some(format!("agent {}: {why}", agent.name))
    };
    failed.filter_map(line).collect()
}
