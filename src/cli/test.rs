//! The arguments of `crew test`.

use std::path::PathBuf;

use clap::Args;

use super::ColorArgs;

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Test files, or folders to search; by default all *.crewtest.yaml below this folder
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Rewrite the snapshots of the tests
    #[arg(long)]
    pub update: bool,
    /// Write the results to this file, as JUnit XML
    #[arg(long, value_name = "PATH")]
    pub junit: Option<PathBuf>,
    /// Read environment variables from a file of NAME=VALUE lines (repeatable)
    ///
    /// A variable that is set in the environment keeps its value.
    #[arg(long = "env-file", value_name = "PATH")]
    pub env_files: Vec<PathBuf>,
    #[command(flatten)]
    pub color: ColorArgs,
}
