//! The arguments of `crew batch`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};

use super::{ColorArgs, FileArgs, LimitArgs, SelectionArgs, one_or_more};

const RUN_HELP: &str = "\
Examples:
  crew batch run tickets.jsonl --out results       the crew once for each line
  crew batch run rows.csv --out results --key /id  a field names each input
  crew batch run tickets.jsonl --out results       the same command again continues

Exit status:
  0    every input succeeded
  1    some inputs did not succeed
  2    the command line, the crew file or the folder cannot be used; nothing ran
  3    results could not be written, or a process of a tool could not be killed
  129, 130, 143  crew was ended by SIGHUP, SIGINT or SIGTERM";

#[derive(Debug, Args)]
pub struct BatchArgs {
    #[command(subcommand)]
    pub command: BatchCommand,
}

#[derive(Debug, Subcommand)]
pub enum BatchCommand {
    /// Run the crew once for each input, many inputs at once
    ///
    /// Each input becomes one line of DIR/results.jsonl, written when the input is done. The same
    /// command again runs what has no line yet, and what failed.
    #[command(after_help = RUN_HELP)]
    Run(Box<BatchRunArgs>),
}

#[derive(Debug, Args)]
pub struct BatchRunArgs {
    /// The inputs: a .jsonl, .csv or .txt file; `-` reads JSONL from standard input
    #[arg(value_name = "INPUTS")]
    pub inputs: PathBuf,
    /// The folder of the results; `-` writes the lines to standard output
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub file: FileArgs,
    /// Run at most N inputs at the same time
    #[arg(short, long, value_name = "N", value_parser = one_or_more)]
    pub jobs: Option<NonZeroUsize>,
    #[command(flatten)]
    pub inputs_args: BatchInputArgs,
    #[command(flatten)]
    pub resume: ResumeArgs,
    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Print only errors on standard error; -qq prints nothing
    #[arg(short, long, action = ArgAction::Count)]
    pub quiet: u8,
    #[command(flatten)]
    pub color: ColorArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Inputs")]
pub struct BatchInputArgs {
    /// The JSON pointer to the key of an input, for example /id; by default its hash
    #[arg(long, value_name = "POINTER", value_parser = pointer)]
    pub key: Option<String>,
    /// Only the first N inputs
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Continuing")]
pub struct ResumeArgs {
    /// Which inputs that have a result run again; cancelled ones always do
    #[arg(long, value_enum, value_name = "WHICH", default_value_t)]
    pub retry: RetryChoice,
    /// What becomes of the results if the crew has changed since; without it, that is an error
    #[arg(long, value_enum, value_name = "WHAT")]
    pub changed: Option<ChangedChoice>,
}

/// The values of `--retry`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum RetryChoice {
    #[default]
    Failed,
    None,
}

/// The values of `--changed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChangedChoice {
    /// Run all inputs again
    Rerun,
    /// Keep the results
    Keep,
}

fn pointer(text: &str) -> Result<String, String> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err(format!("expected a JSON pointer; did you mean /{text}?")),
    }
}
