//! The program: its stages in order, and its exit status.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use std::path::Path;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use crew::cli::{CheckArgs, Cli, ColorWhen, Command, OutputFormat, SelftestArgs};
use crew::config::faults::Faults;
use crew::plan::CrewPlan;
use crew::render::{self, Colour, Environment, Look, Screen};
use crew::report::InvalidReport;
use crew::selftest::{Ended, SelftestStatus, keeper, zoo};
use crew::tool::guardian;
use crew::tool::http::HttpClients;
use crew::{exit, plan, provider, selftest, signal};

mod delivery;
mod run;

fn main() -> ExitCode {
    if let Some(ended) = guardian::take_over() {
        return ended;
    }
    signal::restore();
    match Cli::try_parse() {
        Ok(Cli { command: Command::Run(args) }) => run::run(&args),
        Ok(Cli { command: Command::Check(args) }) => check(&args),
        Ok(Cli { command: Command::Selftest(args) }) => match (&*args.animal, &*args.keep) {
            ([animal, den], _) => as_animal(animal, Path::new(den)),
            (_, [case, folder]) => as_keeper(case, Path::new(folder)),
            _ => self_test(&args),
        },
        Err(error) => usage(&error),
    }
}

fn check(args: &CheckArgs) -> ExitCode {
    let screens = Screens::new(args.color.color);
    let plan = plan::load(args.file.config.as_deref(), &plan::Overrides::default(), &environment);
    // A proxy or a certificate store that cannot be used would end a run just as early.
    let connect = |plan: &CrewPlan| {
        provider::connect(&plan.providers).and_then(|_| HttpClients::connect(plan))
    };
    let checked = plan.and_then(|plan| match connect(&plan) {
        Ok(_) => Ok(plan),
        Err(error) => Err(Faults::unplaced(None, error.to_string(), None)),
    });
    match checked {
        Ok(plan) => {
            // A reader that has seen enough is no fault of the file's.
            let _ = render::plan(&plan, look(screens.stdout, false), &mut io::stdout().lock());
            ExitCode::from(exit::SUCCESS)
        }
        Err(faults) => invalid(&faults, screens, false),
    }
}

fn self_test(args: &SelftestArgs) -> ExitCode {
    let screens = Screens::new(args.color.color);
    let json = is_json(args.output, false);
    let cases = match selftest::choose(&args.cases) {
        Ok(cases) => cases,
        Err(unknown) => {
            let hint = Some("crew selftest -o json tells their names".to_owned());
            let message = format!("there is no case {unknown:?}");
            return invalid(&Faults::unplaced(None, message, hint), screens, json);
        }
    };
    let look = look(screens.stdout, false);
    // Rows that nobody reads are no reason to stop trying: the exit status tells as well.
    let mut stdout = io::stdout().lock();
    if !json {
        let _ = render::selftest::header(look, &mut stdout);
    }
    let ended = selftest::run(&cases, |case| {
        if !json {
            let _ = render::selftest::row(case, look, &mut stdout);
        }
    });
    let report = match ended {
        Ok(Ended::All(report)) => report,
        Ok(Ended::By(signal)) => {
            exit::die_by(signal);
            return ExitCode::from(exit::FAILURE);
        }
        Err(error) => {
            drop(stdout);
            return invalid(&Faults::unplaced(None, format!("{error:#}"), None), screens, json);
        }
    };
    let written = match json {
        true => render::json(&report, &mut stdout),
        false => render::selftest::verdict(&report, look, &mut stdout),
    };
    ExitCode::from(match (report.status, written) {
        (SelftestStatus::Failed, _) => exit::FAILURE,
        (SelftestStatus::Passed, Ok(())) => exit::SUCCESS,
        (SelftestStatus::Passed, Err(_)) => exit::UNREPORTED,
    })
}

/// A tool of the self-test: started by crew, and as bad as tools get.
fn as_animal(animal: &str, den: &Path) -> ExitCode {
    let lived = zoo::Animal::from_str(animal, false).map(|animal| zoo::live(animal, den));
    match lived {
        Ok(Ok(())) => ExitCode::from(exit::SUCCESS),
        Ok(Err(_)) => ExitCode::from(exit::FAILURE),
        Err(_) => ExitCode::from(exit::INVALID),
    }
}

/// One case of the self-test: started by the self-test, to which its report goes.
fn as_keeper(case: &str, folder: &Path) -> ExitCode {
    let Some(case) = selftest::find(case) else { return ExitCode::from(exit::INVALID) };
    match keeper::keep(case, folder) {
        Ok(report) => {
            let _ = render::json(&report, &mut io::stdout().lock());
            ExitCode::from(exit::SUCCESS)
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(exit::FAILURE)
        }
    }
}

/// What clap has to say: help and version, or what is wrong with the command line.
fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) && !error.use_stderr()
    {
        return ExitCode::from(exit::SUCCESS);
    }
    // What can be understood of the command line still says which format is wanted.
    let words = Cli::command().ignore_errors(true).try_get_matches();
    let format = words.ok().and_then(|words| {
        let known = ["run", "selftest"].map(|name| words.subcommand_matches(name));
        let run = known.into_iter().flatten().next()?;
        Some(run.get_one::<OutputFormat>("output").copied().unwrap_or_default())
    });
    if format.is_some_and(|format| is_json(format, false)) {
        let text = error.render().to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let hint = Some("see crew --help".to_owned());
        write_invalid(&Faults::unplaced(None, message.to_owned(), hint));
    }
    ExitCode::from(exit::INVALID)
}

/// Says what is wrong, to people on stderr and, where JSON is wanted, to programs on stdout.
fn invalid(faults: &Faults, screens: Screens, json: bool) -> ExitCode {
    let _ = render::faults(faults, look(screens.stderr, false), &mut io::stderr().lock());
    if json {
        write_invalid(faults);
    }
    ExitCode::from(exit::INVALID)
}

fn write_invalid(faults: &Faults) {
    let mut stdout = io::stdout().lock();
    let _ = render::json(&InvalidReport::from(faults), &mut stdout).and_then(|()| stdout.flush());
}

#[derive(Clone, Copy)]
struct Screens {
    stdout: Screen,
    stderr: Screen,
}

impl Screens {
    fn new(when: ColorWhen) -> Self {
        let colour = match when {
            ColorWhen::Auto => Colour::Auto,
            ColorWhen::Always => Colour::Always,
            ColorWhen::Never => Colour::Never,
        };
        let environment = Environment::current();
        Self {
            stdout: Screen::stdout(colour, &environment),
            stderr: Screen::stderr(colour, &environment),
        }
    }
}

fn look(screen: Screen, verbose: bool) -> Look {
    Look { colour: screen.colour, width: screen.width, verbose }
}

/// Whether the result is JSON. A file is no terminal.
fn is_json(format: OutputFormat, to_file: bool) -> bool {
    match format {
        OutputFormat::Text => false,
        OutputFormat::Json => true,
        OutputFormat::Auto => to_file || !io::stdout().is_terminal(),
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
