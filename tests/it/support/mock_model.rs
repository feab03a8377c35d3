//! A mock model server on raw TCP: it can stall within a body, split a CR from its LF, cut or reset
//! a connection, and notices when a client hangs up.
//!
//! It runs in its own thread with a single-threaded runtime, so a thousand connections are cheap.
//! A panic in its reply function fails the test when the server is dropped.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::script::{Script, Step};

/// The limit of each wait, far beyond what any test needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Null if it is not JSON.
    pub body: Value,
    pub arrived: Instant,
    /// The number of open calls at its arrival, including itself.
    pub open_calls: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }

    pub fn messages(&self) -> &[Value] {
        self.body["messages"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The contents of all messages with this role, in order.
    pub fn contents(&self, role: &str) -> Vec<&str> {
        let of_role = self.messages().iter().filter(|message| message["role"] == role);
        of_role.map(|message| message["content"].as_str().unwrap_or_default()).collect()
    }

    /// Whether the last message is a tool result: this is not the first call of the agent.
    pub fn has_tool_results(&self) -> bool {
        self.messages().last().is_some_and(|message| message["role"] == "tool")
    }
}

/// The events at the server so far.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub requests: Vec<Request>,
    /// The number of accepted connections.
    pub connections: usize,
    pub open_connections: usize,
    /// Calls whose response is not finished.
    pub open_calls: usize,
    pub peak_calls: usize,
    /// Responses sent to their end.
    pub finished: usize,
    /// When clients hung up before their response was finished.
    pub hang_ups: Vec<Instant>,
    panics: Vec<String>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

type Reply = dyn Fn(&Request) -> Script + Send + Sync;

/// Serves until it is dropped.
pub struct ModelServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ModelServer {
    /// Answers each request with what `reply` makes of it.
    pub fn start(reply: impl Fn(&Request) -> Script + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, serving, Arc::new(reply)) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Answers every request the same.
    pub fn always(script: Script) -> Self {
        Self::start(move |_| script.clone())
    }

    /// Answers the first request with the first script and so on; the last one stays.
    pub fn sequence(scripts: impl IntoIterator<Item = Script>) -> Self {
        let scripts = Mutex::new(scripts.into_iter().collect::<VecDeque<_>>());
        Self::start(move |_| {
            let mut scripts = scripts.lock().unwrap_or_else(PoisonError::into_inner);
            let next =
                if scripts.len() > 1 { scripts.pop_front() } else { scripts.front().cloned() };
            next.expect("a script for the request")
        })
    }

    /// For `base_url` in a crew's file, or `OPENAI_BASE_URL`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// For an HTTP tool.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn state(&self) -> State {
        self.shared.lock().clone()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// Waits until the state meets the condition; panics with `what` if it does not in time.
    pub fn wait_for(&self, what: &str, condition: impl Fn(&State) -> bool) -> State {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        while !condition(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}: {:#?}", *state);
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.clone()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        let joined = self.thread.take().map(JoinHandle::join);
        let panics = std::mem::take(&mut self.shared.lock().panics);
        if !std::thread::panicking() {
            assert!(matches!(joined, Some(Ok(()))), "the mock model server's thread panicked");
            assert!(panics.is_empty(), "the mock model server panicked: {panics:?}");
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, reply: Arc<Reply>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (shared, reply) = (Arc::clone(&shared), Arc::clone(&reply));
        tokio::spawn(async move {
            shared.change(|state| {
                state.connections += 1;
                state.open_connections += 1;
            });
            // An error of a connection is its end, which is recorded below.
            let _ = serve(stream, &shared, &*reply).await;
            shared.change(|state| state.open_connections -= 1);
        });
    }
}

/// One connection, request after request.
async fn serve(stream: TcpStream, shared: &Shared, reply: &Reply) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut read, mut write) = stream.into_split();
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut read, &mut buffer).await? {
        let mut request = request;
        shared.change(|state| {
            state.open_calls += 1;
            state.peak_calls = state.peak_calls.max(state.open_calls);
            request.open_calls = state.open_calls;
            state.requests.push(request.clone());
        });
        let script = match catch_unwind(AssertUnwindSafe(|| reply(&request))) {
            Ok(script) => script,
            Err(panic) => {
                let what = panic.downcast_ref::<String>().cloned();
                let what = what.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
                shared.change(|state| state.panics.push(what.unwrap_or_default()));
                super::script::error(500, "the test's reply function panicked")
            }
        };
        let ending = tokio::select! {
            // A complete response counts as one even if the client hangs up right after it.
            biased;
            ending = play(&script, &mut write) => ending.unwrap_or(Ending::HungUp),
            () = hang_up(&mut read, &mut buffer) => Ending::HungUp,
        };
        shared.change(|state| {
            state.open_calls -= 1;
            match ending {
                Ending::Finished => state.finished += 1,
                Ending::HungUp => state.hang_ups.push(Instant::now()),
                Ending::Cut => {}
            }
        });
        if !matches!(ending, Ending::Finished) {
            break;
        }
    }
    Ok(())
}

enum Ending {
    Finished,
    /// By this side.
    Cut,
    /// By the client.
    HungUp,
}

async fn play(script: &Script, write: &mut OwnedWriteHalf) -> io::Result<Ending> {
    let mut in_chunks = false;
    for step in &script.steps {
        match step {
            Step::Head { status, headers } => {
                in_chunks = true;
                let head = head(*status, headers, "transfer-encoding: chunked");
                write.write_all(head.as_bytes()).await?;
            }
            Step::Whole { status, headers, body } => {
                let length = format!("content-length: {}", body.len());
                let mut response = head(*status, headers, &length).into_bytes();
                response.extend_from_slice(body);
                write.write_all(&response).await?;
            }
            Step::Chunk(bytes) => write.write_all(&chunk(bytes)).await?,
            Step::Flood { piece, bytes } => {
                let repeats = (64 * 1024 / piece.len()).max(1);
                let block = chunk(&piece.repeat(repeats));
                for _ in 0..bytes.div_ceil(block.len() as u64) {
                    write.write_all(&block).await?;
                }
            }
            Step::Raw(bytes) => write.write_all(bytes).await?,
            Step::Delay(pause) => tokio::time::sleep(*pause).await,
            Step::Stall => std::future::pending().await,
            Step::Cut => return Ok(Ending::Cut),
            Step::Reset => {
                write.as_ref().set_zero_linger()?;
                return Ok(Ending::Cut);
            }
        }
    }
    if in_chunks {
        write.write_all(b"0\r\n\r\n").await?;
    }
    Ok(Ending::Finished)
}

fn head(status: u16, headers: &[(String, String)], framing: &str) -> String {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} Status\r\n{headers}{framing}\r\n\r\n")
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// Ends when the client hangs up; bytes before that belong to its next request.
async fn hang_up(read: &mut OwnedReadHalf, buffer: &mut Vec<u8>) {
    while matches!(read.read_buf(buffer).await, Ok(count) if count > 0) {}
}

/// `None` when the client has hung up between two requests.
async fn read_request(
    read: &mut OwnedReadHalf,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<Request>> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if read.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.lines();
    let mut request_line = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    while buffer.len() < end + length {
        if read.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let body = serde_json::from_slice(&buffer[end..end + length]).unwrap_or_default();
    buffer.drain(..end + length);
    Ok(Some(Request {
        method: request_line.next().unwrap_or_default(),
        path: request_line.next().unwrap_or_default(),
        headers,
        body,
        arrived: Instant::now(),
        open_calls: 0,
    }))
}
