//! One model call over HTTP, in whatever protocol: the request sent, the answer read, every way it
//! can fail put into words.

use futures::future::{BoxFuture, FutureExt as _};
use reqwest::Client;

use super::body::Body;
use super::calls::MAX_CALLS;
use super::dialect::{Dialect, Dialects};
use super::draft::{Fault, OnDelta};
use super::endpoint::Endpoint;
use super::protocol::Protocol;
use super::reading::Reading;
use super::{ChatDelta, ChatRequest, Provider, ProviderError};
use crate::chat::ChatReply;
use crate::plan::ProviderPlan;
use crate::report::ErrorKind;
use crate::untrusted::Untrusted;

/// One endpoint and the protocol it speaks.
pub struct Remote {
    endpoint: Endpoint,
    protocol: Box<dyn Protocol>,
    formats_beside_tools: bool,
    dialects: Dialects,
}

impl Remote {
    pub fn new(plan: &ProviderPlan, client: Client, protocol: Box<dyn Protocol>) -> Self {
        let endpoint = Endpoint::new(plan, client);
        let formats_beside_tools = plan.vendor.is_some_and(|vendor| vendor.formats_beside_tools);
        Self { endpoint, protocol, formats_beside_tools, dialects: Dialects::default() }
    }

    async fn call(
        &self,
        request: ChatRequest<'_>,
        on_delta: OnDelta<'_>,
    ) -> Result<ChatReply, ProviderError> {
        let by = format!("{}/{}", self.endpoint.name(), request.model);
        let body = self.post(&request, &by, on_delta).await?;
        let mut reading = Reading::new(request.max_answer, self.protocol.parser());
        let read = self.read(body, &mut reading, on_delta).await;
        let begun = reading.has_begun();
        let result = match read {
            Ok(()) => {
                reading.into_reply(&by).map_err(|fault| self.fault(fault, request.max_answer))
            }
            Err(Failure::Lost(error)) => Err(error),
            Err(Failure::Fault(fault)) => Err(self.fault(fault, request.max_answer)),
        };
        result.map_err(|error| ProviderError { retryable: error.retryable && !begun, ..error })
    }

    /// Sends the request in the words that its server understands: the body of the answer. Each
    /// refusal teaches one of few, so this ends.
    async fn post(
        &self,
        request: &ChatRequest<'_>,
        by: &str,
        on_delta: OnDelta<'_>,
    ) -> Result<Body, ProviderError> {
        let mut dialect = self.dialects.of(request.model);
        loop {
            let body = self.body(request, by, dialect)?;
            let url = self.protocol.url(self.endpoint.base(), request.model);
            let on_sent = || on_delta(ChatDelta::Sent);
            let sent = self.endpoint.post(url, body, request.idle_timeout, on_sent).await;
            let Err(error) = &sent else {
                self.dialects.keep(request.model, dialect);
                return sent;
            };
            let Some(next) = dialect.after(error, request) else { return sent };
            // Not every protocol, nor every server, has other words.
            if self.body(request, by, next)? == self.body(request, by, dialect)? {
                return sent;
            }
            dialect = next;
        }
    }

    fn body(
        &self,
        request: &ChatRequest<'_>,
        by: &str,
        dialect: Dialect,
    ) -> Result<Vec<u8>, ProviderError> {
        let formats = request.tools.is_empty() || self.formats_beside_tools;
        let output_schema = request.output_schema.filter(|_| formats && !dialect.no_format);
        let request = &ChatRequest { output_schema, ..request.clone() };
        self.protocol.request(self.endpoint.base(), request, by, dialect).map_err(|error| {
            self.endpoint
                .error(ErrorKind::Internal, format_args!("cannot write the request: {error}"))
        })
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
        let wording = self.protocol.wording();
        let invalid = |message: String| self.endpoint.error(ErrorKind::InvalidResponse, message);
        let quoted = |bytes: &[u8]| self.endpoint.secrets().quote_bytes(bytes);
        match fault {
            Fault::TooLarge => {
                invalid(format!("the answer is larger than max_answer ({})", size(max_answer)))
            }
            Fault::EventTooLarge => invalid(format!(
                "the server sent more in one piece than an answer within max_answer ({}) can take",
                size(max_answer)
            )),
            Fault::TooManyCalls => {
                invalid(format!("the model asked for more than {MAX_CALLS} tool calls at once"))
            }
            Fault::TooManyParts => invalid("the answer has more parts than any honest one".into()),
            Fault::Unreadable(start) => invalid(format!(
                "the server sent something else than {}; check base_url and api: {}",
                wording.answer,
                quoted(&start)
            )),
            Fault::NoAnswer(start) if start.is_empty() => {
                invalid("the server sent no answer".into())
            }
            Fault::NoAnswer(start) => invalid(format!(
                "the server's answer has no {}: {}",
                wording.holder,
                quoted(&start)
            )),
            Fault::Server(error) => self.endpoint.told(&error),
            Fault::Refused(refusal, finish_reason) => ProviderError {
                retryable: refusal.retryable,
                finish_reason: finish_reason.map(Untrusted::new),
                ..self.endpoint.error(
                    refusal.kind,
                    format_args!(
                        "{} ({})",
                        refusal.what,
                        self.endpoint.secrets().quote(&refusal.words)
                    ),
                )
            },
            Fault::Ended => ProviderError {
                retryable: true,
                ..self.endpoint.error(
                    ErrorKind::Network,
                    format_args!(
                        "the stream ended in the middle of the answer ({} came)",
                        wording.end
                    ),
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

impl Provider for Remote {
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
