//! `crew rerun`: runs again what an earlier run did not finish, and takes over the rest.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::invalid::invalid;
use super::{report_file, run, runs};
use crate::cli::{FileArgs, InputArgs, RerunArgs, RunArgs, SelectionArgs};
use crate::config::faults::Faults;
use crate::engine::{Earlier, Reuse, Why};
use crate::exit::ExitStatus;
use crate::plan::{CrewPlan, Fingerprint};
use crate::render::{Screens, words};
use crate::report::{Invocation, Report};
use crate::secret::is_redacted;

pub fn rerun(args: RerunArgs) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    let format = args.output.output.resolve(args.output.output_file.is_some());
    let prepared = saved(&args.report).and_then(|report| {
        let selected = args.agents.clone();
        Ok((run_args(args, &report)?, EarlierRun { report, selected }))
    });
    match prepared {
        Ok((args, earlier)) => run::start(&args, Some(earlier)),
        Err(faults) => invalid(&faults, screens, format),
    }
}

/// The report in a file, or one of the history.
fn saved(report: &Path) -> Result<Report, Faults> {
    match report.to_str() {
        Some(id) if !report.exists() && report.extension().is_none() => {
            report_file::read(&runs::find(id)?)
        }
        _ => report_file::read(report),
    }
}

/// The arguments of the earlier run, and those of this one.
fn run_args(args: RerunArgs, report: &Report) -> Result<RunArgs, Faults> {
    let Invocation { file, agents, vars, model, offline, attach } =
        report.invocation.clone().unwrap_or_default();
    let config = args.file.config.or_else(|| Some(file).filter(|file| *file != PathBuf::new()));
    if config.is_none() {
        let hint = "name the crew's file with -c".to_owned();
        let message = "the report does not say which crew file it is from".to_owned();
        return Err(Faults::unplaced(Some(args.report), message, Some(hint)));
    }
    let given = args.vars;
    let is_given = |name: &str| given.iter().any(|(given, _)| given == name);
    let mut vars: Vec<(String, String)> = vars
        .into_iter()
        .filter(|(name, _)| !is_given(name))
        .map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned()))
        .collect();
    if let Some((name, _)) = vars.iter().find(|(_, value)| is_redacted(value)) {
        let message = format!("the report does not have the variable {name}, which is a secret");
        let hint = format!("give it again: --var {name}=VALUE");
        return Err(Faults::unplaced(Some(args.report), message, Some(hint)));
    }
    vars.extend(given);
    Ok(RunArgs {
        file: FileArgs { config, env_files: args.file.env_files },
        input: InputArgs {
            argument: None,
            input: Some(report.input.clone()),
            input_file: None,
            attach,
        },
        selection: SelectionArgs { agents, vars, model, offline, yes: args.yes },
        limits: args.limits,
        rehearsal: args.rehearsal,
        output: args.output,
        color: args.color,
    })
}

/// An earlier run, and which of its agents are to run again.
pub struct EarlierRun {
    report: Report,
    selected: Vec<String>,
}

/// What a run takes over from an earlier one.
pub struct Rerun {
    pub earlier: Report,
    pub reuse: Reuse,
    /// No agent runs again.
    pub is_done: bool,
    /// What runs again, and what is different, a sentence each.
    pub notes: Vec<String>,
}

impl EarlierRun {
    /// # Errors
    /// The crew does not have a selected agent.
    pub fn compare(self, plan: &CrewPlan) -> Result<Rerun, Faults> {
        let Self { report, selected } = self;
        let has_agent = |name: &String| plan.agents.iter().any(|agent| agent.name == *name);
        if let Some(unknown) = selected.iter().find(|name| !has_agent(name)) {
            let message = format!("--agents: the run has no agent {unknown:?}");
            return Err(Faults::unplaced(None, message, None));
        }
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
        let is_done = again.is_empty();
        let again = again.iter().map(|(agent, why)| {
            let name = &plan.agents[*agent].name;
            format!("{name} ({})", reason(why))
        });
        let again: Vec<String> = again.collect();
        notes.push(match is_done {
            true => "nothing to run again".to_owned(),
            false => format!("runs again: {}", again.join(", ")),
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
