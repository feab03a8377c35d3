//! MCP over HTTP: sends a message, and reads the response leniently.
//!
//! In place of the SDK's client, which waits until the timeout of a call for a response with
//! another id than the request's, drops an event that it cannot parse, and hides the body of a
//! failure.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode};
use rmcp::model::{ClientJsonRpcMessage, JsonRpcMessage, RequestId};
use rmcp::transport::common::http_header::{
    EVENT_STREAM_MIME_TYPE, HEADER_SESSION_ID, JSON_MIME_TYPE,
};
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, SseError, StreamableHttpClient, StreamableHttpError,
    StreamableHttpPostResponse, StreamableHttpResponseLimits,
};
use sse_stream::{Sse, SseStream};

use super::message::{self, MAX_MESSAGE, Received};

/// Bytes of the body of a failure that are shown.
const MAX_SHOWN: usize = 4096;

type Error = StreamableHttpError<reqwest::Error>;
type Events = BoxStream<'static, Result<Sse, SseError>>;
type Headers = HashMap<HeaderName, HeaderValue>;

#[derive(Debug, Clone)]
pub struct HttpClient(pub Client);

impl StreamableHttpClient for HttpClient {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Error> {
        let in_session = session_id.is_some();
        let mut request = self.0.post(&*uri);
        for (name, value) in custom_headers {
            request = request.header(name, value);
        }
        if let Some(session) = session_id {
            request = request.header(HEADER_SESSION_ID, &*session);
        }
        let accepted = format!("{EVENT_STREAM_MIME_TYPE}, {JSON_MIME_TYPE}");
        let response = request.header(ACCEPT, accepted).json(&message).send().await?;
        let awaited = match &message {
            JsonRpcMessage::Request(request) => Some(request.id.clone()),
            _ => None,
        };
        read(response, awaited, in_session).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
        // The limits are those of this file.
        _limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Error> {
        self.post_message(uri, message, session_id, auth_header, custom_headers).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<(), Error> {
        self.0.delete_session(uri, session_id, auth_header, custom_headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<Events, Error> {
        let events = self.0.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            auth_header,
            custom_headers,
            MAX_MESSAGE,
        );
        Ok(events.await?.map_ok(|event| tidy(event, None)).boxed())
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
        _max_sse_event_size: usize,
    ) -> Result<Events, Error> {
        self.get_stream(uri, session_id, last_event_id, auth_header, custom_headers).await
    }
}

/// Reads the response to a message. `awaited` is the id of a request.
async fn read(
    response: Response,
    awaited: Option<RequestId>,
    in_session: bool,
) -> Result<StreamableHttpPostResponse, Error> {
    let status = response.status();
    let header = |name| {
        let value = response.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    if let (StatusCode::UNAUTHORIZED, Some(challenge)) = (status, header(WWW_AUTHENTICATE.as_str()))
    {
        return Err(StreamableHttpError::AuthRequired(AuthRequiredError::new(challenge)));
    }
    if status == StatusCode::NOT_FOUND && in_session {
        return Err(StreamableHttpError::SessionExpired);
    }
    let Some(awaited) = awaited.filter(|_| !is_empty(status)) else {
        return match status.is_success() {
            true => Ok(StreamableHttpPostResponse::Accepted),
            false => Err(failure(status, &head(response).await)),
        };
    };
    let session = header(HEADER_SESSION_ID);
    let content_type = header(CONTENT_TYPE.as_str());
    let is = |expected: &str| {
        let found = content_type.as_deref().and_then(|found| found.split(';').next());
        found.is_some_and(|found| found.trim().eq_ignore_ascii_case(expected))
    };
    if is(EVENT_STREAM_MIME_TYPE) && status.is_success() {
        return Ok(StreamableHttpPostResponse::Sse(events(response, awaited), session));
    }
    if !is(JSON_MIME_TYPE) {
        return Err(match status.is_success() {
            true => StreamableHttpError::UnexpectedContentType(content_type),
            false => failure(status, &head(response).await),
        });
    }
    let body = whole(response).await?;
    let read = match message::read(&body) {
        Received::Message(message) => Some(message::answering(*message, &awaited)),
        _ => None,
    };
    match read {
        Some(message) if status.is_success() => {
            Ok(StreamableHttpPostResponse::Json(message, session))
        }
        // A failure of authorization is about the key, not about the request.
        Some(message @ JsonRpcMessage::Error(_)) if !is_about_key(status) => {
            Ok(StreamableHttpPostResponse::Json(message, session))
        }
        _ if status.is_success() => {
            Err(unexpected(format!("the response is not an MCP message: {}", shown(&body))))
        }
        _ => Err(failure(status, &shown(&body))),
    }
}

/// Whether a response with this status has no body.
fn is_empty(status: StatusCode) -> bool {
    matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT)
}

fn is_about_key(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

fn unexpected(message: String) -> Error {
    StreamableHttpError::UnexpectedServerResponse(message.into())
}

/// In the form that [`super::failure`] reads.
fn failure(status: StatusCode, body: &str) -> Error {
    unexpected(format!("HTTP {status}: {body}"))
}

/// A body of at most [`MAX_MESSAGE`].
async fn whole(mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > MAX_MESSAGE {
            return Err(unexpected(message::too_large()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// The start of a body that describes a failure.
async fn head(mut response: Response) -> String {
    let mut body = Vec::new();
    while body.len() < MAX_SHOWN
        && let Ok(Some(piece)) = response.chunk().await
    {
        body.extend_from_slice(&piece[..piece.len().min(MAX_SHOWN - body.len())]);
    }
    shown(&body)
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(MAX_SHOWN)]).into_owned()
}

/// The events of a response to a request. Ends with an error message if an event is too large.
fn events(response: Response, awaited: RequestId) -> Events {
    let is_too_large = Arc::new(AtomicBool::new(false));
    let bytes = bounded(response.bytes_stream(), is_too_large.clone());
    let request = awaited.clone();
    let events =
        SseStream::from_bytes_stream(bytes).map_ok(move |event| tidy(event, Some(&request)));
    let last = stream::once(async move {
        let is_too_large = is_too_large.load(Ordering::Relaxed);
        let message = match message::unusable(Some(awaited), message::too_large()) {
            Received::Message(message) if is_too_large => serde_json::to_string(&message).ok()?,
            _ => return None,
        };
        Some(Ok(Sse::default().data(message)))
    });
    events.chain(last.filter_map(std::future::ready)).boxed()
}

/// The bytes of a stream of events up to one that exceeds [`MAX_MESSAGE`].
fn bounded<B: AsRef<[u8]>, E>(
    bytes: impl Stream<Item = Result<B, E>>,
    is_too_large: Arc<AtomicBool>,
) -> impl Stream<Item = Result<B, E>> {
    let (mut size, mut last) = (0, b'\n');
    bytes.take_while(move |piece| {
        for &byte in piece.as_ref().map(AsRef::as_ref).unwrap_or_default() {
            // A blank line ends an event. Of CR LF, the CR is not counted.
            match (last, byte) {
                (_, b'\r') => {}
                (b'\n', b'\n') => size = 0,
                _ => size += 1,
            }
            if byte != b'\r' {
                last = byte;
            }
        }
        is_too_large.store(size > MAX_MESSAGE, Ordering::Relaxed);
        std::future::ready(size <= MAX_MESSAGE)
    })
}

/// The event with a message that the SDK can parse.
fn tidy(mut event: Sse, awaited: Option<&RequestId>) -> Sse {
    let read = event.data.as_deref().map(|data| message::read(data.as_bytes()));
    if let Some(Received::Message(message)) = read {
        let message = match awaited {
            Some(request) => message::answering(*message, request),
            None => *message,
        };
        event.data = serde_json::to_string(&message).ok();
    }
    event
}
