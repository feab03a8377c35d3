//! What the tools returned, short enough for a terminal.

use std::fmt::Write as _;

use crate::chat::ToolCall;
use crate::text::{one_line, truncate};

const TOOLS: usize = 32;
const LINES: usize = 6;
const LINE_CHARS: usize = 120;

/// The results if there are any, otherwise the start of the prompt.
pub fn of(prompt: &str, results: &[(&ToolCall, &str)]) -> String {
    let mut text = String::from("offline (no model was asked). ");
    if results.is_empty() {
        match prompt.lines().filter(|line| !line.trim().is_empty()).count() {
            0 => text.push_str("The prompt is empty."),
            1 => text.push_str("The prompt:"),
            lines => {
                let _ = write!(text, "The prompt, {lines} lines, begins:");
            }
        }
        if let Some(line) = prompt.lines().find(|line| !line.trim().is_empty()) {
            let _ = write!(text, "\n  {}", truncate(one_line(line), LINE_CHARS));
        }
        return text;
    }
    let tools = if results.len() == 1 { "tool" } else { "tools" };
    let _ = write!(text, "{} {tools} ran:", results.len());
    for (call, output) in results.iter().take(TOOLS) {
        let arguments = if call.arguments == "{}" { "" } else { call.arguments.as_str() };
        let _ = write!(
            text,
            "\n\n  {}",
            truncate(one_line(&format!("{} {arguments}", call.name)), LINE_CHARS)
        );
        excerpt(output, &mut text);
    }
    if let Some(left) = results.len().checked_sub(TOOLS).filter(|left| *left > 0) {
        let _ = write!(text, "\n\n  … {left} more");
    }
    text
}

/// The first lines, and the last: there an exit code is told.
fn excerpt(output: &str, text: &mut String) {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        text.push_str("\n    (no output)");
    }
    let mut write = |line: &str| {
        // Columns are kept: only what a terminal would act on goes.
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = write!(text, "\n    {}", truncate(line.trim_end().to_owned(), LINE_CHARS));
    };
    let left = lines.len().saturating_sub(LINES);
    for line in lines.iter().take(LINES) {
        write(line);
    }
    match left {
        0 => {}
        1 => write(lines[LINES]),
        _ => {
            write(&format!("… {} more lines", left - 1));
            write(lines[lines.len() - 1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str) -> ToolCall {
        ToolCall { id: "1".into(), name: name.into(), arguments: "{}".into() }
    }

    #[test]
    fn prompts() {
        for (prompt, expected) in [
            ("", "offline (no model was asked). The prompt is empty."),
            ("hi\u{1b}[2J", "offline (no model was asked). The prompt:\n  hi[2J"),
            (
                "\n\none\n\ntwo\n",
                "offline (no model was asked). The prompt, 2 lines, begins:\n  one",
            ),
        ] {
            assert_eq!(of(prompt, &[]), expected);
        }
    }

    #[test]
    fn results_show_their_start_and_their_end() {
        let long = "l1\nl2\nl3\nl4\nl5\nl6\nl7\nl8\n\nexit code 1\n";
        let (df, ps) = (call("df"), call("ps"));
        assert_eq!(
            of("", &[(&df, long), (&ps, " \n")]),
            "offline (no model was asked). 2 tools ran:\n\n  df\n    l1\n    l2\n    l3\n    l4\n    l5\n    l6\n    \
             … 2 more lines\n    exit code 1\n\n  ps\n    (no output)"
        );
    }

    #[test]
    fn the_digest_is_bounded() {
        let (call, line) = (call("df"), "x\t".repeat(100_000));
        let output = format!("{line}\n").repeat(20);
        let results = vec![(&call, output.as_str()); 100];
        let digest = of("", &results);
        assert!(digest.len() < TOOLS * (LINES + 4) * (LINE_CHARS + 8), "{}", digest.len());
        assert!(digest.ends_with("… 68 more"), "{digest}");
    }
}
