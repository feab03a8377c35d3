//! `{{ }}` templates.
//!
//! A template comes from the file; what fills it in comes from people, models and tools. The
//! latter is only ever text: braces in it mean nothing.

use std::fmt;
use std::io::{self, Write};
use std::sync::LazyLock;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, ErrorKind, Output, State, UndefinedBehavior, Value};

mod grammar;

mod places;

/// Steps of one rendering, of which one pays for 64 bytes made or looked through: 32 MB in all. A
/// loop over a long answer's lines takes some; an endless one ends.
const FUEL: u64 = 500_000;
/// For trying a template out before anything runs.
const TRIAL_FUEL: u64 = 1000;
/// Bytes that one rendering may yield.
pub const LARGEST: usize = 16 << 20;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| environment(FUEL));
static TRIAL: LazyLock<Environment<'static>> = LazyLock::new(|| environment(TRIAL_FUEL));

fn environment(fuel: u64) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(fuel));
    environment.set_formatter(format);
    // The first would print everything there is, the others build values; see `grammar`.
    for name in ["debug", "dict", "namespace"] {
        environment.remove_global(name);
    }
    for name in ["batch", "chain", "format", "groupby", "pprint", "slice", "zip"] {
        environment.remove_filter(name);
    }
    // The engine's own indents by as much as it is told to.
    environment.add_filter("tojson", |value: &Value, indent: Option<Value>, named: Kwargs| {
        let indent = indent.or(named.get("indent")?);
        json(value, indent.is_some())
    });
    environment
}

fn json(value: &Value, pretty: bool) -> Result<String, minijinja::Error> {
    let json =
        if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    json.map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// Lists and mappings as JSON, nothing as nothing, all else as one would write it.
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
            out.write_str(&json(value, false)?)
        }
        _ => write!(out, "{value}"),
    };
    written.map_err(|_| minijinja::Error::new(ErrorKind::WriteFailure, "cannot write"))
}

/// The prompt of an agent that has none of its own, and the commonest of all templates.
pub const INPUT: &str = "{{ input }}";

/// A template that is known to parse.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    source: String,
    kind: Kind,
}

/// The first two do without the engine, which would compile them for every agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Literal,
    Input,
    Code,
}

/// Why a template does not parse or could not be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub String);

impl Template {
    pub fn parse(source: impl Into<String>) -> Result<Self, TemplateError> {
        let template = Self::new(source.into());
        if template.kind == Kind::Code {
            grammar::check(&template.source).map_err(TemplateError)?;
            ENVIRONMENT.template_from_str(&template.source).map_err(|error| explain(&error))?;
        }
        Ok(template)
    }

    fn new(source: String) -> Self {
        let kind = match &*source {
            INPUT => Kind::Input,
            code if ["{{", "{%", "{#"].iter().any(|open| code.contains(open)) => Kind::Code,
            _ => Kind::Literal,
        };
        Self { source, kind }
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Without anything to fill in.
    pub fn is_literal(&self) -> bool {
        self.kind == Kind::Literal
    }

    /// The names it uses without giving them a value itself, with their attributes: `vars.service`.
    pub fn names(&self) -> Vec<String> {
        let names = ENVIRONMENT
            .template_from_str(&self.source)
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

    /// As [`Self::render`] for an agent, whose context is made only if there is need of it.
    pub fn fill(
        &self,
        input: &str,
        context: impl FnOnce() -> Value,
    ) -> Result<String, TemplateError> {
        match self.kind {
            Kind::Input if input.len() <= LARGEST => Ok(input.to_owned()),
            Kind::Literal => self.render(Value::UNDEFINED),
            _ => self.render(context()),
        }
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
        if self.is_literal() {
            // As the engine does it: one line end less.
            let text = self.source.strip_suffix('\n').unwrap_or(&self.source);
            return Ok(text.strip_suffix('\r').unwrap_or(text).to_owned());
        }
        let mut out = Bounded { bytes: Vec::new(), full: false };
        let rendered = environment
            .template_from_str(&self.source)
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
            .template_from_str(&self.source)
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

/// `vars` of a file, with what templates see of them: made once, since that takes as long as they
/// are large.
#[derive(Debug)]
pub struct Vars {
    values: serde_json::Value,
    seen: Value,
}

impl Vars {
    pub fn new(values: serde_json::Value) -> Self {
        let seen = Value::from(minijinja::value::Serde(&values));
        Self { values, seen }
    }

    pub fn values(&self) -> &serde_json::Value {
        &self.values
    }
}

/// What a template sees of an agent that has answered.
pub struct Answer(Value);

impl Answer {
    /// `data` is the value in the answer, if one was asked for.
    pub fn new(output: &str, data: Option<&serde_json::Value>) -> Self {
        let data = data.map(|data| ("data", Value::from(minijinja::value::Serde(data))));
        let output = ("output", Value::from(output));
        Self(Value::from_pairs([output].into_iter().chain(data)))
    }
}

/// What an agent's templates see: `input`, `vars`, and `agents.NAME.output` and
/// `agents.NAME.data` of those it needs.
pub fn agent_context<'a>(
    input: &str,
    vars: &Vars,
    answers: impl IntoIterator<Item = (&'a str, Answer)>,
) -> Value {
    let answers = answers.into_iter();
    let agents = Value::from_pairs(answers.map(|(name, answer)| (name, answer.0)));
    Value::from_pairs([
        ("input", Value::from(input)),
        ("vars", vars.seen.clone()),
        ("agents", agents),
    ])
}

/// What a tool's templates see: `input`, `vars` and the tool's own arguments.
pub fn tool_context(
    input: &str,
    vars: &Vars,
    arguments: &serde_json::Map<String, serde_json::Value>,
) -> Value {
    let arguments = arguments
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(minijinja::value::Serde(value))));
    let common = [("input".to_owned(), Value::from(input)), ("vars".to_owned(), vars.seen.clone())];
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
mod tests;
