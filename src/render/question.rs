//! The question whether a tool may run. It shows everything that the tool will do or, where a model
//! wrote too much, how much is left out.

use serde_json::{Map, Value};

use super::fit;
use crate::approval::{Detail, Question};
use crate::text::{inline, is_bidi_control};

/// Characters of one argument.
const MAX_ARGUMENT: usize = 800;
/// Characters of them that are from the end of a longer argument.
const TAIL: usize = 200;
const MAX_ARGUMENTS: usize = 12;
/// Lines of a shell script.
const MAX_LINES: usize = 20;
/// Columns of a name.
const MAX_NAME: usize = 40;
/// Marks everything that is not crew's own words.
const MARGIN: &str = "  | ";
/// Columns. On a narrower terminal rows wrap.
const MIN_WIDTH: usize = 20;

/// A question with the prompt for the answer, for a terminal of any width. The arguments are JSON
/// with all invisible characters escaped. Each of their rows has a margin, so none looks like a line
/// of crew's.
#[derive(Debug)]
pub struct QuestionText(Vec<Part>);

#[derive(Debug)]
enum Part {
    /// crew's own words, as they are.
    Own(String),
    /// A line to wrap.
    Quoted(String),
}

impl QuestionText {
    pub fn new(question: &Question<'_>) -> Self {
        let (agent, tool) = names(question);
        let arguments = question.arguments.as_object();
        let end = match (question.details, arguments.is_some_and(Map::is_empty)) {
            ([], true) => " without arguments",
            _ => ":",
        };
        let mut text = Self(vec![Part::Own(format!("{agent} wants to run {tool}{end}\n"))]);
        question.details.iter().for_each(|detail| text.push_detail(detail));
        match arguments {
            Some(arguments) => text.push_arguments(arguments),
            None => text.push_argument(&visible(question.arguments)),
        }
        text.0.push(Part::Own(prompt(question)));
        text
    }

    /// The text on a terminal of `width` columns.
    pub fn on(&self, width: usize) -> String {
        let room = width.max(MIN_WIDTH) - MARGIN.len() - 1;
        let part = |part: &Part| match part {
            Part::Own(words) => words.clone(),
            Part::Quoted(line) => {
                fit::rows(line, room).into_iter().map(|row| format!("{MARGIN}{row}\n")).collect()
            }
        };
        self.0.iter().map(part).collect()
    }

    fn push_detail(&mut self, Detail { label, lines }: &Detail) {
        let mut label = format!("{label}: ");
        for line in lines.iter().take(MAX_LINES) {
            self.push_argument(&(std::mem::take(&mut label) + &escaped(line)));
        }
        if let Some(more @ 1..) = lines.len().checked_sub(MAX_LINES) {
            self.push_note(&format!("{more} more lines left out"));
        }
    }

    fn push_arguments(&mut self, arguments: &Map<String, Value>) {
        let mut all = arguments.iter().map(|(name, value)| {
            format!("{}: {}", visible(&Value::from(name.as_str())), visible(value))
        });
        all.by_ref().take(MAX_ARGUMENTS).for_each(|argument| self.push_argument(&argument));
        let (more, characters) =
            all.fold((0, 0), |(more, sum), next| (more + 1, sum + next.chars().count()));
        if more > 0 {
            self.push_note(&format!("{more} more arguments, {characters} characters, left out"));
        }
    }

    /// Adds the head and the tail and, between them on a row without margin, how much is left out.
    fn push_argument(&mut self, argument: &str) {
        let all = argument.chars().count();
        if all <= MAX_ARGUMENT {
            return self.0.push(Part::Quoted(argument.to_owned()));
        }
        self.0.push(Part::Quoted(argument.chars().take(MAX_ARGUMENT - TAIL).collect()));
        self.push_note(&format!("{} characters left out", all - MAX_ARGUMENT));
        self.0.push(Part::Quoted(argument.chars().skip(all - TAIL).collect()));
    }

    fn push_note(&mut self, note: &str) {
        self.0.push(Part::Own(format!("  [… {note} …]\n")));
    }
}

/// The last two lines: the answers, and where one is typed.
pub fn prompt(question: &Question<'_>) -> String {
    let (agent, tool) = names(question);
    format!("[y]es, [n]o; every call of {tool}: [a]lways, ne[v]er\nAllow {agent} to run {tool}? ")
}

fn names(question: &Question<'_>) -> (String, String) {
    let name = |name: &str| fit::cut(&inline(name), MAX_NAME).into_owned();
    (name(question.agent), name(question.tool))
}

/// As JSON on one line.
fn visible(value: &Value) -> String {
    escaped(&value.to_string())
}

/// With an escape for each character that a terminal does not show.
fn escaped(line: &str) -> String {
    if !line.contains(is_hidden) {
        return line.to_owned();
    }
    let mut text = String::with_capacity(line.len());
    for character in line.chars() {
        if is_hidden(character) {
            text.push_str(&format!("\\u{{{:x}}}", u32::from(character)));
        } else {
            text.push(character);
        }
    }
    text
}

/// Characters that control a terminal, change how text reads, or are invisible.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || is_bidi_control(character)
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
        || (character != ' ' && character.is_whitespace())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ANSWER: &str =
        "[y]es, [n]o; every call of wipe: [a]lways, ne[v]er\nAllow disk to run wipe? ";

    fn asked(arguments: &Value) -> String {
        QuestionText::new(&Question { agent: "disk", tool: "wipe", details: &[], arguments }).on(80)
    }

    #[test]
    fn each_argument_has_its_own_line() {
        assert_eq!(
            asked(&json!({"path": "/tmp/x", "force": true, "n": [1, {"a": null}]})),
            format!(
                "disk wants to run wipe:\n  | \"path\": \"/tmp/x\"\n  | \"force\": true\n  \
                 | \"n\": [1,{{\"a\":null}}]\n{ANSWER}"
            )
        );
        assert_eq!(
            asked(&json!({})),
            format!("disk wants to run wipe without arguments\n{ANSWER}")
        );
    }

    #[test]
    fn arguments_neither_control_the_terminal_nor_hide_text() {
        let hostile = "\u{1b}[2K\u{1b}[1A\r\n\u{202e}x\u{200b}\u{9b}1m\u{e0041}\u{a0}";
        let arguments = &json!({"c\u{1b}[8m": hostile});
        let asked = Question { agent: "disk", tool: "wipe", details: &[], arguments };
        assert_eq!(
            QuestionText::new(&asked).on(200),
            format!(
                "disk wants to run wipe:\n  | \"c\\u001b[8m\": \"\\u001b[2K\\u001b[1A\\r\\n\
                 \\u{{202e}}x\\u{{200b}}\\u{{9b}}1m\\u{{e0041}}\\u{{a0}}\"\n{ANSWER}"
            )
        );
    }

    #[test]
    fn what_will_run_comes_before_the_arguments() {
        let details = [
            Detail { label: "shell", lines: vec!["cd /tmp".into(), "rm x\u{1b}\n".into()] },
            Detail::line("sandbox", "no network".into()),
        ];
        let arguments = &json!({"path": "x"});
        let asked = Question { agent: "disk", tool: "wipe", details: &details, arguments };
        assert_eq!(
            QuestionText::new(&asked).on(80),
            format!(
                "disk wants to run wipe:\n  | shell: cd /tmp\n  | rm x\\u{{1b}}\\u{{a}}\n  \
                 | sandbox: no network\n  | \"path\": \"x\"\n{ANSWER}"
            )
        );
    }

    #[test]
    fn omitted_text_is_counted() {
        let long = format!("{}; rm -rf ~", "x".repeat(5000));
        let text = asked(&json!({"command": long}));
        assert!(text.contains("\n  [… 4223 characters left out …]\n  | xxx"), "{text}");
        assert!(text.contains("; rm -rf ~\"\n"), "{text}");
        let many: serde_json::Map<_, _> = (0..100).map(|n| (format!("a{n}"), n.into())).collect();
        let text = asked(&Value::Object(many));
        let note = "\n  [… 88 more arguments, 792 characters, left out …]\n";
        assert!(text.contains(&format!("  | \"a11\": 11{note}")), "{text}");
    }

    proptest::proptest! {
        #[test]
        fn no_line_can_be_forged(value in "(.|\n| |名){0,2000}", name in ".*", width in 0..200usize) {
            let arguments = json!({name: value});
            let details = &[Detail::line("command", value)];
            let asked = Question { agent: "disk", tool: "wipe", details, arguments: &arguments };
            let text = QuestionText::new(&asked).on(width);
            let lines: Vec<&str> = text.split('\n').collect();
            let (first, last) = (lines[0], lines[lines.len() - 2..].join("\n"));
            proptest::prop_assert!(first == "disk wants to run wipe:" && last == ANSWER);
            for line in &lines[1..lines.len() - 2] {
                proptest::prop_assert!(line.starts_with("  | ") || line.starts_with("  [… "));
                proptest::prop_assert!(fit::width(line) < width.max(35), "{line}");
            }
            proptest::prop_assert!(!text.contains(|c: char| c != '\n' && is_hidden(c)));
        }
    }
}
