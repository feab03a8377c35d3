//! A model server that behaves badly, on loopback, and knows which calls are open.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
/// A comment, which keeps a connection alive and means nothing.
const COMMENT: &str = ": still here\n\n";
const DRIP: Duration = Duration::from_millis(50);
/// One piece of an answer without end.
const WORD: &str = r#"data: {"choices":[{"index":0,"delta":{"content":"and so on "}}]}"#;

/// How it treats every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// Accepts, reads, and says nothing.
    Mute,
    /// Sends comments, for ever.
    Dripping,
    /// Never comes to the end of its answer.
    Endless,
    /// Sends the head, and then nothing.
    Stalling,
    /// Never comes to the end of its head.
    EndlessHead,
}

/// Serves as long as its runtime goes on.
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct State {
    /// Calls that have arrived.
    pub calls: usize,
    /// Connections that are open.
    pub open: usize,
    /// When the latest was closed.
    pub closed_at: Option<Instant>,
}

impl Server {
    /// # Errors
    /// There is no loopback interface, or it has no free port.
    pub async fn start(manners: Manners) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::<Mutex<State>>::default();
        tokio::spawn(accept(listener, manners, Arc::clone(&state)));
        Ok(Self { address, state })
    }

    /// For `base_url` in a crew's file.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn state(&self) -> State {
        *lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, manners: Manners, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        lock(&state).open += 1;
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            // An error of a connection is its end.
            let _ = serve(stream, manners, &state).await;
            let mut state = lock(&state);
            state.open -= 1;
            state.closed_at = Some(Instant::now());
        });
    }
}

/// One connection until the client closes it: this side never does.
async fn serve(stream: TcpStream, manners: Manners, state: &Mutex<State>) -> io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if read.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    lock(state).calls += 1;
    tokio::select! {
        answered = answer(manners, &mut write) => answered,
        () = hang_up(&mut read) => Ok(()),
    }
}

async fn answer(manners: Manners, write: &mut OwnedWriteHalf) -> io::Result<()> {
    if matches!(manners, Manners::Dripping | Manners::Endless | Manners::Stalling) {
        write.write_all(HEAD.as_bytes()).await?;
    }
    match manners {
        Manners::Mute | Manners::Stalling => std::future::pending().await,
        Manners::Dripping => loop {
            write.write_all(COMMENT.as_bytes()).await?;
            tokio::time::sleep(DRIP).await;
        },
        Manners::EndlessHead => {
            write.write_all(b"HTTP/1.1 200 OK\r\nx-padding: ").await?;
            for_ever(write, "and so on ").await
        }
        Manners::Endless => for_ever(write, &format!("{WORD}\n\n")).await,
    }
}

async fn for_ever(write: &mut OwnedWriteHalf, words: &str) -> io::Result<()> {
    let words = words.repeat(100);
    loop {
        write.write_all(words.as_bytes()).await?;
    }
}

async fn hang_up(read: &mut OwnedReadHalf) {
    let mut buffer = [0; 4096];
    while matches!(read.read(&mut buffer).await, Ok(1..)) {}
}
