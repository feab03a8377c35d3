//! The OpenAI chat-completions protocol, streamed.
