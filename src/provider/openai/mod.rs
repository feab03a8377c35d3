//! The OpenAI chat-completions protocol, streamed: spoken by OpenAI, OpenRouter, Ollama and most
//! servers that people run themselves, by each in its own way.

pub(crate) mod calls;
pub(crate) mod chunk;
pub(crate) mod reading;
mod request;

use futures::future::{BoxFuture, FutureExt as _};
use reqwest::Client;

use self::reading::{Fault, Reading};
use self::request::TokenLimitKey;
use super::endpoint::{Body, Endpoint};
use super::http::SetupError;
use super::{ChatDelta, ChatReply, ChatRequest, Provider, ProviderError};
use crate::plan::ProviderPlan;
use crate::report::ErrorKind;

/// One endpoint that speaks the protocol.
#[derive(Debug)]
pub struct OpenAi {
    endpoint: Endpoint,
    token_limit: TokenLimitKey,
}

type OnDelta<'a> = &'a mut (dyn FnMut(ChatDelta<'_>) + Send);

impl OpenAi {
    pub fn new(plan: &ProviderPlan, client: Client) -> Result<Self, SetupError> {
        let endpoint = Endpoint::new(plan, client, &["chat", "completions"])?;
        let token_limit = TokenLimitKey::of_host(endpoint.host());
        Ok(Self { endpoint, token_limit })
    }

    async fn call(
        &self,
        request: ChatRequest<'_>,
        on_delta: OnDelta<'_>,
    ) -> Result<ChatReply, ProviderError> {
        let body = request::to_json(&request, self.token_limit).map_err(|error| {
            self.endpoint
                .error(ErrorKind::Internal, format_args!("cannot write the request: {error}"))
        })?;
        let body =
            self.endpoint.post(body, request.idle_timeout, || on_delta(ChatDelta::Sent)).await?;
        let mut reading = Reading::new(request.max_answer);
        let read = self.read(body, &mut reading, on_delta).await;
        let begun = reading.has_begun();
        let result = match read {
            Ok(()) => reading.into_reply().map_err(|fault| self.fault(fault, request.max_answer)),
            Err(Failure::Lost(error)) => Err(error),
            Err(Failure::Fault(fault)) => Err(self.fault(fault, request.max_answer)),
        };
        result.map_err(|error| ProviderError { retryable: error.retryable && !begun, ..error })
    }

    async fn read(
        &self,
        mut body: Body,
        reading: &mut Reading,
        on_delta: OnDelta<'_>,
    ) -> Result<(), Failure> {
        loop {
            match body.next().await {
                Ok(Some(piece)) => {
                    if reading.push(piece.as_ref(), on_delta)? {
                        body.release();
                        return Ok(());
                    }
                }
                Ok(None) => return Ok(reading.end(on_delta)?),
                // The answer is whole; only the end of the stream was missing.
                Err(_) if reading.is_finished() => return Ok(()),
                Err(cause) => return Err(Failure::Lost(self.endpoint.lost(cause))),
            }
        }
    }

    fn fault(&self, fault: Fault, max_answer: usize) -> ProviderError {
        let invalid = |message: String| self.endpoint.error(ErrorKind::InvalidResponse, message);
        let quoted = |bytes: &[u8]| self.endpoint.secrets().quote_bytes(bytes);
        match fault {
            Fault::TooLarge => invalid(format!("the answer is larger than max_answer ({})", size(max_answer))),
            Fault::EventTooLarge => invalid(format!(
                "the server sent more in one piece than an answer within max_answer ({}) can take",
                size(max_answer)
            )),
            Fault::TooManyCalls => {
                invalid(format!("the model asked for more than {} tool calls at once", chunk::MAX_CALLS))
            }
            Fault::Unreadable(start) => invalid(format!(
                "the server sent something else than a chat completion; check base_url: {}",
                quoted(&start)
            )),
            Fault::NoAnswer(start) if start.is_empty() => invalid("the server sent no answer".into()),
            Fault::NoAnswer(start) => {
                invalid(format!("the server's answer has no choices: {}", quoted(&start)))
            }
            Fault::Server(error) => self.endpoint.told(&error),
            Fault::Ended => ProviderError {
                retryable: true,
                ..self.endpoint.error(
                    ErrorKind::Network,
                    "the stream ended in the middle of the answer (neither finish_reason nor [DONE] came)",
                )
            },
        }
    }
}

enum Failure {
    Lost(ProviderError),
    Fault(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Provider for OpenAi {
    fn chat<'a>(
        &'a self,
        request: ChatRequest<'a>,
        on_delta: OnDelta<'a>,
    ) -> BoxFuture<'a, Result<ChatReply, ProviderError>> {
        self.call(request, on_delta).boxed()
    }
}

/// As a user writes it in the file.
fn size(bytes: usize) -> String {
    for (unit, name) in [(1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{} {name}", bytes / unit);
        }
    }
    format!("{bytes} bytes")
}
