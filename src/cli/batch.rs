//! The arguments of `crew batch`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Subcommand, ValueEnum};
use jiff::{Timestamp, Zoned};

use crate::batch::stop::MaxFailures;

use super::{
    ColorArgs, FileArgs, LimitArgs, RehearsalArgs, SelectionArgs, TextOrJson, one_or_more,
};
use crate::batch::partition::PartitionChoice;

const RUN_HELP: &str = "\
Examples:
  crew batch run tickets.jsonl --out results       the crew once for each line
  crew batch run rows.csv --out results --key /id  a field names each input
  crew batch run tickets.jsonl --out results       the same command again continues

Exit status:
  0    every input succeeded
  1    some inputs did not succeed, or the batch stopped early
  2    the command line, the crew file or the folder cannot be used; nothing ran
  3    results could not be written, or a process of a tool could not be killed
  75   crew was asked to stop and has work left: run the same command again
  129, 130, 143  crew was ended by SIGHUP, SIGINT or SIGTERM";

const STATUS_HELP: &str = "\
Exit status:
  0  the counts were printed
  1  files of the folder are wrong, such as a part that is there twice
  2  the folder cannot be read
  3  the counts could not be written";

const MERGE_HELP: &str = "\
Exit status:
  0  all lines were printed; with --partial, those that there are
  1  a part is missing, unfinished or there twice; no line was printed
  2  the folder cannot be read
  3  the lines could not be written";

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
    /// command again runs what has no line yet, and what failed. The options about agents and
    /// limits hold for the run of each input.
    #[command(after_help = RUN_HELP)]
    Run(Box<BatchRunArgs>),
    /// Count what has become of the inputs, while the batch runs and afterwards
    ///
    /// Over all parts in the folder: inputs by status and error kind, cost, tokens, rate, time
    /// left, and the most frequent errors with one key each.
    #[command(after_help = STATUS_HELP)]
    Status(BatchStatusArgs),
    /// Print the lines of all parts in the order of the inputs
    ///
    /// Prints no line if a part is missing, unfinished or there twice, and says which.
    #[command(after_help = MERGE_HELP)]
    Merge(BatchMergeArgs),
}

#[derive(Debug, Args)]
pub struct BatchStatusArgs {
    /// The folder of the results
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Format of the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: TextOrJson,
    #[command(flatten)]
    pub color: ColorArgs,
}

#[derive(Debug, Args)]
pub struct BatchMergeArgs {
    /// The folder of the results
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Print the lines that there are, whatever is missing
    #[arg(long)]
    pub partial: bool,
    #[command(flatten)]
    pub color: ColorArgs,
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
    /// Keep the full report of each input in DIR/reports/KEY.json
    #[arg(long)]
    pub reports: bool,
    /// Add the messages of each agent to the reports
    #[arg(long, requires = "reports")]
    pub messages: bool,
    /// Print only errors on standard error; -qq prints nothing
    #[arg(short, long, action = ArgAction::Count)]
    pub quiet: u8,
    #[command(flatten)]
    pub color: ColorArgs,
    #[command(flatten)]
    pub inputs_args: BatchInputArgs,
    #[command(flatten)]
    pub partition: PartitionArgs,
    #[command(flatten)]
    pub resume: ResumeArgs,
    #[command(flatten)]
    pub stopping: StoppingArgs,
    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub rehearsal: RehearsalArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Inputs")]
pub struct BatchInputArgs {
    /// The JSON pointer to the key of an input, for example /id; by default its hash
    #[arg(long, value_name = "POINTER", value_parser = pointer)]
    pub key: Option<String>,
    /// Run only the first N inputs
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Run only N inputs, chosen by the hashes of their keys: the same ones each time
    #[arg(long, value_name = "N", value_parser = one_or_more)]
    pub sample: Option<NonZeroUsize>,
    /// Choose another sample
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
    /// Run a sample of 20 inputs, or of --sample N, and print the cost and time of the whole
    ///
    /// The results of the sample are kept: the same command without --estimate continues.
    #[arg(long)]
    pub estimate: bool,
    /// Send a file with every input: PNG, JPEG, WebP, GIF, PDF or text (repeatable)
    #[arg(long, value_name = "PATH")]
    pub attach: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Stopping")]
pub struct StoppingArgs {
    /// Stop once N inputs have failed, or P% of those done (from 20 on)
    #[arg(long, value_name = "N|P%")]
    pub max_failures: Option<MaxFailures>,
    /// Make no further model call once all inputs together have cost this much
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    pub max_cost: Option<f64>,
    /// Make no further model call once all inputs together have used so many tokens
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<NonZeroU64>,
    /// How long the inputs that run may take to end when the batch is asked to stop
    // Scripts that give one let their users give another.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    #[arg(overrides_with = "drain")]
    pub drain: Duration,
    /// Ask the batch to stop at this time: HH:MM or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub drain_at: Option<Timestamp>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Many machines")]
pub struct PartitionArgs {
    /// Run the inputs whose key hashes to part K of N, from 1/N to N/N; `auto`: as the engine says
    ///
    /// `auto` reads the variables of Slurm arrays, Kubernetes Indexed Jobs, AWS Batch, Cloud Run,
    /// Buildkite, CircleCI and GitLab.
    #[arg(long, value_name = "K/N|auto")]
    pub partition: Option<PartitionChoice>,
    /// The number of parts, where the engine does not say it
    #[arg(long, value_name = "N", requires = "partition", value_parser = clap::value_parser!(u32).range(1..))]
    pub partitions: Option<u32>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Continuing")]
pub struct ResumeArgs {
    /// Which inputs that have a result to run again; cancelled ones always run again
    #[arg(long, value_enum, value_name = "WHICH", default_value_t)]
    pub retry: RetryChoice,
    /// What to do with the results if the crew has changed since; by default, that is an error
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

fn amount(text: &str) -> Result<f64, String> {
    let amount = text.parse().ok().filter(|amount: &f64| amount.is_finite() && *amount > 0.0);
    amount.ok_or_else(|| "expected a number above 0".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::units::duration(text)
}

/// The next time that a clock shows `HH:MM`, or a point in time.
fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let wrong = |_| "expected HH:MM or RFC 3339, such as 2027-01-31T06:00:00Z".to_owned();
    let time = jiff::civil::Time::strptime("%H:%M", text).map_err(wrong)?;
    let now = Zoned::now();
    let today = now.with().time(time).build().map_err(wrong)?;
    let next = if today > now { Ok(today) } else { today.tomorrow() };
    next.map(|next| next.timestamp()).map_err(wrong)
}

fn pointer(text: &str) -> Result<String, String> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err(format!("expected a JSON pointer; did you mean /{text}?")),
    }
}
