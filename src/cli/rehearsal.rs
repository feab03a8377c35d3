//! The arguments for runs without servers: recordings and faults.

use std::path::PathBuf;

use clap::Args;

use crate::provider::FaultRule;

#[derive(Debug, Args)]
#[command(next_help_heading = "Recordings")]
pub struct RehearsalArgs {
    /// Write every exchange with models, HTTP tools and MCP servers to a file, without keys
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Answer every request from a recording; needs no network and no API keys
    #[arg(long, value_name = "FILE", group = "without_servers", conflicts_with = "record")]
    pub replay: Option<PathBuf>,
    /// Answer recorded requests from the file; send the others, and add them to it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["record", "without_servers"])]
    pub replay_or_record: Option<PathBuf>,
    /// Make model calls fail, with --replay or --offline (repeatable)
    ///
    /// PATTERN is a glob over agents (`*`, `review`) and instances (`review[*]`). KIND is 429, 500,
    /// stall, cut, hang, garbage or die. With :N, only the first N calls of each agent fail.
    #[arg(long = "fault", value_name = "PATTERN=KIND[:N]", requires = "without_servers")]
    pub faults: Vec<FaultRule>,
}
