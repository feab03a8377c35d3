//! Replaces a model, without network and key: for the first run on a fresh machine, and to try out
//! the wiring of a crew.
//!
//! It calls each tool once, then summarizes the results. It never pretends to be a model: every
//! answer says `offline`, and it counts no tokens.

mod digest;
mod sample;

use futures::future::{BoxFuture, FutureExt as _, ready};

use super::error::ProviderError;
use super::request::{ChatDelta, ChatRequest, OnDelta, Provider};
use crate::chat::{ChatReply, Message, RequestedCall, ToolCall, ToolSpec};
use crate::report::ErrorKind;
use crate::structured::Schema;
use crate::untrusted::Untrusted;

pub use sample::value as sample;

#[derive(Debug, Clone, Copy, Default)]
pub struct Offline;

impl Provider for Offline {
    fn chat<'a>(
        &'a self,
        request: &'a ChatRequest<'a>,
        on_delta: OnDelta<'a>,
    ) -> BoxFuture<'a, Result<ChatReply, ProviderError>> {
        let answered = answer(request).map(|(text, reply)| {
            if reply.has_text {
                on_delta(ChatDelta::Text(&text));
            }
            reply
        });
        ready(answered).boxed()
    }
}

fn answer(request: &ChatRequest<'_>) -> Result<(String, ChatReply), ProviderError> {
    let (prompt, results) = last_exchange(request.messages);
    if results.is_empty() && !request.tools.is_empty() {
        let calls = request.tools.iter().enumerate().map(call);
        let tool_calls = calls.map(RequestedCall::new).collect();
        let finish_reason = Some(Untrusted::new("tool_calls"));
        let reply = ChatReply { tool_calls, finish_reason, ..ChatReply::default() };
        return Ok((String::new(), reply));
    }
    let text = match request.output_schema {
        Some(schema) => data(schema, request.settings.max_answer)?,
        None => {
            let mut text = digest::of(prompt, &results);
            text.truncate(text.floor_char_boundary(request.settings.max_answer));
            text
        }
    };
    let finish_reason = Some(Untrusted::new("stop"));
    let reply = ChatReply { has_text: !text.is_empty(), finish_reason, ..ChatReply::default() };
    Ok((text, reply))
}

/// A value that matches the schema. It cannot say `offline` itself; the report names the model.
fn data(schema: &Schema, max_answer: usize) -> Result<String, ProviderError> {
    let value = sample::value(schema.schema());
    let text = value.to_string();
    let why = match schema.check(&value) {
        Ok(()) if text.len() <= max_answer => return Ok(text),
        Ok(()) => "it is larger than max_answer".to_owned(),
        Err(why) => why,
    };
    let message = format!(
        "offline cannot make a value for the output_schema; add one under examples. The value \
         made from its types is rejected: {why}"
    );
    Err(ProviderError::new(ErrorKind::InvalidResponse, message))
}

/// The last prompt, and the results of the tools called since then.
fn last_exchange(messages: &[Message]) -> (&str, Vec<(&ToolCall, &str)>) {
    let mut results = Vec::new();
    for message in messages.iter().rev() {
        match message {
            Message::User(prompt) => {
                results.reverse();
                return (prompt, results);
            }
            Message::Tool { call, output } => results.push((call, output.as_str())),
            Message::System(_)
            | Message::Files(_)
            | Message::ToolImages(_)
            | Message::Assistant { .. } => {}
        }
    }
    results.reverse();
    ("", results)
}

fn call((at, tool): (usize, &ToolSpec)) -> ToolCall {
    ToolCall {
        id: format!("offline_{}", at + 1),
        name: tool.name.clone(),
        arguments: sample::arguments(&tool.parameters).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::provider::testing;
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::plan::AgentSettings;

    fn ask(messages: &[Message], tools: &[ToolSpec], max_answer: usize) -> (ChatReply, String) {
        let (reply, emitted) = ask_for(None, messages, tools, max_answer);
        (reply.unwrap_or_default(), emitted)
    }

    fn ask_for(
        output_schema: Option<&Schema>,
        messages: &[Message],
        tools: &[ToolSpec],
        max_answer: usize,
    ) -> (Result<ChatReply, ProviderError>, String) {
        let request = ChatRequest {
            tools,
            output_schema,
            settings: AgentSettings { max_answer, ..AgentSettings::default() },
            ..ChatRequest::new("offline", messages)
        };
        let mut emitted = String::new();
        let mut on_delta = |delta: ChatDelta<'_>| match delta {
            ChatDelta::Text(text) => emitted.push_str(text),
            _ => emitted.push_str("unexpected tokens"),
        };
        let reply = Offline.chat(&request, &mut on_delta).now_or_never();
        (reply.unwrap_or_else(|| Ok(ChatReply::default())), emitted)
    }

    fn tool(name: &str) -> ToolSpec {
        let parameters = json!({"type": "object", "required": ["path"],
            "properties": {"path": {"type": "string", "examples": ["/"]}}});
        ToolSpec { name: name.into(), description: String::new(), parameters: Arc::new(parameters) }
    }

    #[test]
    fn every_tool_is_called_once_and_its_result_summarized() {
        let tools = [tool("disk_usage"), tool("inodes")];
        let mut messages = vec![Message::User("slow".into())];
        let (reply, emitted) = ask(&messages, &tools, 1000);
        let calls: Vec<_> = reply
            .tool_calls
            .iter()
            .map(RequestedCall::to_its_source)
            .map(|call| (call.name.as_str(), call.arguments.as_str()))
            .collect();
        assert_eq!(calls, [("disk_usage", r#"{"path":"/"}"#), ("inodes", r#"{"path":"/"}"#)]);
        assert_eq!((emitted.as_str(), testing::finish_reason(&reply)), ("", Some("tool_calls")));

        let calls = testing::calls(&reply);
        messages.push(Message::assistant(String::new(), calls.clone()));
        for call in calls {
            messages.push(Message::Tool { call, output: "92% used\n".into() });
        }
        let (reply, emitted) = ask(&messages, &tools, 1000);
        assert_eq!(
            emitted,
            "offline (no model was asked). 2 tools ran:\n\
             \n  disk_usage {\"path\":\"/\"}\n    92% used\n\
             \n  inodes {\"path\":\"/\"}\n    92% used"
        );
        assert_eq!(reply.finish_reason.as_ref().map(Untrusted::to_its_source), Some("stop"));
    }

    #[test]
    fn results_of_an_earlier_prompt_do_not_count() {
        let call = ToolCall { id: "1".into(), name: "inodes".into(), arguments: "{}".into() };
        let messages = [Message::Tool { call, output: "x".into() }, Message::User("again".into())];
        assert_eq!(ask(&messages, &[tool("inodes")], 1000).0.tool_calls.len(), 1);
        assert!(ask(&messages, &[], 1000).1.starts_with("offline (no model was asked)"));
    }

    #[test]
    fn an_answer_stays_within_its_limit() {
        let (reply, emitted) = ask(&[Message::User("é".repeat(1000))], &[], 75);
        assert!(reply.has_text && emitted.len() <= 75);
    }

    #[test]
    fn a_structured_answer_is_made_if_the_types_or_an_example_suffice() {
        let schema = |schema| Schema::new(schema).unwrap_or_else(|why| panic!("{why:?}"));
        let messages = [Message::User("slow".into())];
        let level = schema(json!({"type": "object", "required": ["level"],
            "properties": {"level": {"type": "integer", "minimum": 3}}}));
        let (reply, emitted) = ask_for(Some(&level), &messages, &[], 1000);
        assert_eq!((emitted.as_str(), reply.is_ok()), (r#"{"level":3}"#, true));
        // The tools come first.
        assert_eq!(ask_for(Some(&level), &messages, &[tool("df")], 1000).1, "");

        let serial = schema(json!({"type": "string", "pattern": "^[A-Z]{4}$"}));
        let (reply, emitted) = ask_for(Some(&serial), &messages, &[], 1000);
        let message = reply.err().map(|error| error.message).unwrap_or_default();
        assert!(emitted.is_empty() && message.contains("examples"), "{message:?}");
        assert!(ask_for(Some(&level), &messages, &[], 5).0.is_err());
    }
}
