//! One model call: the request, and what is known of its answer while it arrives.

use futures::future::BoxFuture;

use super::error::ProviderError;
use crate::chat::{Attachment, ChatReply, Message, TokenUsage, ToolSpec};
use crate::plan::AgentSettings;
use crate::structured::Schema;
use crate::untrusted::Untrusted;

/// A model server, or what replaces one.
pub trait Provider: Send + Sync {
    /// Makes one attempt of a call. Retries and time limits are the agent's, which cancels a call
    /// by dropping its future.
    ///
    /// `on_delta` gets text and token counts as they arrive, so they are known even if the call
    /// fails or is dropped. The reply does not repeat the text.
    fn chat<'a>(
        &'a self,
        request: &'a ChatRequest<'a>,
        on_delta: &'a mut (dyn FnMut(ChatDelta<'_>) + Send),
    ) -> BoxFuture<'a, Result<ChatReply, ProviderError>>;

    /// What is known of a call before it is made.
    fn foresee(&self, _request: &ChatRequest<'_>) -> Foresight {
        Foresight::Nothing
    }

    /// Learns that a call was not made: other calls have shown that it cannot succeed, or (`None`)
    /// its agent was stopped.
    fn not_made(&self, _request: &ChatRequest<'_>, _error: Option<&ProviderError>) {}
}

/// What is known of a call before it is made.
#[derive(Debug)]
pub enum Foresight {
    /// It goes to a server.
    Nothing,
    /// It is answered at once, at no cost.
    Recorded,
    /// It is not made, for this reason, or (`None`) because its agent is stopped meanwhile.
    NotMade(Option<ProviderError>),
}

pub type OnDelta<'a> = &'a mut (dyn FnMut(ChatDelta<'_>) + Send);

#[derive(Debug, Clone, Copy)]
pub enum ChatDelta<'a> {
    /// The whole request has been sent. The first delta, if there is a server at all.
    Sent,
    Text(&'a str),
    /// Bytes of text, reasoning and tool calls so far. `is_reasoning`: neither text nor a call has
    /// begun.
    Written {
        bytes: usize,
        is_reasoning: bool,
    },
    /// Something of the request that the server does not take as the file has it. The same note may
    /// come with every call.
    Note(&'a Untrusted),
    /// The tokens of this call so far. Replaces the previous count.
    Usage(TokenUsage),
}

#[derive(Debug, Clone)]
pub struct ChatRequest<'a> {
    /// The agent that asks; that of an instance is followed by its key in brackets.
    pub agent: &'a str,
    /// The model's name on its server, without the provider.
    pub model: &'a str,
    pub messages: &'a [Message],
    pub tools: &'a [ToolSpec],
    /// The schema of the final answer. The messages contain it too; a protocol with an output
    /// format of its own may use that in addition.
    pub output_schema: Option<&'a Schema>,
    /// The agent's settings. `max_answer` counts text, reasoning and tool calls together;
    /// `idle_timeout` bounds the wait for the response's head and each silence in its body.
    pub settings: AgentSettings,
}

impl<'a> ChatRequest<'a> {
    /// A request with the default settings of agents.
    pub fn new(model: &'a str, messages: &'a [Message]) -> Self {
        let settings = AgentSettings::default();
        Self { agent: "", model, messages, tools: &[], output_schema: None, settings }
    }
}

impl ChatRequest<'_> {
    /// The output tokens to expect of a call without `max_output_tokens`.
    const USUAL_OUTPUT: u64 = 1024;
    /// The output tokens that only long reasoning exceeds.
    const LONG_OUTPUT: u64 = 8192;
    /// Roughly right for English text.
    const BYTES_PER_TOKEN: usize = 4;
    /// A large image has about 1,600 tokens.
    const IMAGE_BYTES: usize = 1600 * Self::BYTES_PER_TOKEN;

    pub fn has_tool_images(&self) -> bool {
        self.messages.iter().any(|message| matches!(message, Message::ToolImages(_)))
    }

    /// The tokens that the call will probably use.
    pub fn estimate(&self) -> TokenUsage {
        let message = |message: &Message| match message {
            Message::System(text) | Message::User(text) => text.len(),
            Message::Files(files) | Message::ToolImages(files) => {
                files.iter().map(Self::size_of).sum()
            }
            Message::Assistant { text, tool_calls, .. } => {
                text.len() + tool_calls.iter().map(|call| call.arguments.len()).sum::<usize>()
            }
            Message::Tool { output, .. } => output.len(),
        };
        let tool = |tool: &ToolSpec| tool.description.len() + tool.parameters.to_string().len();
        let bytes = self.messages.iter().map(message).sum::<usize>()
            + self.tools.iter().map(tool).sum::<usize>();
        TokenUsage {
            input_tokens: Self::tokens_in(bytes),
            output_tokens: self.settings.max_output_tokens.map_or(Self::USUAL_OUTPUT, u64::from),
            ..TokenUsage::default()
        }
    }

    /// The tokens that the call will hardly exceed. `longest`: output tokens of the model's longest
    /// answer so far.
    pub fn at_most(&self, estimate: TokenUsage, longest: u64) -> TokenUsage {
        let unlimited = || longest.max(Self::LONG_OUTPUT);
        TokenUsage {
            // Code, and text in other languages, has up to twice as many tokens.
            input_tokens: estimate.input_tokens.saturating_mul(2),
            output_tokens: self.settings.max_output_tokens.map_or_else(unlimited, u64::from),
            ..estimate
        }
    }

    /// The bytes of a text with about as many tokens as the file.
    fn size_of(file: &Attachment) -> usize {
        if file.media_type.is_image() { Self::IMAGE_BYTES } else { file.url.len() / 8 }
    }

    /// The approximate number of tokens in a text of this size.
    pub fn tokens_in(bytes: usize) -> u64 {
        bytes.div_ceil(Self::BYTES_PER_TOKEN) as u64
    }
}
