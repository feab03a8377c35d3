//! The transcript of an agent: what goes to its model and comes back, as it happens.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::attempt::Call;
use super::driver::Driver;
use crate::chat::{Attachment, CacheMode, Message, ToolCall, ToolSpec};
use crate::report::{
    Event, MessageReport, RequestReport, RequestTerms, RequestedCallReport, RequestedTool, Role,
    ToolCallReport, TranscriptEntry, Transcripts, millis,
};
use crate::secret::Secrets;

impl Driver<'_> {
    /// Records what is about to be sent: the messages that the model has not seen yet, but for
    /// those that are recorded as they arrive.
    pub(super) fn record_request(&self, call: &Call<'_>) {
        if !self.is_recording() {
            return;
        }
        let messages = call.conversation.messages();
        let recorded = self.recorded.swap(messages.len(), Ordering::Relaxed);
        let terms = (recorded == 0).then(|| self.terms(call.tools));
        let model = call.model.label().to_owned();
        self.record(TranscriptEntry::Request(RequestReport { model, turn: call.turn, terms }));
        let mut files = Vec::new();
        for message in &messages[recorded..] {
            let (role, text) = match message {
                Message::System(text) => (Role::System, text.as_str()),
                Message::User(text) => (Role::User, text.as_str()),
                Message::Files(attached) => {
                    files = names(attached);
                    continue;
                }
                Message::ToolImages(images) => {
                    files = names(images);
                    (Role::User, "")
                }
                Message::Assistant { .. } | Message::Tool { .. } => continue,
            };
            let content = self.secrets().redact(text.to_owned());
            let files = std::mem::take(&mut files);
            self.record_message(MessageReport { files, ..self.message(role, content) });
        }
    }

    /// Records what the model has answered, which is in the ledger. `calls`: `None` if it was cut
    /// off or cannot be used.
    pub(super) fn record_answer(&self, model: &str, has_text: bool, calls: Option<&[ToolCall]>) {
        if !self.is_recording() || (!has_text && calls.is_none()) {
            return;
        }
        let text = self.run.ledger.open().output.clone().filter(|_| has_text).unwrap_or_default();
        let content = match calls {
            Some(_) => text.redact(self.secrets()),
            None => text.redact_beginning(self.secrets()),
        };
        let call = |call: &ToolCall| RequestedCallReport {
            id: call.id.clone(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
        };
        self.record_message(MessageReport {
            model: Some(model.to_owned()),
            tool_calls: calls.unwrap_or_default().iter().map(call).collect(),
            partial: calls.is_none(),
            ..self.message(Role::Assistant, content)
        });
    }

    /// Records what a tool returned.
    pub(super) fn record_result(&self, call: &ToolCall, report: &ToolCallReport) {
        if self.is_recording() {
            self.record_message(MessageReport {
                tool: Some(report.tool.clone()),
                tool_call_id: Some(call.id.clone()),
                ..self.message(Role::Tool, report.output.clone())
            });
        }
    }

    /// Records what a step or a check printed, without secrets.
    pub(super) fn record_output(&self, source: &'static str, text: impl FnOnce() -> String) {
        if !self.is_recording() {
            return;
        }
        let text = text();
        if !text.is_empty() {
            self.record(TranscriptEntry::Output { source, text });
        }
    }

    fn is_recording(&self) -> bool {
        self.context.services.transcripts != Transcripts::Off
    }

    fn secrets(&self) -> &Secrets {
        &self.context.services.secrets
    }

    fn message(&self, role: Role, content: String) -> MessageReport {
        MessageReport::new(millis(self.context.started.elapsed()), role, content)
    }

    fn record_message(&self, message: MessageReport) {
        if self.context.services.transcripts == Transcripts::Reported {
            let messages = &mut self.run.ledger.open().report.messages;
            messages.get_or_insert_default().push(message.clone());
        }
        self.record(TranscriptEntry::Message(message));
    }

    fn record(&self, entry: TranscriptEntry) {
        self.emit(Event::Transcript { agent: self.run.id, entry: Arc::new(entry) });
    }

    fn terms(&self, tools: &[ToolSpec]) -> RequestTerms {
        let secrets = self.secrets();
        let tool = |tool: &ToolSpec| RequestedTool {
            name: tool.name.clone(),
            description: secrets.redact(tool.description.clone()),
            parameters: secrets.redact_value(tool.parameters.as_ref().clone()),
        };
        let schema = self.run.plan.output_schema.as_ref();
        RequestTerms {
            settings: secrets.redact_value(self.settings()),
            tools: tools.iter().map(tool).collect(),
            output_schema: schema.map(|schema| secrets.redact_value(schema.schema().clone())),
        }
    }

    /// The settings that the file gives and that go into a request.
    fn settings(&self) -> Value {
        let settings = &self.run.plan.settings;
        let mut given = settings.given();
        if settings.cache == CacheMode::Off {
            given.insert("cache".to_owned(), "off".into());
        }
        Value::Object(given)
    }
}

fn names(files: &[Attachment]) -> Vec<String> {
    files.iter().map(|file| format!("{} ({})", file.name, file.media_type.name())).collect()
}
