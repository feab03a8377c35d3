//! The bounds around an MCP connection: how large a message may be, how much of what nobody asked
//! for is taken in, and how many questions of a server's are answered at once.

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

use crate::text::has_few_values;

/// Bytes of one message. The SDK's own limit is four times that, and drops what goes over without
/// a word, so that a call would wait until its time is up.
pub const MAX_MESSAGE: usize = 4 << 20;
/// Questions of a server's that are answered at once. Who asks more and takes no answers is not heard.
const MOST_QUESTIONS: usize = 16;

/// Why a connection was given up, as far as it was the server's fault.
pub type Fault = Arc<OnceLock<String>>;

/// One message a line, over the pipes of a process.
pub struct Pipes {
    stdin: Arc<Mutex<Option<pipe::Sender>>>,
    stdout: BufReader<pipe::Receiver>,
    /// The line that is being read. It outlives a read that was dropped.
    line: Vec<u8>,
    fault: Fault,
}

impl Pipes {
    pub fn new(stdin: pipe::Sender, stdout: pipe::Receiver, fault: Fault) -> Self {
        let stdin = Arc::new(Mutex::new(Some(stdin)));
        Self { stdin, stdout: BufReader::new(stdout), line: Vec::new(), fault }
    }

    /// Reads on until the line is whole; `None` at the end of the stream. Cancel safe.
    async fn rest_of_line(&mut self) -> Option<()> {
        loop {
            let arrived = self.stdout.fill_buf().await.ok().filter(|bytes| !bytes.is_empty())?;
            let end = arrived.iter().position(|&byte| byte == b'\n');
            let taken = end.map_or(arrived.len(), |end| end + 1);
            if self.line.len() + taken > MAX_MESSAGE {
                let limit = MAX_MESSAGE >> 20;
                let _ = self.fault.set(format!("sent a message of more than {limit} MiB"));
                return None;
            }
            self.line.extend_from_slice(&arrived[..taken]);
            self.stdout.consume(taken);
            if end.is_some() {
                return Some(());
            }
            // A line that never ends must not keep anything else from being polled.
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
                let _ = self.fault.set("sent a message of too many values".to_owned());
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

/// The answer or the question in a line. What is no message is what servers print although the pipe
/// is not for that.
fn message(line: &[u8]) -> Option<RxJsonRpcMessage<RoleClient>> {
    /// To read a message as a whole takes far longer than to see that it is for nobody, and servers
    /// send thousands of those.
    #[derive(Deserialize)]
    struct Envelope {
        id: Option<RequestId>,
        method: Option<IgnoredAny>,
        /// One that cannot say what it answers may be the answer to the handshake.
        error: Option<IgnoredAny>,
    }
    // Not all of them write UTF-8.
    let text = String::from_utf8_lossy(line);
    let Envelope { id, method, error } = serde_json::from_str(&text).ok()?;
    if id.is_none() && error.is_none() {
        return None;
    }
    serde_json::from_str(&text).ok().or_else(|| {
        // Nobody is to wait any longer for an answer that was given, such as it is.
        let id = id.filter(|_| method.is_none())?;
        let fault = ErrorData::parse_error("it sent an answer that cannot be read", None);
        Some(JsonRpcMessage::Error(JsonRpcError::new(Some(id), fault)))
    })
}

/// Any connection, without what crew does not listen to.
pub struct Bounded<T> {
    inner: T,
    questions: Arc<AtomicUsize>,
}

impl<T> Bounded<T> {
    pub fn new(inner: T) -> Self {
        Self { inner, questions: Arc::default() }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Bounded<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let is_answer = matches!(message, JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_));
        let questions = self.questions.clone();
        let sending = self.inner.send(message);
        async move {
            let sent = sending.await;
            if is_answer {
                questions.fetch_sub(1, Ordering::Relaxed);
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
                    if self.questions.load(Ordering::Relaxed) < MOST_QUESTIONS {
                        self.questions.fetch_add(1, Ordering::Relaxed);
                        return Some(message);
                    }
                }
                // Progress, log lines, changes: the SDK would start a task for each.
                JsonRpcMessage::Notification(_) => {}
            }
            yield_now().await;
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}
