//! One MCP server of a run: started once, shared by the agents that use it, started once more if
//! it dies, and stopped with everything it has started.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use rmcp::service::{ClientInitializeError, Peer, RoleClient, RunningService};
use tokio::sync::SetOnce;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::Client;
use super::failure::{self, Trouble};
use super::link::Link;
use super::offer::{self, Offered};
use crate::cancel::Cancellation;
use crate::plan::McpServerPlan;
use crate::process::RunProcesses;

/// Starts of one server: the first, and one more when it has died.
const MOST_STARTS: usize = 2;
/// How long what a server wrote before its end may take to be read, and its end to be heard of
/// after its last word.
const AFTERWORDS: Duration = Duration::from_millis(200);
/// How long cancelled calls may take to be told to the server, and its input to be closed.
const GOODBYE: Duration = Duration::from_millis(20);
/// How long a server may take to end by itself once its input is closed, when nobody is in a hurry.
const CLOSED: Duration = Duration::from_millis(100);
/// All of that together.
pub const LEAVE: Duration = Duration::from_millis(120);

/// What all servers of a run share.
#[derive(Debug)]
pub struct Shared {
    pub processes: Arc<RunProcesses>,
    /// The run's.
    pub cancel: Cancellation,
    /// Cancelled when no agent needs a server any more.
    pub over: CancellationToken,
    /// One task for each server that runs.
    pub tasks: TaskTracker,
}

impl Shared {
    async fn over(&self) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = self.over.cancelled() => {}
        }
    }
}

#[derive(Debug)]
pub struct Server {
    pub plan: Arc<McpServerPlan>,
    lives: Mutex<Vec<Arc<Life>>>,
}

/// One start of a server, and what became of it.
#[derive(Debug, Default)]
pub struct Life {
    /// Why it could not be started, after its name.
    pub started: SetOnce<Result<Session, String>>,
    /// How it ended, after its name.
    pub ended: SetOnce<Trouble>,
    /// Those that must be able to say goodbye before it is stopped.
    pub calls: TaskTracker,
}

#[derive(Debug)]
pub struct Session {
    pub peer: Peer<RoleClient>,
    pub offer: Vec<Offered>,
}

impl Server {
    pub fn new(plan: Arc<McpServerPlan>) -> Self {
        Self { plan, lives: Mutex::default() }
    }

    /// Its current life, begun if there is none or the last one has ended.
    ///
    /// # Errors
    /// It has died too often.
    pub fn life(&self, shared: &Arc<Shared>) -> Result<Arc<Life>, String> {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = lives.last() {
            match last.ended.get() {
                None => return Ok(last.clone()),
                Some(how) if lives.len() >= MOST_STARTS => {
                    let times = lives.len();
                    return Err(format!("{how}; it has been started {times} times, no more"));
                }
                Some(_) => {}
            }
        }
        let life = Arc::new(Life::default());
        lives.push(life.clone());
        let (plan, shared) = (self.plan.clone(), shared.clone());
        shared.tasks.clone().spawn({
            let life = life.clone();
            async move {
                let lived = AssertUnwindSafe(live(&plan, &shared, &life)).catch_unwind().await;
                if lived.is_err() {
                    // Nobody must wait for it any more.
                    let fault = "cannot be talked to by crew's own fault, please report it";
                    let _ = life.started.set(Err(fault.to_owned()));
                    let _ = life.ended.set(fault.to_owned().into());
                }
            }
        });
        Ok(life)
    }
}

/// The whole life of a server, up to when nothing of it is left.
async fn live(plan: &McpServerPlan, shared: &Shared, life: &Life) {
    if shared.cancel.is_cancelled() || shared.over.is_cancelled() {
        let _ = life.started.set(Err(STOPPED.to_owned()));
        return;
    }
    let mut link = match Link::open(plan, &shared.processes) {
        Ok(link) => link,
        Err(why) => {
            let _ = life.started.set(Err(why));
            return;
        }
    };
    match start(plan, shared, &mut link).await {
        Ok((service, offer)) => {
            let session = Session { peer: service.peer().clone(), offer };
            let _ = life.started.set(Ok(session));
            serve(service, shared, life, &mut link).await;
        }
        Err(why) => {
            let why = last_words(shared, &mut link, why).await;
            let _ = life.started.set(Err(why.to_string()));
        }
    }
    if let Some(process) = &mut link.process {
        shared.processes.stop(process).await;
    }
}

type Service = RunningService<RoleClient, Client>;

/// The handshake and the list of tools, within the time for it.
async fn start(
    plan: &McpServerPlan,
    shared: &Shared,
    link: &mut Link,
) -> Result<(Service, Vec<Offered>), Trouble> {
    let serving = link.serve(&plan.roots);
    let mut starting = std::pin::pin!(async {
        let service = serving.await.map_err(|error| handshake_failed(&error))?;
        let offer = offer::list(service.peer()).await?;
        Ok((service, offer))
    });
    tokio::select! {
        biased;
        () = shared.over() => Err(STOPPED.to_owned().into()),
        started = &mut starting => started,
        ended = link.ended() => match ended {
            Err(error) => Err(error.into()),
            // What it had to say may still be on its way.
            Ok(()) => timeout(AFTERWORDS, starting).await.unwrap_or(Err(ENDED)),
        },
        () = unconstrained(sleep(plan.start_timeout)) => {
            Err(format!("did not start within {:?}", plan.start_timeout).into())
        }
    }
}

/// How it ended or failed; nothing is waited for once the run is stopped.
async fn last_words(shared: &Shared, link: &mut Link, otherwise: Trouble) -> Trouble {
    let instead = otherwise.clone();
    tokio::select! {
        biased;
        () = shared.over() => instead,
        words = link.last_words(otherwise) => words,
    }
}

const STOPPED: &str = "was stopped before it had started";
const ENDED: Trouble = Trouble::Ended(" while it started", String::new());

fn handshake_failed(error: &ClientInitializeError) -> Trouble {
    let words = match error {
        ClientInitializeError::ConnectionClosed(_) => return ENDED,
        ClientInitializeError::TransportError { error, .. } => {
            format!("could not be asked: {}", failure::of_transport(&*error.error))
        }
        ClientInitializeError::JsonRpcError(error) => {
            format!("refused to start: {} ({})", error.message, error.code.0)
        }
        ClientInitializeError::ExpectedInitResult(_) => {
            "answered the handshake with something else".to_owned()
        }
        error => format!("did not keep to the handshake: {error}"),
    };
    words.into()
}

/// From the handshake to the end: the server's own, or the run's.
async fn serve(service: Service, shared: &Shared, life: &Life, link: &mut Link) {
    let close = service.cancellation_token();
    let mut closed = std::pin::pin!(service.waiting());
    let mut is_closed = false;
    let is_over = tokio::select! {
        biased;
        () = shared.over() => true,
        _ = link.ended() => {
            is_closed = timeout(AFTERWORDS, &mut closed).await.is_ok();
            false
        }
        _ = &mut closed => {
            is_closed = true;
            false
        }
    };
    if is_over {
        life.calls.close();
        let _ = timeout(GOODBYE, life.calls.wait()).await;
    } else {
        let _ = life.ended.set(last_words(shared, link, Trouble::ENDED).await);
    }
    close.cancel();
    let in_peace = is_over && !shared.cancel.is_cancelled();
    let deadline = Instant::now() + if in_peace { CLOSED } else { GOODBYE };
    if !is_closed {
        let _ = timeout_at(deadline, closed).await;
    }
    if let (true, Some(process)) = (in_peace, &mut link.process) {
        tokio::select! {
            biased;
            () = shared.cancel.cancelled() => {}
            () = process.gone() => {}
            () = sleep_until(deadline) => {}
        }
    }
}
