//! One call of a tool that is a process: arguments, environment, folder, and how it ended.

use std::ffi::OsString;

use serde_json::Value;

use super::context::CallInput;
use super::outcome::{ToolEnd, ToolOutcome};
use crate::plan::{ProcessPlan, ToolCommand};
use crate::process::{Finished, Invocation, signal_name};
use crate::report::CancelKind;
use crate::template::Template;

/// What every tool gets of crew's environment, and nothing else of it: no key is among them.
const PASSED_ON: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "TERM"];
/// And those whose names begin so.
const PASSED_ON_PREFIX: &str = "LC_";

/// Runs the program until it exits or `stop` completes with the reason to stop it.
pub async fn call(
    plan: &ProcessPlan,
    input: CallInput<'_>,
    stop: impl Future<Output = CancelKind>,
) -> ToolOutcome {
    let invocation = match invocation(plan, &input) {
        Ok(invocation) => invocation,
        Err(message) => return ToolOutcome::failed(&message),
    };
    let program = invocation.program.to_string_lossy().into_owned();
    let confined = invocation.sandbox.is_some();
    match input.context.processes.run(invocation, input.max_output, stop).await {
        Ok(finished) => outcome(finished),
        Err(error) => ToolOutcome::failed(&could_not_start(&program, confined, &error)),
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

fn outcome(finished: Finished<CancelKind>) -> ToolOutcome {
    let Finished { status, output, leaked, stopped_by } = finished;
    let exit_code = status.and_then(|status| status.code());
    let signal = status.and_then(signal_name);
    let end = match (stopped_by, exit_code) {
        (Some(reason), _) => ToolEnd::Stopped(reason),
        (None, Some(0)) => ToolEnd::Succeeded,
        (None, _) => ToolEnd::Failed,
    };
    let mut outcome = ToolOutcome::new(end, output);
    if end == ToolEnd::Failed {
        outcome.add_note(&match (exit_code, &signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("ended by {signal}"),
            (None, None) => "killed: the process that watched over it was killed".to_owned(),
        });
    }
    ToolOutcome { exit_code, signal, leaked, ..outcome }
}

/// # Errors
/// A template that cannot be filled in, or a value no process can be given, as a message for the
/// model.
fn invocation(tool: &ProcessPlan, input: &CallInput<'_>) -> Result<Invocation, String> {
    let values = input.template_values();
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
            for (name, value) in input.arguments {
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
