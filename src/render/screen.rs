//! The places that output goes to: whether they are terminals, how wide, and with colours or not.

use std::env;
use std::io::IsTerminal;

use clap::ColorChoice;
use console::Term;

/// Columns where no terminal says how many there are.
const DEFAULT_WIDTH: usize = 100;

/// The environment variables that decide about colours; `None` where unset.
#[derive(Debug, Clone, Default)]
struct Environment {
    no_color: Option<String>,
    clicolor: Option<String>,
    clicolor_force: Option<String>,
    term: Option<String>,
}

impl Environment {
    fn current() -> Self {
        let read = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            no_color: read("NO_COLOR"),
            clicolor: read("CLICOLOR"),
            clicolor_force: read("CLICOLOR_FORCE"),
            term: read("TERM"),
        }
    }
}

/// Whether to use colours. `--color` takes precedence over `NO_COLOR` (set and not empty), then
/// `CLICOLOR_FORCE` (set and not `0`), then `CLICOLOR=0`, then whether it is a terminal.
fn colour(choice: ColorChoice, environment: &Environment, terminal: bool) -> bool {
    let is_set = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
    let is_zero = |value: &Option<String>| value.as_deref() == Some("0");
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if is_set(&environment.no_color) => false,
        ColorChoice::Auto if is_set(&environment.clicolor_force) => {
            !is_zero(&environment.clicolor_force) || (terminal && !is_zero(&environment.clicolor))
        }
        ColorChoice::Auto => terminal && !is_zero(&environment.clicolor),
    }
}

/// A place that output goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// A terminal that can move its cursor: `TERM=dumb` cannot and does not count.
    pub terminal: bool,
    /// Columns.
    pub width: usize,
    pub colour: bool,
}

impl Screen {
    fn new(is_terminal: bool, term: &Term, choice: ColorChoice, environment: &Environment) -> Self {
        let terminal = is_terminal && environment.term.as_deref() != Some("dumb");
        let width = match term.size_checked() {
            Some((_, columns)) if is_terminal => usize::from(columns),
            _ => DEFAULT_WIDTH,
        };
        Self { terminal, width, colour: colour(choice, environment, terminal) }
    }

    pub fn look(self, verbose: bool) -> Look {
        Look { colour: self.colour, width: self.width, verbose }
    }
}

/// The places a command writes to.
#[derive(Debug, Clone, Copy)]
pub struct Screens {
    pub stdout: Screen,
    pub stderr: Screen,
    /// Any file: no terminal, so it has colours only on request.
    pub file: Screen,
}

impl Screens {
    pub fn new(choice: ColorChoice) -> Self {
        let environment = Environment::current();
        let screen = |is_terminal, term| Screen::new(is_terminal, &term, choice, &environment);
        Self {
            stdout: screen(std::io::stdout().is_terminal(), Term::stdout()),
            stderr: screen(std::io::stderr().is_terminal(), Term::stderr()),
            file: screen(false, Term::stdout()),
        }
    }
}

/// How a report is shown to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub colour: bool,
    /// Columns that headings, tool lines and tables fit into; answers are never cut.
    pub width: usize,
    /// Also show the output of tools.
    pub verbose: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let get = |name: &str| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Environment {
            no_color: get("NO_COLOR"),
            clicolor: get("CLICOLOR"),
            clicolor_force: get("CLICOLOR_FORCE"),
            term: get("TERM"),
        }
    }

    #[test]
    fn the_flag_takes_precedence_over_the_environment() {
        let no = environment(&[("NO_COLOR", "1"), ("CLICOLOR", "0")]);
        let yes = environment(&[("CLICOLOR_FORCE", "1")]);
        assert!(colour(ColorChoice::Always, &no, false));
        assert!(!colour(ColorChoice::Never, &yes, true));
    }

    #[test]
    fn auto_follows_the_environment_and_the_terminal() {
        for (pairs, on_terminal, elsewhere) in [
            (&[][..], true, false),
            (&[("NO_COLOR", "1")], false, false),
            (&[("NO_COLOR", "")], true, false),
            (&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false, false),
            (&[("CLICOLOR_FORCE", "1")], true, true),
            (&[("CLICOLOR_FORCE", "0")], true, false),
            (&[("CLICOLOR_FORCE", "0"), ("CLICOLOR", "0")], false, false),
            (&[("CLICOLOR_FORCE", "1"), ("CLICOLOR", "0")], true, true),
            (&[("CLICOLOR", "0")], false, false),
            (&[("CLICOLOR", "1")], true, false),
        ] {
            let environment = environment(pairs);
            assert_eq!(colour(ColorChoice::Auto, &environment, true), on_terminal, "{pairs:?}");
            assert_eq!(colour(ColorChoice::Auto, &environment, false), elsewhere, "{pairs:?}");
        }
    }

    #[test]
    fn a_dumb_terminal_does_not_count_as_a_terminal() {
        let dumb = environment(&[("TERM", "dumb")]);
        let screen = Screen::new(true, &Term::stdout(), ColorChoice::Auto, &dumb);
        assert!(!screen.terminal && !screen.colour);
    }
}
