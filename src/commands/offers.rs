//! `crew check --tools`: what the MCP servers of a crew offer.

use std::sync::Arc;

use futures::future::join_all;

use crate::cancel::Cancellation;
use crate::plan::CrewPlan;
use crate::process::{self, Processes};
use crate::telemetry::Trace;
use crate::tool::mcp::{Offer, OfferedTool, Servers};

/// Starts all servers at once, asks what they offer, and ends them.
pub async fn offers(plan: &CrewPlan, cancel: &Cancellation) -> Vec<Offer> {
    let processes = Arc::new(Processes::new(process::raise_open_files()));
    let run = Arc::new(processes.for_run(cancel.clone(), plan.limits.grace));
    let trace = Arc::new(Trace::of_environment());
    let servers = Servers::new(plan, run.clone(), cancel.clone(), trace);
    let asked = join_all((0..plan.mcp_servers.len()).map(|server| offer(&servers, plan, server)));
    let offers = tokio::select! {
        biased;
        () = cancel.cancelled() => Vec::new(),
        offers = asked => offers,
    };
    servers.end().await;
    run.ended().await;
    processes.close().await;
    offers
}

async fn offer(servers: &Servers, plan: &CrewPlan, server: usize) -> Offer {
    let secrets = plan.secrets();
    let mut faults = Vec::new();
    let tools = servers.offer(server).await.unwrap_or_else(|fault| {
        faults.push(fault);
        Vec::new()
    });
    if faults.is_empty() {
        for agent in &plan.agents {
            let grants: Vec<_> =
                agent.grants().iter().filter(|grant| grant.server == server).cloned().collect();
            match servers.equip(&grants, Default::default()).await {
                Ok(equipment) => faults.extend(equipment.notes),
                Err(fault) => {
                    faults.push(fault.map(|fault| format!("agent {}: {fault}", agent.name)));
                }
            }
        }
    }
    let clean = |tool: OfferedTool| OfferedTool {
        name: secrets.redact(tool.name),
        description: secrets.redact(tool.description),
        ..tool
    };
    Offer {
        server: plan.mcp_servers[server].name.clone(),
        tools: tools.into_iter().map(clean).collect(),
        faults: faults.into_iter().map(|fault| fault.redact_excerpt(&secrets)).collect(),
    }
}
