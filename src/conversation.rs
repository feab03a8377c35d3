//! What an agent does next. No IO and no clock: the driver does what a [`Step`] says and tells the
//! conversation what came of it.

use crate::provider::{ChatReply, Message, ToolCall};

/// One agent's exchange with its model.
#[derive(Debug)]
pub struct Conversation {
    messages: Vec<Message>,
    turns: u32,
    max_turns: u32,
    next: Step,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send [`Conversation::messages`] to the model, then tell its reply.
    CallModel,
    /// Run these side by side, then tell their outputs in this order.
    CallTools(Vec<ToolCall>),
    Done(Ending),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// The text of the last reply.
    Answer,
    /// The model answered with nothing at all.
    Empty,
    /// The model wanted to go on after its last turn.
    OutOfTurns,
}

impl Conversation {
    /// `max_turns`: model calls, at least 1.
    pub fn new(system: Option<String>, prompt: String, max_turns: u32) -> Self {
        let messages = system.map(Message::System).into_iter().chain([Message::User(prompt)]);
        Self { messages: messages.collect(), turns: 0, max_turns, next: Step::CallModel }
    }

    pub fn next(&self) -> Step {
        self.next.clone()
    }

    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// `text` is that of this reply; only what the model is to be sent again is kept of it. Whether
    /// a reply asks for tools decides, not its `finish_reason`: servers get that wrong.
    pub fn model_replied(&mut self, text: &str, reply: ChatReply) {
        self.turns += 1;
        self.next = if reply.tool_calls.is_empty() {
            Step::Done(match text.trim().is_empty() {
                true => Ending::Empty,
                false => Ending::Answer,
            })
        } else if self.turns >= self.max_turns {
            // Nobody would read what the tools say.
            Step::Done(Ending::OutOfTurns)
        } else {
            let tool_calls = reply.tool_calls.clone();
            let (text, native) = (text.to_owned(), reply.native);
            self.messages.push(Message::Assistant { text, tool_calls, native });
            Step::CallTools(reply.tool_calls)
        };
    }

    /// The outputs of the calls that were asked for, in their order.
    pub fn tools_returned(&mut self, outputs: Vec<String>) {
        if let Step::CallTools(calls) = std::mem::replace(&mut self.next, Step::CallModel) {
            let results = calls.into_iter().zip(outputs);
            self.messages.extend(results.map(|(call, output)| Message::Tool { call, output }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(tools: &[&str]) -> ChatReply {
        let call = |name: &&str| ToolCall {
            id: format!("id-{name}"),
            name: (*name).to_owned(),
            arguments: "{}".to_owned(),
        };
        ChatReply { tool_calls: tools.iter().map(call).collect(), ..ChatReply::default() }
    }

    #[test]
    fn an_answer_ends_it() {
        let mut conversation = Conversation::new(Some("s".into()), "p".into(), 3);
        assert_eq!(conversation.next(), Step::CallModel);
        assert_eq!(conversation.messages().len(), 2);
        conversation.model_replied("42", reply(&[]));
        assert_eq!(conversation.next(), Step::Done(Ending::Answer));
    }

    #[test]
    fn results_follow_their_calls_in_order() {
        let mut conversation = Conversation::new(None, "p".into(), 3);
        let asked = reply(&["a", "b"]);
        conversation.model_replied("let me look", asked.clone());
        assert_eq!(conversation.next(), Step::CallTools(asked.tool_calls.clone()));
        conversation.tools_returned(vec!["from a".into(), "from b".into()]);
        assert_eq!(conversation.next(), Step::CallModel);
        let [_, _, Message::Tool { call, output }, Message::Tool { output: second, .. }] =
            conversation.messages()
        else {
            panic!("{:?}", conversation.messages());
        };
        assert_eq!(
            (call.name.as_str(), output.as_str(), second.as_str()),
            ("a", "from a", "from b")
        );
    }

    #[test]
    fn the_last_turn_runs_no_tools() {
        let mut conversation = Conversation::new(None, "p".into(), 1);
        conversation.model_replied("", reply(&["a"]));
        assert_eq!(conversation.next(), Step::Done(Ending::OutOfTurns));
    }

    #[test]
    fn an_empty_answer_is_no_answer() {
        let mut conversation = Conversation::new(None, "p".into(), 1);
        conversation.model_replied(" \n", reply(&[]));
        assert_eq!(conversation.next(), Step::Done(Ending::Empty));
    }
}
