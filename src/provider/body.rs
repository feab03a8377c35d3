//! The body of an answer, in pieces, each with a bound to the silence before it.

use std::pin::Pin;
use std::time::Duration;

use reqwest::Response;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep, timeout};

/// How long, and how many bytes, the end of an answered call may take to come before its
/// connection is given up.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);
const RELEASE_BYTES: usize = 64 * 1024;

/// The body of a success, in pieces.
#[derive(Debug)]
pub struct Body {
    response: Response,
    idle: Duration,
    /// One for all pieces: to set one for each takes longer than to read the piece. It rings when
    /// the first silence may be too long, and is set anew if another has begun since.
    alarm: Pin<Box<Sleep>>,
}

/// Why there is no next piece.
#[derive(Debug)]
pub enum NoPiece {
    /// For as long as the request allows.
    Silence(Duration),
    Broken(reqwest::Error),
}

impl Body {
    pub fn new(response: Response, idle: Duration) -> Self {
        Self { response, idle, alarm: Box::pin(sleep(idle)) }
    }

    /// The next piece as it arrives, `None` at the end. Bounds each silence, not the whole.
    pub async fn next(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, NoPiece> {
        // What little arrives can unpack to much, all of it without a wait: the others, and the
        // signals, get their turn between the pieces.
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

    /// Reads what follows the last event, so that the connection can serve the next call. Nobody
    /// waits for it: a server may hold the connection for as long as it likes.
    pub fn release(mut self) {
        tokio::spawn(async move {
            let rest = async {
                let mut room = RELEASE_BYTES;
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
