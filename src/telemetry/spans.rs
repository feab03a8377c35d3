//! Spans as OTLP/JSON. Those of a run are a pure function of its report.
//!
//! Prompts, answers, arguments and outputs are not part of a span: collectors are shared.

use serde_json::{Value, json};

use super::context::{SpanId, Trace};
use super::names;
use crate::chat::TokenUsage;
use crate::report::{
    AgentKind, AgentReport, AgentStatus, CheckReport, ModelCallReport, Report, RunStatus,
    ToolCallReport, ToolStatus, word,
};
use crate::text::{inline, truncate};

/// Characters of a name that a model chose.
const MAX_NAME: usize = 128;
/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u8 = 1;
/// `SPAN_KIND_CLIENT`.
const CLIENT: u8 = 3;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// The place of a run in its trace.
#[derive(Debug, Clone, Copy)]
pub struct RunPlace {
    id: SpanId,
    parent: Option<SpanId>,
}

impl RunPlace {
    /// Of the only run of a process.
    pub fn of_process(trace: &Trace) -> Self {
        Self { id: trace.root, parent: trace.parent }
    }

    /// Of one of many runs.
    pub fn in_batch(trace: &Trace, run_id: &str) -> Self {
        Self { id: trace.root.child(("run", run_id)), parent: Some(trace.root) }
    }
}

/// A batch that has ended.
#[derive(Debug)]
pub struct BatchSpan<'a> {
    /// The name of the crew.
    pub crew: &'a str,
    pub started_at: jiff::Timestamp,
    pub duration_ms: u64,
    /// Inputs.
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
}

/// The request that brings spans to a collector; `resource` are the attributes that they share.
pub fn document(spans: Vec<Value>, resource: &[(String, String)]) -> Value {
    let resource = resource.iter().map(|(name, value)| attribute(name, text(value)));
    json!({"resourceSpans": [{
        "resource": {"attributes": resource.collect::<Vec<_>>()},
        "scopeSpans": [{
            "scope": {"name": names::SCOPE, "version": env!("CARGO_PKG_VERSION")},
            "schemaUrl": names::SCHEMA_URL,
            "spans": spans,
        }],
    }]})
}

/// The spans of a run.
pub fn of_run(report: &Report, trace: &Trace, place: RunPlace) -> Vec<Value> {
    Spans { report, trace, place, start: start_of(report), list: Vec::new() }.collect()
}

/// The span of a batch, within which are those of its inputs.
pub fn of_batch(batch: &BatchSpan<'_>, trace: &Trace) -> Value {
    let BatchSpan { crew, started_at, duration_ms, succeeded, failed, cancelled } = *batch;
    let unfinished = failed + cancelled;
    let span = Span {
        id: trace.root,
        parent: trace.parent,
        name: format!("batch {crew}"),
        kind: INTERNAL,
        started_ms: 0,
        duration_ms,
        attributes: vec![
            attribute(names::WORKFLOW_NAME, text(crew)),
            attribute(names::SUCCEEDED, integer(succeeded)),
            attribute(names::FAILED, integer(failed)),
            attribute(names::CANCELLED, integer(cancelled)),
        ],
        error: (unfinished > 0).then(|| ("failed".to_owned(), String::new())),
    };
    span.entry(trace, started_at.as_nanosecond())
}

struct Spans<'a> {
    report: &'a Report,
    trace: &'a Trace,
    place: RunPlace,
    /// Nanoseconds since 1970.
    start: i128,
    list: Vec<Value>,
}

/// One span before its ids and times are written down.
struct Span {
    id: SpanId,
    parent: Option<SpanId>,
    name: String,
    kind: u8,
    started_ms: u64,
    duration_ms: u64,
    attributes: Vec<Value>,
    /// What went wrong: its kind, and a message.
    error: Option<(String, String)>,
}

impl Spans<'_> {
    fn collect(mut self) -> Vec<Value> {
        let report = self.report;
        let attributes = vec![
            attribute(names::OPERATION, text(names::INVOKE_WORKFLOW)),
            attribute(names::WORKFLOW_NAME, text(&report.crew)),
            attribute(names::RUN_ID, text(&report.run_id)),
            attribute(names::STATUS, text(&word(report.status))),
            attribute(names::EXIT_CODE, integer(report.exit_code)),
        ];
        let failed = report.status != RunStatus::Succeeded;
        let reason = report.reason.as_ref().map(|reason| word(reason.kind));
        let kind = reason.unwrap_or_else(|| word(report.status));
        self.push(Span {
            id: self.place.id,
            parent: self.place.parent,
            name: format!("{} {}", names::INVOKE_WORKFLOW, report.crew),
            kind: INTERNAL,
            started_ms: 0,
            duration_ms: report.duration_ms,
            attributes,
            error: failed.then(|| (kind, format!("exit code {}", report.exit_code))),
        });
        for agent in &report.agents {
            let id = self.agent(agent, self.place.id, &agent.name);
            for instance in agent.items.iter().flatten() {
                self.agent(instance, id, &agent.name);
            }
        }
        self.list
    }

    /// The span of an agent or an instance, and those of its calls. `name` is that of the agent in
    /// the file. One that never started has none.
    fn agent(&mut self, agent: &AgentReport, parent: SpanId, name: &str) -> SpanId {
        let id = self.trace.root.agent(&self.report.run_id, &agent.name);
        let Some(started_ms) = agent.started_ms else { return id };
        let (verb, attributes) = match agent.kind {
            AgentKind::Model => (names::INVOKE_AGENT, agent_attributes(agent)),
            AgentKind::Step => ("step", step_attributes(agent)),
        };
        let mut all = vec![
            attribute(names::AGENT_NAME, text(name)),
            attribute(names::AGENT_KIND, text(&word(agent.kind))),
            attribute(names::STATUS, text(&word(agent.status))),
        ];
        all.extend(agent.key.as_ref().map(|key| attribute(names::AGENT_KEY, text(key))));
        all.extend(attributes);
        self.push(Span {
            id,
            parent: Some(parent),
            name: format!("{verb} {}", agent.name),
            kind: INTERNAL,
            started_ms,
            duration_ms: agent.duration_ms,
            attributes: all,
            error: agent.failure().filter(|_| agent.status != AgentStatus::Skipped),
        });
        for (index, call) in agent.model_calls.iter().enumerate() {
            self.push(model_span(call, id, index, self.trace));
        }
        for (index, call) in agent.tool_calls.iter().enumerate() {
            self.push(tool_span(call, id, index));
        }
        for (index, check) in agent.checks.iter().enumerate() {
            self.push(check_span(check, id, index));
        }
        id
    }

    fn push(&mut self, span: Span) {
        self.list.push(span.entry(self.trace, self.start));
    }
}

impl Span {
    /// Its OTLP form; `start` are the nanoseconds since 1970 from which its times count.
    fn entry(self, trace: &Trace, start: i128) -> Value {
        let time = |ms: u64| (start + i128::from(ms) * 1_000_000).to_string();
        let mut attributes = self.attributes;
        let mut status = json!({});
        if let Some((kind, message)) = self.error {
            attributes.push(attribute(names::ERROR_TYPE, text(&kind)));
            status = json!({"code": ERROR, "message": message});
        }
        let mut entry = json!({
            "traceId": format!("{:032x}", trace.id),
            "spanId": self.id.to_string(),
            "name": self.name,
            "kind": self.kind,
            "startTimeUnixNano": time(self.started_ms),
            "endTimeUnixNano": time(self.started_ms.saturating_add(self.duration_ms)),
            "attributes": attributes,
            "status": status,
        });
        if let Some(parent) = self.parent {
            entry["parentSpanId"] = parent.to_string().into();
        }
        if let Some(state) = &trace.state {
            entry["traceState"] = state.as_str().into();
        }
        entry
    }
}

/// The usage of an agent with instances is theirs, and not counted twice.
fn agent_attributes(agent: &AgentReport) -> Vec<Value> {
    let mut all = vec![attribute(names::OPERATION, text(names::INVOKE_AGENT))];
    all.extend(model_attributes(&agent.model));
    if agent.items.is_some() {
        return all;
    }
    let usage = &agent.usage;
    all.extend(token_attributes(TokenUsage {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cached_input_tokens: usage.cached_input_tokens,
        cache_write_tokens: usage.cache_write_tokens,
        reasoning_tokens: usage.reasoning_tokens,
    }));
    for (name, count) in [
        (names::MODEL_CALLS, usage.model_calls),
        (names::MODEL_CALLS_OMITTED, agent.model_calls_omitted),
        (names::RETRIES, agent.retries.into()),
        (names::QUEUED_MS, agent.queued_ms),
    ] {
        all.push(attribute(name, integer(count)));
    }
    all.extend(finish_attribute(agent.finish_reason.as_deref()));
    all.extend(usage.cost.whole().map(|cost| attribute(names::COST, json!({"doubleValue": cost}))));
    all
}

/// Of a model as it is called in the crew file.
fn model_attributes(label: &str) -> [Value; 2] {
    let (provider, model) = label.split_once('/').unwrap_or((label, label));
    [
        attribute(names::PROVIDER, text(names::provider(provider))),
        attribute(names::REQUEST_MODEL, text(model)),
    ]
}

fn token_attributes(tokens: TokenUsage) -> impl Iterator<Item = Value> {
    let counts = [
        (names::INPUT_TOKENS, tokens.input_tokens),
        (names::OUTPUT_TOKENS, tokens.output_tokens),
        (names::CACHE_READ_TOKENS, tokens.cached_input_tokens),
        (names::CACHE_CREATION_TOKENS, tokens.cache_write_tokens),
        (names::REASONING_TOKENS, tokens.reasoning_tokens),
    ];
    counts.into_iter().map(|(name, count)| attribute(name, integer(count)))
}

fn finish_attribute(reason: Option<&str>) -> Option<Value> {
    let list = json!({"arrayValue": {"values": [text(reason?)]}});
    Some(attribute(names::FINISH_REASONS, list))
}

fn model_span(call: &ModelCallReport, agent: SpanId, index: usize, trace: &Trace) -> Span {
    let (provider, model) = call.model.split_once('/').unwrap_or((&call.model, &call.model));
    let mut attributes = vec![
        attribute(names::OPERATION, text(names::CHAT)),
        attribute(names::STATUS, text(&word(call.status))),
        attribute(names::TURN, integer(call.turn)),
    ];
    attributes.extend(model_attributes(&call.model));
    attributes.extend(token_attributes(call.usage));
    attributes.extend(finish_attribute(call.finish_reason.as_deref()));
    if let Some(server) = trace.servers.get(provider) {
        attributes
            .extend(server.host_str().map(|host| attribute(names::SERVER_ADDRESS, text(host))));
        let port = server.port_or_known_default();
        attributes.extend(port.map(|port| attribute(names::SERVER_PORT, integer(port))));
    }
    let error = call.error.as_ref().map(|error| (word(error.kind), error.message.clone()));
    let failed = call.status != ToolStatus::Succeeded;
    Span {
        id: agent.model_call(index),
        parent: Some(agent),
        name: format!("{} {model}", names::CHAT),
        kind: CLIENT,
        started_ms: call.started_ms,
        duration_ms: call.duration_ms,
        attributes,
        error: error.or_else(|| failed.then(|| (word(call.status), String::new()))),
    }
}

fn step_attributes(agent: &AgentReport) -> Vec<Value> {
    let Some(step) = &agent.step else { return Vec::new() };
    ended(step.exit_code, step.http_status)
}

fn tool_span(call: &ToolCallReport, agent: SpanId, index: usize) -> Span {
    let tool = truncate(inline(&call.tool).into_owned(), MAX_NAME);
    let mut attributes = vec![
        attribute(names::OPERATION, text(names::EXECUTE_TOOL)),
        attribute(names::TOOL_NAME, text(&tool)),
        attribute(names::STATUS, text(&word(call.status))),
    ];
    attributes.extend(ended(call.exit_code, call.http_status));
    let failed = call.status != ToolStatus::Succeeded;
    Span {
        id: agent.tool_call(index),
        parent: Some(agent),
        name: format!("{} {tool}", names::EXECUTE_TOOL),
        kind: INTERNAL,
        started_ms: call.started_ms,
        duration_ms: call.duration_ms,
        attributes,
        error: failed.then(|| (word(call.status), call.cause().unwrap_or_default())),
    }
}

fn check_span(check: &CheckReport, agent: SpanId, index: usize) -> Span {
    let mut attributes = vec![attribute(names::STATUS, text(&word(check.status)))];
    attributes.extend(ended(check.exit_code, None));
    let failed = check.status != ToolStatus::Succeeded;
    Span {
        id: agent.check(index),
        parent: Some(agent),
        name: "check".to_owned(),
        kind: INTERNAL,
        started_ms: check.started_ms,
        duration_ms: check.duration_ms,
        attributes,
        error: failed.then(|| (word(check.status), String::new())),
    }
}

fn ended(exit_code: Option<i32>, http_status: Option<u16>) -> Vec<Value> {
    let code = exit_code.map(|code| attribute(names::PROCESS_EXIT_CODE, integer(code)));
    let status = http_status.map(|status| attribute(names::HTTP_STATUS, integer(status)));
    code.into_iter().chain(status).collect()
}

fn start_of(report: &Report) -> i128 {
    let start = report.started_at.parse::<jiff::Timestamp>();
    start.map(|start| start.as_nanosecond()).unwrap_or_default()
}

fn attribute(name: &str, value: Value) -> Value {
    json!({"key": name, "value": value})
}

fn text(value: &str) -> Value {
    json!({"stringValue": value})
}

/// As a text: the JSON of protobuf has no other form of 64 bits.
fn integer(value: impl ToString) -> Value {
    json!({"intValue": value.to_string()})
}
