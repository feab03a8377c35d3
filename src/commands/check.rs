//! `crew check`: the plan, and with `--tools` what the MCP servers offer.

use std::io;
use std::sync::Arc;

use crate::cancel::Cancellation;
use crate::cli::CheckArgs;
use crate::config::faults::Faults;
use crate::exit::{self, ExitStatus};
use crate::plan::{self, CrewPlan, Overrides};
use crate::process::{self, Processes};
use crate::provider;
use crate::render::{self, Format, Screens};
use crate::tool::http::HttpClients;
use crate::tool::mcp::{Offer, OfferedTool, Servers};
use futures::future::join_all;

use super::env_file;
use super::invalid::{failed, invalid};
use super::runtime::runtime;

/// The only format so far.
const FORMAT: Format = Format::Text;

pub fn check(args: &CheckArgs) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    let plan = match checked_plan(args) {
        Ok(plan) => plan,
        Err(faults) => return invalid(&faults, screens, FORMAT),
    };
    let look = screens.stdout.look(false);
    // The file has no fault if the reader of stdout has gone.
    let _ = render::plan(&plan, look, &mut io::stdout().lock());
    if !args.tools {
        return ExitStatus::Success;
    }
    let cancel = Cancellation::new();
    process::forbid_inspection();
    let runtime = match runtime(&cancel) {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, screens, FORMAT),
    };
    let offers = runtime.block_on(offers(&plan, &cancel));
    // Do not wait for a name lookup, which cannot be cancelled.
    runtime.shutdown_background();
    if let Some(signal) = cancel.reason().and_then(|reason| exit::signal_of(reason.kind)) {
        return ExitStatus::Signalled(signal);
    }
    let _ = render::offers(&offers, look, &mut io::stdout().lock());
    let failed = offers.iter().any(|offer| !offer.faults.is_empty());
    if failed { ExitStatus::Failure } else { ExitStatus::Success }
}

/// The plan of a file that a run could start with: its proxies and certificates can be used, too.
fn checked_plan(args: &CheckArgs) -> Result<CrewPlan, Faults> {
    env_file::load(&args.file.env_files)?;
    let overrides = Overrides::default();
    let env = |name: &str| std::env::var(name).ok();
    let plan = plan::load(args.file.config.as_deref(), &overrides, &env)?;
    let connected = provider::connect(&plan.providers).and_then(|_| HttpClients::connect(&plan));
    connected.map_err(|error| Faults::unplaced(None, error.to_string(), None))?;
    Ok(plan)
}

/// Starts all servers at once, asks what they offer, and ends them.
async fn offers(plan: &CrewPlan, cancel: &Cancellation) -> Vec<Offer> {
    let processes = Arc::new(Processes::new(process::raise_open_files()));
    let run = Arc::new(processes.for_run(cancel.clone(), plan.limits.grace));
    let servers = Servers::new(plan, run.clone(), cancel.clone());
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
                agent.grants.iter().filter(|grant| grant.server == server).cloned().collect();
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
