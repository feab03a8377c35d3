//! What an agent does next. No IO and no clock: the driver does what a [`Step`] says and tells the
//! conversation what came of it.

use std::sync::Arc;

use serde_json::Value;

use crate::chat::{Attachment, Message, NativeTurn, ToolCall};
use crate::structured::Schema;

/// One agent's exchange with its model.
#[derive(Debug)]
pub struct Conversation {
    messages: Vec<Message>,
    turns: u32,
    max_turns: u32,
    expected: Option<Expected>,
    /// The last answer, if it is to be checked.
    answer: Option<(String, Option<NativeTurn>)>,
    is_checked: bool,
    next: Step,
    is_cut: bool,
}

/// What a model answered. The text is in the agent's ledger.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub has_text: bool,
    pub tool_calls: Vec<ToolCall>,
    pub native: Option<NativeTurn>,
    /// The limit of output tokens ended the reply, perhaps inside its last tool call.
    pub is_cut: bool,
}

/// What one tool call returned to the model.
#[derive(Debug, Default)]
pub struct ToolOutput {
    pub text: String,
    pub images: Vec<Attachment>,
}

impl<T: Into<String>> From<T> for ToolOutput {
    fn from(text: T) -> Self {
        Self { text: text.into(), images: Vec::new() }
    }
}

/// The schema that the answer has to fit, how many more corrections the model gets, and how many of
/// its answers did not fit.
#[derive(Debug)]
struct Expected {
    schema: Arc<Schema>,
    corrections: u32,
    mismatches: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send [`Conversation::messages`] to the model, then pass its reply on.
    CallModel,
    /// As [`Step::CallModel`]: the answer did not fit for this reason, which the messages contain.
    CallModelAgain(String),
    /// Run these in parallel, then pass their outputs on in this order.
    CallTools(Vec<ToolCall>),
    Done(Ending),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// The text of the last reply.
    Answer,
    /// The text of the last reply, and the value in it that was asked for.
    Data(Value),
    /// The last reply holds no value that fits, for this reason.
    Mismatch(String),
    /// The model wanted to go on after its last turn. `is_cut`: its last reply was incomplete.
    OutOfTurns { is_cut: bool },
}

impl Conversation {
    /// `max_turns`: model calls, at least 1.
    pub fn new(system: Option<String>, prompt: String, max_turns: u32) -> Self {
        let messages = system.map(Message::System).into_iter().chain([Message::User(prompt)]);
        Self {
            messages: messages.collect(),
            turns: 0,
            max_turns,
            expected: None,
            answer: None,
            is_checked: false,
            next: Step::CallModel,
            is_cut: false,
        }
    }

    /// Answers may be rejected.
    pub fn checked(self) -> Self {
        Self { is_checked: true, ..self }
    }

    /// Whether the limit of output tokens ended the last reply.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// These files go before the prompt.
    pub fn attaching(mut self, files: Vec<Attachment>) -> Self {
        if !files.is_empty() {
            self.messages.insert(self.messages.len() - 1, Message::Files(files));
        }
        self
    }

    /// The answer has to fit this schema. If it does not, the model is asked to correct it, at most
    /// `corrections` times.
    pub fn expecting(self, schema: Arc<Schema>, corrections: u32) -> Self {
        Self { expected: Some(Expected { schema, corrections, mismatches: 0 }), ..self }
    }

    pub fn next(&self) -> Step {
        self.next.clone()
    }

    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// `text` is that of this reply; only what the model is to be sent again is kept of it. Whether
    /// a reply asks for tools decides, not its `finish_reason`: servers get that wrong.
    pub fn model_replied(&mut self, text: &str, reply: Reply) {
        self.turns += 1;
        self.is_cut = reply.is_cut;
        self.next = if reply.tool_calls.is_empty() {
            self.answered(text, reply.native)
        } else if self.turns >= self.max_turns {
            // No further turn would read the output of the tools.
            Step::Done(Ending::OutOfTurns { is_cut: reply.is_cut })
        } else {
            let tool_calls = reply.tool_calls.clone();
            let (text, native) = (text.to_owned(), reply.native);
            self.messages.push(Message::Assistant { text, tool_calls, native });
            Step::CallTools(reply.tool_calls)
        };
    }

    fn answered(&mut self, text: &str, native: Option<NativeTurn>) -> Step {
        if self.is_checked {
            self.answer = Some((text.to_owned(), native.clone()));
        }
        let Some(expected) = &mut self.expected else { return Step::Done(Ending::Answer) };
        let complaint = match expected.schema.read(text) {
            Ok(value) => return Step::Done(Ending::Data(value)),
            Err(complaint) => complaint,
        };
        expected.mismatches += 1;
        if expected.corrections == 0 || self.turns >= self.max_turns {
            let complaint = match expected.mismatches {
                1 => complaint,
                answers => format!("{complaint} (after {answers} answers)"),
            };
            return Step::Done(Ending::Mismatch(complaint));
        }
        expected.corrections -= 1;
        let correction = format!(
            "Your answer could not be used: {complaint}. Answer again, with one JSON value that \
             fits the schema and nothing else."
        );
        let (text, tool_calls) = (text.to_owned(), Vec::new());
        self.messages.push(Message::Assistant { text, tool_calls, native });
        self.messages.push(Message::User(correction));
        Step::CallModelAgain(complaint)
    }

    /// The model is to answer once more, since its answer was rejected. False if there is no turn
    /// left for it.
    pub fn answer_rejected(&mut self, feedback: String) -> bool {
        let may_go_on = self.turns < self.max_turns;
        if let (true, Some((text, native))) = (may_go_on, self.answer.take()) {
            self.messages.push(Message::Assistant { text, tool_calls: Vec::new(), native });
            self.messages.push(Message::User(feedback));
            self.next = Step::CallModel;
        }
        may_go_on
    }

    /// Another model is to answer in place of the last, and may be corrected as often as that one.
    /// False if there is no turn left for it.
    pub fn ask_another(&mut self, corrections: u32) -> bool {
        let may_go_on = self.turns < self.max_turns;
        if may_go_on {
            if let Some(expected) = &mut self.expected {
                (expected.corrections, expected.mismatches) = (corrections, 0);
            }
            self.next = Step::CallModel;
        }
        may_go_on
    }

    /// The outputs of the calls that were asked for, in their order.
    pub fn tools_returned(&mut self, outputs: Vec<ToolOutput>) {
        let Step::CallTools(calls) = std::mem::replace(&mut self.next, Step::CallModel) else {
            return;
        };
        let mut images = Vec::new();
        for (call, output) in calls.into_iter().zip(outputs) {
            self.messages.push(Message::Tool { call, output: output.text });
            images.extend(output.images);
        }
        // After all results: no API takes anything between them.
        if !images.is_empty() {
            self.messages.push(Message::ToolImages(images));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn reply(tools: &[&str]) -> Reply {
        let call = |name: &&str| ToolCall {
            id: format!("id-{name}"),
            name: (*name).to_owned(),
            arguments: "{}".to_owned(),
        };
        Reply { tool_calls: tools.iter().map(call).collect(), ..Reply::default() }
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
        assert_eq!(conversation.next(), Step::Done(Ending::OutOfTurns { is_cut: false }));
    }

    fn expecting_a_number(max_turns: u32, corrections: u32) -> Conversation {
        let schema = Schema::new(serde_json::json!({"type": "integer"})).unwrap();
        Conversation::new(None, "p".into(), max_turns).expecting(Arc::new(schema), corrections)
    }

    #[test]
    fn an_answer_that_does_not_fit_is_asked_for_again_with_the_reason() {
        let mut conversation = expecting_a_number(5, 1);
        conversation.model_replied("many", reply(&["count"]));
        conversation.tools_returned(vec!["3".into()]);
        assert_eq!(conversation.next(), Step::CallModel);
        conversation.model_replied("three", reply(&[]));
        let Step::CallModelAgain(complaint) = conversation.next() else {
            panic!("{conversation:?}")
        };
        let [.., Message::Assistant { text, .. }, Message::User(correction)] =
            conversation.messages()
        else {
            panic!("{:?}", conversation.messages());
        };
        assert!(text == "three" && correction.contains(&complaint), "{correction}");
        conversation.model_replied("3", reply(&[]));
        assert_eq!(conversation.next(), Step::Done(Ending::Data(3.into())));
    }

    #[test]
    fn it_is_asked_for_again_within_the_turns_and_corrections_only() {
        for (max_turns, corrections) in [(5, 0), (1, 3)] {
            let mut conversation = expecting_a_number(max_turns, corrections);
            conversation.model_replied("three", reply(&[]));
            let Step::Done(Ending::Mismatch(_)) = conversation.next() else {
                panic!("{conversation:?}")
            };
        }
    }
}
