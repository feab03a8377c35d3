//! Where results go, and in which format.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use super::reports::{ReportTarget, report_target};
use crate::render::Format;

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Format of the report; `auto` is text on a terminal and JSON otherwise
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: ReportFormat,
    /// Write the report to this file instead of standard output
    #[arg(long, value_name = "PATH")]
    pub output_file: Option<PathBuf>,
    /// Also write the report in this form (repeatable)
    ///
    /// KIND is json, junit, markdown, html or sarif. `--report github` takes no PATH: it writes the
    /// summary, outputs and annotations of a step in GitHub Actions.
    #[arg(long = "report", value_name = "KIND=PATH", value_parser = report_target)]
    pub reports: Vec<ReportTarget>,
    /// Do not keep the report in the history that `crew runs` lists
    #[arg(long)]
    pub no_history: bool,
    /// Print only errors on standard error; -qq prints nothing
    ///
    /// With -q a run that succeeds prints nothing. A run that does not prints its errors.
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "verbose")]
    pub quiet: u8,
    /// Also print model calls, tool arguments and tool output; -vv also prints all messages
    ///
    /// Model calls, tool arguments and the messages between agents and models appear in the
    /// progress, tool output in a text report. A text report also shows each of many instances that
    /// ended well.
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// Print answers as the models wrote them, not as formatted Markdown
    #[arg(long)]
    pub raw: bool,
    /// Print only the crew's answer in a text report, not those of the other agents
    ///
    /// Without one such answer, those of the agents that no other agent needs are printed.
    #[arg(long)]
    pub brief: bool,
    /// Write what each agent and its model send each other to a Markdown file in this directory
    #[arg(long, value_name = "DIR")]
    pub trace: Option<PathBuf>,
    /// Add the messages of each agent to the JSON report; with -o jsonl they are events, too
    #[arg(long)]
    pub messages: bool,
    /// Print no progress on standard error, only the summary
    #[arg(long)]
    pub no_progress: bool,
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

/// The values of `crew run --output`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    #[default]
    Auto,
    Text,
    Json,
    /// The events as they happen, one JSON object a line, and the report as the last one
    Jsonl,
    /// The crew's answer and nothing else
    Answer,
}

impl ReportFormat {
    /// The format to write. A file is no terminal.
    pub fn resolve(self, to_file: bool) -> Format {
        match self {
            Self::Auto => FormatChoice::Auto.resolve(to_file),
            Self::Text => Format::Text,
            Self::Json => Format::Json,
            Self::Jsonl => Format::Jsonl,
            Self::Answer => Format::Answer,
        }
    }
}

/// The values of `--output` of commands that print text unless JSON is requested.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum TextOrJson {
    #[default]
    Text,
    Json,
}

impl From<TextOrJson> for Format {
    fn from(choice: TextOrJson) -> Self {
        match choice {
            TextOrJson::Text => Self::Text,
            TextOrJson::Json => Self::Json,
        }
    }
}
