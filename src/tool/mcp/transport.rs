//! The bounds of an MCP connection: the size of a message, and the number of the server's requests
//! that crew answers at once. Notifications are dropped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rmcp::RoleClient;
use rmcp::model::{ErrorData, JsonRpcError, JsonRpcMessage, RequestId};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::Mutex;
use tokio::task::yield_now;

use crate::text::{MAX_JSON_VALUES, has_few_values};

/// Bytes of one message. The SDK's own limit is four times as large, and silently drops a message
/// that exceeds it, so a call would wait until its timeout.
pub const MAX_MESSAGE: usize = 4 << 20;
/// Pending requests from the server. Further ones are dropped, so that a server that does not read
/// its responses cannot fill crew's memory.
const MAX_REQUESTS: usize = 16;

/// The violation for which crew closed a connection, to be shown after the server's name.
pub type Violation = Arc<OnceLock<String>>;

/// One message per line, over the pipes of a process.
pub struct Pipes {
    stdin: Arc<Mutex<Option<pipe::Sender>>>,
    stdout: BufReader<pipe::Receiver>,
    /// The start of the next line. It is kept when a read is cancelled.
    line: Vec<u8>,
    violation: Violation,
}

impl Pipes {
    pub fn new(stdin: pipe::Sender, stdout: pipe::Receiver, violation: Violation) -> Self {
        let stdin = Arc::new(Mutex::new(Some(stdin)));
        Self { stdin, stdout: BufReader::new(stdout), line: Vec::new(), violation }
    }

    /// Reads the rest of the line; `None` at the end of the stream. Cancel safe.
    async fn rest_of_line(&mut self) -> Option<()> {
        loop {
            let arrived = self.stdout.fill_buf().await.ok().filter(|bytes| !bytes.is_empty())?;
            let end = arrived.iter().position(|&byte| byte == b'\n');
            let taken = end.map_or(arrived.len(), |end| end + 1);
            if self.line.len() + taken > MAX_MESSAGE {
                let limit = MAX_MESSAGE >> 20;
                let _ = self.violation.set(format!("sent a message larger than {limit} MiB"));
                return None;
            }
            self.line.extend_from_slice(&arrived[..taken]);
            self.stdout.consume(taken);
            if end.is_some() {
                return Some(());
            }
            // A line without end must not block other tasks.
            yield_now().await;
        }
    }
}

impl Transport<RoleClient> for Pipes {
    type Error = std::io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let stdin = self.stdin.clone();
        async move {
            let mut line = serde_json::to_vec(&message)?;
            line.push(b'\n');
            match &mut *stdin.lock().await {
                Some(stdin) => stdin.write_all(&line).await,
                None => Err(std::io::ErrorKind::NotConnected.into()),
            }
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            self.rest_of_line().await?;
            let line = std::mem::take(&mut self.line);
            if !has_few_values(&line) {
                let _ = self.violation.set(format!(
                    "sent a message with too many JSON values (limit {MAX_JSON_VALUES})"
                ));
                return None;
            }
            if let Some(message) = message(&line) {
                return Some(message);
            }
            yield_now().await;
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        drop(self.stdin.lock().await.take());
        Ok(())
    }
}

/// Parses a response or a request. Returns `None` for notifications and for text that servers print
/// to stdout although it is not a message.
fn message(line: &[u8]) -> Option<RxJsonRpcMessage<RoleClient>> {
    /// Skipping a notification this way is much faster than parsing it, and some servers send
    /// thousands.
    #[derive(Deserialize)]
    struct Envelope {
        id: Option<RequestId>,
        method: Option<IgnoredAny>,
        /// An error without an id may be the response to the handshake.
        error: Option<IgnoredAny>,
    }
    // Some servers do not write UTF-8.
    let text = String::from_utf8_lossy(line);
    let Envelope { id, method, error } = serde_json::from_str(&text).ok()?;
    if id.is_none() && error.is_none() {
        return None;
    }
    serde_json::from_str(&text).ok().or_else(|| {
        // An invalid response still ends the call that waits for it.
        let id = id.filter(|_| method.is_none())?;
        let error = ErrorData::parse_error("the response is not a valid message", None);
        Some(JsonRpcMessage::Error(JsonRpcError::new(Some(id), error)))
    })
}

/// A transport without notifications, and with at most [`MAX_REQUESTS`] pending requests from the
/// server.
pub struct Bounded<T> {
    inner: T,
    requests: Arc<AtomicUsize>,
}

impl<T> Bounded<T> {
    pub fn new(inner: T) -> Self {
        Self { inner, requests: Arc::default() }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Bounded<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let is_response = matches!(message, JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_));
        let requests = self.requests.clone();
        let sending = self.inner.send(message);
        async move {
            let sent = sending.await;
            if is_response {
                requests.fetch_sub(1, Ordering::Relaxed);
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            let message = self.inner.receive().await?;
            match &message {
                JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => return Some(message),
                JsonRpcMessage::Request(_) => {
                    if self.requests.load(Ordering::Relaxed) < MAX_REQUESTS {
                        self.requests.fetch_add(1, Ordering::Relaxed);
                        return Some(message);
                    }
                }
                // Progress, logs and changes: the SDK would spawn a task for each.
                JsonRpcMessage::Notification(_) => {}
            }
            yield_now().await;
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}
