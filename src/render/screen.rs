//! The places that output goes to: whether they are terminals, how wide, and with colours or not.

use std::borrow::Cow;
use std::env;
use std::io::{self, IsTerminal};

use clap::ColorChoice;
use console::Term;
use nix::sys::stat::fstat;

use crate::config::expand::Env;
use crate::text::{without_commands, without_symbols};

/// Columns where no terminal says how many there are.
const DEFAULT_WIDTH: usize = 100;

/// Whether to use colours. `--color` takes precedence over `NO_COLOR` (set and not empty), then
/// `CLICOLOR_FORCE` or `FORCE_COLOR` (set and not `0`), then `CLICOLOR=0`, then whether it is a
/// terminal.
fn colour(choice: ColorChoice, env: Env<'_>, terminal: bool) -> bool {
    let is_set = |name| env(name).is_some_and(|value| !value.is_empty());
    let is_zero = |name| env(name).as_deref() == Some("0");
    let is_forced =
        ["CLICOLOR_FORCE", "FORCE_COLOR"].iter().any(|&name| is_set(name) && !is_zero(name));
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if is_set("NO_COLOR") => false,
        ColorChoice::Auto if is_forced => true,
        ColorChoice::Auto => terminal && !is_zero("CLICOLOR"),
    }
}

/// Whether the locale is one without any characters but ASCII. An unset one is unknown: containers
/// have none, and terminals that show everything.
fn is_ascii(env: Env<'_>) -> bool {
    let set = |name: &&str| env(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set);
    locale.is_some_and(|locale| matches!(locale.as_str(), "C" | "POSIX"))
}

/// Whether the runner of GitHub Actions, or of a CI server like it, reads what crew prints.
fn is_workflow(env: Env<'_>) -> bool {
    env("GITHUB_ACTIONS").as_deref() == Some("true")
}

/// What reads a text that is meant for people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reader {
    /// The locale is `C` or `POSIX`, whose terminals show ASCII only.
    pub ascii: bool,
    /// It takes some lines for commands, as the runner of GitHub Actions does.
    pub takes_commands: bool,
}

impl Reader {
    /// The text as the reader can show it. A model's words are no command to it.
    pub fn adapt(self, text: &str) -> Cow<'_, str> {
        let text = match self.takes_commands {
            true => without_commands(text),
            false => Cow::Borrowed(text),
        };
        match self.ascii {
            true => Cow::Owned(without_symbols(&text).into_owned()),
            false => text,
        }
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
    pub reader: Reader,
}

impl Screen {
    fn new(is_terminal: bool, term: &Term, choice: ColorChoice, env: Env<'_>) -> Self {
        let terminal = is_terminal && env("TERM").as_deref() != Some("dumb");
        let width = match term.size_checked() {
            Some((_, columns)) if is_terminal => usize::from(columns),
            _ => DEFAULT_WIDTH,
        };
        let takes_commands = is_workflow(env) && !is_terminal;
        let reader = Reader { ascii: is_ascii(env), takes_commands };
        Self { terminal, width, colour: colour(choice, env, terminal), reader }
    }

    pub fn look(self, verbose: bool) -> Look {
        Look {
            colour: self.colour,
            width: self.width,
            verbose,
            wraps: self.terminal,
            reader: self.reader,
            ..Look::PLAIN
        }
    }
}

/// The places a command writes to.
#[derive(Debug, Clone, Copy)]
pub struct Screens {
    pub stdout: Screen,
    pub stderr: Screen,
    /// Any file: no terminal, so it has colours only on request.
    pub file: Screen,
    /// stdout and stderr lead to the same terminal, file or pipe.
    pub same: bool,
}

impl Screens {
    pub fn new(choice: ColorChoice) -> Self {
        let env = |name: &str| Some(env::var_os(name)?.to_string_lossy().into_owned());
        let screen = |is_terminal, term| Screen::new(is_terminal, &term, choice, &env);
        let file = screen(false, Term::stdout());
        Self {
            stdout: screen(std::io::stdout().is_terminal(), Term::stdout()),
            stderr: screen(std::io::stderr().is_terminal(), Term::stderr()),
            file: Screen { reader: Reader { takes_commands: false, ..file.reader }, ..file },
            same: are_same().unwrap_or(false),
        }
    }
}

fn are_same() -> nix::Result<bool> {
    let [stdout, stderr] = [fstat(io::stdout())?, fstat(io::stderr())?];
    Ok((stdout.st_dev, stdout.st_ino) == (stderr.st_dev, stderr.st_ino))
}

/// How a report is shown to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub colour: bool,
    /// Columns that headings, tool lines and tables fit into; answers are never cut.
    pub width: usize,
    /// Also show the output of tools.
    pub verbose: bool,
    /// The summary follows on the same screen, and shows the errors.
    pub summary_follows: bool,
    /// The whole text report stands above on the same screen.
    pub report_precedes: bool,
    /// Lines are wrapped between words.
    pub wraps: bool,
    /// Only the crew's answer, not those of other agents.
    pub brief: bool,
    /// Answers are Markdown for a person to read, not a program.
    pub markdown: bool,
    pub reader: Reader,
}

impl Look {
    /// Any file.
    pub const PLAIN: Self = Self {
        colour: false,
        width: DEFAULT_WIDTH,
        verbose: false,
        summary_follows: false,
        report_precedes: false,
        wraps: false,
        brief: false,
        markdown: false,
        reader: Reader { ascii: false, takes_commands: false },
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn the_flag_takes_precedence_over_the_environment() {
        let no = env(&[("NO_COLOR", "1"), ("CLICOLOR", "0")]);
        let yes = env(&[("CLICOLOR_FORCE", "1")]);
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
            (&[("FORCE_COLOR", "1")], true, true),
            (&[("FORCE_COLOR", "3"), ("NO_COLOR", "1")], false, false),
            (&[("FORCE_COLOR", "0"), ("CLICOLOR", "0")], false, false),
            (&[("CLICOLOR_FORCE", "0"), ("CLICOLOR", "0")], false, false),
            (&[("CLICOLOR_FORCE", "1"), ("CLICOLOR", "0")], true, true),
            (&[("CLICOLOR", "0")], false, false),
            (&[("CLICOLOR", "1")], true, false),
        ] {
            let env = env(pairs);
            assert_eq!(colour(ColorChoice::Auto, &env, true), on_terminal, "{pairs:?}");
            assert_eq!(colour(ColorChoice::Auto, &env, false), elsewhere, "{pairs:?}");
        }
    }

    #[test]
    fn only_a_locale_without_encoding_is_ascii() {
        for (pairs, expected) in [
            (&[][..], false),
            (&[("LANG", "C")], true),
            (&[("LANG", "en_US.UTF-8"), ("LC_ALL", "POSIX")], true),
            (&[("LANG", "C"), ("LC_CTYPE", "C.UTF-8"), ("LC_ALL", "")], false),
        ] {
            assert_eq!(is_ascii(&env(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_dumb_terminal_does_not_count_as_a_terminal() {
        let dumb = env(&[("TERM", "dumb")]);
        let screen = Screen::new(true, &Term::stdout(), ColorChoice::Auto, &dumb);
        assert!(!screen.terminal && !screen.colour);
    }
}
