//! One call of a tool that is a process: arguments, environment, folder, and how it ended.

use std::ffi::OsString;

use serde_json::{Map, Value};

use super::{ToolContext, note, status_of_stop};
use crate::plan::{ProcessPlan, ToolCommand};
use crate::process::{Finished, Invocation, signal_name};
use crate::report::{CancelKind, ToolCallReport, ToolStatus};
use crate::template::{Template, tool_context};

/// What every tool gets of crew's environment, and nothing else of it: no key is among them.
const PASSED_ON: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "TERM"];
/// And those whose names begin so.
const PASSED_ON_PREFIX: &str = "LC_";

/// Runs the program and enters in the report how it ended. `stop` completes with the reason why it
/// is to be stopped. Of the output `max_output` bytes are kept.
pub async fn call(
    plan: &ProcessPlan,
    max_output: usize,
    arguments: &Value,
    context: &ToolContext<'_>,
    stop: impl Future<Output = CancelKind>,
    report: &mut ToolCallReport,
) {
    let ended = match invocation(plan, arguments, context) {
        Ok(invocation) => {
            let program = invocation.program.to_string_lossy().into_owned();
            let confined = invocation.sandbox.is_some();
            let ended = context.processes.run(invocation, max_output, stop).await;
            ended.map_err(|error| could_not_start(&program, confined, &error))
        }
        Err(message) => Err(message),
    };
    match ended {
        Ok(finished) => settle(report, finished),
        Err(message) => {
            report.status = ToolStatus::Failed;
            note(report, &message);
        }
    }
}

pub fn could_not_start(program: &str, confined: bool, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied if confined => {
            format!("could not start {program}: {error}; its sandbox may lack its interpreter")
        }
        std::io::ErrorKind::NotFound => {
            format!("could not start {program}: it, or its working directory, does not exist")
        }
        _ => format!("could not start {program}: {error}"),
    }
}

/// Enters how the process ended, and says so in the output where the model could not tell.
fn settle(report: &mut ToolCallReport, finished: Finished<CancelKind>) {
    let Finished { status, output, leaked, stopped_by } = finished;
    report.exit_code = status.and_then(|status| status.code());
    report.signal = status.and_then(signal_name);
    report.truncated = output.truncated;
    report.output = output.text;
    report.leaked = leaked;
    report.stopped_by = stopped_by;
    report.status = match (stopped_by, report.exit_code) {
        (Some(reason), _) => status_of_stop(reason),
        (None, Some(0)) => ToolStatus::Succeeded,
        (None, _) => ToolStatus::Failed,
    };
    if report.status != ToolStatus::Failed {
        return;
    }
    let how = match (report.exit_code, &report.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by {signal}"),
        (None, None) => "killed: the process that watched over it was killed".to_owned(),
    };
    note(report, &how);
}

/// # Errors
/// A template that cannot be filled in, or a value no process can be given, as a message for the
/// model.
fn invocation(
    tool: &ProcessPlan,
    arguments: &Value,
    context: &ToolContext<'_>,
) -> Result<Invocation, String> {
    let empty = Map::new();
    let arguments = arguments.as_object().unwrap_or(&empty);
    let values = tool_context(context.input, context.vars, arguments);
    let fill = |template: &Template| {
        let text = template.render(values.clone()).map_err(|error| error.to_string())?;
        no_nul(text)
    };
    let mut environment = inherited(&tool.env);
    let (program, rest) = match &tool.command {
        ToolCommand::Argv(templates) => {
            let mut argv = templates.iter().map(fill).collect::<Result<Vec<_>, _>>()?.into_iter();
            (argv.next().unwrap_or_default(), argv.map(OsString::from).collect())
        }
        ToolCommand::Shell(script) => {
            for (name, value) in arguments {
                environment.push((name.into(), no_nul(as_text(value))?.into()));
            }
            ("sh".to_owned(), vec!["-c".into(), script.into()])
        }
    };
    let cwd = match &tool.cwd {
        Some(template) => Some(tool.base_dir.join(fill(template)?)),
        None => None,
    };
    // A path of the file's starts at the file; a bare name is looked up in PATH.
    let program = match program.contains('/') {
        true => tool.base_dir.join(program).into_os_string(),
        false => program.into(),
    };
    let sandbox = tool.sandbox.as_ref().map(|plan| plan.sandbox.clone());
    Ok(Invocation { program, arguments: rest, environment, cwd, sandbox })
}

/// What a tool is given of crew's environment.
pub fn inherited(extra: &[String]) -> Vec<(OsString, OsString)> {
    let wanted = |name: &OsString| {
        name.to_str().is_some_and(|name| {
            PASSED_ON.contains(&name)
                || name.starts_with(PASSED_ON_PREFIX)
                || extra.iter().any(|extra| extra == name)
        })
    };
    std::env::vars_os().filter(|(name, _)| wanted(name)).collect()
}

/// Strings as they are, everything else as JSON.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn no_nul(text: String) -> Result<String, String> {
    if text.contains('\0') {
        return Err("an argument contains a NUL character, which no process can be given".into());
    }
    Ok(text)
}
