//! A summary of tool results, short enough for a terminal.

use std::fmt::Write as _;

use crate::chat::ToolCall;
use crate::text::{one_line, truncate};

const MAX_TOOLS: usize = 32;
const MAX_LINES: usize = 6;
const MAX_LINE: usize = 120;

/// The results; without any, the start of the prompt.
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
            let _ = write!(text, "\n  {}", truncate(one_line(line), MAX_LINE));
        }
        return text;
    }
    let tools = if results.len() == 1 { "tool" } else { "tools" };
    let _ = write!(text, "{} {tools} ran:", results.len());
    for (call, output) in results.iter().take(MAX_TOOLS) {
        let arguments = if call.arguments == "{}" { "" } else { call.arguments.as_str() };
        let _ = write!(
            text,
            "\n\n  {}",
            truncate(one_line(&format!("{} {arguments}", call.name)), MAX_LINE)
        );
        excerpt(output, &mut text);
    }
    if let Some(left) = results.len().checked_sub(MAX_TOOLS).filter(|left| *left > 0) {
        let _ = write!(text, "\n\n  … {left} more");
    }
    text
}

/// The first lines and the last one, which may contain an exit code.
fn excerpt(output: &str, text: &mut String) {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        text.push_str("\n    (no output)");
    }
    let mut write = |line: &str| {
        // Columns stay aligned: only control characters are replaced.
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = write!(text, "\n    {}", truncate(line.trim_end().to_owned(), MAX_LINE));
    };
    let left = lines.len().saturating_sub(MAX_LINES);
    for line in lines.iter().take(MAX_LINES) {
        write(line);
    }
    match left {
        0 => {}
        1 => write(lines[MAX_LINES]),
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
    fn a_prompt_shows_its_first_line() {
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
    fn the_digest_is_limited() {
        let (call, line) = (call("df"), "x\t".repeat(100_000));
        let output = format!("{line}\n").repeat(20);
        let results = vec![(&call, output.as_str()); 100];
        let digest = of("", &results);
        assert!(digest.len() < MAX_TOOLS * (MAX_LINES + 4) * (MAX_LINE + 8), "{}", digest.len());
        assert!(digest.ends_with("… 68 more"), "{digest}");
    }
}
