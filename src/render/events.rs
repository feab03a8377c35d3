//! The events of a run as lines of JSON, for `-o jsonl`.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::json::json_line;
use crate::config::faults::InvalidReport;
use crate::report::{
    AgentReport, AgentRunId, AgentStatus, CancelReason, Event, MessageReport, Report, ToolStatus,
    TranscriptEntry, Usage, millis,
};

/// Makes the lines of one run.
#[derive(Debug)]
pub struct EventLines {
    started: Instant,
    /// The number of the next line.
    seq: u64,
    names: HashMap<AgentRunId, String>,
    /// Messages are lines, too.
    messages: bool,
}

impl EventLines {
    /// Returns the first line, too. `agents` are in the order of the plan.
    pub fn new(crew: &str, agents: Vec<String>, messages: bool) -> (Self, Vec<u8>) {
        let numbered = agents.iter().cloned().enumerate();
        let names = numbered.map(|(at, name)| (AgentRunId(at), name)).collect();
        let mut lines = Self { started: Instant::now(), seq: 0, names, messages };
        let first = lines.written(None, EventBody::RunStarted { crew, agents: &agents });
        (lines, first)
    }

    /// The line of an event; `None` for one that is not shown.
    pub fn line(&mut self, event: &Event) -> Option<Vec<u8>> {
        if matches!(event, Event::Transcript { .. }) && !self.messages {
            return None;
        }
        let instance = match event {
            Event::InstanceAdded { agent, instance, key } => {
                let agent = self.names.get(agent).map(String::as_str).unwrap_or_default();
                let name = AgentReport::instance_name(agent, key);
                self.names.insert(*instance, name.clone());
                name
            }
            _ => String::new(),
        };
        let body = EventBody::of(event, &instance)?;
        let agent = event.agent().and_then(|agent| self.names.get(&agent)).cloned();
        Some(self.written(agent.as_deref(), body))
    }

    fn written(&mut self, agent: Option<&str>, body: EventBody<'_>) -> Vec<u8> {
        let line =
            EventLine { seq: self.seq, time_ms: millis(self.started.elapsed()), agent, body };
        self.seq += 1;
        let mut text = Vec::new();
        // Writing to memory does not fail, and no event has a key that is no text.
        let _ = json_line(&line, &mut text);
        text
    }
}

/// Writes the last line: the report, or what takes its place when nothing ran.
pub fn last_line(report: &impl Serialize, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    json_line(&LastLine { kind: LastKind::Report, report }, out)
}

/// One line of `-o jsonl`.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "event")]
#[expect(dead_code, reason = "the schema of all lines; each is written as what it is")]
pub enum Line<'a> {
    Event(EventLine<'a>),
    /// The last line.
    Report(LastLine<'a, Document>),
}

/// The document of `-o json`.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the schema of both; each is written as what it is")]
#[expect(clippy::large_enum_variant, reason = "there is no value of it")]
pub enum Document {
    Report(Report),
    /// Nothing ran.
    Invalid(InvalidReport),
}

/// What happened during a run.
#[derive(Serialize, JsonSchema)]
pub struct EventLine<'a> {
    /// From 0. A gap means that the reader was too slow for some lines.
    seq: u64,
    /// Since the start of the run.
    time_ms: u64,
    /// The agent or instance; null for the run itself.
    agent: Option<&'a str>,
    #[serde(flatten)]
    body: EventBody<'a>,
}

#[derive(Serialize, JsonSchema)]
pub struct LastLine<'a, T> {
    #[serde(rename = "type")]
    kind: LastKind,
    report: &'a T,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum LastKind {
    Report,
}

#[derive(Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum EventBody<'a> {
    /// The first line.
    RunStarted {
        crew: &'a str,
        agents: &'a [String],
    },
    AgentStarted,
    ModelCallStarted {
        turn: u32,
    },
    /// All that the agent has used so far.
    Tokens {
        usage: &'a Usage,
    },
    /// The agent waits for its model; `wait_ms` is 0 where the server named no time.
    Queued {
        reason: &'a str,
        wait_ms: u64,
    },
    Retrying {
        attempt: u32,
        delay_ms: u64,
        error: &'a str,
    },
    /// The next model of the agent's list is asked.
    FellBack {
        from: &'a str,
        to: &'a str,
        error: &'a str,
    },
    ToolStarted {
        tool: &'a str,
        arguments: &'a Value,
    },
    ToolFinished {
        tool: &'a str,
        status: ToolStatus,
        duration_ms: u64,
        cause: Option<&'a str>,
    },
    /// An agent with `for_each` knows its items.
    InstancesKnown {
        count: usize,
    },
    InstanceAdded {
        instance: &'a str,
        key: &'a str,
    },
    StepStarted {
        program: &'a str,
    },
    CheckStarted {
        program: &'a str,
    },
    CheckFinished {
        status: ToolStatus,
        duration_ms: u64,
    },
    AgentFinished {
        status: AgentStatus,
        duration_ms: u64,
        message: Option<&'a str>,
    },
    /// An agent or an instance is taken over from an earlier run.
    AgentReused {
        status: AgentStatus,
    },
    /// What an agent and its model sent each other, with `--messages`.
    Message {
        message: &'a MessageReport,
    },
    /// The run is being stopped.
    Stopping {
        reason: &'a CancelReason,
        grace_ms: u64,
    },
}

impl<'a> EventBody<'a> {
    /// `instance` is the name of the instance that an event adds.
    fn of(event: &'a Event, instance: &'a str) -> Option<Self> {
        let ms = |duration: &Duration| millis(*duration);
        Some(match event {
            Event::AgentStarted { .. } => Self::AgentStarted,
            Event::ModelCallStarted { turn, .. } => Self::ModelCallStarted { turn: *turn },
            Event::Tokens { usage, .. } => Self::Tokens { usage },
            Event::Queued { reason, wait, .. } => Self::Queued { reason, wait_ms: ms(wait) },
            Event::Retrying { attempt, delay, error, .. } => {
                Self::Retrying { attempt: *attempt, delay_ms: ms(delay), error }
            }
            Event::FellBack { from, to, error, .. } => Self::FellBack { from, to, error },
            Event::ToolStarted { tool, arguments, .. } => Self::ToolStarted { tool, arguments },
            Event::ToolFinished { tool, status, duration, cause, .. } => Self::ToolFinished {
                tool,
                status: *status,
                duration_ms: ms(duration),
                cause: cause.as_deref(),
            },
            Event::InstancesKnown { count, .. } => Self::InstancesKnown { count: *count },
            Event::InstanceAdded { key, .. } => Self::InstanceAdded { instance, key },
            Event::StepStarted { program, .. } => Self::StepStarted { program },
            Event::CheckStarted { program, .. } => Self::CheckStarted { program },
            Event::CheckFinished { status, duration, .. } => {
                Self::CheckFinished { status: *status, duration_ms: ms(duration) }
            }
            Event::AgentFinished { status, duration, message, .. } => Self::AgentFinished {
                status: *status,
                duration_ms: ms(duration),
                message: message.as_deref(),
            },
            Event::AgentReused { status, .. } => Self::AgentReused { status: *status },
            Event::Stopping { reason, grace } => Self::Stopping { reason, grace_ms: ms(grace) },
            Event::Transcript { entry, .. } => match &**entry {
                TranscriptEntry::Message(message) => Self::Message { message },
                // A report has no such thing either.
                TranscriptEntry::Request(_) | TranscriptEntry::Output { .. } => return None,
            },
        })
    }
}
