//! The model server: a process of its own on raw TCP that costs next to nothing, so that the figures
//! are the client's.
//!
//! It answers `/DELAY/chat/completions` after that many milliseconds, and `/hold/…` never. As
//! `/DELAY-CALLS/…` it rejects calls while so many are open.

use std::convert::Infallible;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::launch::{self, Moment};

pub const ROLE: &str = "server";

/// The number of connections that may wait to be accepted: as many as the kernel allows.
const BACKLOG: u32 = 4096;

static FIRST: AtomicU64 = AtomicU64::new(0);
static LAST_END: AtomicU64 = AtomicU64::new(0);
static OPEN: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);
static REJECTED: AtomicU64 = AtomicU64::new(0);

const REJECTION: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\n\
content-length: 44\r\n\r\n{\"error\": {\"message\": \"too many requests\"}}\n";

/// Serves until standard input ends. For each line there, prints what it has seen.
pub fn serve() -> anyhow::Result<()> {
    let (tell, address) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(accept(&tell))
    });
    let mut stdout = io::stdout();
    writeln!(stdout, "{}", address.recv().context("the server cannot listen")?)?;
    for line in io::stdin().lines() {
        line?;
        let (open, end) = (OPEN.load(Ordering::SeqCst), LAST_END.load(Ordering::SeqCst));
        let [first, calls, rejected] =
            [&FIRST, &CALLS, &REJECTED].map(|number| number.swap(0, Ordering::SeqCst));
        writeln!(stdout, "{first} {open} {end} {calls} {rejected}")?;
    }
    Ok(())
}

async fn accept(tell: &Sender<SocketAddr>) -> io::Result<Infallible> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let listener = socket.listen(BACKLOG)?;
    let _ = tell.send(listener.local_addr()?);
    let answer: &'static [u8] = answer().leak();
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream, answer));
    }
}

/// Serves one connection, call after call, until it is closed or fails.
async fn connection(mut stream: TcpStream, answer: &'static [u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    while let Some((delay, most)) = request(&mut stream, &mut buffer).await? {
        let now = launch::now().0;
        let _ = FIRST.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
        CALLS.fetch_add(1, Ordering::SeqCst);
        if OPEN.load(Ordering::SeqCst) >= most {
            REJECTED.fetch_add(1, Ordering::SeqCst);
            stream.write_all(REJECTION).await?;
            continue;
        }
        OPEN.fetch_add(1, Ordering::SeqCst);
        let due = async {
            match delay {
                // A timer would take a millisecond.
                Delay::For(Duration::ZERO) => {}
                Delay::For(delay) => tokio::time::sleep(delay).await,
                Delay::Forever => std::future::pending().await,
            }
        };
        let mut nothing = [0];
        let hung_up = tokio::select! {
            () = due => false,
            _closed = stream.peek(&mut nothing) => true,
        };
        let written = if hung_up { Ok(()) } else { stream.write_all(answer).await };
        LAST_END.store(launch::now().0, Ordering::SeqCst);
        OPEN.fetch_sub(1, Ordering::SeqCst);
        if hung_up || written.is_err() {
            break;
        }
    }
    Ok(())
}

/// The time until the answer of a request.
enum Delay {
    For(Duration),
    Forever,
}

/// Reads one whole request, and how many may be open; `None` at the end of the connection.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<(Delay, u64)>> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(buffer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            let place = head.split('/').nth(1).unwrap_or_default();
            let (delay, most) = place.split_once('-').unwrap_or((place, ""));
            let delay = delay.parse().ok().map(Duration::from_millis);
            let most = most.parse().unwrap_or(u64::MAX);
            return Ok(Some((delay.map_or(Delay::Forever, Delay::For), most)));
        }
    }
}

/// A short streamed answer, as model servers send it.
fn answer() -> Vec<u8> {
    let chunk = |choices: &str, rest: &str| {
        format!(
            r#"data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{choices}]{rest}}}"#
        )
    };
    let words = ["The", " disk", " is", " full:", " remove", " the", " old", " logs."];
    let mut events: Vec<String> = words
        .iter()
        .map(|word| {
            let delta =
                format!(r#"{{"index":0,"delta":{{"content":"{word}"}},"finish_reason":null}}"#);
            chunk(&delta, "")
        })
        .collect();
    events.push(chunk(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#, ""));
    events.push(chunk("", r#","usage":{"prompt_tokens":30,"completion_tokens":8}"#));
    events.push("data: [DONE]".to_owned());
    let mut answer =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec();
    for event in events {
        answer.extend(format!("{:x}\r\n{event}\n\n\r\n", event.len() + 2).bytes());
    }
    answer.extend(b"0\r\n\r\n");
    answer
}

/// A handle of the server process, which exits when its standard input ends.
pub struct Server {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    address: String,
}

/// The server's observations.
pub struct Seen {
    /// When the first call since the last query arrived.
    pub first: Moment,
    /// The number of open calls.
    pub open: u64,
    /// When the last call ended.
    pub last_end: Moment,
    /// The calls since the last query, rejected ones included.
    pub calls: u64,
    pub rejected: u64,
}

impl Server {
    pub fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ROLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let ask = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().context("the server has no stdout")?);
        let mut address = String::new();
        answers.read_line(&mut address)?;
        Ok(Self { child, ask, answers, address: address.trim().to_owned() })
    }

    /// The base URL of the endpoint that answers after `delay`: milliseconds, or `hold`.
    pub fn base_url(&self, delay: &str) -> String {
        format!("http://{}/{delay}", self.address)
    }

    /// Queries the server's observations.
    pub fn seen(&mut self) -> anyhow::Result<Seen> {
        writeln!(self.ask.as_mut().context("the server is gone")?)?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let numbers: Vec<u64> = line.split_whitespace().flat_map(str::parse).collect();
        let [first, open, last_end, calls, rejected] = numbers[..] else {
            anyhow::bail!("the server answered {line:?}");
        };
        Ok(Seen { first: Moment(first), open, last_end: Moment(last_end), calls, rejected })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.ask.take());
        let _ = self.child.wait();
    }
}
