//! A stand-in for a model that needs no network and no key: it makes the first run on a fresh
//! machine, and a dry run of a crew's wiring, possible.
//!
//! It calls each tool once, then tells what the tools returned. It never pretends to be a model:
//! every answer says `offline`, and it counts no tokens.

mod digest;
mod sample;

use futures::future::{BoxFuture, FutureExt as _, ready};

use super::{
    ChatDelta, ChatReply, ChatRequest, Message, Provider, ProviderError, ToolCall, ToolSpec,
};

#[derive(Debug, Clone, Copy, Default)]
pub struct Offline;

impl Provider for Offline {
    fn chat<'a>(
        &'a self,
        request: ChatRequest<'a>,
        on_delta: &'a mut (dyn FnMut(ChatDelta<'_>) + Send),
    ) -> BoxFuture<'a, Result<ChatReply, ProviderError>> {
        let (text, reply) = answer(&request);
        if reply.has_text {
            on_delta(ChatDelta::Text(&text));
        }
        ready(Ok(reply)).boxed()
    }
}

fn answer(request: &ChatRequest<'_>) -> (String, ChatReply) {
    let (prompt, results) = last_exchange(request.messages);
    if results.is_empty() && !request.tools.is_empty() {
        let tool_calls = request.tools.iter().enumerate().map(call).collect();
        let finish_reason = Some("tool_calls".into());
        return (String::new(), ChatReply { tool_calls, finish_reason, ..ChatReply::default() });
    }
    let mut text = digest::of(prompt, &results);
    text.truncate(text.floor_char_boundary(request.max_answer));
    let finish_reason = Some("stop".into());
    let reply = ChatReply { has_text: !text.is_empty(), finish_reason, ..ChatReply::default() };
    (text, reply)
}

/// The last prompt, and the results of the tools called since.
fn last_exchange(messages: &[Message]) -> (&str, Vec<(&ToolCall, &str)>) {
    let mut results = Vec::new();
    for message in messages.iter().rev() {
        match message {
            Message::User(prompt) => {
                results.reverse();
                return (prompt, results);
            }
            Message::Tool { call, output } => results.push((call, output.as_str())),
            Message::System(_) | Message::Assistant { .. } => {}
        }
    }
    results.reverse();
    ("", results)
}

fn call((at, tool): (usize, &ToolSpec)) -> ToolCall {
    ToolCall {
        id: format!("offline_{}", at + 1),
        name: tool.name.clone(),
        arguments: sample::of(&tool.parameters).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn ask(messages: &[Message], tools: &[ToolSpec], max_answer: usize) -> (ChatReply, String) {
        let request = ChatRequest {
            model: "offline",
            messages,
            tools,
            temperature: None,
            max_output_tokens: None,
            max_answer,
            idle_timeout: Duration::from_secs(1),
        };
        let mut told = String::new();
        let mut on_delta = |delta: ChatDelta<'_>| match delta {
            ChatDelta::Text(text) => told.push_str(text),
            ChatDelta::Sent | ChatDelta::Usage(_) => told.push_str("tokens invented"),
        };
        let reply = Offline.chat(request, &mut on_delta).now_or_never();
        (reply.and_then(Result::ok).unwrap_or_default(), told)
    }

    fn tool(name: &str) -> ToolSpec {
        let parameters = json!({"type": "object", "required": ["path"],
            "properties": {"path": {"type": "string", "examples": ["/"]}}});
        ToolSpec { name: name.into(), description: String::new(), parameters: Arc::new(parameters) }
    }

    #[test]
    fn every_tool_is_called_once_and_then_told_of() {
        let tools = [tool("disk_usage"), tool("inodes")];
        let mut messages = vec![Message::User("slow".into())];
        let (reply, told) = ask(&messages, &tools, 1000);
        let calls: Vec<_> = reply
            .tool_calls
            .iter()
            .map(|call| (call.name.as_str(), call.arguments.as_str()))
            .collect();
        assert_eq!(calls, [("disk_usage", r#"{"path":"/"}"#), ("inodes", r#"{"path":"/"}"#)]);
        assert_eq!((told.as_str(), reply.finish_reason.as_deref()), ("", Some("tool_calls")));

        messages
            .push(Message::Assistant { text: String::new(), tool_calls: reply.tool_calls.clone() });
        for call in reply.tool_calls {
            messages.push(Message::Tool { call, output: "92% used\n".into() });
        }
        let (reply, told) = ask(&messages, &tools, 1000);
        assert_eq!(
            told,
            "offline (no model was asked). 2 tools ran:\n\
             \n  disk_usage {\"path\":\"/\"}\n    92% used\n\
             \n  inodes {\"path\":\"/\"}\n    92% used"
        );
        assert_eq!(reply.finish_reason.as_deref(), Some("stop"));
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
        let (reply, told) = ask(&[Message::User("é".repeat(1000))], &[], 75);
        assert!(reply.has_text && told.len() <= 75);
    }
}
