//! One plan run twice on the same services: the second run starts no second guardian, and it keeps
//! what the governor learnt of the server.
//!
//! Without libtest's `main`, since the guardian is this program started once more.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "it/support"]
pub mod support {
    pub mod mock_model;
    pub mod script;
}

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crew::cancel::Cancellation;
use crew::engine;
use crew::plan::{self, Overrides};
use crew::process;
use crew::report::{EventSink, Report, RunStatus};
use crew::services::Services;
use nix::unistd::Pid;
use support::mock_model::ModelServer;
use support::script::{self, delayed};

/// Calls that the server accepts at once: fewer than a first run starts with.
const ACCEPTED: usize = 4;
const AGENTS: usize = 16;

fn main() -> ExitCode {
    if let Some(ended) = process::run_as_guardian() {
        return ended;
    }
    the_second_run_on_the_same_services_relearns_nothing();
    println!("test the_second_run_on_the_same_services_relearns_nothing ... ok");
    ExitCode::SUCCESS
}

fn the_second_run_on_the_same_services_relearns_nothing() {
    let server = ModelServer::start(|request| match request.open_calls {
        open if open > ACCEPTED => script::retry_after(429, "0.05"),
        _ => delayed(Duration::from_millis(30), script::text("x")),
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agents.yaml");
    let mut yaml = format!("providers: {{p: {{base_url: '{}'}}}}\n", server.base_url());
    yaml.push_str("tools: {t: {description: x, command: ['true']}}\n");
    yaml.push_str("agents:\n  tool: {model: offline, tools: [t]}\n");
    (0..AGENTS).for_each(|n| yaml.push_str(&format!("  a{n}: {{model: p/m}}\n")));
    std::fs::write(&file, yaml).unwrap();
    let plan = plan::load(Some(&file), &Overrides::default(), &|_| None).unwrap();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cancel = Cancellation::new();
        let services = Services::connect(&plan, &cancel, None).unwrap();
        let events: EventSink = Arc::new(drop);
        let first = engine::run(&plan, &"go".into(), &services, &cancel, &events).await;
        let (first_calls, guardian) = (server.requests().len(), guardians());
        let mut second = engine::run(&plan, &"go".into(), &services, &cancel, &events).await;
        let second_calls = server.requests().len() - first_calls;
        for report in [&first, &second] {
            assert_eq!(report.status, RunStatus::Succeeded, "{report:#?}");
        }
        assert!(rejected(&first) > 0, "the first run finds the limit");
        assert!(second_calls < first_calls, "{first_calls} calls, then {second_calls}");
        if cfg!(target_os = "linux") {
            assert_eq!(guardian.len(), 1);
            assert_eq!(guardians(), guardian);
        }
        engine::settle(&mut second, services.close().await);
        assert_eq!((guardians(), second.cleanup.survivors.len()), (Vec::new(), 0));
    });
}

fn rejected(report: &Report) -> u64 {
    report.usage.model_calls - AGENTS as u64 - 2
}

/// Children of this process that are guardians.
fn guardians() -> Vec<Pid> {
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    let is_guardian = |pid: &&str| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|name| name.starts_with(b"crew-"))
    };
    let guardians = children.split_whitespace().filter(is_guardian);
    guardians.map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}
