//! Messages of a server: parsed leniently, and matched to the request that they answer.

use rmcp::RoleClient;
use rmcp::model::{ErrorData, JsonRpcError, JsonRpcMessage, RequestId};
use rmcp::service::RxJsonRpcMessage;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::outline::Outline;
use crate::text::json::{self, Halves};

/// Bytes of one message. The SDK's own limit is four times as large, and silently drops a message
/// that exceeds it, so a call would wait until its timeout.
pub const MAX_MESSAGE: usize = 4 << 20;

pub type Message = RxJsonRpcMessage<RoleClient>;

/// What a server sent as one message.
pub enum Received {
    Message(Box<Message>),
    /// crew ignores it without parsing it.
    Notification,
    /// Not a message of the protocol.
    Text,
}

/// Parses a message. An invalid response becomes an error, so that the call that waits for it ends.
pub fn read(bytes: &[u8]) -> Received {
    /// Skipping a notification this way is much faster than parsing it, and some servers send
    /// thousands.
    #[derive(Deserialize)]
    struct Envelope {
        id: Option<RequestId>,
        method: Option<IgnoredAny>,
        /// An error without an id may be the response to the handshake.
        error: Option<IgnoredAny>,
    }
    let text = match json::tidy(bytes, Halves::Replace) {
        Ok(text) => text,
        Err(error) => {
            let mut outline = Outline::default();
            outline.push(bytes);
            return unusable(outline.answered(), format!("the response cannot be read: {error}"));
        }
    };
    let Ok(Envelope { id, method, error }) = serde_json::from_str(&text) else {
        return Received::Text;
    };
    if id.is_none() && error.is_none() {
        return Received::Notification;
    }
    match serde_json::from_str(&text) {
        Ok(message) => Received::Message(Box::new(message)),
        Err(_) => {
            let answered = id.filter(|_| method.is_none());
            unusable(answered, "the response is not a valid message".to_owned())
        }
    }
}

/// A response that cannot be used, or nothing if it answers no request.
pub fn unusable(answered: Option<RequestId>, why: String) -> Received {
    let Some(id) = answered else { return Received::Text };
    let error = ErrorData::parse_error(why, None);
    let error = JsonRpcMessage::Error(JsonRpcError::new(Some(id), error));
    Received::Message(Box::new(error))
}

/// The reason that a response exceeds [`MAX_MESSAGE`].
pub fn too_large() -> String {
    format!("the result is larger than {} MiB, which is the limit", MAX_MESSAGE >> 20)
}

/// Corrects the id of a response to this request. Servers that fail before they have read the
/// request answer with the id `null` or one of their own.
pub fn answering(message: Message, request: &RequestId) -> Message {
    match message {
        JsonRpcMessage::Error(mut error) => {
            error.id = Some(request.clone());
            JsonRpcMessage::Error(error)
        }
        JsonRpcMessage::Response(mut response) => {
            response.id = request.clone();
            JsonRpcMessage::Response(response)
        }
        other => other,
    }
}
