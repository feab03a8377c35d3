//! Values in `${}` and `{{ }}` are data.

use std::cell::RefCell;

use serde_json::json;

use crate::config::expand::Expansion;
use crate::config::faults::FaultLog;
use crate::config::node::Node;
use crate::config::place::Path;
use crate::template::{AnswerContext, MAX_OUTPUT, Template, Vars, agent_context};

/// Any text is parsed and rendered within the limits, or an error.
pub fn template(source: &str) {
    let Ok(template) = Template::parse(source) else { return };
    let _ = template.names();
    let vars = Vars::new(json!({"a": "x", "b": [1, "{{ a }}", {"c": null}], "c": {"d": 1.5}}));
    let context = || {
        agent_context(&"slow".into(), &vars, [("disk", AnswerContext::new("{{ input }}", None))])
    };
    let _ = template.try_out(context());
    rendered(&template, context());
    if template.is_literal() {
        let text = source.strip_suffix('\n').unwrap_or(source);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let rendered = template.render(context()).expect("nothing to fill in");
        assert!(rendered.starts_with(text) && rendered.len() <= source.len(), "{rendered:?}");
    }
}

pub fn rendered(template: &Template, context: minijinja::Value) {
    if let Ok(text) = template.render(context) {
        assert!(text.len() <= MAX_OUTPUT, "{} bytes", text.len());
    }
}

/// The value of a variable is inserted unchanged, once, and nothing else changes.
pub fn expansion(text: &str, value: &str) {
    let name = Path::Root.key("name");
    // Texts that cannot be expanded have faults.
    let Some(parts) = around(text, &name) else { return };
    assert_eq!(expand(text, value, &name).as_deref(), Some(parts.join(value).as_str()));
    let escaped = text.replace("${", "$${");
    assert_eq!(expand(&escaped, value, &name).as_deref(), Some(text));
}

/// In a template as well, the value is printed unchanged and never run as code.
pub fn expansion_in_template(text: &str, value: &str) {
    let agents = Path::Root.key("agents");
    let agent = agents.key("a");
    let prompt = agent.key("prompt");
    let Some(parts) = around(text, &prompt) else { return };
    let vars = Vars::new(json!({}));
    let context = || agent_context(&"slow".into(), &vars, []);
    let render = |text: &str| Template::parse(text).ok()?.render(context()).ok();
    let Some(expected) = render(&parts.join(PLACEHOLDER)) else { return };
    let Some(expanded) = expand(text, value, &prompt) else { return };
    let expected = expected.replace(PLACEHOLDER, value);
    // A template drops one line end at its end, a value none.
    let body = |text: &str| text.trim_end_matches(['\n', '\r']).to_owned();
    let found = render(&expanded).as_deref().map(body);
    assert_eq!(found, Some(body(&expected)), "{expanded:?}");
}

/// A character without any meaning, in place of a value.
const PLACEHOLDER: &str = "\u{e000}";

/// The text around the variable `V`. `None` if it has faults.
fn around(text: &str, path: &Path<'_>) -> Option<Vec<String>> {
    if text.contains(PLACEHOLDER) {
        return None;
    }
    let marked = expand(text, PLACEHOLDER, path)?;
    Some(marked.split(PLACEHOLDER).map(str::to_owned).collect())
}

/// Expands the text with the variable `V` only. `None` if it has faults.
fn expand(text: &str, value: &str, path: &Path<'_>) -> Option<String> {
    let log = FaultLog::default();
    let env = |name: &str| (name == "V").then(|| value.to_owned());
    let mut node = Node::Text { text: text.to_owned(), expanded: false };
    let (keys, secrets) = (["KEY".to_owned()].into(), RefCell::default());
    Expansion { env: &env, keys: &keys, log: &log, secrets }.apply(&mut node, path);
    match node {
        Node::Text { text, .. } if log.is_empty() => Some(text),
        _ => None,
    }
}
