//! Starting a program: shared by command tools and MCP servers.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use crate::telemetry::SpanContext;

/// The variables of crew's environment that every tool inherits. API keys are not among them.
const INHERITED: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "TERM"];
/// The prefix of further inherited variables.
const INHERITED_PREFIX: &str = "LC_";

/// The variables of crew's environment that a tool inherits, with its place in the trace. `extra`
/// are names of further ones.
pub fn inherited_environment(extra: &[String], span: SpanContext<'_>) -> Vec<(OsString, OsString)> {
    let wanted = |name: &OsString| {
        name.to_str().is_some_and(|name| {
            INHERITED.contains(&name)
                || name.starts_with(INHERITED_PREFIX)
                || extra.iter().any(|extra| extra == name)
        })
    };
    let inherited = std::env::vars_os().filter(|(name, _)| wanted(name));
    let mut environment: Vec<(OsString, OsString)> = inherited.collect();
    for (name, value) in span.variables() {
        environment.retain(|(known, _)| known != name);
        environment.push((name.into(), value.into()));
    }
    environment
}

/// Describes why a program was not found that was started in `cwd`, if one is set.
pub fn missing(program: &str, cwd: Option<&Path>) -> String {
    match cwd.filter(|cwd| !cwd.is_dir()) {
        Some(cwd) => format!("no such directory: {}", cwd.display()),
        None if program.contains('/') && Path::new(program).exists() => {
            format!("cannot start {program}: its interpreter does not exist")
        }
        None => format!("no such program: {program}"),
    }
}

/// Describes why a program did not start.
pub fn start_error(program: &str, sandboxed: bool, error: &io::Error) -> String {
    let detail = match error.kind() {
        io::ErrorKind::NotFound => return format!("no such program or directory: {program}"),
        io::ErrorKind::PermissionDenied if sandboxed => {
            format!("{error}; the sandbox may not allow its interpreter")
        }
        _ => error.to_string(),
    };
    format!("cannot start {program}: {detail}")
}
