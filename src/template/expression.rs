//! Expressions: conditions and lists, written without braces.

use minijinja::{Environment, ErrorKind, Value};
use serde_json::Value as Json;

use super::engine::{self, CHAINABLE, ENVIRONMENT, TemplateError, Wait};
use super::source::Template;
use super::tokens::{NamePath, name_at, tokens};

/// An expression that is known to parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression(String);

/// Why a condition is neither true nor false.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConditionError {
    #[error("{0}")]
    Evaluation(#[from] TemplateError),
    #[error("the condition is {}, which is neither true nor false", shown(.0))]
    NotBoolean(Json),
}

impl Expression {
    /// Parses an expression; braces around the whole are dropped.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let text = text.trim();
        let inside = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        let source = inside.unwrap_or(text).trim();
        if source.is_empty() {
            return Err(TemplateError::new("it is empty"));
        }
        let expression = Self(source.to_owned());
        // With the limits of templates.
        Template::parse(expression.as_template())?;
        let source = source.to_owned();
        engine::ready(engine::run_limited(Wait::Thread, engine::MAX_TIME, move || {
            Ok(CHAINABLE.compile_expression(&source).map(drop)?)
        }))?;
        Ok(expression)
    }

    pub fn source(&self) -> &str {
        &self.0
    }

    /// The template that prints it.
    pub fn as_template(&self) -> String {
        format!("{{{{ {} }}}}", self.0)
    }

    /// The names in it with their attributes, as written, each once.
    pub fn paths(&self) -> Vec<NamePath<'_>> {
        let tokens = tokens(&self.0);
        let mut paths: Vec<NamePath<'_>> = Vec::new();
        let found = (0..tokens.len()).filter_map(|start| name_at(&self.0, &tokens, start));
        for path in found {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        paths
    }

    /// The names it uses, with their attributes.
    pub fn names(&self) -> Vec<String> {
        Template::parse(self.as_template()).map(|template| template.names()).unwrap_or_default()
    }

    /// The names in it that begin with one of `roots`, as written, with the values that they have.
    pub fn seen(&self, roots: &[&str], context: &Value) -> Vec<(String, Json)> {
        let paths = self.paths().into_iter().filter(|path| roots.contains(&path.parts[0]));
        let value = |path: NamePath<'_>| {
            let expression = Self(path.source.to_owned());
            let value = engine::ready(expression.value(context.clone(), Wait::Thread)).ok()??;
            Some((path.source.to_owned(), value))
        };
        paths.filter_map(value).collect()
    }

    /// Its value; `None` if that is undefined.
    pub async fn value(&self, context: Value, wait: Wait) -> Result<Option<Json>, TemplateError> {
        match self.evaluate(&CHAINABLE, context, wait).await? {
            Evaluated::Value(value) => Ok(Some(value)),
            Evaluated::Undefined | Evaluated::UsesUndefined => Ok(None),
        }
    }

    /// Whether it is true. What is undefined is not, nor is a comparison with it.
    pub fn holds(&self, context: Value) -> Result<bool, ConditionError> {
        engine::ready(self.holds_with(context, Wait::Thread))
    }

    /// Like [`Expression::holds`]. Only the task waits for code that takes long.
    pub async fn holds_in_task(&self, context: Value) -> Result<bool, ConditionError> {
        self.holds_with(context, Wait::Task).await
    }

    async fn holds_with(&self, context: Value, wait: Wait) -> Result<bool, ConditionError> {
        // The engine orders what is undefined below everything else. Filters may yield something
        // defined of it, so an expression with filters is taken as the engine has it.
        let compares = ["<", ">", "!="].iter().any(|sign| self.0.contains(sign));
        let compares = compares && !self.0.contains('|');
        if compares
            && let Ok(Evaluated::UsesUndefined) =
                self.evaluate(&ENVIRONMENT, context.clone(), wait).await
        {
            return Ok(false);
        }
        match self.value(context, wait).await? {
            None => Ok(false),
            Some(value) => as_condition(&value).ok_or(ConditionError::NotBoolean(value)),
        }
    }

    async fn evaluate(
        &self,
        environment: &'static Environment<'static>,
        context: Value,
        wait: Wait,
    ) -> Result<Evaluated, TemplateError> {
        let source = self.0.clone();
        engine::run_limited(wait, engine::MAX_TIME, move || {
            let value = environment.compile_expression(&source)?.eval(context);
            match value {
                Err(error) if error.kind() == ErrorKind::UndefinedError => {
                    Ok(Evaluated::UsesUndefined)
                }
                Err(error) => Err(error.into()),
                Ok(value) if value.is_undefined() => Ok(Evaluated::Undefined),
                Ok(value) => Ok(Evaluated::Value(engine::to_json(&value)?)),
            }
        })
        .await
    }
}

/// What an expression yields.
enum Evaluated {
    Value(Json),
    Undefined,
    /// It does something to what is undefined that cannot be done.
    UsesUndefined,
}

/// `--var` gives texts only, so `true` and `false` may be texts.
fn as_condition(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(value) => Some(*value),
        Json::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn shown(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn holds(source: &str) -> Result<bool, ConditionError> {
        let values = json!({"a": {"n": 3, "s": "x", "list": [{"d": {"v": "high"}}, {"k": 1}]},
            "yes": "true"});
        Expression::parse(source).unwrap().holds(Value::from(minijinja::value::Serde(&values)))
    }

    #[test]
    fn what_is_missing_makes_a_comparison_false() {
        for (source, expected) in [
            ("a.n > 2", true),
            ("{{ a.n == 3 }}", true),
            ("true", true),
            ("yes", true),
            ("a.missing", false),
            ("a.missing.deep == 'x'", false),
            ("a.missing.deep != 'x'", false),
            ("a.missing < 5", false),
            ("a.missing > 5", false),
            ("a.missing is defined", false),
            ("a.missing == 1 or a.n == 3", true),
            ("a.list | selectattr('d.v', 'equalto', 'high') | list | length > 0", true),
            ("'x' in a.s", true),
        ] {
            assert_eq!(holds(source), Ok(expected), "{source}");
        }
        for source in ["a.n", "a.list", "a.s", "a"] {
            assert!(matches!(holds(source), Err(ConditionError::NotBoolean(_))), "{source}");
        }
        for source in ["", "{{ }}", "a ==", "{% if a %}"] {
            assert!(Expression::parse(source).is_err(), "{source}");
        }
    }
}
