//! One MCP server of a run: started once, shared by the agents that use it, restarted once if it
//! ends, and stopped together with its child processes.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::FusedFuture;
use parking_lot::Mutex;
use rmcp::service::{ClientInitializeError, Peer, RoleClient, RunningService};
use tokio::sync::SetOnce;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::Client;
use super::failure::{self, Phase, ServerFailure};
use super::link::Link;
use super::offer::{self, OfferedTool};
use crate::cancel::Cancellation;
use crate::plan::McpServerPlan;
use crate::process::RunProcesses;
use crate::telemetry::Trace;

/// Starts of one server: the first, and a restart after it ended.
const MAX_STARTS: usize = 2;
/// The limit for reading what a server wrote before it exited, and for learning that it exited
/// after its output closed.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);
/// The limit for sending the cancellations of pending calls, and for closing the server's input.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(20);
/// The time a server has to exit by itself after its input was closed at the end of a run. A run
/// that is stopped does not wait for it.
const EXIT_TIMEOUT: Duration = Duration::from_millis(100);
/// [`CANCEL_TIMEOUT`] and [`EXIT_TIMEOUT`] together.
pub const LEAVE: Duration = Duration::from_millis(120);

/// What all servers of a run share.
#[derive(Debug)]
pub struct Shared {
    pub processes: Arc<RunProcesses>,
    /// The run's.
    pub cancel: Cancellation,
    /// Cancelled when no agent needs a server any more.
    pub over: CancellationToken,
    pub trace: Arc<Trace>,
    /// One task for each server that runs.
    pub tasks: TaskTracker,
}

impl Shared {
    fn is_over(&self) -> bool {
        self.cancel.is_cancelled() || self.over.is_cancelled()
    }

    /// Completes when the run is over or cancelled.
    async fn wait_for_end(&self) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = self.over.cancelled() => {}
        }
    }
}

/// One server of the crew file, running or not.
#[derive(Debug)]
pub struct Server {
    pub plan: Arc<McpServerPlan>,
    /// The tools in the recording, once they were read.
    pub recorded: OnceLock<Result<Arc<[OfferedTool]>, String>>,
    starts: Mutex<Vec<Arc<Start>>>,
}

/// One start of a server, set when it succeeded or failed. The error goes after the server's name.
type Start = SetOnce<Result<Arc<Session>, String>>;

/// The connection to a server that has started.
#[derive(Debug)]
pub struct Session {
    pub peer: Peer<RoleClient>,
    pub tools: Arc<[OfferedTool]>,
    /// How the server ended, unless the run ended it.
    pub ended: SetOnce<ServerFailure>,
    /// Pending calls. They have [`CANCEL_TIMEOUT`] to send their cancellations at the end of a run.
    pub calls: TaskTracker,
}

impl Server {
    pub fn new(plan: Arc<McpServerPlan>) -> Self {
        Self { plan, recorded: OnceLock::new(), starts: Mutex::default() }
    }

    /// The current session. Starts the server if it is not running.
    ///
    /// # Errors
    /// The server does not start, or it ended [`MAX_STARTS`] times. Goes after the server's name.
    pub async fn session(&self, shared: &Arc<Shared>) -> Result<Arc<Session>, String> {
        self.current_start(shared)?.wait().await.clone()
    }

    fn current_start(&self, shared: &Arc<Shared>) -> Result<Arc<Start>, String> {
        let mut starts = self.starts.lock();
        if let Some(last) = starts.last() {
            let session = last.get().and_then(|started| started.as_ref().ok());
            let Some(failure) = session.and_then(|session| session.ended.get()) else {
                return Ok(last.clone());
            };
            if starts.len() >= MAX_STARTS {
                let count = starts.len();
                return Err(format!("{failure}; it was started {count} times, which is the limit"));
            }
        }
        let start = Arc::new(Start::new());
        starts.push(start.clone());
        shared.tasks.spawn(supervise(self.plan.clone(), shared.clone(), start.clone()));
        Ok(start)
    }
}

/// Runs a server and makes sure that no caller waits forever for it.
async fn supervise(plan: Arc<McpServerPlan>, shared: Arc<Shared>, start: Arc<Start>) {
    let running = AssertUnwindSafe(run(&plan, &shared, &start));
    if running.catch_unwind().await.is_ok() {
        return;
    }
    let message = "failed with an internal error (please report it)".to_owned();
    match start.get() {
        Some(Ok(session)) => _ = session.ended.set(message.into()),
        Some(Err(_)) => {}
        None => _ = start.set(Err(message)),
    }
}

/// Runs a server from its start until none of its processes is left.
async fn run(plan: &McpServerPlan, shared: &Shared, start: &Start) {
    if shared.is_over() {
        let _ = start.set(Err(STOPPED.to_owned()));
        return;
    }
    // It serves all agents, perhaps of several runs.
    let span = shared.trace.within(shared.trace.root);
    let mut link = match Link::open(plan, &shared.processes, span) {
        Ok(link) => link,
        Err(why) => {
            let _ = start.set(Err(why));
            return;
        }
    };
    match connect(plan, shared, &mut link).await {
        Ok((service, tools)) => {
            let session = Arc::new(Session {
                peer: service.peer().clone(),
                tools: tools.into(),
                ended: SetOnce::new(),
                calls: TaskTracker::new(),
            });
            let _ = start.set(Ok(session.clone()));
            serve(service, shared, &session, &mut link).await;
        }
        Err(failure) => {
            let failure = diagnose(shared, &mut link, failure).await;
            let _ = start.set(Err(failure.to_string()));
        }
    }
    if let Some(process) = &mut link.process {
        shared.processes.stop(process).await;
    }
}

type Service = RunningService<RoleClient, Client>;

const STOPPED: &str = "was stopped before it started";

/// Makes the handshake and lists the tools, within the server's start timeout.
async fn connect(
    plan: &McpServerPlan,
    shared: &Shared,
    link: &mut Link,
) -> Result<(Service, Vec<OfferedTool>), ServerFailure> {
    let serving = link.serve(&plan.roots);
    let mut connecting = std::pin::pin!(async {
        let service = serving.await.map_err(|error| handshake_failure(&error))?;
        let tools = offer::list(service.peer()).await?;
        Ok((service, tools))
    });
    tokio::select! {
        biased;
        () = shared.wait_for_end() => Err(STOPPED.to_owned().into()),
        connected = &mut connecting => connected,
        ended = link.ended() => match ended {
            Err(error) => Err(error.into()),
            // Its last messages may still be in the pipe.
            Ok(()) => timeout(DRAIN_TIMEOUT, connecting)
                .await
                .unwrap_or_else(|_| Err(ServerFailure::closed(Phase::Starting))),
        },
        () = unconstrained(sleep(plan.start_timeout)) => {
            Err(format!("did not start within {:?}", plan.start_timeout).into())
        }
    }
}

/// Adds the exit status and stderr to a failure, unless the run is over.
async fn diagnose(shared: &Shared, link: &mut Link, failure: ServerFailure) -> ServerFailure {
    let undiagnosed = failure.clone();
    tokio::select! {
        biased;
        () = shared.wait_for_end() => undiagnosed,
        failure = link.diagnose(failure) => failure,
    }
}

fn handshake_failure(error: &ClientInitializeError) -> ServerFailure {
    let message = match error {
        ClientInitializeError::ConnectionClosed(_) => {
            return ServerFailure::closed(Phase::Starting);
        }
        ClientInitializeError::TransportError { error, .. } => {
            format!("cannot be reached: {}", failure::of_transport(&*error.error))
        }
        ClientInitializeError::JsonRpcError(error) => {
            format!("rejected the handshake: {} ({})", error.message, error.code.0)
        }
        ClientInitializeError::ExpectedInitResult(_) => {
            "sent an unexpected response to the handshake".to_owned()
        }
        error => format!("failed the handshake: {error}"),
    };
    message.into()
}

/// Serves calls until the server ends or the run does.
async fn serve(service: Service, shared: &Shared, session: &Session, link: &mut Link) {
    let close = service.cancellation_token();
    let mut closed = std::pin::pin!(service.waiting().fuse());
    let is_over = tokio::select! {
        biased;
        () = shared.wait_for_end() => true,
        _ = link.ended() => {
            let _ = timeout(DRAIN_TIMEOUT, &mut closed).await;
            false
        }
        _ = &mut closed => false,
    };
    if is_over {
        session.calls.close();
        let _ = timeout(CANCEL_TIMEOUT, session.calls.wait()).await;
    } else {
        let failure = ServerFailure::closed(Phase::Running);
        let _ = session.ended.set(diagnose(shared, link, failure).await);
    }
    close.cancel();
    let may_exit = is_over && !shared.cancel.is_cancelled();
    let deadline = Instant::now() + if may_exit { EXIT_TIMEOUT } else { CANCEL_TIMEOUT };
    if !closed.is_terminated() {
        let _ = timeout_at(deadline, closed).await;
    }
    if let (true, Some(process)) = (may_exit, &mut link.process) {
        tokio::select! {
            biased;
            () = shared.cancel.cancelled() => {}
            () = process.gone() => {}
            () = sleep_until(deadline) => {}
        }
    }
}
