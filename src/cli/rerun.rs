//! The arguments of `crew rerun`.

use std::path::PathBuf;

use clap::Args;

use super::{ColorArgs, FileArgs, LimitArgs, OutputArgs, RehearsalArgs, variable};

pub const HELP: &str = "\
Examples:
  crew rerun                              run again what failed in the last run
  crew rerun report.json -a summary       run summary again, and what needs it

Exit status: as for `crew run`. With nothing to run again, that of the report.";

#[derive(Debug, Args)]
#[command(mut_arg("config", |config| config.long_help("The crew file; by default that of the report")))]
pub struct RerunArgs {
    /// The JSON report of the earlier run, or its id in `crew runs`; default: the last run
    #[arg(value_name = "REPORT")]
    pub report: Option<PathBuf>,
    /// Run these agents again, and no others but those that need them or that they lack
    /// (repeatable, or comma-separated)
    ///
    /// `*` and `?` match several agents, and `!` before a name or pattern excludes them.
    #[arg(short, long, value_name = "AGENT", value_delimiter = ',')]
    pub agents: Vec<String>,
    /// Override a variable from `vars` (repeatable)
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub vars: Vec<(String, String)>,
    /// Run tools with `confirm: true` without asking for approval
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub file: FileArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub rehearsal: RehearsalArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub color: ColorArgs,
}
