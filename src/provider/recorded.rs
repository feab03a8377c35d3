//! A provider whose calls are recorded, or answered from a recording.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};

use super::error::ProviderError;
use super::exchange::{self, Response};
use super::remote::Remote;
use super::request::{ChatDelta, ChatRequest, Foresight, OnDelta, Provider};
use crate::cancel::Cancellation;
use crate::chat::ChatReply;
use crate::recording::{Asked, Found, Kind, Recording};
use crate::report::ErrorKind;
use crate::untrusted::Untrusted;

pub struct Recorded {
    /// `None`: no call goes out.
    pub inner: Option<Arc<Remote>>,
    /// The provider's name.
    pub name: String,
    pub recording: Arc<Recording>,
    /// The run's.
    pub cancel: Cancellation,
}

impl Recorded {
    fn asked(&self, request: &ChatRequest<'_>) -> Asked {
        let agent = request.agent.to_owned();
        Asked { kind: Kind::Model, agent, request: exchange::request(&self.name, request) }
    }

    /// The recorded answer to a call, and whether an equal call has one as well. `None`: it goes
    /// out.
    ///
    /// # Errors
    /// It is not recorded and does not go out.
    fn known(&self, asked: &Asked) -> Result<Option<(Response, bool)>, ProviderError> {
        loop {
            let (response, has_more) = match self.recording.look_at(asked) {
                Found::Response { response, has_more } => (read(response)?, has_more),
                Found::Live => return Ok(None),
                Found::Missing(why) => {
                    let message = format!("{}: {why}", self.name);
                    return Err(ProviderError::new(ErrorKind::NotRecorded, message));
                }
            };
            let is_last = !has_more && self.recording.is_replay();
            if is_last || !(response.stopped || response.not_made) {
                return Ok(Some((response, has_more)));
            }
            // The call has been made again since, or is now.
            self.recording.take(asked);
        }
    }

    async fn call(
        &self,
        request: &ChatRequest<'_>,
        on_delta: OnDelta<'_>,
    ) -> Result<ChatReply, ProviderError> {
        let asked = self.asked(request);
        if let Some((response, has_more)) = self.known(&asked)? {
            self.recording.take(&asked);
            return play(response, has_more, on_delta).await;
        }
        let Some(inner) = &self.inner else {
            return Err(ProviderError::new(ErrorKind::Internal, "a replay makes no calls"));
        };
        let mut call = RecordedCall::new(self, asked);
        let mut noting = |delta: ChatDelta<'_>| {
            call.note(&delta);
            on_delta(delta);
        };
        let result = inner.chat(request, &mut noting).await;
        call.record(Some(&result));
        result
    }
}

impl Provider for Recorded {
    fn chat<'a>(
        &'a self,
        request: &'a ChatRequest<'a>,
        on_delta: OnDelta<'a>,
    ) -> BoxFuture<'a, Result<ChatReply, ProviderError>> {
        self.call(request, on_delta).boxed()
    }

    fn foresee(&self, request: &ChatRequest<'_>) -> Foresight {
        let asked = self.asked(request);
        match self.known(&asked) {
            Ok(None) => Foresight::Nothing,
            Ok(Some((Response { not_made: true, error, .. }, _))) => {
                self.recording.take(&asked);
                Foresight::NotMade(error.map(|error| error.into_error(false)))
            }
            // An error comes with the call.
            Ok(Some(_)) | Err(_) => Foresight::Recorded,
        }
    }

    fn not_made(&self, request: &ChatRequest<'_>, error: Option<&ProviderError>) {
        if error.is_none() && is_interrupted(&self.cancel) {
            return;
        }
        let response = Response::not_made(error, self.recording.secrets());
        self.recording.record(&self.asked(request), response);
    }
}

/// Whether the run was stopped from outside, which is no part of what it would do again.
fn is_interrupted(cancel: &Cancellation) -> bool {
    cancel.signal().is_some()
}

fn read(response: serde_json::Value) -> Result<Response, ProviderError> {
    serde_json::from_value(response).map_err(|error| {
        let message = format!("the recording holds no answer of a model: {error}");
        ProviderError::new(ErrorKind::NotRecorded, message)
    })
}

/// Gives a recorded answer at once.
async fn play(
    mut response: Response,
    has_more: bool,
    on_delta: OnDelta<'_>,
) -> Result<ChatReply, ProviderError> {
    on_delta(ChatDelta::Sent);
    for note in std::mem::take(&mut response.notes) {
        on_delta(ChatDelta::Note(&Untrusted::new(note)));
    }
    if !response.text.is_empty() {
        on_delta(ChatDelta::Text(&response.text));
    }
    if response.written > 0 {
        let (bytes, is_reasoning) = (response.written, false);
        on_delta(ChatDelta::Written { bytes, is_reasoning });
    }
    if let Some(usage) = response.usage {
        on_delta(ChatDelta::Usage(usage));
    }
    if response.stopped {
        // Until what stopped it stops it again.
        return std::future::pending().await;
    }
    match response.error.take() {
        Some(error) => Err(error.into_error(has_more)),
        None => Ok(response.into_reply()),
    }
}

/// A call that goes out and is recorded when it ends, also if it is dropped.
struct RecordedCall<'a> {
    provider: &'a Recorded,
    asked: Asked,
    /// So far. `None`: it is recorded.
    response: Option<Response>,
}

impl<'a> RecordedCall<'a> {
    fn new(provider: &'a Recorded, asked: Asked) -> Self {
        Self { provider, asked, response: Some(Response::default()) }
    }

    fn note(&mut self, delta: &ChatDelta<'_>) {
        let Some(response) = &mut self.response else { return };
        match delta {
            ChatDelta::Sent => {}
            ChatDelta::Text(text) => response.text.push_str(text),
            ChatDelta::Written { bytes, .. } => response.written = *bytes,
            ChatDelta::Note(note) => {
                let note = (*note).clone().redact_excerpt(self.provider.recording.secrets());
                response.notes.push(note);
            }
            ChatDelta::Usage(usage) => response.usage = Some(*usage),
        }
    }

    fn record(&mut self, result: Option<&Result<ChatReply, ProviderError>>) {
        if let Some(response) = self.response.take() {
            let recording = &self.provider.recording;
            recording.record(&self.asked, response.end(result, recording.secrets()));
        }
    }
}

impl Drop for RecordedCall<'_> {
    fn drop(&mut self) {
        if !is_interrupted(&self.provider.cancel) {
            self.record(None);
        }
    }
}
