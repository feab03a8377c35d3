//! One model call over HTTP, in any API: sends the request, reads the response, and describes every
//! way in which it can fail.

use futures::future::{BoxFuture, FutureExt as _};
use reqwest::Client;

use super::answer::BodyError;
use super::apis::protocol_for;
use super::body::Body;
use super::body_decoder::BodyDecoder;
use super::calls::MAX_CALLS;
use super::command_key::KeyContext;
use super::endpoint::Endpoint;
use super::error::ProviderError;
use super::extra_body;
use super::fit::fit;
use super::protocol::Progress;
use super::quirks::{LearnedQuirks, Quirks};
use super::request::{ChatDelta, ChatRequest, OnDelta, Provider};
use super::tool_limits::{LearnedToolLimits, ToolLimits};
use crate::chat::{ChatReply, Message};
use crate::plan::ProviderPlan;
use crate::report::ErrorKind;
use crate::untrusted::Untrusted;
use crate::vendor::Api;

pub struct Remote {
    endpoint: Endpoint,
    api: Api,
    /// The server may serve a model by the Responses API only.
    may_switch_api: bool,
    /// Whether a request with tools may ask for an output format.
    formats_beside_tools: bool,
    quirks: LearnedQuirks,
    tools: LearnedToolLimits,
}

impl Remote {
    pub fn new(plan: &ProviderPlan, client: Client, keys: &KeyContext) -> Self {
        Self {
            endpoint: Endpoint::new(plan, client, keys),
            api: plan.api,
            may_switch_api: plan.api == Api::OpenAi && !plan.api_is_given,
            formats_beside_tools: plan.vendor.is_some_and(|vendor| vendor.formats_beside_tools),
            quirks: LearnedQuirks::new(plan),
            tools: LearnedToolLimits::default(),
        }
    }

    async fn call(
        &self,
        request: &ChatRequest<'_>,
        on_delta: OnDelta<'_>,
    ) -> Result<ChatReply, ProviderError> {
        let (body, api) = self.post(request, on_delta).await?;
        let mut decoder =
            BodyDecoder::new(request.settings.max_answer, (protocol_for(api).parser)());
        let read = self.read(body, &mut decoder, on_delta).await;
        let has_begun = decoder.has_begun();
        if let Some(note) = decoder.unknown_end() {
            on_delta(ChatDelta::Note(&note));
        }
        let reply = read.and_then(|()| Ok(decoder.into_reply(&self.model_ref(request, api))?));
        reply.map_err(|failure| match failure {
            Failure::Lost(error) => error,
            Failure::Body(error) => self.body_error(error, api, request, has_begun),
        })
    }

    /// Identifies the model for turns in its own form, which no other model or API understands.
    fn model_ref(&self, request: &ChatRequest<'_>, api: Api) -> String {
        format!("{api}:{}/{}", self.endpoint.name(), request.model)
    }

    /// Sends the request in the form that the server accepts. Each repetition adds a quirk, so they
    /// end. Returns the response, and the API that it follows.
    async fn post(
        &self,
        request: &ChatRequest<'_>,
        on_delta: OnDelta<'_>,
    ) -> Result<(Body, Api), ProviderError> {
        let mut quirks = self.quirks.of(request.model);
        let mut tools = self.tools.of(request.model);
        loop {
            let WrittenRequest { api, body, notes } = self.write(request, quirks, &tools)?;
            let url = (protocol_for(api).url)(self.endpoint.base_url(), request.model);
            let on_sent = || on_delta(ChatDelta::Sent);
            let (model, idle) = (request.model, request.settings.idle_timeout);
            let failed = match self.endpoint.post(&url, model, body, idle, on_sent).await {
                Ok(body) => {
                    self.quirks.keep(request.model, quirks);
                    self.tools.keep(request.model, tools);
                    let notes = notes.into_iter().map(Untrusted::new);
                    notes.for_each(|note| on_delta(ChatDelta::Note(&note)));
                    return Ok((body, api));
                }
                Err(failed) => failed,
            };
            let words = failed.words.as_deref().unwrap_or_default();
            let shown = self.endpoint.secrets().quote(words);
            // The other form of all tools is tried before one is left out.
            let has_other_form = self.api == Api::Gemini && !quirks.turns.no_json_schema;
            if !(has_other_form && failed.quirks.turns.no_json_schema)
                && let Some(limits) = tools.learn(words, &shown, request.tools)
            {
                tools = limits;
                continue;
            }
            let mut learned = failed.quirks;
            learned.responses_api &= self.may_switch_api;
            let next = quirks.and(learned, request);
            // Not every API has another form for it.
            let body = |quirks| self.write(request, quirks, &tools).map(|written| written.body);
            if body(next)? == body(quirks)? {
                return Err(failed.error);
            }
            quirks = next;
        }
    }

    fn write(
        &self,
        request: &ChatRequest<'_>,
        quirks: Quirks,
        tools: &ToolLimits,
    ) -> Result<WrittenRequest, ProviderError> {
        let api = if quirks.responses_api { Api::OpenAiResponses } else { self.api };
        let protocol = protocol_for(api);
        let may_format = request.tools.is_empty() || self.formats_beside_tools;
        let output_schema =
            request.output_schema.filter(|_| may_format && !quirks.no_output_format);
        let accepted = tools.select(request.tools);
        let without_images: Vec<Message>;
        let mut messages = request.messages;
        if quirks.no_images && request.has_tool_images() {
            let is_kept = |message: &&Message| !matches!(message, Message::ToolImages(_));
            without_images = messages.iter().filter(is_kept).cloned().collect();
            messages = &without_images;
        }
        let fitting = &ChatRequest { messages, output_schema, tools: &accepted, ..request.clone() };
        let model = format!("{}/{}", self.endpoint.name(), request.model);
        let (fitted, mut notes) = fit(fitting, &model, api, protocol, quirks);
        notes.extend(tools.notes(request.tools, &model));
        if messages.len() < request.messages.len() {
            notes.push(format!("images of tools were left out: {model} does not accept them"));
        }
        let request = fitted;
        let body = (protocol.request)(&request, &self.model_ref(&request, api), quirks);
        let extra = &request.settings.extra_body;
        let body = if extra.is_empty() {
            body
        } else {
            body.and_then(|body| extra_body::merge(&body, extra))
        };
        let body = body.map_err(|error| {
            self.endpoint
                .error(ErrorKind::Internal, format_args!("cannot write the request: {error}"))
        })?;
        Ok(WrittenRequest { api, body, notes })
    }

    async fn read(
        &self,
        mut body: Body,
        decoder: &mut BodyDecoder,
        on_delta: OnDelta<'_>,
    ) -> Result<(), Failure> {
        loop {
            match body.next().await {
                Ok(Some(piece)) => {
                    let written = decoder.written();
                    let progress = decoder.push(piece.as_ref(), on_delta);
                    if decoder.written() > written {
                        let (bytes, is_reasoning) = (decoder.written(), !decoder.has_begun());
                        on_delta(ChatDelta::Written { bytes, is_reasoning });
                    }
                    if progress? == Progress::Complete {
                        body.release();
                        return Ok(());
                    }
                }
                Ok(None) => return Ok(decoder.end(on_delta)?),
                // The answer is complete; only the end of the stream was missing.
                Err(_) if decoder.is_finished() => return Ok(()),
                Err(cause) => return Err(Failure::Lost(self.endpoint.lost(cause))),
            }
        }
    }

    fn body_error(
        &self,
        error: BodyError,
        api: Api,
        request: &ChatRequest<'_>,
        has_begun: bool,
    ) -> ProviderError {
        let invalid = |message: String| self.endpoint.error(ErrorKind::InvalidResponse, message);
        let quoted = |bytes: &[u8]| self.endpoint.secrets().quote_bytes(bytes);
        let max_answer = size(request.settings.max_answer);
        match error {
            BodyError::AnswerTooLarge => {
                invalid(format!("the answer is larger than max_answer ({max_answer})"))
            }
            BodyError::EventTooLarge => invalid(format!(
                "an event of the response is larger than max_answer ({max_answer}) allows"
            )),
            BodyError::TooManyCalls => {
                invalid(format!("too many tool calls in one turn (limit {MAX_CALLS})"))
            }
            BodyError::TooManyBlocks(limit) => {
                invalid(format!("too many content blocks (limit {limit})"))
            }
            BodyError::Unreadable(start) => invalid(format!(
                "the response does not follow the {api} API; check base_url and api: {}",
                quoted(&start)
            )),
            BodyError::NoAnswer(start) if start.is_empty() => {
                invalid("the response contains no answer".to_owned())
            }
            BodyError::NoAnswer(start) => {
                invalid(format!("the response contains no answer: {}", quoted(&start)))
            }
            BodyError::Server(error) => self.endpoint.reported(&error, request.model, has_begun),
            BodyError::Withheld(withheld) => {
                let words = self.endpoint.secrets().quote(&withheld.words);
                let message = format_args!("{} ({words})", withheld.cause);
                ProviderError {
                    retryable: withheld.cause.is_retryable(),
                    finish_reason: withheld.finish_reason.map(Untrusted::new),
                    ..self.endpoint.error(withheld.cause.kind(), message)
                }
            }
            BodyError::Ended => ProviderError {
                retryable: true,
                ..self
                    .endpoint
                    .error(ErrorKind::Network, "the stream ended before the answer was complete")
            },
        }
    }
}

/// A request in the form of an API.
struct WrittenRequest {
    api: Api,
    body: Vec<u8>,
    /// What differs from the settings of the agent.
    notes: Vec<String>,
}

enum Failure {
    Lost(ProviderError),
    Body(BodyError),
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl Provider for Remote {
    fn chat<'a>(
        &'a self,
        request: &'a ChatRequest<'a>,
        on_delta: OnDelta<'a>,
    ) -> BoxFuture<'a, Result<ChatReply, ProviderError>> {
        self.call(request, on_delta).boxed()
    }
}

/// A size in the form of the crew file.
fn size(bytes: usize) -> String {
    for (unit, name) in [(1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{} {name}", bytes / unit);
        }
    }
    format!("{bytes} bytes")
}
