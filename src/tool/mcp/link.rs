//! The link to a server: the pipes of a process that crew starts, or HTTP.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
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
use super::failure::ServerFailure;
use super::http_client::HttpClient;
use super::pipes::{Observed, Pipes};
use super::transport::Bounded;
use crate::net;
use crate::plan::{McpAccess, McpServerPlan};
use crate::process::{Invocation, RunProcesses, ToolProcess, signal_name};
use crate::telemetry::SpanContext;
use crate::text::Excerpt;
use crate::tool::launch::{inherited_environment, start_error};

/// Bytes kept of a server's stderr.
const MAX_STDERR: usize = 8 << 10;
/// Lines of stderr that a failure shows.
const MAX_STDERR_LINES: usize = 8;
/// The limit for learning the exit status, and again for reading the rest of stderr.
const DIAGNOSE_TIMEOUT: Duration = Duration::from_millis(100);

pub struct Link {
    /// `None` for a server that crew does not start.
    pub process: Option<ToolProcess>,
    program: String,
    sandboxed: bool,
    /// Taken by the handshake.
    channel: Option<Channel>,
    observed: Arc<Observed>,
}

enum Channel {
    Pipes(pipe::Sender, pipe::Receiver),
    Http(Box<StreamableHttpClientTransportConfig>, reqwest::Client),
}

type Serving =
    BoxFuture<'static, Result<RunningService<RoleClient, Client>, ClientInitializeError>>;

impl Link {
    /// Starts the process, or prepares the HTTP client.
    ///
    /// # Errors
    /// A message that goes after the server's name.
    pub fn open(
        plan: &McpServerPlan,
        processes: &RunProcesses,
        span: SpanContext<'_>,
    ) -> Result<Self, String> {
        let observed = Arc::<Observed>::default();
        match &plan.access {
            McpAccess::Process { program, args, env, cwd, sandbox } => {
                let invocation = Invocation {
                    program: program.into(),
                    arguments: args.iter().map(Into::into).collect(),
                    environment: environment(env, span),
                    cwd: cwd.clone(),
                    sandbox: sandbox.as_ref().map(|plan| plan.sandbox.clone()),
                };
                let program = program.to_string_lossy().into_owned();
                let sandboxed = sandbox.is_some();
                let served = processes.serve(invocation, MAX_STDERR);
                let served = served.map_err(|error| start_error(&program, sandboxed, &error))?;
                let channel = Some(Channel::Pipes(served.stdin, served.stdout));
                Ok(Self { process: Some(served.process), program, sandboxed, channel, observed })
            }
            McpAccess::Http { url, headers } => {
                let client = net::builder(std::slice::from_ref(url)).and_then(net::build);
                let client = client.map_err(|error| error.to_string())?;
                let headers = headers.iter().map(|(name, value)| (name.clone(), value.clone()));
                let config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                    .custom_headers(headers.collect());
                let channel = Some(Channel::Http(Box::new(config), client));
                let program = String::new();
                Ok(Self { process: None, program, sandboxed: false, channel, observed })
            }
        }
    }

    /// Makes the handshake. To be called once. `roots` are absolute paths.
    pub fn serve(&mut self, roots: &[PathBuf]) -> Serving {
        let client = Client::new(roots);
        let mode = ClientLifecycleMode::Initialize;
        match self.channel.take() {
            Some(Channel::Pipes(stdin, stdout)) => {
                let pipes = Bounded::new(Pipes::new(stdin, stdout, self.observed.clone()));
                async move { client.serve_with_lifecycle(pipes, mode).await }.boxed()
            }
            Some(Channel::Http(config, http)) => async move {
                let http = StreamableHttpClientTransport::with_client(HttpClient(http), *config);
                client.serve_with_lifecycle(Bounded::new(http), mode).await
            }
            .boxed(),
            None => std::future::ready(Err(ClientInitializeError::Cancelled)).boxed(),
        }
    }

    /// Completes when the server's process has exited; never, if crew did not start it. Reads
    /// stderr meanwhile. Cancel safe.
    ///
    /// # Errors
    /// The process could not be started.
    pub async fn ended(&mut self) -> Result<(), String> {
        match &mut self.process {
            Some(process) => {
                let ended = process.ended().await;
                ended.map_err(|error| start_error(&self.program, self.sandboxed, &error))
            }
            None => std::future::pending().await,
        }
    }

    /// Returns the failure with its cause, the exit status and the end of stderr, as far as they
    /// are known. Takes at most twice [`DIAGNOSE_TIMEOUT`].
    pub async fn diagnose(&mut self, failure: ServerFailure) -> ServerFailure {
        let violation = self.observed.violation.get().cloned().map(ServerFailure::from);
        let Some(process) = &mut self.process else { return violation.unwrap_or(failure) };
        // The pipe may close before the process exits.
        if let Ok(Err(error)) = timeout(DIAGNOSE_TIMEOUT, process.ended()).await {
            return start_error(&self.program, self.sandboxed, &error).into();
        }
        let _ = timeout(DIAGNOSE_TIMEOUT, process.drained()).await;
        let stderr = last_lines(&process.take_output());
        let stdout = self.observed.printed();
        if let Some(violation) = violation {
            return ServerFailure { stderr, stdout, ..violation };
        }
        // Exit code 0 does not explain a failure that has another cause.
        let status =
            process.status().filter(|status| failure.message.is_none() || !status.success());
        let exit = status.map(|status| exit(status, self.sandboxed));
        ServerFailure { exit, stderr, stdout, ..failure }
    }
}

fn exit(status: ExitStatus, sandboxed: bool) -> String {
    let status = match status.code() {
        Some(code) => format!("exit code {code}"),
        None => signal_name(status).unwrap_or_else(|| "unknown exit status".to_owned()),
    };
    if sandboxed { format!("{status}, in a sandbox") } else { status }
}

fn last_lines(stderr: &Excerpt) -> String {
    let mut tail = &stderr.text[stderr.tail_start..];
    if stderr.truncated {
        // The tail begins in the middle of a line.
        tail = tail.split_once('\n').map_or(tail, |(_, rest)| rest);
    }
    let lines: Vec<&str> = tail.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(MAX_STDERR_LINES)..].join("\n")
}

/// The environment of every tool, and the variables that the file gives this server.
fn environment(
    given: &[(String, SecretString)],
    span: SpanContext<'_>,
) -> Vec<(OsString, OsString)> {
    let mut environment = inherited_environment(&[], span);
    environment.retain(|(name, _)| !given.iter().any(|(given, _)| name == given.as_str()));
    environment.extend(
        given.iter().map(|(name, value)| (name.into(), value.expose_secret().to_owned().into())),
    );
    environment
}
