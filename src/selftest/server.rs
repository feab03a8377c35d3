//! A misbehaving HTTP server on loopback that counts its open calls.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
/// A comment of an event stream: it keeps the connection alive and has no meaning.
const COMMENT: &str = ": still here\n\n";
/// The pause between two comments.
const DRIP: Duration = Duration::from_millis(50);
/// One piece of an endless answer.
const PIECE: &str = r#"data: {"choices":[{"index":0,"delta":{"content":"and so on "}}]}"#;

/// How the server answers every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerBehaviour {
    /// Reads the request and sends nothing.
    Silent,
    /// Sends the headers, then comments forever.
    Dripping,
    /// Sends an endless answer.
    Endless,
    /// Sends the headers, then nothing.
    Stalling,
    /// Sends endless headers.
    EndlessHead,
}

/// A server that runs as long as its runtime.
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct State {
    /// The number of requests that have arrived.
    pub calls: usize,
    /// The number of open connections.
    pub open: usize,
    /// When the last connection was closed.
    pub closed_at: Option<Instant>,
}

impl Server {
    /// # Errors
    /// There is no loopback interface or no free port.
    pub async fn start(behaviour: ServerBehaviour) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::<Mutex<State>>::default();
        tokio::spawn(accept(listener, behaviour, Arc::clone(&state)));
        Ok(Self { address, state })
    }

    /// The address for a crew file.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn state(&self) -> State {
        *self.state.lock()
    }
}

async fn accept(listener: TcpListener, behaviour: ServerBehaviour, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        state.lock().open += 1;
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            // An error ends the connection.
            let _ = serve(stream, behaviour, &state).await;
            let mut state = state.lock();
            state.open -= 1;
            state.closed_at = Some(Instant::now());
        });
    }
}

/// Serves one connection until the client closes it.
async fn serve(
    stream: TcpStream,
    behaviour: ServerBehaviour,
    state: &Mutex<State>,
) -> io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if read.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    state.lock().calls += 1;
    tokio::select! {
        answered = answer(behaviour, &mut write) => answered,
        () = hung_up(&mut read) => Ok(()),
    }
}

async fn answer(behaviour: ServerBehaviour, write: &mut OwnedWriteHalf) -> io::Result<()> {
    if matches!(
        behaviour,
        ServerBehaviour::Dripping | ServerBehaviour::Endless | ServerBehaviour::Stalling
    ) {
        write.write_all(HEAD.as_bytes()).await?;
    }
    match behaviour {
        ServerBehaviour::Silent | ServerBehaviour::Stalling => std::future::pending().await,
        ServerBehaviour::Dripping => loop {
            write.write_all(COMMENT.as_bytes()).await?;
            tokio::time::sleep(DRIP).await;
        },
        ServerBehaviour::EndlessHead => {
            write.write_all(b"HTTP/1.1 200 OK\r\nx-padding: ").await?;
            send_forever(write, "and so on ").await
        }
        ServerBehaviour::Endless => send_forever(write, &format!("{PIECE}\n\n")).await,
    }
}

async fn send_forever(write: &mut OwnedWriteHalf, text: &str) -> io::Result<()> {
    let text = text.repeat(100);
    loop {
        write.write_all(text.as_bytes()).await?;
    }
}

async fn hung_up(read: &mut OwnedReadHalf) {
    let mut buffer = [0; 4096];
    while matches!(read.read(&mut buffer).await, Ok(1..)) {}
}
