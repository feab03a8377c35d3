//! MCP servers: what they offer becomes tools of an agent when it starts, and a call of one goes to
//! the server's connection.
//!
//! A server is a task of its own, since it outlives the agent that needed it first. The task ends
//! with the server, or when the run is over or stopped.

mod client;
mod failure;
mod link;
mod names;
mod offer;
mod result;
mod server;
mod transport;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rmcp::ServiceError;
use rmcp::model::{CallToolRequest, CallToolRequestParams, ClientRequest, ServerResult};
use rmcp::service::PeerRequestOptions;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::context::CallInput;
use super::outcome::{ToolEnd, ToolOutcome};
use crate::cancel::Cancellation;
use crate::chat::ToolSpec;
use crate::plan::{CrewPlan, McpGrant, McpToolPlan, ToolKind, ToolPlan};
use crate::process::RunProcesses;
use crate::report::{CancelKind, OfferedTool};
use crate::text::Excerpt;
use failure::{Trouble, cut};
use offer::Offered;
use result::Shown;
pub use server::LEAVE;
use server::{Life, Server, Session, Shared};

/// How long telling a server that a call is cancelled may take: it need not read what it is sent.
const TELL: Duration = Duration::from_millis(50);
/// How long crew looks for the reason when a connection breaks in mid-call.
const REASON: Duration = Duration::from_millis(700);
/// Names of tools in a message.
const MOST_NAMES: usize = 20;

/// The servers of one run, none of which is started before it is needed.
#[derive(Debug)]
pub struct Servers {
    servers: Vec<Server>,
    shared: Arc<Shared>,
}

/// The tools an agent has of servers, and what it should have had but cannot.
#[derive(Debug, Default)]
pub struct Equipment {
    pub tools: Vec<Arc<ToolPlan>>,
    pub notes: Vec<String>,
}

impl Servers {
    pub fn new(plan: &CrewPlan, processes: Arc<RunProcesses>, cancel: Cancellation) -> Self {
        let servers = plan.mcp_servers.iter().cloned().map(Server::new).collect();
        let (over, tasks) = (CancellationToken::new(), TaskTracker::new());
        Self { servers, shared: Arc::new(Shared { processes, cancel, over, tasks }) }
    }

    /// Starts the servers that are not running yet, all at once, and picks from what they offer.
    /// `taken` are the names of the agent's other tools. Takes at most the servers' start timeout.
    ///
    /// # Errors
    /// A server does not start, or does not offer what the agent is to have.
    pub async fn equip(
        &self,
        grants: &[McpGrant],
        mut taken: HashSet<String>,
    ) -> Result<Equipment, String> {
        let mut needed: Vec<usize> = grants.iter().map(|grant| grant.server).collect();
        needed.sort_unstable();
        needed.dedup();
        let mut equipment = Equipment::default();
        needed.retain(|&server| {
            let plan = &self.servers[server].plan;
            if plan.out_of_reach {
                let note = format!("left out the tools of MCP server {}: --offline", plan.name);
                equipment.notes.push(note);
            }
            !plan.out_of_reach
        });
        let started = join_all(needed.iter().map(|&server| self.start(server))).await;
        let failed: Vec<&str> =
            started.iter().filter_map(|life| life.as_ref().err().map(String::as_str)).collect();
        if !failed.is_empty() {
            return Err(failed.join("\n"));
        }
        let mut given = HashSet::new();
        for grant in grants {
            let life =
                needed.binary_search(&grant.server).ok().and_then(|at| started[at].as_ref().ok());
            let Some(Ok(session)) = life.and_then(|life| life.started.get()) else { continue };
            self.pick(grant, session, &mut given, &mut taken, &mut equipment)?;
        }
        Ok(equipment)
    }

    /// What a server offers; starts it.
    ///
    /// # Errors
    /// It does not start.
    pub async fn offer(&self, server: usize) -> Result<Vec<OfferedTool>, String> {
        let life = self.start(server).await?;
        let Some(Ok(session)) = life.started.get() else { return Ok(Vec::new()) };
        let tool = |tool: &Offered| OfferedTool {
            name: tool.name.clone(),
            description: tool.description.clone(),
            read_only: tool.read_only,
            destructive: tool.destructive,
        };
        Ok(session.offer.iter().map(tool).collect())
    }

    async fn start(&self, server: usize) -> Result<Arc<Life>, String> {
        let server = &self.servers[server];
        let named = |why: &str| cut(&format!("MCP server {} {why}", server.plan.name));
        let life = server.life(&self.shared).map_err(|why| named(&why))?;
        match life.started.wait().await {
            Ok(_) => Ok(life),
            Err(why) => Err(named(why)),
        }
    }

    /// Adds the tools that a grant means.
    fn pick(
        &self,
        grant: &McpGrant,
        session: &Session,
        given: &mut HashSet<(usize, String)>,
        taken: &mut HashSet<String>,
        equipment: &mut Equipment,
    ) -> Result<(), String> {
        let plan = &self.servers[grant.server].plan;
        let mut fits = session.offer.iter().filter(|tool| grant.covers(&tool.name)).peekable();
        if fits.peek().is_none() {
            return Err(nothing_fits(&plan.name, &grant.pattern, &session.offer));
        }
        for tool in fits {
            if !given.insert((grant.server, tool.name.clone())) {
                continue;
            }
            let label = format!("{}.{}", plan.name, tool.name);
            let schema = match &tool.usable {
                Ok(schema) => schema.clone(),
                Err(why) if grant.is_exact() => {
                    return Err(cut(&format!("MCP tool {label} cannot be used: {why}")));
                }
                Err(why) => {
                    equipment.notes.push(cut(&format!("left out the MCP tool {label}: {why}")));
                    continue;
                }
            };
            equipment.tools.push(Arc::new(ToolPlan {
                spec: ToolSpec {
                    name: names::unique(&plan.name, &tool.name, taken),
                    description: tool.description.clone(),
                    parameters: schema.shared(),
                },
                schema,
                timeout: plan.timeout,
                max_output: plan.max_output,
                confirm: plan.confirm,
                kind: ToolKind::Mcp(McpToolPlan {
                    server: grant.server,
                    tool: tool.name.clone(),
                    label,
                }),
            }));
        }
        Ok(())
    }

    /// Ends all servers: they are asked to by the end of their input, and stopped if they do not. Takes
    /// at most the grace and half a second more.
    pub async fn end(&self) {
        self.shared.over.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

fn nothing_fits(server: &str, pattern: &str, offer: &[Offered]) -> String {
    let names: Vec<&str> = offer.iter().take(MOST_NAMES).map(|tool| tool.name.as_str()).collect();
    let more = match offer.len().saturating_sub(MOST_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let offers = match names.is_empty() {
        true => "it offers none".to_owned(),
        false => format!("it offers: {}{more}", names.join(", ")),
    };
    match pattern {
        "*" => format!("MCP server {server} offers no tools"),
        pattern => cut(&format!("MCP server {server} has no tool {pattern}; {offers}")),
    }
}

/// Makes the call, until it ends or `stop` completes with the reason to cancel it. The server is
/// notified of a cancellation, but crew does not wait for its reaction.
pub async fn call(
    plan: &McpToolPlan,
    input: CallInput<'_>,
    stop: impl Future<Output = CancelKind>,
) -> ToolOutcome {
    let servers = input.context.servers;
    let mut stop = std::pin::pin!(stop);
    let life = tokio::select! {
        biased;
        reason = &mut stop => return stopped(reason),
        life = servers.start(plan.server) => life,
    };
    let life = match life {
        Ok(life) => life,
        Err(why) => return failed(&why),
    };
    let Some(Ok(session)) = life.started.get() else { return failed("it is not running") };
    let _goodbye = life.calls.token();
    let mut params = CallToolRequestParams::new(plan.tool.clone());
    params.arguments = Some(input.arguments.clone());
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let options = PeerRequestOptions::no_options();
    let mut handle = match session.peer.send_cancellable_request(request, options).await {
        Ok(handle) => handle,
        Err(error) => return failed(&broken(plan, servers, &life, error).await),
    };
    let answer = tokio::select! {
        biased;
        answer = &mut handle.rx => answer.unwrap_or(Err(ServiceError::TransportClosed)),
        reason = &mut stop => {
            let why = "crew no longer waits for the result".to_owned();
            let _ = timeout(TELL, handle.cancel(Some(why))).await;
            return stopped(reason);
        }
    };
    match answer {
        Ok(result) => answered(result, input.max_output),
        Err(error) => failed(&broken(plan, servers, &life, error).await),
    }
}

fn answered(result: ServerResult, max_output: usize) -> ToolOutcome {
    let Shown { output, is_error } = result::show(result, max_output);
    if !is_error {
        return ToolOutcome::new(ToolEnd::Succeeded, output);
    }
    let mut outcome = ToolOutcome::new(ToolEnd::Failed, output);
    if outcome.output.is_empty() {
        outcome.add_note("the tool failed without a message");
    }
    outcome
}

fn stopped(reason: CancelKind) -> ToolOutcome {
    ToolOutcome::new(ToolEnd::Stopped(reason), Excerpt::default())
}

fn failed(why: &str) -> ToolOutcome {
    let message = cut(why);
    let truncated = message.len() < why.len();
    ToolOutcome { truncated, ..ToolOutcome::failed(&message) }
}

/// Why a call has no result.
async fn broken(plan: &McpToolPlan, servers: &Servers, life: &Life, error: ServiceError) -> String {
    let server = &servers.servers[plan.server].plan.name;
    match error {
        ServiceError::McpError(error) => {
            let details = error.data.map(|data| format!(" {data}")).unwrap_or_default();
            format!("MCP server {server}: error {}: {}{details}", error.code.0, error.message)
        }
        ServiceError::TransportClosed => {
            let how = timeout(REASON, life.ended.wait()).await;
            format!("MCP server {server} {}", how.unwrap_or(&Trouble::ENDED).in_mid_call())
        }
        ServiceError::TransportSend(error) => {
            // It may have gone before it could be asked.
            match timeout(REASON, life.ended.wait()).await {
                Ok(how) => format!("MCP server {server} {how}"),
                Err(_) => format!("MCP server {server}: {}", failure::of_transport(&*error.error)),
            }
        }
        error => format!("MCP server {server}: {error}"),
    }
}
