//! The program: a table of its subcommands.

use std::process::ExitCode;

use clap::Parser;
use crew::cli::{Cli, Command};
use crew::commands::{
    batch, check, generate, init, invalid, render, reports, rerun, run, runs, selftest, test,
};
use crew::{process, signal};

fn main() -> ExitCode {
    if let Some(ended) = process::run_as_guardian() {
        return ended;
    }
    signal::restore();
    let status = match Cli::try_parse() {
        Ok(cli) => match cli.command {
            Command::Run(args) => run::run(&args),
            Command::Batch(args) => batch::batch(&args),
            Command::Check(args) => check::check(&args),
            Command::Render(args) => render::render(&args),
            Command::Rerun(args) => rerun::rerun(*args),
            Command::Report(args) => reports::report(&args),
            Command::Runs(args) => runs::runs(&args),
            Command::Test(args) => test::test(&args),
            Command::Selftest(args) => selftest::selftest(&args),
            Command::Init(args) => init::init(&args),
            Command::Schema(args) => generate::schema(&args),
            Command::Completions(args) => generate::completions(&args),
            Command::Man(args) => generate::man(&args),
        },
        Err(error) => invalid::usage(error),
    };
    status.end()
}
