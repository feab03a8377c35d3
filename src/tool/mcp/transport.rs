//! The bounds of an MCP connection: the number of the server's requests that crew answers at once.
//! Notifications are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rmcp::RoleClient;
use rmcp::model::JsonRpcMessage;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::task::yield_now;

/// Pending requests from the server. Further ones are dropped, so that a server that does not read
/// its responses cannot fill crew's memory.
const MAX_REQUESTS: usize = 16;

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
