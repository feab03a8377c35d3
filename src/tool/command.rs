//! One call of a tool that is a program: its arguments, environment, working directory and end.

use std::ffi::OsString;
use std::io::ErrorKind;

use serde_json::Value;

use super::context::CallInput;
use super::launch::{inherited_environment, missing, start_error};
use super::outcome::{ToolEnd, ToolOutcome};
use crate::plan::{ProcessPlan, ToolCommand};
use crate::process::{Finished, Invocation, signal_name};
use crate::report::CancelKind;
use crate::template::Template;

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
    let (sandboxed, cwd) = (invocation.sandbox.is_some(), invocation.cwd.clone());
    match input.context.processes.run(invocation, input.max_output, stop).await {
        Ok(finished) => outcome(finished),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            ToolOutcome::failed(&missing(&program, cwd.as_deref()))
        }
        Err(error) => ToolOutcome::failed(&start_error(&program, sandboxed, &error)),
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
            (None, None) => "killed: the process that supervised it was killed".to_owned(),
        });
    }
    ToolOutcome { exit_code, signal, leaked, ..outcome }
}

/// # Errors
/// A template that cannot be rendered, or a value that cannot be passed to a process. The message
/// is for the model.
fn invocation(tool: &ProcessPlan, input: &CallInput<'_>) -> Result<Invocation, String> {
    let values = input.template_values();
    let fill = |template: &Template| {
        let text = template.render(values.clone()).map_err(|error| error.to_string())?;
        no_nul(text)
    };
    let mut environment = inherited_environment(&tool.env);
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
    // A path is relative to the crew file; a bare name is looked up in PATH.
    let program = if program.contains('/') {
        tool.base_dir.join(program).into_os_string()
    } else {
        program.into()
    };
    let sandbox = tool.sandbox.as_ref().map(|plan| plan.sandbox.clone());
    Ok(Invocation { program, arguments: rest, environment, cwd, sandbox })
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
        return Err(
            "an argument contains a NUL character, which cannot be passed to a program".into()
        );
    }
    Ok(text)
}
