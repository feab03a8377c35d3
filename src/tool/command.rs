//! From a checked tool call to the process to start: arguments, environment, folder.

use std::ffi::OsString;

use serde_json::{Map, Value};

use super::ToolContext;
use super::protocol::Invocation;
use crate::plan::template::{Template, tool_context};
use crate::plan::{ToolCommand, ToolPlan};

/// What every tool gets of crew's environment, and nothing else of it: no key is among them.
const PASSED_ON: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "TERM"];
/// And those whose names begin so.
const PASSED_ON_PREFIX: &str = "LC_";

/// # Errors
/// A template that cannot be filled in, or a value no process can be given, as a message for the
/// model.
pub fn invocation(
    tool: &ToolPlan,
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
    Ok(Invocation { program, arguments: rest, environment, cwd })
}

fn inherited(extra: &[String]) -> Vec<(OsString, OsString)> {
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
