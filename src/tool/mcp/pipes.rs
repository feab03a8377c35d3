//! Messages over the pipes of a server's process, one on each line.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rmcp::RoleClient;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::task::yield_now;

use super::message::{self, MAX_MESSAGE, Received};
use super::outline::Outline;

/// Bytes of a message that are skipped, to find its end.
const MAX_SKIPPED: usize = 256 << 20;
/// Lines kept of what a server printed instead of messages.
const MAX_PRINTED_LINES: usize = 8;
/// Bytes kept of such a line.
const MAX_PRINTED_LINE: usize = 500;

/// What crew has seen on a connection, to explain its end.
#[derive(Debug, Default)]
pub struct Observed {
    /// The violation for which crew closed the connection, to be shown after the server's name.
    pub violation: OnceLock<String>,
    /// The last lines on stdout before the first message.
    printed: Mutex<VecDeque<String>>,
}

impl Observed {
    /// The last lines that the server printed to stdout, if it has sent no message yet.
    pub fn printed(&self) -> String {
        let printed = self.printed.lock();
        printed.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    fn add_printed(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(&line[..line.len().min(MAX_PRINTED_LINE)]);
        if line.trim().is_empty() {
            return;
        }
        let mut printed = self.printed.lock();
        if printed.len() == MAX_PRINTED_LINES {
            printed.pop_front();
        }
        printed.push_back(line.trim_end().to_owned());
    }

    fn forget_printed(&self) {
        self.printed.lock().clear();
    }
}

/// One message per line, over the pipes of a process.
pub struct Pipes {
    stdin: Arc<tokio::sync::Mutex<Option<pipe::Sender>>>,
    stdout: BufReader<pipe::Receiver>,
    /// The start of the next line. It is kept when a read is cancelled.
    line: Vec<u8>,
    /// The line that is being skipped.
    skipped: Option<Skipped>,
    has_begun: bool,
    observed: Arc<Observed>,
}

/// A line that is too large to be kept.
#[derive(Default)]
struct Skipped {
    outline: Outline,
    bytes: usize,
}

impl Pipes {
    pub fn new(stdin: pipe::Sender, stdout: pipe::Receiver, observed: Arc<Observed>) -> Self {
        Self {
            stdin: Arc::new(tokio::sync::Mutex::new(Some(stdin))),
            stdout: BufReader::new(stdout),
            line: Vec::new(),
            skipped: None,
            has_begun: false,
            observed,
        }
    }

    /// Reads the next line; `None` at the end of the stream. Cancel safe.
    async fn next_line(&mut self) -> Option<Received> {
        loop {
            let arrived = self.stdout.fill_buf().await.ok().filter(|bytes| !bytes.is_empty());
            let Some(arrived) = arrived else {
                self.observed.add_printed(&self.line);
                return None;
            };
            let end = arrived.iter().position(|&byte| byte == b'\n');
            let taken = end.map_or(arrived.len(), |end| end + 1);
            if self.skipped.is_none() && self.line.len() + taken > MAX_MESSAGE {
                let line = std::mem::take(&mut self.line);
                let skipped = self.skipped.insert(Skipped::default());
                skipped.push(&line);
            }
            match &mut self.skipped {
                None => self.line.extend_from_slice(&arrived[..taken]),
                Some(skipped) => {
                    skipped.push(&arrived[..taken]);
                    if let Some(violation) = skipped.violation() {
                        let _ = self.observed.violation.set(violation);
                        return None;
                    }
                }
            }
            self.stdout.consume(taken);
            if end.is_some() {
                return Some(self.end_line());
            }
            // A line without end must not block other tasks.
            yield_now().await;
        }
    }

    fn end_line(&mut self) -> Received {
        if let Some(skipped) = self.skipped.take() {
            return message::unusable(skipped.outline.answered(), message::too_large());
        }
        let line = std::mem::take(&mut self.line);
        let received = message::read(&line);
        match received {
            Received::Text if !self.has_begun => self.observed.add_printed(&line),
            Received::Text => {}
            _ if !self.has_begun => {
                self.has_begun = true;
                self.observed.forget_printed();
            }
            _ => {}
        }
        received
    }
}

impl Skipped {
    fn push(&mut self, bytes: &[u8]) {
        self.outline.push(bytes);
        self.bytes += bytes.len();
    }

    /// Why the rest of the line is not worth reading.
    fn violation(&self) -> Option<String> {
        let limit = match self.outline.has_begun() {
            true => MAX_SKIPPED,
            false => MAX_MESSAGE,
        };
        (self.bytes > limit).then(|| format!("sent a message larger than {} MiB", limit >> 20))
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
            if let Received::Message(message) = self.next_line().await? {
                return Some(*message);
            }
            yield_now().await;
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        drop(self.stdin.lock().await.take());
        Ok(())
    }
}
