//! The faults of a crew file, each shown at its place.

use std::io::{self, Write};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::words::{count, names};
use super::{Look, fit};
use crate::config::faults::{Fault, Faults};
use crate::config::sources::Source;
use crate::text::{inline, sanitize};

/// Columns that are shown of a line of the file.
const MAX_LINE: usize = 160;
/// How a tab is shown, in one column as it is one character.
const TAB: &str = "→";
/// Columns of `warning: `.
const MAX_LABEL: usize = 9;
/// Columns before a hint, with the number of a line.
const MAX_HINT: usize = 14;
/// Columns of text beside them, on however narrow a terminal.
const MIN_TEXT: usize = 20;

/// Writes every fault with its place, its line and a hint, and the number of faults.
pub fn faults(faults: &Faults, look: Look, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    write_each(&faults.faults, &faults.sources, Level::ERROR, look, out)?;
    // A fault without a path is about the file as a whole, or not about its text.
    let in_text = faults.faults.iter().filter(|fault| fault.path.is_some() || fault.line.is_some());
    let mut files: Vec<&str> = in_text.filter_map(|fault| fault.file.as_deref()).collect();
    files.sort_unstable();
    files.dedup();
    if files.is_empty() {
        return Ok(());
    }
    let number = count(faults.faults.len() as u64, "error", "errors");
    let main = faults.sources.first().map(|source| source.file.to_string_lossy());
    match main.filter(|main| !files.contains(&&**main)) {
        // All faults are in files that the crew's own file includes.
        Some(main) => {
            let (main, files) = (inline(&main).into_owned(), names(files, 3));
            writeln!(out, "{main}: {number} in {}; nothing ran", inline(&files))
        }
        None => writeln!(out, "{}: {number}; nothing ran", inline(&names(files, 3))),
    }
}

/// Writes every warning in the same way.
pub fn warnings(faults: &Faults, look: Look, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    write_each(&faults.warnings, &faults.sources, Level::WARNING, look, out)
}

/// Writes that a file has no faults.
pub fn valid(file: &str, warnings: usize, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let warnings = match warnings as u64 {
        0 => String::new(),
        number => format!(", {}", count(number, "warning", "warnings")),
    };
    writeln!(out, "{}: ok{warnings}", inline(file))
}

fn write_each(
    faults: &[Fault],
    sources: &[Source],
    level: Level<'static>,
    look: Look,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    let renderer = if look.colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(look.width).decor_style(DecorStyle::Ascii);
    for fault in faults {
        let title = wrapped(&title(fault), look, MAX_LABEL);
        let hint = fault.hint.as_deref().map(|hint| wrapped(&inline(hint), look, MAX_HINT));
        let file = fault.file.as_deref().map(inline);
        let line = fault.line.and_then(|line| line_of(sources, fault.file.as_deref()?, line));
        let (shown, at) = line.map_or((String::new(), 0), |line| excerpt(line, fault.column, look));
        let mut group = Group::with_title(level.clone().primary_title(title.as_str()));
        if let (Some(file), Some(number), Some(_)) = (&file, fault.line, line) {
            let end = at + word_length(&shown[at..]);
            let snippet = Snippet::source(shown.as_str())
                .line_start(number)
                .path(file.as_ref())
                .annotation(AnnotationKind::Primary.span(at..end));
            group = group.element(snippet);
        }
        if let (Some(hint), Some(_)) = (&hint, line) {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        writeln!(out, "{}", renderer.render(&[group]))?;
        if let (Some(hint), None) = (&hint, line) {
            // By itself: below the title alone it would get a margin without a line of the file.
            let help = Group::with_title(Level::HELP.primary_title(hint.as_str()));
            writeln!(out, "{}", renderer.render(&[help]))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// On a terminal, the text in lines that fit beside a label.
fn wrapped(text: &str, look: Look, label: usize) -> String {
    match look.wraps {
        true => fit::wrap(text, look.width.saturating_sub(label).max(MIN_TEXT)).join("\n"),
        false => text.to_owned(),
    }
}

/// The bytes of the word at the start of a text, or of its first character.
fn word_length(text: &str) -> usize {
    let is_in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let first = text.chars().next().map_or(0, char::len_utf8);
    text.find(|c| !is_in_word(c)).unwrap_or(text.len()).max(first)
}

fn line_of<'a>(sources: &'a [Source], file: &str, line: usize) -> Option<&'a str> {
    let source = sources.iter().find(|source| source.file.to_string_lossy() == file)?;
    source.text.lines().nth(line.checked_sub(1)?)
}

/// The message, after the path of the key if there is one.
fn title(fault: &Fault) -> String {
    let message = inline(&fault.message);
    match &fault.path {
        Some(path) => format!("{}: {message}", inline(path)),
        None => message.into_owned(),
    }
}

/// A line of the file made safe for a terminal, and the byte of a column in it. A long line is cut
/// to the part around the column.
fn excerpt(line: &str, column: Option<usize>, look: Look) -> (String, usize) {
    let room =
        if look.wraps { look.width.saturating_sub(MAX_LABEL).max(MIN_TEXT) } else { MAX_LINE };
    let room = room.min(MAX_LINE);
    let column = column.unwrap_or(1).saturating_sub(1);
    let skipped = column.saturating_sub(room / 2);
    let visible = |from: usize, length: usize| {
        let part: String = line.chars().skip(from).take(length).collect();
        sanitize(&part).replace('\n', " ").replace('\t', TAB)
    };
    let start = if skipped > 0 { "…" } else { "" };
    let before = format!("{start}{}", visible(skipped, column - skipped));
    let at = before.len();
    let rest = visible(column, MAX_LINE);
    (format!("{before}{}", fit::cut(&rest, room - (column - skipped).min(room / 2))), at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shown(source: &str, line: usize, column: usize, hint: Option<&str>) -> String {
        let fault = Fault {
            file: Some("agents.yaml".into()),
            path: Some("agents.disk".into()),
            line: Some(line),
            column: Some(column),
            message: "no \x1b[31mgood".into(),
            hint: hint.map(str::to_owned),
        };
        let source = Source { file: "agents.yaml".into(), text: source.into() };
        let all = Faults { sources: vec![source], faults: vec![fault], warnings: vec![] };
        let mut out = Vec::new();
        faults(&all, Look { width: 80, ..Look::PLAIN }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_fault_is_shown_in_its_line() {
        assert_eq!(
            shown("agents:\n  disk: 3\n", 2, 9, Some("a mapping")),
            "error: agents.disk: no good\n \
             --> agents.yaml:2:9\n  \
             |\n\
             2 |   disk: 3\n  \
             |         ^\n  \
             |\n  \
             = help: a mapping\n\n\
             agents.yaml: 1 error; nothing ran\n"
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_no_word() {
        let fault = Fault {
            file: Some("agents.yaml".into()),
            path: Some("agents.disk".into()),
            line: Some(2),
            column: Some(70),
            message: "unknown key \"mystery\", which no agent of any crew has".into(),
            hint: Some("known here: role, goal, backstory, instructions, system, prompt".into()),
        };
        let line =
            format!("  disk: {{{}mystery: 3, {}}}", "a: b, ".repeat(10), "c: d, ".repeat(10));
        let source = Source { file: "agents.yaml".into(), text: format!("agents:\n{line}\n") };
        let all = Faults { sources: vec![source], faults: vec![fault], warnings: vec![] };
        let mut out = Vec::new();
        faults(&all, Look { width: 40, wraps: true, ..Look::PLAIN }, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|line| fit::width(line) <= 40), "{text}");
        assert!(text.contains("mystery: 3") && text.contains(" ^^^^^^^"), "{text}");
        for word in ["backstory,", "instructions,", "prompt", "\"mystery\",", "which"] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }

    #[test]
    fn hostile_and_very_long_lines_are_made_safe() {
        let text = shown(
            &format!("{}\x1b]0;owned\x07é{}", "x".repeat(9000), "y".repeat(9000)),
            1,
            9002,
            None,
        );
        assert!(!text.contains('\x1b') && !text.contains('\x07'), "{text}");
        assert!(text.len() < 1000, "{}", text.len());
    }

    #[test]
    fn every_place_can_be_shown() {
        for (line, column) in [(0, 0), (1, 99), (7, 1), (2, 1)] {
            assert!(shown("a\n\n", line, column, None).contains("no good"));
        }
    }
}
