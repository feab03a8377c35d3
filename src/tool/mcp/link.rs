//! How a server is reached: the pipes of a process that crew has started, or HTTP.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt, RoleClient, RunningService,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::unix::pipe;
use tokio::time::timeout;

use super::client::Client;
use super::failure::Trouble;
use super::transport::{Bounded, Fault, MAX_MESSAGE, Pipes};
use crate::net;
use crate::plan::{McpAccess, McpServerPlan};
use crate::process::line::Line;
use crate::process::processes::{Processes, signal_name};
use crate::process::protocol::Invocation;
use crate::text::LEFT_OUT;
use crate::tool::command::{could_not_start, inherited};

/// Bytes kept of what a server writes to stderr.
const MAX_STDERR: usize = 8 << 10;
/// Of that, what is shown when it fails.
const LAST_LINES: usize = 8;
/// How long its last words may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(100);

pub struct Link {
    /// `None` for a server that is no process of crew's.
    pub line: Option<Line>,
    program: String,
    /// It was started in a sandbox.
    confined: bool,
    way: Option<Way>,
    fault: Fault,
}

enum Way {
    Pipes(pipe::Sender, pipe::Receiver),
    Http(Box<StreamableHttpClientTransportConfig>, reqwest::Client),
}

type Serving =
    BoxFuture<'static, Result<RunningService<RoleClient, Client>, ClientInitializeError>>;

impl Link {
    /// Starts the process, or prepares the HTTP client.
    ///
    /// # Errors
    /// As a message that goes after the server's name.
    pub fn open(plan: &McpServerPlan, processes: &Processes) -> Result<Self, String> {
        let fault = Fault::default();
        match &plan.access {
            McpAccess::Process { program, args, env, cwd, sandbox } => {
                let invocation = Invocation {
                    program: program.into(),
                    arguments: args.iter().map(Into::into).collect(),
                    environment: environment(env),
                    cwd: cwd.clone(),
                    sandbox: sandbox.as_ref().map(|plan| plan.sandbox.clone()),
                };
                let (program, confined) =
                    (program.to_string_lossy().into_owned(), sandbox.is_some());
                let served = processes.serve(invocation, MAX_STDERR);
                let served = served.map_err(|error| could_not_start(&program, confined, &error))?;
                let way = Some(Way::Pipes(served.stdin, served.stdout));
                Ok(Self { line: Some(served.line), program, confined, way, fault })
            }
            McpAccess::Http { url, headers } => {
                let client = net::builder(std::slice::from_ref(url)).and_then(net::build);
                let client = client.map_err(|error| error.to_string())?;
                let headers = headers.iter().map(|(name, value)| (name.clone(), value.clone()));
                let config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                    .custom_headers(headers.collect())
                    .max_sse_event_size(MAX_MESSAGE)
                    .max_json_response_size(MAX_MESSAGE);
                let way = Some(Way::Http(Box::new(config), client));
                Ok(Self { line: None, program: String::new(), confined: false, way, fault })
            }
        }
    }

    /// Begins the handshake; to be called once. `roots` are absolute paths.
    pub fn serve(&mut self, roots: &[PathBuf]) -> Serving {
        let client = Client::new(roots);
        let mode = ClientLifecycleMode::Initialize;
        match self.way.take() {
            Some(Way::Pipes(stdin, stdout)) => {
                let pipes = Bounded::new(Pipes::new(stdin, stdout, self.fault.clone()));
                async move { client.serve_with_lifecycle(pipes, mode).await }.boxed()
            }
            Some(Way::Http(config, http)) => async move {
                let http = StreamableHttpClientTransport::with_client(http, *config);
                client.serve_with_lifecycle(Bounded::new(http), mode).await
            }
            .boxed(),
            None => std::future::ready(Err(ClientInitializeError::Cancelled)).boxed(),
        }
    }

    /// Completes when the server's own process has ended; never, if it has none. Its stderr is
    /// read meanwhile. Cancel safe.
    ///
    /// # Errors
    /// It could not be started.
    pub async fn ended(&mut self) -> Result<(), String> {
        match &mut self.line {
            Some(line) => {
                let ended = line.ended().await;
                ended.map_err(|error| could_not_start(&self.program, self.confined, &error))
            }
            None => std::future::pending().await,
        }
    }

    /// How a server ended or failed, with its exit status and the end of its stderr as far as there
    /// are any. Takes at most a fifth of a second.
    pub async fn last_words(&mut self, otherwise: Trouble) -> Trouble {
        let fault = self.fault.get().cloned().map(Trouble::Other);
        let Some(line) = &mut self.line else { return fault.unwrap_or(otherwise) };
        // The pipe may have closed first.
        if let Ok(Err(error)) = timeout(LAST_WORDS, line.ended()).await {
            return could_not_start(&self.program, self.confined, &error).into();
        }
        let _ = timeout(LAST_WORDS, line.drained()).await;
        let mut trouble = match (fault, line.status()) {
            (Some(fault), _) => fault,
            // That it left in peace is news only if nobody had sent it away.
            (None, Some(status)) if status.success() && matches!(otherwise, Trouble::Other(_)) => {
                otherwise
            }
            (None, Some(status)) if self.confined => {
                otherwise.and(&format!(" ({}, in a sandbox)", exit(status)))
            }
            (None, Some(status)) => otherwise.and(&format!(" ({})", exit(status))),
            (None, None) => otherwise,
        };
        let stderr = line.take_output();
        // Where the middle was left out, the tail begins within a line.
        let tail = stderr.text.rsplit_once(LEFT_OUT.1).and_then(|(_, tail)| tail.split_once('\n'));
        let whole =
            tail.filter(|_| stderr.truncated).map_or(stderr.text.as_str(), |(_, tail)| tail);
        let lines: Vec<&str> = whole.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        if !last.is_empty() {
            trouble = trouble.and(&format!("; it last wrote:\n{}", last.join("\n")));
        }
        trouble
    }
}

fn exit(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => signal_name(status).unwrap_or_else(|| "for no known reason".to_owned()),
    }
}

/// What every tool gets, and what the file gives this server.
fn environment(given: &[(String, SecretString)]) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    let mut environment = inherited(&[]);
    environment.retain(|(name, _)| !given.iter().any(|(given, _)| name == given.as_str()));
    environment.extend(
        given.iter().map(|(name, value)| (name.into(), value.expose_secret().to_owned().into())),
    );
    environment
}
