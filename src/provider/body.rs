//! The body of a response in pieces, with a limit for the silence before each.

use std::pin::Pin;
use std::time::Duration;

use reqwest::Response;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep, timeout};

/// The limits of reading the rest of a body after its answer. Beyond them its connection is closed.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_RELEASE: usize = 64 * 1024;

/// The body of a success.
#[derive(Debug)]
pub struct Body {
    response: Response,
    idle: Duration,
    /// One timer for all pieces: setting one for each takes longer than reading the piece. It fires
    /// when the first silence may be too long, and is reset if another has begun since.
    alarm: Pin<Box<Sleep>>,
}

/// Why no next piece arrived.
#[derive(Debug)]
pub enum NoPiece {
    /// For this long, the request's limit.
    Silence(Duration),
    Broken(reqwest::Error),
}

impl Body {
    pub fn new(response: Response, idle: Duration) -> Self {
        Self { response, idle, alarm: Box::pin(sleep(idle)) }
    }

    /// Waits for the next piece; `None` at the end. Limits each silence, not the whole.
    pub async fn next(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, NoPiece> {
        // A few compressed bytes can unpack to many pieces without a wait: other tasks and signals
        // get their turn between them.
        tokio::task::coop::consume_budget().await;
        let end = Instant::now() + self.idle;
        let mut piece = std::pin::pin!(self.response.chunk());
        loop {
            tokio::select! {
                biased;
                piece = &mut piece => return piece.map_err(NoPiece::Broken),
                () = unconstrained(self.alarm.as_mut()) => {}
            }
            if self.alarm.deadline() >= end {
                return Err(NoPiece::Silence(self.idle));
            }
            self.alarm.as_mut().reset(end);
        }
    }

    /// Reads the rest of the body in the background, so that the connection can serve the next
    /// call.
    pub fn release(mut self) {
        tokio::spawn(async move {
            let rest = async {
                let mut room = MAX_RELEASE;
                while let Ok(Some(piece)) = self.response.chunk().await
                    && piece.len() <= room
                {
                    room -= piece.len();
                }
            };
            let _ = timeout(RELEASE_TIMEOUT, rest).await;
        });
    }
}
