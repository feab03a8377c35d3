//! The MCP servers of a run, each started when an agent first needs it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use futures::future::join_all;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::failure::excerpt;
use super::grants::GrantedTools;
use super::offer::{self, OfferedTool};
use super::server::{Server, Session, Shared};
use crate::cancel::Cancellation;
use crate::plan::{CrewPlan, McpGrant};
use crate::process::RunProcesses;
use crate::recording::{Asked, Found, Kind, Recording};
use crate::telemetry::Trace;
use crate::untrusted::Untrusted;

/// The servers of one run, in the order of [`CrewPlan::mcp_servers`].
#[derive(Debug)]
pub struct Servers {
    servers: Vec<Server>,
    shared: Arc<Shared>,
    /// Lists and calls, recorded or replayed.
    recording: Option<Arc<Recording>>,
}

impl Servers {
    /// Starts no server. `cancel` is the run's.
    pub fn new(
        plan: &CrewPlan,
        processes: Arc<RunProcesses>,
        cancel: Cancellation,
        trace: Arc<Trace>,
    ) -> Self {
        let servers = plan.mcp_servers.iter().cloned().map(Server::new).collect();
        let (over, tasks) = (CancellationToken::new(), TaskTracker::new());
        let shared = Arc::new(Shared { processes, cancel, over, trace, tasks });
        Self { servers, shared, recording: None }
    }

    /// The same servers, with a recording.
    pub fn recorded(self, recording: Option<Arc<Recording>>) -> Self {
        Self { recording, ..self }
    }

    pub(super) fn recording(&self) -> Option<&Recording> {
        self.recording.as_deref()
    }

    /// Starts the servers of these grants that are not running yet, all at once, and returns the
    /// tools that the grants cover. `taken_names` are the names of the agent's other tools.
    ///
    /// Takes at most as long as the servers' start timeouts.
    ///
    /// # Errors
    /// A server does not start, or does not offer a granted tool. One line for each server.
    pub async fn equip(
        &self,
        grants: &[McpGrant],
        taken_names: HashSet<String>,
    ) -> Result<GrantedTools, Untrusted> {
        let mut granted = GrantedTools::new(taken_names);
        let mut needed: BTreeSet<usize> = grants.iter().map(|grant| grant.server).collect();
        needed.retain(|&server| {
            let plan = &self.servers[server].plan;
            if plan.out_of_reach {
                let note = format!("skipped the tools of MCP server {}: --offline", plan.name);
                granted.notes.push(note.into());
            }
            !plan.out_of_reach
        });
        let started = join_all(needed.iter().map(|&server| self.tools(server))).await;
        let started: BTreeMap<usize, _> = needed.into_iter().zip(started).collect();
        let failures = started.values().filter_map(|tools| tools.as_ref().err());
        let failures: Vec<&str> = failures.map(String::as_str).collect();
        if !failures.is_empty() {
            return Err(failures.join("\n").into());
        }
        for grant in grants {
            if let Some(Ok(tools)) = started.get(&grant.server) {
                granted.add(grant, &self.servers[grant.server].plan, tools)?;
            }
        }
        Ok(granted)
    }

    /// Returns all tools that a server offers, after starting it if it is not running. `server` is
    /// an index into [`CrewPlan::mcp_servers`].
    ///
    /// # Errors
    /// The server does not start.
    pub async fn offer(&self, server: usize) -> Result<Vec<OfferedTool>, Untrusted> {
        Ok(self.session(server).await?.tools.to_vec())
    }

    /// The tools of a server, which is started if it is not running, unless they are recorded.
    async fn tools(&self, server: usize) -> Result<Arc<[OfferedTool]>, String> {
        let listed = async || Ok(self.session(server).await?.tools.clone());
        let Some(recording) = self.recording() else { return listed().await };
        let Server { plan, recorded, .. } = &self.servers[server];
        if let Some(known) = recorded.get() {
            return known.clone();
        }
        let request = json!({ "server": plan.name });
        let asked = Asked { kind: Kind::McpTools, agent: String::new(), request };
        let tools = match recording.look_at(&asked) {
            Found::Response { response, .. } => match response.get("error") {
                Some(error) => Err(error.as_str().unwrap_or_default().to_owned()),
                None => offer::from_recorded(&response["tools"]).map(Arc::from),
            },
            Found::Missing(why) => Err(format!("MCP server {}: {why}", plan.name)),
            Found::Live => {
                let tools = listed().await;
                if recorded.get().is_none() && !self.shared.cancel.is_cancelled() {
                    let response = match &tools {
                        Ok(tools) => json!({ "tools": offer::to_recorded(tools) }),
                        Err(why) => json!({ "error": why }),
                    };
                    recording.record(&asked, response);
                }
                tools
            }
        };
        recorded.get_or_init(|| tools).clone()
    }

    /// The connection to a server, which is started if it is not running.
    ///
    /// # Errors
    /// The server does not start.
    pub(super) async fn session(&self, server: usize) -> Result<Arc<Session>, String> {
        let server = &self.servers[server];
        let session = server.session(&self.shared).await;
        session.map_err(|why| excerpt(&format!("MCP server {} {why}", server.plan.name)).text)
    }

    /// The name of a server in the crew file.
    pub fn name(&self, server: usize) -> &str {
        &self.servers[server].plan.name
    }

    /// Closes the input of all servers, and stops those that do not exit. Takes at most the grace
    /// and half a second more.
    pub async fn end(&self) {
        self.shared.over.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}
