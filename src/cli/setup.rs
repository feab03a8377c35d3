//! The arguments of the commands that help to set crew up.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ColorArgs;

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The file to write, or a directory for an agents.yaml; by default ./agents.yaml; `-` prints
    /// it
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
    /// The crew to start from
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    pub template: TemplateName,
    /// Read environment variables from a file of NAME=VALUE lines (repeatable)
    #[arg(long = "env-file", value_name = "PATH")]
    pub env_files: Vec<PathBuf>,
    #[command(flatten)]
    pub color: ColorArgs,
}

/// The crews that `crew init` writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum TemplateName {
    /// Two agents: a draft and its review
    #[default]
    Minimal,
    /// Three reviewers and an editor for a diff
    CodeReview,
    /// Diagnosis of this machine for a help desk request
    ItSupport,
    /// A cited report on a question, from the web
    Research,
}

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// What the schema describes
    #[arg(value_enum, value_name = "NAME", default_value_t)]
    pub name: SchemaName,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum SchemaName {
    /// Crew files
    #[default]
    Crew,
    /// The JSON report, and in $defs.event the lines of -o jsonl
    Report,
    /// A line of the results of crew batch, and in $defs.run the file run.json
    Batch,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// The command; by default crew itself
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}
