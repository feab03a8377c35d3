//! What is known about the place that output goes to: is it a terminal, how large, with colours.

use std::env;
use std::io::IsTerminal;

use console::Term;

/// Columns where no terminal says how many there are.
const DEFAULT_WIDTH: usize = 100;

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colour {
    #[default]
    Auto,
    Always,
    Never,
}

/// The environment variables that have a say; `None` where unset.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub no_color: Option<String>,
    pub clicolor: Option<String>,
    pub clicolor_force: Option<String>,
    pub term: Option<String>,
}

impl Environment {
    pub fn current() -> Self {
        let read = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            no_color: read("NO_COLOR"),
            clicolor: read("CLICOLOR"),
            clicolor_force: read("CLICOLOR_FORCE"),
            term: read("TERM"),
        }
    }
}

/// Whether to use colours. The user's flag comes first, then `NO_COLOR` (set and not empty), then
/// `CLICOLOR_FORCE` (set and not `0`), then `CLICOLOR=0`, then whether it is a terminal.
pub fn colour(choice: Colour, environment: &Environment, terminal: bool) -> bool {
    let is_set = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
    let is_zero = |value: &Option<String>| value.as_deref() == Some("0");
    match choice {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto if is_set(&environment.no_color) => false,
        Colour::Auto if is_set(&environment.clicolor_force) => {
            !is_zero(&environment.clicolor_force) || (terminal && !is_zero(&environment.clicolor))
        }
        Colour::Auto => terminal && !is_zero(&environment.clicolor),
    }
}

/// One of the two standard streams, as found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// A terminal that can move its cursor: `TERM=dumb` can not and does not count.
    pub terminal: bool,
    /// Columns.
    pub width: usize,
    pub colour: bool,
}

impl Screen {
    pub fn stdout(choice: Colour, environment: &Environment) -> Self {
        Self::new(std::io::stdout().is_terminal(), &Term::stdout(), choice, environment)
    }

    pub fn stderr(choice: Colour, environment: &Environment) -> Self {
        Self::new(std::io::stderr().is_terminal(), &Term::stderr(), choice, environment)
    }

    fn new(is_terminal: bool, term: &Term, choice: Colour, environment: &Environment) -> Self {
        let terminal = is_terminal && environment.term.as_deref() != Some("dumb");
        let width = match term.size_checked() {
            Some((_, columns)) if is_terminal => usize::from(columns),
            _ => DEFAULT_WIDTH,
        };
        Self { terminal, width, colour: colour(choice, environment, terminal) }
    }
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
    fn the_flag_comes_before_the_environment() {
        let no = environment(&[("NO_COLOR", "1"), ("CLICOLOR", "0")]);
        let yes = environment(&[("CLICOLOR_FORCE", "1")]);
        assert!(colour(Colour::Always, &no, false));
        assert!(!colour(Colour::Never, &yes, true));
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
            assert_eq!(colour(Colour::Auto, &environment, true), on_terminal, "{pairs:?}");
            assert_eq!(colour(Colour::Auto, &environment, false), elsewhere, "{pairs:?}");
        }
    }

    #[test]
    fn a_dumb_terminal_counts_as_none() {
        let dumb = environment(&[("TERM", "dumb")]);
        let screen = Screen::new(true, &Term::stdout(), Colour::Auto, &dumb);
        assert!(!screen.terminal && !screen.colour);
    }
}
