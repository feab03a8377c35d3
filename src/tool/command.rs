//! One call of a tool that is a program.

use serde_json::Value;

use super::context::CallInput;
use super::outcome::{ToolEnd, ToolOutcome};
use super::program::Program;
use crate::plan::{ProcessPlan, ToolCommand};
use crate::process::{Finished, Streams, signal_name};
use crate::report::CancelKind;

/// Runs the program until it exits or `stop` completes with the reason to stop it.
pub async fn call(
    plan: &ProcessPlan,
    input: CallInput<'_>,
    stop: impl Future<Output = CancelKind>,
) -> ToolOutcome {
    let variables = match plan.command {
        ToolCommand::Argv(_) => Vec::new(),
        ToolCommand::Shell(_) => {
            let arguments = input.arguments.iter();
            arguments.map(|(name, value)| (name.clone(), as_text(value))).collect()
        }
    };
    let values = input.template_values();
    let streams = Streams { stdin: None, max_output: input.max_output, max_stderr: None };
    let span = input.context.span;
    let program = Program { plan, values, variables, streams, span };
    match program.run(input.context.processes, stop).await {
        Ok(finished) => outcome(finished),
        Err(error) => ToolOutcome::failed(&error.to_string()),
    }
}

/// The outcome of a program that ran.
pub fn outcome(finished: Finished<CancelKind>) -> ToolOutcome {
    let exit_code = finished.status.and_then(|status| status.code());
    let signal = finished.status.and_then(signal_name);
    let end = match (finished.stopped_by, exit_code) {
        (Some(reason), _) => ToolEnd::Stopped(reason),
        (None, Some(0)) => ToolEnd::Succeeded,
        (None, _) => ToolEnd::Failed,
    };
    let mut outcome = ToolOutcome::new(end, finished.output);
    if end == ToolEnd::Failed {
        outcome.add_note(&describe_exit(exit_code, signal.as_deref()));
    }
    ToolOutcome { exit_code, signal, leaked: finished.leaked, ..outcome }
}

/// `exit code 1`, or how else a program ended by itself.
pub fn describe_exit(exit_code: Option<i32>, signal: Option<&str>) -> String {
    match (exit_code, signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by {signal}"),
        (None, None) => "killed: the process that supervised it was killed".to_owned(),
    }
}

/// Strings as they are, everything else as JSON.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
