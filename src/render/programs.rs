//! Programs and requests of a plan in one line, and tables of them.

use std::io::{self, Write};

use super::table::{Column, Narrow, list, table};
use super::{Look, fit};
use crate::plan::{HttpPlan, ProcessPlan, SandboxPlan, ToolCommand};
use crate::secret::Secrets;
use crate::text::inline;

/// Columns of the command of a tool.
pub const MAX_COMMAND: usize = 60;
/// Columns of a terminal that is wide enough for tables.
const MIN_TABLE: usize = 80;
/// Columns of the permissions of a sandbox.
const MAX_SANDBOX: usize = 200;

/// The command or the shell line of a program.
pub fn program(process: &ProcessPlan, secrets: &Secrets) -> String {
    let text = match &process.command {
        ToolCommand::Argv(arguments) => {
            arguments.iter().map(|argument| argument.source()).collect::<Vec<_>>().join(" ")
        }
        ToolCommand::Shell(script) => return shell(&secrets.redact(script.trim().to_owned())),
    };
    fit::cut(&inline(&secrets.redact(text)), MAX_COMMAND).into_owned()
}

/// The first line of a script, and the number of lines if there are more.
fn shell(script: &str) -> String {
    let first = format!("sh: {}", inline(script.lines().next().unwrap_or_default()));
    match script.lines().count() {
        0 | 1 => fit::cut(&first, MAX_COMMAND).into_owned(),
        lines => {
            let more = format!(" ({lines} lines)");
            format!("{}{more}", fit::cut(&first, MAX_COMMAND - more.len()))
        }
    }
}

/// The permissions of a sandbox.
pub fn permissions(sandbox: Option<&SandboxPlan>) -> String {
    let Some(sandbox) = sandbox else { return "none".to_owned() };
    fit::cut(&inline(&sandbox.permissions()), MAX_SANDBOX).into_owned()
}

/// The request of an HTTP tool, with all hosts that it may be redirected to. Path and query are
/// left out: a variable may have put a key into them.
pub fn request(http: &HttpPlan) -> String {
    let mut hosts = http.hosts.iter().map(ToString::to_string);
    let own = hosts.next().unwrap_or_default();
    let others = hosts.collect::<Vec<_>>().join(", ");
    let others = if others.is_empty() { others } else { format!(" (redirects: {others})") };
    format!("{} {}://{own}{others}", http.method, http.origin.scheme())
}

/// A table after an empty line, if it has any rows. On a narrow terminal it is a list.
pub fn section<const N: usize>(
    titles: [&'static str; N],
    rows: &[[String; N]],
    look: Look,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let columns = titles.map(|title| Column::text(title, Narrow::Wrap));
    let cell = |row: usize, column: usize| (&rows[row][column]).into();
    let lines = match look.width < MIN_TABLE {
        true => list(&columns, rows.len(), cell, look.width),
        false => table(&columns, rows.len(), cell, look.width),
    };
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}
