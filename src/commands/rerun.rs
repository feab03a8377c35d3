//! `crew rerun`: runs again what an earlier run did not finish, and takes over the rest.

use std::path::PathBuf;

use super::earlier::EarlierRun;
use super::invalid::invalid;
use super::{report_file, run};
use crate::cli::{FileArgs, InputArgs, RerunArgs, RunArgs, SelectionArgs};
use crate::config::faults::Faults;
use crate::exit::ExitStatus;
use crate::render::Screens;
use crate::report::{Invocation, Report};
use crate::secret::is_redacted;

pub fn rerun(args: RerunArgs) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    let format = args.output.output.resolve(args.output.output_file.is_some());
    let saved = match &args.report {
        Some(report) => report_file::saved(report),
        // Not by `saved`: a file can have this name.
        None => report_file::find("last").and_then(|file| report_file::read(&file)),
    };
    let prepared = saved.and_then(|report| {
        let selected = args.agents.clone();
        Ok((run_args(args, &report)?, EarlierRun { report, selected }))
    });
    match prepared {
        Ok((args, earlier)) => run::start(&args, Some(earlier)),
        Err(faults) => invalid(&faults, screens, format),
    }
}

/// The arguments of the earlier run, and those of this one.
fn run_args(args: RerunArgs, report: &Report) -> Result<RunArgs, Faults> {
    let Invocation { file, agents, vars, model, offline, attach } =
        report.invocation.clone().unwrap_or_default();
    let named = Some(file).filter(|file| *file != PathBuf::new());
    if args.file.config.is_none()
        && let Some(gone) = named.as_ref().filter(|file| !file.exists())
    {
        let message = format!("the crew's file {} does not exist any more", gone.display());
        let hint = "name the file with -c".to_owned();
        return Err(Faults::unplaced(args.report, message, Some(hint)));
    }
    let config = args.file.config.or(named);
    if config.is_none() {
        let hint = "name the crew's file with -c".to_owned();
        let message = "the report does not say which crew file it is from".to_owned();
        return Err(Faults::unplaced(args.report, message, Some(hint)));
    }
    let given = args.vars;
    let is_given = |name: &str| given.iter().any(|(given, _)| given == name);
    let mut vars: Vec<(String, String)> = vars
        .into_iter()
        .filter(|(name, _)| !is_given(name))
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (name, text)
        })
        .collect();
    if let Some((name, _)) = vars.iter().find(|(_, value)| is_redacted(value)) {
        let message = format!("the report does not have the variable {name}, which is a secret");
        let hint = format!("give it again: --var {name}=VALUE");
        return Err(Faults::unplaced(args.report, message, Some(hint)));
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
