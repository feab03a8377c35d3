//! What follows from an agent's report: whether it ended well, and with which answer.

use serde_json::Value;

use super::calls::ModelCallReport;
use super::cancel::{CancelKind, CancelReason};
use super::document::{AgentKind, AgentReport, AgentStatus, Usage, word};
use super::error::AgentError;

/// Model calls that the report of an agent lists.
const MAX_MODEL_CALLS: usize = 100;

/// The fields that an older report lacks.
impl Default for AgentReport {
    fn default() -> Self {
        Self::new(String::new(), AgentKind::Model, String::new())
    }
}

impl AgentReport {
    /// The report of an agent that has done nothing yet.
    pub fn new(name: String, kind: AgentKind, model: String) -> Self {
        Self {
            name,
            key: None,
            item: None,
            kind,
            status: AgentStatus::Cancelled,
            output: None,
            partial: false,
            data: None,
            error: None,
            reason: None,
            model,
            fallbacks: Vec::new(),
            finish_reason: None,
            needs: Vec::new(),
            started_ms: None,
            duration_ms: 0,
            turns: 0,
            retries: 0,
            queued_ms: 0,
            usage: Usage::default(),
            model_calls: Vec::new(),
            model_calls_omitted: 0,
            tool_calls: Vec::new(),
            step: None,
            checks: Vec::new(),
            items: None,
            notes: Vec::new(),
            messages: None,
            reused: false,
        }
    }

    /// The name of an instance.
    pub fn instance_name(agent: &str, key: &str) -> String {
        format!("{agent}[{key}]")
    }

    /// Adds a model call. The list has a limit, since a server may reject any number of attempts.
    pub fn add_model_call(&mut self, call: ModelCallReport) {
        match self.model_calls.len() {
            // Most agents make one call only.
            0 => self.model_calls.reserve_exact(1),
            MAX_MODEL_CALLS.. => {
                self.model_calls.remove(MAX_MODEL_CALLS / 2);
                self.model_calls_omitted += 1;
            }
            _ => {}
        }
        self.model_calls.push(call);
    }

    /// Whether it succeeded, or was skipped by a condition.
    pub fn ended_well(&self) -> bool {
        let by_condition = |reason: &CancelReason| reason.kind == CancelKind::When;
        match self.status {
            AgentStatus::Succeeded => true,
            AgentStatus::Skipped => self.reason.as_ref().is_some_and(by_condition),
            AgentStatus::Failed | AgentStatus::TimedOut | AgentStatus::Cancelled => false,
        }
    }

    /// The agent, followed by its instances.
    pub fn with_instances(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.items.iter().flatten())
    }

    /// Kind and message of what kept it from succeeding.
    pub fn failure(&self) -> Option<(String, String)> {
        if self.status == AgentStatus::Succeeded {
            return None;
        }
        if let Some(AgentError { kind, message, .. }) = &self.error {
            return Some((word(kind), message.clone()));
        }
        let status = word(self.status);
        let why = match &self.reason {
            None => String::new(),
            Some(CancelReason { kind: CancelKind::When, agent: None, .. }) => {
                ": its condition is false".to_owned()
            }
            Some(CancelReason { kind: CancelKind::When, agent: Some(agent), .. }) => {
                format!(": the condition of agent {agent} is false")
            }
            Some(CancelReason { agent: Some(agent), .. }) => format!(": agent {agent} failed"),
            Some(reason) => format!(": {}", word(reason.kind)),
        };
        let message = format!("{status}{why}");
        Some((status, message))
    }

    /// Its answer as a text; with instances, their answers under their keys, failures named.
    pub fn answer_text(&self) -> Option<String> {
        let Some(items) = &self.items else { return self.output.clone() };
        let part = |item: &AgentReport| {
            let key = item.key.as_deref().unwrap_or_default();
            let text = match item.failure() {
                None => item.output.as_deref().unwrap_or_default().trim().to_owned(),
                Some((_, message)) if item.status == AgentStatus::Skipped => message,
                Some((_, message)) => format!("failed: {message}"),
            };
            format!("## {key}\n\n{text}\n")
        };
        Some(items.iter().map(part).collect::<Vec<_>>().join("\n"))
    }

    /// Its answer, if it has one: the value of a structured one, else a text.
    pub fn answer(&self) -> Option<Value> {
        if self.status != AgentStatus::Succeeded {
            return None;
        }
        if let Some(items) = &self.items {
            let data: Vec<Value> = items.iter().filter_map(|item| item.data.clone()).collect();
            if !data.is_empty() {
                return Some(Value::Array(data));
            }
        }
        self.data.clone().or_else(|| self.answer_text().map(Value::String))
    }
}
