//! The trace that a run belongs to: read from the environment, continued in child processes.
//!
//! The id of a span is derived from what the span is about. So a tool learns its id when it starts,
//! and the report, which knows no ids, yields the same one when the run has ended.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use super::collector::{Collector, CollectorError};

/// Bytes of `TRACESTATE` and `BAGGAGE`. Longer values are not passed on.
const MAX_CONTEXT: usize = 8 << 10;
/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;
/// The flags that have a meaning: sampled, and a random trace id.
const KNOWN_FLAGS: u8 = 3;

/// Identifies a span within its trace. Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

impl SpanId {
    /// The span of a part of what this span is about. The same part has the same id.
    pub fn child(self, part: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.0, part).hash(&mut hasher);
        Self(hasher.finish().max(1))
    }

    /// The span of an agent, or of an instance, which is named like `review[a.rs]`.
    pub fn agent(self, run_id: &str, name: &str) -> Self {
        self.child((run_id, name))
    }

    /// The span of an agent's tool call, by its place in the report.
    pub fn tool_call(self, index: usize) -> Self {
        self.child(("tool", index))
    }

    /// The span of an agent's model call, by its place in the report.
    pub fn model_call(self, index: usize) -> Self {
        self.child(("model", index))
    }

    /// The span of one run of an agent's check, by its place in the report.
    pub fn check(self, index: usize) -> Self {
        self.child(("check", index))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// The trace of a crew process.
#[derive(Debug)]
pub struct Trace {
    pub id: u128,
    /// The span in which crew was started.
    pub parent: Option<SpanId>,
    /// The span of crew itself.
    pub root: SpanId,
    flags: u8,
    pub state: Option<String>,
    baggage: Option<String>,
    /// Where the spans go. `None`: nowhere.
    pub collector: Option<Result<Collector, CollectorError>>,
    /// The addresses of the model servers, by the names of their providers.
    pub servers: HashMap<String, Url>,
}

impl Trace {
    /// Continues the trace of `TRACEPARENT`, or begins a new one.
    pub fn of_environment() -> Self {
        Self::new(&|name| std::env::var(name).ok())
    }

    fn new(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let bounded = |name| variable(name).filter(|text| is_header(text));
        let root = SpanId(1).child(Uuid::now_v7().as_u128());
        let baggage = bounded("BAGGAGE");
        let collector = Collector::of_environment(variable);
        let servers = HashMap::new();
        match variable("TRACEPARENT").and_then(|text| parse(&text)) {
            Some((id, parent, flags)) => {
                let state = bounded("TRACESTATE");
                let is_sampled = flags & SAMPLED != 0;
                let collector = collector.filter(|_| is_sampled);
                Self { id, parent: Some(parent), root, flags, state, baggage, collector, servers }
            }
            None => {
                let id = Uuid::now_v7().as_u128();
                let (parent, flags, state) = (None, SAMPLED, None);
                Self { id, parent, root, flags, state, baggage, collector, servers }
            }
        }
    }

    /// The context for what runs within a span.
    pub fn within(&self, span: SpanId) -> SpanContext<'_> {
        SpanContext { trace: self, span }
    }

    /// Whether anything records this trace.
    fn is_recorded(&self) -> bool {
        self.parent.is_some() || self.collector.is_some()
    }
}

/// The place of a program or a request in the trace.
#[derive(Debug, Clone, Copy)]
pub struct SpanContext<'a> {
    trace: &'a Trace,
    span: SpanId,
}

impl SpanContext<'_> {
    /// `TRACEPARENT`, `TRACESTATE` and `BAGGAGE`, for a program.
    pub fn variables(self) -> impl Iterator<Item = (&'static str, String)> {
        let baggage = self.trace.baggage.clone().map(|baggage| ("BAGGAGE", baggage));
        let fields = self.fields().map(|(name, value)| match name {
            "traceparent" => ("TRACEPARENT", value),
            _ => ("TRACESTATE", value),
        });
        fields.chain(baggage)
    }

    /// `traceparent` and `tracestate`, for a request. Baggage stays on the machine: it can hold
    /// data about users.
    pub fn fields(self) -> impl Iterator<Item = (&'static str, String)> {
        let Trace { id, flags, state, .. } = self.trace;
        let parent =
            self.trace.is_recorded().then(|| format!("00-{id:032x}-{}-{flags:02x}", self.span));
        let state = state.clone().map(|state| ("tracestate", state));
        parent.map(|parent| ("traceparent", parent)).into_iter().chain(state)
    }

    /// Adds [`SpanContext::fields`] to the headers of a request, unless it has them.
    pub fn add_to(self, headers: &mut HeaderMap) {
        for (name, value) in self.fields() {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.entry(HeaderName::from_static(name)).or_insert(value);
            }
        }
    }
}

/// Trace id, span id and flags of a `traceparent`.
fn parse(text: &str) -> Option<(u128, SpanId, u8)> {
    let mut parts = text.trim().split('-');
    let version = hex(parts.next()?, 2)?;
    let id = hex(parts.next()?, 32)?;
    let span = hex(parts.next()?, 16)?;
    let flags = hex(parts.next()?, 2)?;
    // Later versions may append fields; 255 is not a version.
    let has_valid_end = version != 0 || parts.next().is_none();
    let is_valid = version != 0xff && id != 0 && span != 0 && has_valid_end;
    let (span, flags) = (u64::try_from(span).ok()?, u8::try_from(flags).ok()?);
    is_valid.then_some((id, SpanId(span), flags & KNOWN_FLAGS))
}

/// A number of exactly this many lower-case digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != digits || !text.bytes().all(is_lower) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

fn is_header(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_CONTEXT
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn trace(variables: &[(&str, &str)]) -> Trace {
        let found = |name: &str| {
            let variable = variables.iter().find(|(known, _)| *known == name);
            variable.map(|(_, value)| (*value).to_owned())
        };
        Trace::new(&found)
    }

    fn variables(trace: &Trace) -> Vec<(&'static str, String)> {
        trace.within(trace.root).variables().collect()
    }

    #[test]
    fn a_valid_parent_is_continued() {
        let trace = trace(&[("TRACEPARENT", PARENT), ("TRACESTATE", "a=1"), ("BAGGAGE", "b=2")]);
        assert_eq!(trace.parent.unwrap().to_string(), "b7ad6b7169203331");
        let found = variables(&trace);
        let parent = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", trace.root);
        let expected =
            [("TRACEPARENT", parent.as_str()), ("TRACESTATE", "a=1"), ("BAGGAGE", "b=2")];
        assert_eq!(found.iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>(), expected);
        let fields: Vec<_> = trace.within(trace.root).fields().map(|(name, _)| name).collect();
        assert_eq!(fields, ["traceparent", "tracestate"]);
    }

    #[test]
    fn an_invalid_parent_is_ignored_with_its_state() {
        for text in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            let trace = trace(&[("TRACEPARENT", text), ("TRACESTATE", "a=1")]);
            assert!(variables(&trace).is_empty(), "{text}");
        }
        let later = PARENT.replacen("00", "01", 1) + "-more";
        assert!(parse(&later).is_some());
    }

    #[test]
    fn a_trace_that_is_not_sampled_is_passed_on_and_not_sent() {
        let parent = PARENT.replace("-01", "-00");
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        let trace = trace(&[("TRACEPARENT", &parent), endpoint]);
        assert!(trace.collector.is_none());
        assert!(variables(&trace)[0].1.ends_with("-00"));
    }

    #[test]
    fn ids_tell_runs_agents_and_calls_apart() {
        let root = SpanId(7);
        let agent = root.agent("run", "a");
        assert_eq!(agent, root.agent("run", "a"));
        let others = [root.agent("run", "b"), root.agent("other", "a"), agent.check(0)];
        assert!(!others.contains(&agent));
        assert_ne!(agent.tool_call(0), agent.check(0));
    }

    #[test]
    fn values_that_no_header_can_hold_are_not_passed_on() {
        let long = "x".repeat(MAX_CONTEXT + 1);
        for value in ["", "a\nb", "ä", long.as_str()] {
            assert!(variables(&trace(&[("BAGGAGE", value)])).is_empty(), "{value}");
        }
    }
}
