//! The arguments about reports: those beside the main one, and those that exist.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ColorArgs;
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
    /// The JSON report of a run
    #[arg(value_name = "REPORT")]
    pub report: PathBuf,
    /// The form to print
    #[arg(long = "as", value_enum, value_name = "KIND")]
    pub kind: ReportKind,
    #[command(flatten)]
    pub color: ColorArgs,
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
