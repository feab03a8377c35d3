//! Advice on command lines that clap rejects without any.

use std::env;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory};

use crate::cli::Cli;

/// The command that new users have in mind when they name none.
const RUN: &str = "run";

/// Advice on the mistake, unless clap has some.
pub fn tip(error: &clap::Error) -> Option<String> {
    if error.get(ContextKind::Suggested).is_some() {
        return None;
    }
    let given = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let first = env::args().nth(1)?;
    match error.kind() {
        ErrorKind::UnknownArgument => unknown_argument(given(ContextKind::InvalidArg)?, &first),
        ErrorKind::InvalidSubcommand => no_command(given(ContextKind::InvalidSubcommand)?),
        _ => None,
    }
}

fn unknown_argument(argument: &str, first: &str) -> Option<String> {
    let cli = Cli::command();
    if argument.starts_with('-') {
        let run = cli.find_subcommand(RUN)?;
        let is_misplaced = first.starts_with('-') && run.get_arguments().any(is(argument));
        return is_misplaced
            .then(|| format!("options follow the command: 'crew run {argument} …'"));
    }
    let takes_input =
        |command: &Command| command.get_positionals().any(|a| a.get_id() == "argument");
    let command = cli.find_subcommand(first)?;
    takes_input(command)
        .then(|| format!("put an INPUT of several words in quotes: 'crew {first} \"…\"'"))
}

/// Whether an argument has this name, such as `-c` or `--config`.
fn is(name: &str) -> impl Fn(&Arg) -> bool {
    move |argument| match name.strip_prefix("--") {
        Some(long) => argument.get_long() == Some(long),
        None => name.chars().nth(1).is_some_and(|short| argument.get_short() == Some(short)),
    }
}

fn no_command(given: &str) -> Option<String> {
    if Path::new(given).is_file() {
        return Some(format!("'crew run -c {given}' runs a crew file"));
    }
    let is_text = given.contains(char::is_whitespace);
    is_text.then(|| "'crew run \"…\"' runs the crew on this input".to_owned())
}
