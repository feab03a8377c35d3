//! Compares an earlier run with a plan: what runs again, and what is taken over.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::RunArgs;
use crate::config::faults::Faults;
use crate::engine::{Earlier, Reuse, Why};
use crate::plan::selection;
use crate::plan::{CrewPlan, Fingerprint};
use crate::render::words;
use crate::report::{CancelKind, Invocation, Report};
use crate::secret::is_redacted;

/// An earlier run, and which of its agents are to run again.
pub struct EarlierRun {
    pub report: Report,
    pub selected: Vec<String>,
}

/// What a run takes over from an earlier one.
pub struct Rerun {
    pub earlier: Report,
    pub reuse: Reuse,
    /// No agent runs again, and the earlier report stands.
    pub is_done: bool,
    /// What runs again, and what is different, a sentence each.
    pub notes: Vec<String>,
}

impl EarlierRun {
    /// # Errors
    /// The crew does not have a selected agent.
    pub fn compare(self, plan: &CrewPlan) -> Result<Rerun, Faults> {
        let Self { report, selected } = self;
        let names = || plan.agents.iter().map(|agent| agent.name.as_str());
        if let Some(unknown) = selection::unmatched(&selected, names()).next() {
            let message = format!("--agents: the run has no agent {unknown:?}");
            return Err(Faults::unplaced(None, message, None));
        }
        let selected: Vec<String> = match &selected[..] {
            [] => vec![],
            wanted => names()
                .filter(|name| selection::is_selected(wanted, name))
                .map(str::to_owned)
                .collect(),
        };
        let mut notes = differences(&report, plan);
        let fingerprint = Fingerprint::of(plan);
        let parts = report.fingerprint.as_ref();
        let (reuse, again) = Reuse::of(
            plan,
            Earlier {
                agents: report.agents.clone(),
                selected: &selected,
                changes: &|agent| {
                    parts
                        .map(|parts| fingerprint.changes_of(parts, agent, plan))
                        .unwrap_or_default()
                },
            },
        );
        let is_done = again.is_empty() && stands(&report, plan, &fingerprint);
        let again = again.iter().map(|(agent, why)| {
            let name = &plan.agents[*agent].name;
            format!("{name} ({})", reason(why))
        });
        let again: Vec<String> = again.collect();
        notes.push(match (is_done, again.is_empty()) {
            (true, _) => "nothing to run again".to_owned(),
            (false, true) => "no agent runs again; how the run ends is decided anew".to_owned(),
            (false, false) => format!("runs again: {}", again.join(", ")),
        });
        Ok(Rerun { earlier: report, reuse, is_done, notes })
    }
}

fn reason(why: &Why) -> String {
    match why {
        Why::Ended(status) => words::status(status),
        Why::Changed(parts) => format!("changed: {}", parts.join(" and ")),
        Why::New => "new".to_owned(),
        Why::Selected => "selected".to_owned(),
        Why::Needs(agent) => format!("needs {agent}"),
    }
}

/// Whether a run that takes over all agents ends as the earlier one did: nothing cut that one short
/// or outlived it, and the crew has the same agents, output and `fail_if`.
fn stands(report: &Report, plan: &CrewPlan, fingerprint: &Fingerprint) -> bool {
    let is_whole = report.reason.as_ref().is_none_or(|reason| reason.kind == CancelKind::FailIf);
    let is_same = |part: &str| {
        let parts = report.fingerprint.as_ref();
        parts.is_none_or(|parts| parts.get(part) == fingerprint.parts.get(part))
    };
    is_whole
        && report.cleanup.survivors.is_empty()
        && report.agents.len() == plan.agents.len()
        && is_same("output")
        && is_same("fail_if")
}

/// What is not as it was, apart from the agents.
fn differences(report: &Report, plan: &CrewPlan) -> Vec<String> {
    let mut notes = Vec::new();
    let file = absolute(&plan.file);
    let was = report.invocation.as_ref().map(|invocation| &invocation.file);
    if let Some(was) = was.filter(|was| **was != file) {
        notes.push(format!("the crew's file is {}, and was {}", file.display(), was.display()));
    }
    if report.fingerprint.is_none() {
        notes.push("the report does not say whether the crew has changed since".to_owned());
    }
    if is_redacted(&report.input) {
        notes.push("a secret in the input is not in the report: the agents do not get it".into());
    }
    let is_gone = |name: &str| plan.agents.iter().all(|agent| agent.name != name);
    let gone = report.agents.iter().map(|agent| agent.name.as_str()).filter(|name| is_gone(name));
    notes.extend(gone.map(|name| format!("the crew has no agent {name} any more")));
    notes
}

impl Rerun {
    /// The report of the rerun; the earlier one if nothing was run again.
    pub fn conclude(self, report: Report) -> Report {
        if self.is_done {
            return self.earlier;
        }
        Report { rerun_of: Some(self.earlier.run_id), ..report }
    }
}

/// How a run is started, for its report.
pub fn invocation(args: &RunArgs, plan: &CrewPlan) -> Invocation {
    let selection = &args.selection;
    let vars = selection.vars.iter();
    let vars = vars.map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    Invocation {
        file: absolute(&plan.file),
        agents: selection.agents.clone(),
        vars: vars.collect(),
        model: selection.model.clone(),
        offline: selection.offline,
        attach: args.input.attach.iter().map(|path| absolute(path)).collect(),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
