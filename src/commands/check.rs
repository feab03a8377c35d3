//! `crew check`: the plan, and with `--tools` what the MCP servers offer.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use crate::cancel::Cancellation;
use crate::cli::CheckArgs;
use crate::config::faults::Faults;
use crate::plan::{self, CrewPlan, Overrides};
use crate::process::{self, Processes};
use crate::report::{Offer, OfferedTool};
use crate::tool::http::HttpClients;
use crate::tool::mcp::Servers;
use crate::{exit, provider, render};
use futures::future::join_all;

use super::shared::{Screens, environment, invalid, look};
use crate::commands::run;

pub fn check(args: &CheckArgs) -> ExitCode {
    let screens = Screens::new(args.color.color);
    let plan = plan::load(args.file.config.as_deref(), &Overrides::default(), &environment);
    // A proxy or a certificate store that cannot be used would end a run just as early.
    let connect = |plan: &CrewPlan| {
        provider::connect(&plan.providers).and_then(|_| HttpClients::connect(plan))
    };
    let checked = plan.and_then(|plan| match connect(&plan) {
        Ok(_) => Ok(plan),
        Err(error) => Err(Faults::unplaced(None, error.to_string(), None)),
    });
    let plan = match checked {
        Ok(plan) => plan,
        Err(faults) => return invalid(&faults, screens, false),
    };
    let look = look(screens.stdout, false);
    // A reader that has seen enough is no fault of the file's.
    let _ = render::plan(&plan, look, &mut io::stdout().lock());
    if !args.tools {
        return ExitCode::from(exit::SUCCESS);
    }
    let cancel = Cancellation::new();
    process::forbid_inspection();
    let runtime = match run::runtime(&cancel) {
        Ok(runtime) => runtime,
        Err(error) => {
            return invalid(&Faults::unplaced(None, format!("{error:#}"), None), screens, false);
        }
    };
    let offers = runtime.block_on(offers(&plan, &cancel));
    // A name look-up that nobody can cancel is not waited for.
    runtime.shutdown_background();
    if let Some(signal) = cancel.reason().and_then(|reason| exit::signal_of(reason.kind)) {
        exit::die_by(signal);
    }
    let _ = render::offers(&offers, look, &mut io::stdout().lock());
    let failed = offers.iter().any(|offer| !offer.faults.is_empty());
    ExitCode::from(if failed { exit::FAILURE } else { exit::SUCCESS })
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
                Err(fault) => faults.push(format!("agent {}: {fault}", agent.name)),
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
        faults: faults.into_iter().map(|fault| secrets.redact_output(fault, true)).collect(),
    }
}
