//! A template of the file: parsed, and rendered within the limits.

use std::sync::LazyLock;

use minijinja::{Environment, ErrorKind, Value};

use super::engine::{
    self, ENVIRONMENT, MAX_CODE, MAX_OUTPUT, MAX_TIME, TRIAL, TemplateError, Wait,
};
use super::input::RunInput;
use super::scan::{Piece, PieceKind, pieces};

/// The prompt of an agent that has none of its own, and the most common of all templates.
pub const INPUT: &str = "{{ input }}";
/// Bytes of simple code.
const MAX_SIMPLE_CODE: usize = 512;

/// A template that is known to parse.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    source: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    /// Text only. Rendered without the engine, like [`INPUT`]: it would compile it for each agent.
    #[default]
    Literal,
    Input,
    /// Expressions of names and filters without arguments. Their time and stack need no limit.
    Simple,
    Code,
}

impl Template {
    pub fn parse(source: impl Into<String>) -> Result<Self, TemplateError> {
        let template = Self::new(source.into());
        let code: usize = pieces(&template.source).iter().map(|piece| piece.code().len()).sum();
        if code > MAX_CODE {
            let max = MAX_CODE >> 10;
            return Err(TemplateError::new(format!("more than {max} KiB of code between braces")));
        }
        if matches!(template.kind, Kind::Simple | Kind::Code) {
            template.run(|source| Ok(ENVIRONMENT.template_from_str(source).map(drop)?))?;
        }
        Ok(template)
    }

    pub(super) fn new(source: String) -> Self {
        let pieces = pieces(&source);
        let kind = match &pieces[..] {
            _ if source == INPUT => Kind::Input,
            pieces if pieces.iter().all(|piece| piece.kind == PieceKind::Text) => Kind::Literal,
            pieces if is_simple(pieces) => Kind::Simple,
            _ => Kind::Code,
        };
        Self { source, kind }
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the template is text only.
    pub fn is_literal(&self) -> bool {
        self.kind == Kind::Literal
    }

    /// The names it uses without giving them a value itself, with their attributes: `vars.service`.
    pub fn names(&self) -> Vec<String> {
        match self.kind {
            Kind::Literal => return Vec::new(),
            Kind::Input => return vec!["input".to_owned()],
            Kind::Simple | Kind::Code => {}
        }
        let names = self
            .run(|source| Ok(ENVIRONMENT.template_from_str(source)?.undeclared_variables(true)));
        let mut names: Vec<String> = names.unwrap_or_default().into_iter().collect();
        names.sort();
        names
    }

    /// Whether every template knows the name, such as the function `range`.
    pub fn is_global(name: &str) -> bool {
        ENVIRONMENT.globals().any(|(global, _)| global == name)
    }

    /// Renders the template for an agent. The context is made only if the template needs it.
    pub async fn fill(
        &self,
        input: &RunInput,
        context: impl FnOnce() -> Value,
        wait: Wait,
    ) -> Result<String, TemplateError> {
        match self.kind {
            Kind::Input if input.text().len() <= MAX_OUTPUT => Ok(input.text().to_owned()),
            Kind::Literal => self.render_in(&ENVIRONMENT, Value::UNDEFINED, wait).await,
            Kind::Input | Kind::Simple | Kind::Code => {
                self.render_in(&ENVIRONMENT, context(), wait).await
            }
        }
    }

    /// Renders the template. An undefined name is an error.
    pub fn render(&self, context: Value) -> Result<String, TemplateError> {
        engine::ready(self.render_in(&ENVIRONMENT, context, Wait::Thread))
    }

    /// Like [`Template::render`]. Only the task waits for code that takes long.
    pub async fn render_in_task(&self, context: Value) -> Result<String, TemplateError> {
        self.render_in(&ENVIRONMENT, context, Wait::Task).await
    }

    /// The environment is made for the first template that needs it.
    pub(super) async fn render_in(
        &self,
        environment: &'static LazyLock<Environment<'static>>,
        context: Value,
        wait: Wait,
    ) -> Result<String, TemplateError> {
        if self.is_literal() {
            // Like the engine, which drops one line end.
            let text = self.source.strip_suffix('\n').unwrap_or(&self.source);
            return Ok(text.strip_suffix('\r').unwrap_or(text).to_owned());
        }
        self.run_with(wait, move |source| Ok(engine::render(environment, source, context)?)).await
    }

    /// Renders with placeholders to find unknown filters and functions, and code that never ends.
    /// Other errors are due to the placeholders.
    pub fn try_out(&self, context: Value) -> Result<(), TemplateError> {
        self.run(move |source| match engine::render(&TRIAL, source, context) {
            Err(error) if is_unknown_name(error.kind()) => Err(error.into()),
            _ => Ok(()),
        })
    }

    /// Runs the work on the source within the limits.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&str) -> Result<T, TemplateError> + Send + 'static,
    ) -> Result<T, TemplateError> {
        engine::ready(self.run_with(Wait::Thread, work))
    }

    async fn run_with<T: Send + 'static>(
        &self,
        wait: Wait,
        work: impl FnOnce(&str) -> Result<T, TemplateError> + Send + 'static,
    ) -> Result<T, TemplateError> {
        if self.kind != Kind::Code {
            return work(&self.source);
        }
        let source = self.source.clone();
        engine::run_limited(wait, MAX_TIME, move || work(&source)).await
    }
}

fn is_simple(pieces: &[Piece<'_>]) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.| ".contains(&byte);
    let is_simple = |piece: &Piece<'_>| match piece.kind {
        PieceKind::Text => true,
        PieceKind::Expression => piece.code().bytes().all(plain),
        PieceKind::Statement | PieceKind::Comment | PieceKind::Unclosed => false,
    };
    pieces.iter().all(is_simple)
        && pieces.iter().map(|piece| piece.code().len()).sum::<usize>() <= MAX_SIMPLE_CODE
}

fn is_unknown_name(kind: ErrorKind) -> bool {
    use ErrorKind::{UnknownFilter, UnknownFunction, UnknownMethod, UnknownTest};
    matches!(kind, UnknownFilter | UnknownTest | UnknownFunction | UnknownMethod)
}
