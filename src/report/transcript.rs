//! What an agent and its model sent each other, without secrets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Whether the transcripts of agents are kept, which costs a copy of every message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transcripts {
    #[default]
    Off,
    /// They are events.
    Emitted,
    /// They are events, and their messages become a part of the report.
    Reported,
}

/// One entry of the transcript of an agent.
#[derive(Debug, Clone)]
pub enum TranscriptEntry {
    /// The model is about to be called with all messages so far.
    Request(RequestReport),
    Message(MessageReport),
    /// What a step or a check printed.
    Output {
        /// `output` or `stderr` of a step, or `check`.
        source: &'static str,
        text: String,
    },
}

/// What goes to the model with the messages.
#[derive(Debug, Clone)]
pub struct RequestReport {
    /// As in the file: `provider/model`.
    pub model: String,
    pub turn: u32,
    /// What the first request of an agent has besides; later ones have the same.
    pub terms: Option<RequestTerms>,
}

/// What all requests of an agent have in common.
#[derive(Debug, Clone)]
pub struct RequestTerms {
    /// The settings that differ from those of the server, by their names in the file.
    pub settings: Value,
    pub tools: Vec<RequestedTool>,
    pub output_schema: Option<Value>,
}

/// A tool as it is described to the model.
#[derive(Debug, Clone)]
pub struct RequestedTool {
    pub name: String,
    pub description: String,
    /// A JSON Schema.
    pub parameters: Value,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageReport {
    /// Since the start of the run.
    pub time_ms: u64,
    pub role: Role,
    /// The text; empty if the model only called tools.
    pub content: String,
    /// The names of the images and PDF that go with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The model that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The calls that the model asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<RequestedCallReport>,
    /// The tool that returned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The call that it is the result of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// The model was cut off, and the message was not sent back to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
}

/// A tool call as the model asked for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestedCallReport {
    pub id: String,
    pub name: String,
    /// JSON, as far as the model kept to the protocol.
    pub arguments: String,
}

impl MessageReport {
    /// A message of text only.
    pub fn new(time_ms: u64, role: Role, content: String) -> Self {
        Self {
            time_ms,
            role,
            content,
            files: Vec::new(),
            model: None,
            tool_calls: Vec::new(),
            tool: None,
            tool_call_id: None,
            partial: false,
        }
    }
}
