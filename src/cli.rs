//! The command line: clap structs without logic.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, ColorChoice, Parser, Subcommand};

mod batch;
mod output;
mod rehearsal;
mod reports;
mod rerun;
mod setup;
mod test;

pub use batch::{
    BatchArgs, BatchCommand, BatchInputArgs, BatchMergeArgs, BatchRunArgs, BatchStatusArgs,
    ChangedChoice, ResumeArgs, RetryChoice, StoppingArgs,
};
pub use output::{FormatChoice, OutputArgs, ReportFormat, TextOrJson};
pub use rehearsal::RehearsalArgs;
pub use reports::{ReportArgs, ReportTarget, RunsArgs, RunsCommand, ShowArgs};
pub use rerun::RerunArgs;
pub use setup::{CompletionsArgs, InitArgs, ManArgs, SchemaArgs, SchemaName, TemplateName};
pub use test::TestArgs;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  crew init                                   write an agents.yaml to start from
  crew check                                  validate agents.yaml and show what would run
  crew run \"my laptop is slow\"                run all agents of agents.yaml
  dmesg | crew run --offline                  pipe the input in; no network, no API key
  crew run -i \"disk full\" -a summary -o json  one agent and the agents it needs, as JSON";

const RUN_HELP: &str = "\
Examples:
  crew run \"my laptop is slow\"
  crew run < report.txt
  crew run --input-file report.txt -o json --output-file result.json
  crew run -i \"nginx is down\" --var service=nginx -m ollama/llama3.1:8b
  crew run -i \"my laptop is slow\" --offline

Exit status:
  0    every agent succeeded, or was skipped by its `when`
  1    an agent failed, timed out, or was skipped or cancelled because another one failed; or
       `fail_if` cannot be evaluated
  2    the command line or the crew file is invalid; nothing ran
  3    the report could not be written, or a process of a tool could not be killed
  4    every agent ended well, but `fail_if` holds
  124  the run reached its timeout
  129, 130, 143  crew was ended by SIGHUP, SIGINT or SIGTERM";

const CHECK_HELP: &str = "\
Exit status:
  0  the crew files are valid and, with --tools, their MCP servers offer the tools they grant
  1  an MCP server does not start or lacks a tool (only with --tools)
  2  the command line or a crew file is invalid";

const RENDER_HELP: &str = "\
Examples:
  crew render -a summary -i \"my laptop is slow\"
  crew render -a summary --from report.json      with the answers of an earlier run
  crew render -o json | jq -r '.agents.summary.prompt'

Exit status:
  0  every agent was rendered
  1  a template cannot be rendered
  2  the command line, the crew file or the report is invalid";

const TEST_HELP: &str = "\
Examples:
  crew test                                   all tests below this folder
  crew test tests/review.crewtest.yaml --update
  crew test --junit results.xml

Exit status:
  0  every test passed
  1  a test failed
  2  the command line, a test or its crew is invalid, or there is no test; nothing ran
  3  the results could not be written";

const SELFTEST_HELP: &str = "\
Exit status:
  0  every guarantee held
  1  a guarantee did not hold
  2  the command line is invalid, or the self-test could not run
  3  the result could not be written";

/// Run a crew of AI agents in parallel, once.
///
/// A crew file (agents.yaml by default) lists the agents, the tools they may call and the models
/// they use. Every run ends within its time limit, with one report.
#[derive(Debug, Parser)]
#[command(name = "crew", version, styles = STYLES, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agents of a crew file on an input and report their answers
    ///
    /// Without INPUT, --input and --input-file, crew reads standard input if an agent that runs
    /// uses the input.
    #[command(after_help = RUN_HELP)]
    Run(Box<RunArgs>),
    /// Run again what an earlier run did not finish, and keep the rest
    ///
    /// An agent runs again if it did not end well, if its definition or a variable has changed, or
    /// if an agent that it needs runs again. Of an agent with `for_each` only the instances run
    /// again that did not end well. File, input and options are those of the report.
    #[command(after_help = rerun::HELP)]
    Rerun(Box<RerunArgs>),
    /// Run a crew once for each of many inputs
    Batch(BatchArgs),
    /// Validate crew files and show what would run
    ///
    /// Prints all errors and warnings of all files. Without errors, prints `ok` for each file, and
    /// the plan of a single file. Warnings are about unused tools and variables, and about
    /// programs that do not exist. Nothing is started and no server is contacted, except with
    /// --tools.
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Show what each model would be asked, without a call
    ///
    /// Prints system message, prompt, tools and schema of each agent. Placeholders such as
    /// `[input]` and `[answer of disk]` take the place of what is not known; --from takes the
    /// input and the answers from a report. API keys need not be set.
    #[command(after_help = RENDER_HELP)]
    Render(RenderArgs),
    /// Print a saved report in another form
    Report(ReportArgs),
    /// List the last 50 runs on this machine, or print the report of one
    ///
    /// The reports are in $XDG_STATE_HOME/crew/runs or ~/.local/state/crew/runs, for this user
    /// only.
    Runs(RunsArgs),
    /// Run the tests of crews: *.crewtest.yaml files
    ///
    /// A test names a crew, an input, a recording or faults in place of servers, and what has to
    /// hold of the report. No model server is contacted and no API key is needed; commands and
    /// shell lines run for real.
    #[command(after_help = TEST_HELP)]
    Test(TestArgs),
    /// Verify crew's shutdown guarantees on this machine
    ///
    /// Runs crew against tools, MCP servers and model servers that misbehave in every known way.
    /// crew must end in time and leave no process behind. Takes less than 15 seconds and needs
    /// neither a network nor an API key.
    #[command(after_help = SELFTEST_HELP)]
    Selftest(SelftestArgs),
    /// Write a crew file to start from
    ///
    /// The file runs as it is. Its model is one that this machine has: of the first provider whose
    /// key is set, else of a local Ollama, else `offline`. Nothing is overwritten.
    Init(InitArgs),
    /// Print the JSON Schema of crew files, reports or batch results
    Schema(SchemaArgs),
    /// Print the completion script of a shell
    ///
    /// For example: crew completions bash > ~/.local/share/bash-completion/completions/crew
    Completions(CompletionsArgs),
    /// Print a manual page
    ///
    /// For example: crew man run | man -l -
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub file: FileArgs,
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub rehearsal: RehearsalArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub color: ColorArgs,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The crew files; without FILE and --config the one that `crew run` uses
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub file: FileArgs,
    /// Check the files for `crew run --offline`, which needs no API keys
    #[arg(long)]
    pub offline: bool,
    /// Treat warnings as errors
    #[arg(long)]
    pub strict: bool,
    /// Start the MCP servers and list the tools they offer
    #[arg(long)]
    pub tools: bool,
    /// Format of the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: TextOrJson,
    /// Print errors only
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub color: ColorArgs,
}

#[derive(Debug, Args)]
pub struct RenderArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// Show only these agents (repeatable, or comma-separated)
    ///
    /// `*` and `?` match several agents, and `!` before a name or pattern excludes them:
    /// -a 'review-*,!review-docs'.
    #[arg(short, long, value_name = "AGENT", value_delimiter = ',')]
    pub agents: Vec<String>,
    /// Override a variable from `vars` (repeatable)
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub vars: Vec<(String, String)>,
    /// Take the answers of agents, and the input unless it is given, from a JSON report or a run
    /// in `crew runs`
    #[arg(long, value_name = "REPORT")]
    pub from: Option<PathBuf>,
    /// Format of the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: TextOrJson,
    #[command(flatten)]
    pub color: ColorArgs,
    #[command(flatten)]
    pub input: InputArgs,
}

#[derive(Debug, Args)]
pub struct SelftestArgs {
    /// Run only these cases (-o json lists their names)
    #[arg(value_name = "CASE")]
    pub cases: Vec<String>,
    /// Format of the result; `auto` is text on a terminal and JSON otherwise
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
    /// The input of the agents, the same as --input
    #[arg(value_name = "INPUT", conflicts_with_all = ["input", "input_file"])]
    pub argument: Option<String>,
    /// The input of the agents, `{{ input }}` in templates; `-` reads standard input
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
    /// Send a file to every agent that uses the input: PNG, JPEG, WebP, GIF, PDF or text
    /// (repeatable)
    #[arg(long, value_name = "PATH")]
    pub attach: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct FileArgs {
    /// The crew file
    ///
    /// Default: the first that exists of agents.yaml, agents.yml and crew.yaml in the current
    /// directory, and $XDG_CONFIG_HOME/crew/agents.yaml.
    #[arg(short, long, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Read environment variables from a file of NAME=VALUE lines (repeatable)
    ///
    /// A variable that is set in the environment keeps its value.
    #[arg(long = "env-file", value_name = "PATH")]
    pub env_files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Agents")]
pub struct SelectionArgs {
    /// Run only these agents and the agents they need (repeatable, or comma-separated)
    ///
    /// `*` and `?` match several agents, and `!` before a name or pattern excludes them:
    /// -a 'review-*,!review-docs'.
    #[arg(short, long, value_name = "AGENT", value_delimiter = ',')]
    pub agents: Vec<String>,
    /// Override a variable from `vars` (repeatable)
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub vars: Vec<(String, String)>,
    /// Use this model for every agent, for example openai/gpt-4o-mini
    #[arg(short, long, value_name = "PROVIDER/MODEL")]
    pub model: Option<String>,
    /// Call no model server: agents call each tool once and answer with its output
    ///
    /// HTTP tools and MCP servers on other machines are not contacted either.
    #[arg(long, group = "without_servers", conflicts_with = "model")]
    pub offline: bool,
    /// Run tools with `confirm: true` without asking for approval
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Stop the whole run after this time, for example 90s or 5m
    #[arg(short, long, value_name = "DURATION", value_parser = timeout)]
    pub timeout: Option<Duration>,
    /// Run at most N agents at the same time
    #[arg(long, value_name = "N", value_parser = one_or_more)]
    pub max_parallel: Option<NonZeroUsize>,
    /// Keep the other agents running when one fails
    #[arg(short, long, conflicts_with = "fail_fast")]
    pub keep_going: bool,
    /// Cancel the other agents when one fails
    #[arg(long)]
    pub fail_fast: bool,
}

#[derive(Debug, Args)]
pub struct ColorArgs {
    /// When to use colours
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

/// Parses `NAME=VALUE`. The value may contain equal signs, or be empty.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn one_or_more(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a whole number of 1 or more".to_owned())
}

fn timeout(text: &str) -> Result<Duration, String> {
    crate::units::timeout(text)
}
