//! The cost of a run of crew, each figure beside its lower bound: `cargo bench`.
//!
//! The lower bound (floor) is a bare reqwest client with crew's settings, in a process of its own,
//! that makes the same streamed calls to the same server, or the known delay of that server. crew
//! and the floor take turns, so that a busy machine slows down both. The table marks missed goals;
//! the exit status is 1 only if something failed. Reads processes and memory from `/proc`.
//!
//! `cargo bench --bench figures -- calls stop` measures only these sections. `CREW_BENCH_DIVISOR=20`
//! gives the batches so many times fewer inputs, to try the section out.

mod bare;
mod batch;
mod display;
mod instances;
mod launch;
mod measure;
mod repeat;
mod server;
mod stop;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use measure::Bench;
use table::Row;

type Section = fn(&mut Bench) -> anyhow::Result<Vec<Row>>;

const SECTIONS: [(&str, Section); 7] = [
    ("calls", measure::calls),
    ("instances", instances::measure),
    ("display", display::measure),
    ("stop", stop::open_calls),
    ("tools", stop::tools),
    ("repeat", repeat::measure),
    ("batch", batch::measure),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the process that the first argument names. All processes of the benchmark are this program.
fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard), hard)
        .context("cannot raise the limit of open files")?;
    match words[..] {
        [server::ROLE] => server::serve(),
        [bare::ROLE, url, parallel, rounds] => bare::run(url, parallel.parse()?, rounds.parse()?),
        [bare::WINDOW_ROLE, url, parallel, calls] => {
            bare::run_window(url, parallel.parse()?, calls.parse()?)
        }
        [repeat::ROLE, file] => repeat::run(file.as_ref()),
        [launch::ROLE, folder, program, ref arguments @ ..] => {
            launch::run(folder.as_ref(), program, arguments)
        }
        [launch::TERMINAL_ROLE, folder, program, ref arguments @ ..] => {
            launch::run_on_terminal(folder.as_ref(), program, arguments)
        }
        _ if words.contains(&"--bench") => figures(&words),
        // `cargo test --all-targets` builds and starts the benchmark too.
        _ => Ok(writeln!(io::stdout(), "nothing measured: this is for cargo bench")?),
    }
}

fn figures(words: &[&str]) -> anyhow::Result<()> {
    let wanted = |name: &str| words.contains(&name) || words.iter().all(|word| *word == "--bench");
    let known = |word: &&str| *word == "--bench" || SECTIONS.iter().any(|(name, _)| name == word);
    anyhow::ensure!(
        words.iter().all(known),
        "the sections are: {}",
        SECTIONS.map(|(name, _)| name).join(", ")
    );
    let mut bench = Bench::new()?;
    let mut rows = Vec::new();
    for (name, section) in SECTIONS.iter().filter(|(name, _)| wanted(name)) {
        writeln!(io::stderr(), "measuring: {name}")?;
        rows.extend(section(&mut bench).with_context(|| format!("section {name}"))?);
    }
    Ok(writeln!(io::stdout(), "{}", table::render(&rows))?)
}
