//! Expands `${NAME}` and `${NAME:-default}` in the file's texts.
//!
//! Expansion works on parsed values, once. The value of a variable is data: it can change the
//! structure of neither the file nor a template, and `${…}` inside it is not expanded.

use std::cell::RefCell;
use std::collections::HashSet;

use secrecy::SecretString;

use super::faults::FaultLog;
use super::node::Node;
use super::place::{Path, Segment};
use crate::secret;
use crate::text::truncate;
use template::Part;

mod template;

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The expansion of a file's texts.
pub struct Expansion<'a> {
    pub env: Env<'a>,
    /// The variables that hold API keys. Only headers may use one.
    pub keys: &'a HashSet<String>,
    pub log: &'a FaultLog,
    /// The values of variables at places for secrets.
    pub secrets: RefCell<Vec<SecretString>>,
}

impl Expansion<'_> {
    /// Expands every text below the node, except shell lines: there the shell expands `${…}`.
    pub fn apply(&self, node: &mut Node, path: &Path<'_>) {
        match node {
            Node::Text { text, expanded } if text.contains("${") => {
                let kind = Kind::of(path);
                if kind != Kind::Shell {
                    *text = self.text(text, kind, path);
                    *expanded = true;
                }
            }
            Node::List(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    self.apply(item, &path.index(at));
                }
            }
            Node::Map(entries) => {
                for (name, node) in entries {
                    self.apply(node, &path.key(name));
                }
            }
            _ => {}
        }
    }

    fn text(&self, text: &str, kind: Kind, path: &Path<'_>) -> String {
        let mut parts = Vec::new();
        let mut failed = false;
        for piece in pieces(text) {
            match self.part(piece, kind, path) {
                Some(part) => parts.push(part),
                None => failed = true,
            }
        }
        if kind.is_template() && !template::keeps_apart(&parts) {
            let message = "${…} is not allowed inside {{ }}, {% %}, {# #} or a raw block";
            let hint = "define a variable under vars: and write {{ vars.name }}".to_owned();
            self.log.value(path, message, Some(hint));
            failed = true;
        }
        if failed {
            self.log.mark_broken(path);
        }
        let mut out = String::with_capacity(text.len());
        for part in parts {
            match part {
                Part::File(text) => out.push_str(text),
                Part::Environment(value) if kind.is_template() => {
                    template::push(&value, &mut out);
                }
                Part::Environment(value) => out.push_str(&value),
            }
        }
        out
    }

    /// The text of a piece. `None` if it has a fault, which is logged.
    fn part<'t>(&self, piece: Piece<'t>, kind: Kind, path: &Path<'_>) -> Option<Part<'t>> {
        match piece {
            Piece::Plain(plain) => Some(Part::File(plain)),
            Piece::Variable { name, default } => {
                let part = self.variable(name, default, kind, path)?;
                if let Part::Environment(value) = &part
                    && kind.makes_secret(name)
                {
                    self.secrets.borrow_mut().push(value.as_str().into());
                }
                Some(part)
            }
            Piece::Broken(why) => {
                let hint = "write ${NAME} or ${NAME:-default}; $${ is a literal ${";
                self.log.value(path, why, Some(hint.to_owned()));
                None
            }
        }
    }

    fn variable<'t>(
        &self,
        name: &str,
        default: Option<&'t str>,
        kind: Kind,
        path: &Path<'_>,
    ) -> Option<Part<'t>> {
        if !kind.may_hold_keys() && self.keys.contains(name) {
            let message = format!("{name} holds an API key, which is allowed in headers only");
            let hint =
                "for a model, name the variable in api_key_env; for an HTTP tool, use headers";
            self.log.value(path, message, Some(hint.to_owned()));
            return None;
        }
        let value = (self.env)(name);
        if let Some(default) = default {
            let value = value.filter(|value| !value.is_empty());
            return Some(value.map_or(Part::File(default), Part::Environment));
        }
        if value.is_none() {
            let message = format!("the environment variable {name} is not set");
            let hint = format!("set it, or write a default: ${{{name}:-default}}");
            self.log.value(path, message, Some(hint));
        }
        value.map(Part::Environment)
    }
}

/// The use of a text, which decides how values are inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Shell,
    Template,
    Header,
    /// A header of an HTTP tool, which is a template as well.
    ToolHeader,
    /// An input of a tool: arguments of a program, the URL and body of a request.
    ToolCall,
    /// A header of an MCP server.
    ServerHeader,
    /// Another place that can hold secrets: the arguments, environment and URL of an MCP server, a
    /// provider's base URL and query, `vars`.
    Setting,
    Other,
}

impl Kind {
    fn of(path: &Path<'_>) -> Self {
        use Segment::Key;
        match path.segments()[..] {
            [Key("tools" | "agents"), Key(_), Key("shell")]
            | [Key("agents"), Key(_), Key("check"), Key("shell")] => Self::Shell,
            [Key("tools" | "agents"), Key(_), Key("http"), Key("headers"), ..] => Self::ToolHeader,
            [Key("tools" | "agents"), Key(_), Key("command"), _]
            | [Key("tools" | "agents"), Key(_), Key("http"), Key("url" | "query" | "body"), ..]
            | [Key("agents"), Key(_), Key("env"), Key(_)]
            | [Key("agents"), Key(_), Key("check"), Key("command" | "env"), _] => Self::ToolCall,
            [Key("tools" | "agents"), Key(_), Key("cwd")]
            | [Key("agents"), Key(_), Key("check"), Key("cwd")]
            | [
                Key("agents"),
                Key(_),
                Key(
                    "prompt" | "system" | "role" | "goal" | "backstory" | "instructions" | "stdin"
                    | "key",
                ),
            ]
            | [Key("defaults"), Key("prompt" | "instructions")] => Self::Template,
            [Key("providers"), Key(_), Key("headers"), Key(_)] => Self::Header,
            [Key("mcp_servers"), Key(_), Key("headers"), Key(_)] => Self::ServerHeader,
            [Key("providers"), Key(_), Key("base_url" | "query"), ..]
            | [Key("mcp_servers" | "vars"), ..] => Self::Setting,
            _ => Self::Other,
        }
    }

    /// Whether the expanded text is a template.
    fn is_template(self) -> bool {
        matches!(self, Self::Template | Self::ToolHeader | Self::ToolCall)
    }

    /// Whether the value of this variable may be a secret here, so that it is never shown.
    fn makes_secret(self, variable: &str) -> bool {
        match self {
            Self::ToolHeader | Self::ServerHeader => true,
            Self::ToolCall | Self::Setting => secret::names_a_secret(variable),
            _ => false,
        }
    }

    fn may_hold_keys(self) -> bool {
        matches!(self, Self::Header | Self::ToolHeader | Self::ServerHeader)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    Plain(&'t str),
    Variable { name: &'t str, default: Option<&'t str> },
    Broken(String),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let before = &rest[..at];
        let after = &rest[at + 2..];
        if let Some(before) = before.strip_suffix('$') {
            pieces.push(Piece::Plain(before));
            pieces.push(Piece::Plain("${"));
            rest = after;
            continue;
        }
        pieces.push(Piece::Plain(before));
        let Some(end) = after.find('}') else {
            pieces.push(Piece::Broken("${ has no closing }".to_owned()));
            return pieces;
        };
        pieces.push(variable(&after[..end]));
        rest = &after[end + 1..];
    }
    pieces.push(Piece::Plain(rest));
    pieces
}

fn variable(inside: &str) -> Piece<'_> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_variable_name(name) {
        let shown = truncate(inside.to_owned(), 40);
        return Piece::Broken(format!("${{{shown}}} is not the name of an environment variable"));
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Piece::Broken(format!("the default of ${{{name}}} cannot contain another ${{…}}"));
    }
    Piece::Variable { name, default }
}

/// The variables that a text uses.
pub fn variables(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Variable { name, .. } => Some(name),
        Piece::Plain(_) | Piece::Broken(_) => None,
    })
}

/// Whether a shell accepts the name: `[A-Za-z_][A-Za-z0-9_]*`.
pub fn is_variable_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "NAME" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${NAME} {{ input }}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn the_name_of_a_variable_tells_whether_it_holds_a_secret() {
        for name in ["TOKEN", "BOT_TOKEN", "api_keys", "APIKEY", "OAUTH_SECRET", "DB_PASSWORD"] {
            assert!(secret::names_a_secret(name), "{name}");
        }
        for name in ["AUTHOR", "MAX_TOKENS", "KEYBOARD", "SSH_KEY_PATH", "SECRET_NAME", "CITY"] {
            assert!(!secret::names_a_secret(name), "{name}");
        }
    }

    fn expand(text: &str) -> (String, usize) {
        expand_at(text, &Path::Root.key("name"))
    }

    fn expand_at(text: &str, path: &Path<'_>) -> (String, usize) {
        let log = FaultLog::default();
        let keys = HashSet::from(["LOCAL_KEY".to_owned()]);
        let mut node = Node::Text { text: text.to_owned(), expanded: false };
        let expansion =
            Expansion { env: &env, keys: &keys, log: &log, secrets: RefCell::default() };
        expansion.apply(&mut node, path);
        let Node::Text { text, .. } = node else { panic!("text became something else") };
        (text, log.finish().faults.len())
    }

    #[test]
    fn variables_are_replaced_once() {
        for (text, expanded) in [
            ("plain", "plain"),
            ("$NAME $ 5$", "$NAME $ 5$"),
            ("a ${NAME} b", "a value b"),
            ("${NAME}${NAME}", "valuevalue"),
            ("${NAME:-other}", "value"),
            ("${EMPTY:-other}", "other"),
            ("${EMPTY}", ""),
            ("${MISSING:-}", ""),
            ("${MISSING:-a:-b}", "a:-b"),
            ("$${NAME}", "${NAME}"),
            ("$$${NAME}", "$${NAME}"),
            ("${NESTED}", "${NAME} {{ input }}"),
        ] {
            assert_eq!(expand(text), (expanded.to_owned(), 0), "{text}");
        }
    }

    #[test]
    fn each_variable_that_cannot_be_replaced_is_a_fault() {
        for (text, faults) in [
            ("${MISSING}", 1),
            ("${MISSING} ${GONE}", 2),
            ("${NAME", 1),
            ("${}", 1),
            ("${1A}", 1),
            ("${NAME-x}", 1),
            ("${MISSING:-${NAME}}", 1),
            ("${LOCAL_KEY}", 1),
        ] {
            assert_eq!(expand(text).1, faults, "{text}");
        }
    }

    #[test]
    fn a_variable_in_a_template_is_data() {
        let (agents, tools) = (Path::Root.key("agents"), Path::Root.key("tools"));
        let (agent, tool) = (agents.key("a"), tools.key("t"));
        let (text, faults) = expand_at("{{ input }} ${NESTED}", &agent.key("prompt"));
        assert_eq!(faults, 0);
        assert_eq!(text, r#"{{ input }} {{"${NAME} {{ input }}"}}"#);
        assert_eq!(expand_at("${NAME}", &tool.key("shell")), ("${NAME}".to_owned(), 0));
    }
}
