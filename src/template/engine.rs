//! The template engine within crew's limits.
//!
//! Fuel bounds the steps of a rendering and the text it makes. It does not count the work of one
//! step on a value that holds the same value many times over (`{% set a = [a, a] %}`, sixty times),
//! nor how deep the engine recurses into long code. So code has a maximum length, and any but the
//! simplest code runs on a thread of its own, with enough stack for that length and for a limited
//! time.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::LazyLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::filters;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};

/// Steps of one rendering. 64 bytes of text made or searched count as one step: 32 MB in all.
const FUEL: u64 = 500_000;
const TRIAL_FUEL: u64 = 1000;
/// Bytes of the text that one rendering yields.
pub const MAX_OUTPUT: usize = 16 << 20;
/// Bytes of a template's code, all tags together.
pub const MAX_CODE: usize = 16 << 10;
/// Twice what the longest code needs in an unoptimized build. Unused stack takes no memory.
const STACK: usize = 64 << 20;
/// Out of fuel, a rendering ends within a second or two; a busy machine can take several times that.
pub const MAX_TIME: Duration = Duration::from_secs(10);

pub static ENVIRONMENT: LazyLock<Environment<'static>> =
    LazyLock::new(|| environment(FUEL, format));
/// For rendering with placeholders before anything runs.
pub static TRIAL: LazyLock<Environment<'static>> =
    LazyLock::new(|| environment(TRIAL_FUEL, format));
/// For expressions: an attribute of what is undefined is undefined.
pub static CHAINABLE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = environment(FUEL, format);
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment
});
/// For segments of a URL's path.
pub static ENCODING: LazyLock<Environment<'static>> =
    LazyLock::new(|| environment(FUEL, format_encoded));

/// The reason why a template does not parse or cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", self.place())]
pub struct TemplateError {
    pub message: String,
    /// The line of the template, from 1.
    pub line: Option<usize>,
}

impl TemplateError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), line: None }
    }

    fn place(&self) -> String {
        let line = self.line.filter(|&line| line > 1);
        line.map(|line| format!(" (in line {line} of the template)")).unwrap_or_default()
    }
}

impl From<Error> for TemplateError {
    fn from(error: Error) -> Self {
        let message = match (error.kind(), error.detail()) {
            (ErrorKind::OutOfFuel, _) => "the template takes too many steps".to_owned(),
            (ErrorKind::WriteFailure, Some(detail)) => detail.to_owned(),
            (kind, Some(detail)) => format!("{kind}: {detail}"),
            (kind, None) => kind.to_string(),
        };
        Self { message, line: error.line() }
    }
}

type Formatter = fn(&mut Output, &mut State, &Value) -> Result<(), Error>;

fn environment(fuel: u64, formatter: Formatter) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(fuel));
    environment.set_formatter(formatter);
    // `debug` prints the whole context. A `namespace` can contain itself: printing never ends.
    for name in ["debug", "namespace"] {
        environment.remove_global(name);
    }
    // The engine's own filter indents by any number of spaces.
    environment.add_filter("tojson", |value: &Value, indent: Option<Value>, named: Kwargs| {
        let indent = indent.or(named.get("indent")?);
        json(value, indent.is_some())
    });
    filters::add(&mut environment);
    environment
}

/// What waits for a thread that renders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The thread of the caller.
    Thread,
    /// The task of the caller: other tasks, and other futures of the same task, go on.
    Task,
}

/// Runs the work on a thread of its own for at most this time. Waiting with [`Wait::Task`] needs a
/// runtime.
///
/// # Errors
/// As those of the work, or it takes too long. Then its thread runs until crew exits.
pub async fn run_limited<T: Send + 'static>(
    wait: Wait,
    time: Duration,
    work: impl FnOnce() -> Result<T, TemplateError> + Send + 'static,
) -> Result<T, TemplateError> {
    let too_long = format!("the template takes longer than {} s", time.as_secs_f64());
    let too_long = || TemplateError::new(too_long);
    // Sending fails if the work took too long.
    match wait {
        Wait::Thread => {
            let (sender, receiver) = mpsc::channel();
            let thread = start(move || drop(sender.send(work())))?;
            match receiver.recv_timeout(time) {
                Err(RecvTimeoutError::Timeout) => Err(too_long()),
                result => ended(thread, result.ok()),
            }
        }
        Wait::Task => {
            let (sender, receiver) = oneshot::channel();
            let thread = start(move || drop(sender.send(work())))?;
            match timeout(time, receiver).await {
                Err(_) => Err(too_long()),
                Ok(result) => ended(thread, result.ok()),
            }
        }
    }
}

fn start(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, TemplateError> {
    let thread = thread::Builder::new().name("template".to_owned()).stack_size(STACK);
    let started = thread.spawn(work);
    started.map_err(|error| TemplateError::new(format!("cannot start a thread: {error}")))
}

/// The result of a thread that has sent it, or has ended without one.
///
/// The thread is joined. To drop its handle would detach it just while it ends, and glibc reads the
/// freed memory of a thread that does: crew would crash, if rarely.
fn ended<T>(
    thread: JoinHandle<()>,
    result: Option<Result<T, TemplateError>>,
) -> Result<T, TemplateError> {
    let result = thread.join().ok().and(result);
    result.unwrap_or_else(|| Err(TemplateError::new("internal error in the template engine")))
}

/// The result of a future that waits with [`Wait::Thread`] only.
pub fn ready<T, E: From<TemplateError>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    work.now_or_never()
        .unwrap_or_else(|| Err(TemplateError::new("internal error: a task has to wait").into()))
}

/// Compiles and renders a template.
pub fn render(
    environment: &Environment<'_>,
    source: &str,
    context: Value,
) -> Result<String, Error> {
    let mut out = Bounded::default();
    let rendered = environment
        .template_from_str(source)
        .and_then(|template| template.render_captured_to(context, &mut out).map(drop));
    out.finish(rendered)
}

/// The value as JSON.
pub fn json(value: &Value, pretty: bool) -> Result<String, Error> {
    let mut out = Bounded::default();
    let written = match pretty {
        true => serde_json::to_writer_pretty(&mut out, value),
        false => serde_json::to_writer(&mut out, value),
    };
    out.finish(written.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string())))
}

/// The value as JSON to work with.
pub fn to_json(value: &Value) -> Result<serde_json::Value, TemplateError> {
    // Unlike the conversion below, this one is bounded.
    json(value, false)?;
    serde_json::to_value(value).map_err(|error| TemplateError::new(error.to_string()))
}

fn format(out: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    write(value, out)
}

/// Percent-encodes every value; the template's own text stays as it is.
fn format_encoded(out: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    let mut text = String::new();
    write(value, &mut text)?;
    for byte in text.bytes() {
        let written = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.write_char(char::from(byte))
            }
            _ => write!(out, "%{byte:02X}"),
        };
        written.map_err(|_| cannot_write())?;
    }
    Ok(())
}

/// Writes lists and mappings as JSON and null as nothing.
fn write(value: &Value, out: &mut impl fmt::Write) -> Result<(), Error> {
    let written = match value.kind() {
        ValueKind::None | ValueKind::Undefined => Ok(()),
        // As in YAML and JSON, not as in Python.
        ValueKind::Bool => out.write_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Map | ValueKind::Seq | ValueKind::Iterable => {
            out.write_str(&json(value, false)?)
        }
        _ => write!(out, "{value}"),
    };
    written.map_err(|_| cannot_write())
}

fn cannot_write() -> Error {
    Error::new(ErrorKind::WriteFailure, "cannot write")
}

/// Collects up to [`MAX_OUTPUT`] bytes.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl Bounded {
    fn finish(self, written: Result<(), Error>) -> Result<String, Error> {
        if self.is_full {
            let message = format!("the template yields more than {} MiB", MAX_OUTPUT >> 20);
            return Err(Error::new(ErrorKind::WriteFailure, message));
        }
        written?;
        // Only whole texts are written, so nothing is replaced here.
        Ok(String::from_utf8_lossy(&self.bytes).into_owned())
    }
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + piece.len() > MAX_OUTPUT {
            self.is_full = true;
            return Err(io::Error::other("full"));
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
