//! Reports for other programs and for pages: each is a pure function of one [`Report`].

mod defuse;
mod findings;
pub mod github;
mod html;
mod junit;
mod markdown;
mod sarif;
mod test_results;

use std::io::{self, Write};

use crate::render::json;
use crate::report::Report;
pub use test_results::test_results;

/// The values of `--report` and `crew report --as`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportKind {
    /// The report itself
    Json,
    /// Test results in JUnit's XML, for CI servers
    Junit,
    /// A page of Markdown, for step summaries
    Markdown,
    /// A page that needs no network
    Html,
    /// Findings in SARIF 2.1.0, for code scanning
    Sarif,
    /// The annotations, outputs and summary of a step in GitHub Actions
    Github,
}

impl ReportKind {
    pub fn write(self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Json => json(report, out),
            Self::Junit => junit::junit(report, out),
            Self::Markdown => {
                out.write_all(markdown::markdown(report, markdown::MAX_PAGE).as_bytes())
            }
            Self::Html => html::html(report, out),
            Self::Sarif => json(&sarif::sarif(report), out),
            Self::Github => github::annotations(report, out),
        }
    }
}
