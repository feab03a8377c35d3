//! What the subcommands have in common: where they write, and how they report invalid input.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use crate::cli::{ColorWhen, OutputFormat};
use crate::config::faults::{Faults, InvalidReport};
use crate::exit;
use crate::render::{self, Colour, Environment, Look, Screen};

/// Says what is wrong, to people on stderr and, where JSON is wanted, to programs on stdout.
pub fn invalid(faults: &Faults, screens: Screens, json: bool) -> ExitCode {
    let _ = render::faults(faults, look(screens.stderr, false), &mut io::stderr().lock());
    if json {
        write_invalid(faults);
    }
    ExitCode::from(exit::INVALID)
}

pub fn write_invalid(faults: &Faults) {
    let mut stdout = io::stdout().lock();
    let _ = render::json(&InvalidReport::from(faults), &mut stdout).and_then(|()| stdout.flush());
}

#[derive(Clone, Copy)]
pub struct Screens {
    pub stdout: Screen,
    pub stderr: Screen,
}

impl Screens {
    pub fn new(when: ColorWhen) -> Self {
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

pub fn look(screen: Screen, verbose: bool) -> Look {
    Look { colour: screen.colour, width: screen.width, verbose }
}

/// Whether the result is JSON. A file is no terminal.
pub fn is_json(format: OutputFormat, to_file: bool) -> bool {
    match format {
        OutputFormat::Text => false,
        OutputFormat::Json => true,
        OutputFormat::Auto => to_file || !io::stdout().is_terminal(),
    }
}

pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
