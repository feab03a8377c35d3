//! The arguments about reports: those beside the main one, and those that exist.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ColorArgs, FormatChoice, TextOrJson};
use crate::render::reports::ReportKind;

/// A value of `--report`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportTarget {
    pub kind: ReportKind,
    /// None for `github`, which GitHub gives its places.
    pub path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The JSON report of a run, or its id in `crew runs`
    #[arg(value_name = "REPORT")]
    pub report: PathBuf,
    /// The form to print
    #[arg(long = "as", value_enum, value_name = "KIND")]
    pub kind: ReportKind,
    #[command(flatten)]
    pub color: ColorArgs,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct RunsArgs {
    #[command(subcommand)]
    pub command: Option<RunsCommand>,
    /// Format of the list
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: TextOrJson,
    #[command(flatten)]
    pub color: ColorArgs,
}

#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Print the report of a run
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The id of a run, or its beginning; `last` is the newest run
    #[arg(value_name = "ID", default_value = "last")]
    pub id: String,
    /// Format of the report; `auto` is text on a terminal and JSON otherwise
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: FormatChoice,
    /// Also print tool output, and each of many instances
    #[arg(short, long)]
    pub verbose: bool,
}

/// Parses `KIND=PATH`, or `github`.
pub fn report_target(text: &str) -> Result<ReportTarget, String> {
    let (kind, path) = match text.split_once('=') {
        Some((kind, path)) => (kind, Some(path)),
        None => (text, None),
    };
    let kind = ReportKind::from_str(kind, false).map_err(|_| {
        let kinds = ReportKind::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let kinds: Vec<String> = kinds.map(|kind| kind.get_name().to_owned()).collect();
        format!("expected KIND=PATH, where KIND is one of {}", kinds.join(", "))
    })?;
    match (kind, path) {
        (ReportKind::Github, Some(_)) => Err("`github` takes no path".to_owned()),
        (ReportKind::Github, None) => Ok(ReportTarget { kind, path: None }),
        (_, None | Some("")) => Err(format!("expected {text}=PATH")),
        (_, Some("-")) => Err("name a file; -o writes to standard output".to_owned()),
        (_, Some(path)) => Ok(ReportTarget { kind, path: Some(path.into()) }),
    }
}
