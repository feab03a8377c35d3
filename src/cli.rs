//! The command line: clap structs, no logic.

use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand, ValueEnum};

use crate::render::Format;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  crew check                                  validate agents.yaml and show what would run
  crew run -i \"my laptop is slow\"             run every agent of agents.yaml
  dmesg | crew run --offline                  input from a pipe; no network, no key
  crew run -i \"disk full\" -a summary -o json  one agent and what it needs, as JSON";

const RUN_EXAMPLES: &str = "\
Examples:
  crew run -i \"my laptop is slow\"
  crew run -i - < report.txt
  crew run --input-file report.txt -o json --output-file result.json
  crew run -i \"nginx is down\" --var service=nginx -m ollama/llama3.1:8b
  crew run -i \"try it out\" --offline

Exit status:
  0    every agent succeeded
  1    some agent failed, timed out, or was skipped or cancelled because of that
  2    usage or configuration: nothing ran
  3    the run ended but its report could not be written
  124  the run's own timeout
  129, 130, 143  ended by SIGHUP, SIGINT, SIGTERM";

/// Run a crew of AI agents side by side, once.
///
/// A crew is a file, agents.yaml by default: agents, the tools they may call and the models that
/// answer them. Every run ends in bounded time, with one report.
#[derive(Debug, Parser)]
#[command(name = "crew", version, styles = STYLES, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the crew's agents on an input and report what they answered
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Validate the crew's file and show what would run; nothing is started without --tools
    Check(CheckArgs),
    /// Try out what crew promises: that every run ends in time and leaves nothing behind
    ///
    /// Crew runs tools and asks model servers that misbehave in every known way, on this machine,
    /// without network and key, in less than 15 seconds. The exit status is 0 if everything held,
    /// otherwise 1.
    Selftest(SelftestArgs),
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub file: FileArgs,
    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub color: ColorArgs,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// Start the MCP servers and list the tools they offer
    #[arg(long)]
    pub tools: bool,
    #[command(flatten)]
    pub color: ColorArgs,
}

#[derive(Debug, Args)]
pub struct SelftestArgs {
    /// Only these cases, by their names in --output json
    #[arg(value_name = "CASE")]
    pub cases: Vec<String>,
    /// How the result is written; auto: text on a terminal, JSON otherwise
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: FormatChoice,
    #[command(flatten)]
    pub color: ColorArgs,
    /// Run as a misbehaving tool that records its pids in a folder
    #[arg(long, hide = true, num_args = 2, value_names = ["NAME", "DIR"])]
    pub fixture: Vec<String>,
    /// Run one case in a folder
    #[arg(long, hide = true, num_args = 2, value_names = ["CASE", "DIR"])]
    pub supervise: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// What the agents work on, `{{ input }}` in templates; `-` reads standard input
    ///
    /// Without this option and without --input-file, input from a pipe is used.
    #[arg(
        short,
        long,
        value_name = "TEXT",
        conflicts_with = "input_file",
        allow_hyphen_values = true
    )]
    pub input: Option<String>,
    /// Read the input from a file
    #[arg(long, value_name = "PATH")]
    pub input_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct FileArgs {
    /// The crew's file
    ///
    /// Without it: agents.yaml, agents.yml or crew.yaml of the working directory, then
    /// $XDG_CONFIG_HOME/crew/agents.yaml.
    #[arg(short, long, value_name = "PATH")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What runs")]
pub struct SelectionArgs {
    /// Run these agents and what they need, instead of all
    #[arg(short, long, value_name = "AGENT", value_delimiter = ',')]
    pub agents: Vec<String>,
    /// Give a variable of the file's `vars` another value; repeatable
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub vars: Vec<(String, String)>,
    /// Use this model for every agent, such as openai/gpt-4o-mini
    #[arg(short, long, value_name = "PROVIDER/MODEL")]
    pub model: Option<String>,
    /// Use no model server: agents call their tools and answer with what those returned
    #[arg(long, conflicts_with = "model")]
    pub offline: bool,
    /// Run tools that need a confirmation (`confirm: true`) without asking
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// End the whole run after this time, such as 90s or 5m
    #[arg(short, long, value_name = "DURATION", value_parser = timeout)]
    pub timeout: Option<Duration>,
    /// Run at most this many agents at once
    #[arg(long, value_name = "N")]
    pub max_parallel: Option<NonZeroUsize>,
    /// Let the other agents go on when one fails
    #[arg(short, long, conflicts_with = "fail_fast")]
    pub keep_going: bool,
    /// Stop the other agents when one fails
    #[arg(long)]
    pub fail_fast: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// How the result is written; auto: text on a terminal, JSON otherwise
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: FormatChoice,
    /// Write the result to this file instead of standard output
    #[arg(long, value_name = "PATH")]
    pub output_file: Option<PathBuf>,
    /// No progress and no summary on standard error
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more on standard error; repeatable
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// No progress on standard error, but still the summary
    #[arg(long)]
    pub no_progress: bool,
}

#[derive(Debug, Args)]
pub struct ColorArgs {
    /// When to use colours
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

/// The values of `--output`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum FormatChoice {
    #[default]
    Auto,
    Text,
    Json,
}

impl FormatChoice {
    /// The format to write. A file is no terminal.
    pub fn resolve(self, to_file: bool) -> Format {
        match self {
            Self::Auto if to_file || !io::stdout().is_terminal() => Format::Json,
            Self::Auto | Self::Text => Format::Text,
            Self::Json => Format::Json,
        }
    }
}

/// `NAME=VALUE`; the value may hold further equal signs, or be empty.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    crate::units::timeout(text)
}
