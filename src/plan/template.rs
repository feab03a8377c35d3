//! `{{ }}` templates.
//!
//! A template comes from the file; what fills it in comes from people, models and tools. The
//! latter is only ever text: braces in it mean nothing.

use std::fmt;
use std::io::{self, Write};
use std::sync::LazyLock;

use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, Output, State, UndefinedBehavior, Value};

mod places;

/// Steps of one rendering. A loop over a long answer's lines takes some; an endless one ends.
const FUEL: u64 = 1_000_000;
/// For trying a template out before anything runs.
const TRIAL_FUEL: u64 = 1000;
/// Bytes that one rendering may yield.
const LARGEST: usize = 64 << 20;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| environment(FUEL));
static TRIAL: LazyLock<Environment<'static>> = LazyLock::new(|| environment(TRIAL_FUEL));

fn environment(fuel: u64) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(fuel));
    environment.set_formatter(format);
    // It would print everything there is.
    environment.remove_global("debug");
    environment
}

fn format(out: &mut Output, _: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    write(value, out)
}

/// Lists and mappings as JSON, nothing as nothing, all else as one would write it.
fn write(value: &Value, out: &mut impl fmt::Write) -> Result<(), minijinja::Error> {
    let written = match value.kind() {
        ValueKind::None | ValueKind::Undefined => Ok(()),
        // As in YAML and JSON, not as in Python.
        ValueKind::Bool => out.write_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Map | ValueKind::Seq | ValueKind::Iterable => {
            let json = serde_json::to_string(value).map_err(|error| {
                minijinja::Error::new(ErrorKind::BadSerialization, error.to_string())
            })?;
            out.write_str(&json)
        }
        _ => write!(out, "{value}"),
    };
    written.map_err(|_| minijinja::Error::new(ErrorKind::WriteFailure, "cannot write"))
}

/// A template that is known to parse.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template(String);

/// Why a template does not parse or could not be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub String);

impl Template {
    pub fn parse(source: impl Into<String>) -> Result<Self, TemplateError> {
        let source = source.into();
        ENVIRONMENT.template_from_str(&source).map_err(|error| explain(&error))?;
        Ok(Self(source))
    }

    pub fn source(&self) -> &str {
        &self.0
    }

    /// Without anything to fill in.
    pub fn is_literal(&self) -> bool {
        !["{{", "{%", "{#"].iter().any(|open| self.0.contains(open))
    }

    /// The names it uses without giving them a value itself, with their attributes: `vars.service`.
    pub fn names(&self) -> Vec<String> {
        let names = ENVIRONMENT
            .template_from_str(&self.0)
            .map(|template| template.undeclared_variables(true))
            .unwrap_or_default();
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort();
        names
    }

    /// Names that every template knows, such as the function `range`.
    pub fn is_global(name: &str) -> bool {
        ENVIRONMENT.globals().any(|(global, _)| global == name)
    }

    /// Fills the template in. Bounded in work and size; an undefined name is an error.
    pub fn render(&self, context: Value) -> Result<String, TemplateError> {
        self.render_in(&ENVIRONMENT, context)
    }

    fn render_in(
        &self,
        environment: &Environment<'_>,
        context: Value,
    ) -> Result<String, TemplateError> {
        let mut out = Bounded { bytes: Vec::new(), full: false };
        let rendered = environment
            .template_from_str(&self.0)
            .and_then(|template| template.render_captured_to(context, &mut out).map(drop));
        if out.full {
            let most = LARGEST >> 20;
            return Err(TemplateError(format!("the template yields more than {most} MiB")));
        }
        rendered.map_err(|error| explain(&error))?;
        // Only whole texts are written, so nothing is lost here.
        Ok(String::from_utf8_lossy(&out.bytes).into_owned())
    }

    /// Renders with stand-ins, to find the filters and functions that there are not. Whatever else
    /// goes wrong is the stand-ins' fault.
    pub fn try_out(&self, context: Value) -> Result<(), TemplateError> {
        let mut out = Bounded { bytes: Vec::new(), full: false };
        let rendered = TRIAL
            .template_from_str(&self.0)
            .and_then(|template| template.render_captured_to(context, &mut out).map(drop));
        match rendered {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnknownFilter
                        | ErrorKind::UnknownTest
                        | ErrorKind::UnknownFunction
                        | ErrorKind::UnknownMethod
                ) =>
            {
                Err(explain(&error))
            }
            _ => Ok(()),
        }
    }
}

/// What an agent's templates see: `input`, `vars` and `agents.NAME.output` of those it needs.
pub fn agent_context<'a>(
    input: &str,
    vars: &serde_json::Value,
    outputs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Value {
    let agents = Value::from_pairs(
        outputs.into_iter().map(|(name, output)| (name, Value::from_pairs([("output", output)]))),
    );
    Value::from_pairs([
        ("input", Value::from(input)),
        ("vars", Value::from(minijinja::value::Serde(vars))),
        ("agents", agents),
    ])
}

/// What a tool's templates see: `input`, `vars` and the tool's own arguments.
pub fn tool_context(
    input: &str,
    vars: &serde_json::Value,
    arguments: &serde_json::Map<String, serde_json::Value>,
) -> Value {
    let arguments = arguments
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(minijinja::value::Serde(value))));
    let common = [
        ("input".to_owned(), Value::from(input)),
        ("vars".to_owned(), Value::from(minijinja::value::Serde(vars))),
    ];
    Value::from_pairs(common.into_iter().chain(arguments))
}

fn explain(error: &minijinja::Error) -> TemplateError {
    let mut message = match error.kind() {
        ErrorKind::OutOfFuel => "the template takes too many steps".to_owned(),
        kind => kind.to_string(),
    };
    if let Some(detail) = error.detail() {
        message = format!("{message}: {detail}");
    }
    if let Some(line) = error.line().filter(|&line| line > 1) {
        message = format!("{message} (in its line {line})");
    }
    TemplateError(message)
}

struct Bounded {
    bytes: Vec<u8>,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + piece.len() > LARGEST {
            self.full = true;
            return Err(io::Error::other("full"));
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn render(source: &str) -> Result<String, TemplateError> {
        let vars = json!({
            "service": "ssh", "n": 3, "on": true, "nothing": null, "f": 1.5,
            "list": ["a", 1, {"z": 1, "a": 2}], "hostile": "{{ input }}"
        });
        let context = agent_context("the \"input\" <b>", &vars, [("disk", "92% {{ full }}")]);
        Template::parse(source)?.render(context)
    }

    #[test]
    fn values_come_out_as_one_would_write_them() {
        for (source, rendered) in [
            ("plain", "plain"),
            ("{{ input }}", "the \"input\" <b>"),
            ("{{ vars.service }}:{{ vars.n }}:{{ vars.on }}:{{ vars.f }}", "ssh:3:true:1.5"),
            ("<{{ vars.nothing }}>", "<>"),
            ("{{ vars.list }}", r#"["a",1,{"z":1,"a":2}]"#),
            ("{{ vars.hostile }}", "{{ input }}"),
            ("{{ agents.disk.output }}", "92% {{ full }}"),
            (r#"{{ agents["disk"].output }}"#, "92% {{ full }}"),
            ("{% for x in range(3) %}{{ x }}{% endfor %}", "012"),
            ("{{ input | length }}", "15"),
            ("a\nb\n", "a\nb"),
        ] {
            assert_eq!(render(source).as_deref(), Ok(rendered), "{source}");
        }
    }

    #[test]
    fn what_cannot_be_rendered_is_an_error() {
        for source in ["{{ nope }}", "{{ vars.nope }}", "{{", "{% include 'x' %}", "{{ debug() }}"]
        {
            assert!(render(source).is_err(), "{source}");
        }
    }

    #[test]
    fn an_endless_loop_ends() {
        let nested =
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        let error = render(nested).unwrap_err();
        assert_eq!(error.0, "the template takes too many steps");
    }

    #[test]
    fn a_tool_sees_its_arguments() {
        let arguments = json!({"path": "/tmp/{{ input }}", "all": false});
        let context = tool_context("in", &json!({}), arguments.as_object().unwrap());
        let template = Template::parse("{{ path }} {{ all }} {{ input }}").unwrap();
        assert_eq!(template.render(context).as_deref(), Ok("/tmp/{{ input }} false in"));
    }

    #[test]
    fn an_unknown_filter_is_found_by_trying() {
        let context = || agent_context("", &json!({}), []);
        assert!(Template::parse("{{ input|nope }}").unwrap().try_out(context()).is_err());
        assert!(Template::parse("{{ input|upper }}{{ x }}").unwrap().try_out(context()).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_can_be_tried(source in "[{}% a-z|.\"'()\\[\\]-]{0,40}") {
            if let Ok(template) = Template::parse(source) {
                let _ = template.names();
                let _ = template.render(agent_context("", &json!({}), []));
            }
        }
    }
}
