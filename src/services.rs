//! What outlives a run: HTTP clients, governors, MCP servers and the guardian of all processes.
//!
//! One set of services serves any number of runs of a plan. What a run learns about a server, such
//! as how many calls it accepts, the next run knows from its start.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::approval::Approval;
use crate::budget::{Amount, Budget};
use crate::cancel::Cancellation;
use crate::net::SetupError;
use crate::plan::{BudgetPlan, CrewPlan};
use crate::process::{Processes, RunProcesses};
use crate::provider::governor::{self, Governor};
use crate::provider::{Connector, FaultRule, KeyContext, Provider};
use crate::recording::{Recording, RecordingFile, RecordingMode};
use crate::report::{Cleanup, Survivor, Transcripts, millis};
use crate::secret::Secrets;
use crate::telemetry::Trace;
use crate::tool::http::HttpClients;
use crate::tool::mcp::{self, Servers};

/// How long stopping may take beyond the grace: killing, reaping and the last bytes of output.
pub const STOP_MARGIN: Duration = Duration::from_millis(300);

/// What a run has in place of models and servers, or adds to them.
#[derive(Debug, Default)]
pub struct Rehearsal {
    pub recording: Option<RecordingFile>,
    pub faults: Vec<FaultRule>,
}

/// What any number of runs of one plan share.
pub struct Services {
    /// In the order of [`CrewPlan::providers`].
    pub providers: Vec<Arc<dyn Provider>>,
    /// That of the model `offline`.
    pub offline: Arc<dyn Provider>,
    /// In the same order.
    pub governors: Vec<Arc<Governor>>,
    pub http: HttpClients,
    pub servers: Servers,
    pub processes: Arc<Processes>,
    pub secrets: Arc<Secrets>,
    pub approval: Approval,
    pub trace: Arc<Trace>,
    pub longest_answers: LongestAnswers,
    /// Of all runs together.
    pub budget: Budget,
    pub transcripts: Transcripts,
    /// The exchanges with all of them, recorded or replayed.
    pub recording: Option<Arc<Recording>>,
    /// Those of MCP servers and key commands.
    server_processes: Arc<RunProcesses>,
    cancel: Cancellation,
    grace: Duration,
}

impl Services {
    /// The services for a plan, without approval of tools. Sends no request and starts no process.
    /// `cancel` stops the MCP servers; `open_files` is the soft limit of open files for tools,
    /// `None` that of crew.
    ///
    /// # Errors
    /// A proxy of the environment or the system's certificates cannot be used.
    pub fn connect(
        plan: &CrewPlan,
        cancel: &Cancellation,
        open_files: Option<u64>,
    ) -> Result<Self, SetupError> {
        Self::rehearse(plan, cancel, open_files, Rehearsal::default())
    }

    /// As [`Services::connect`], with a recording or with faults.
    pub fn rehearse(
        plan: &CrewPlan,
        cancel: &Cancellation,
        open_files: Option<u64>,
        rehearsal: Rehearsal,
    ) -> Result<Self, SetupError> {
        let Rehearsal { recording, faults } = rehearsal;
        let grace = plan.limits.grace;
        let processes = Arc::new(Processes::new(open_files));
        let server_processes = Arc::new(processes.for_run(cancel.clone(), grace));
        let mut trace = Trace::of_environment();
        // A replay asks no server.
        if recording.as_ref().is_none_or(|file| file.mode() != RecordingMode::Replay) {
            let servers = plan.providers.iter();
            trace.servers =
                servers.map(|plan| (plan.name.clone(), plan.base_url.clone())).collect();
        }
        let trace = Arc::new(trace);
        let secrets = plan.secrets();
        if let Some(Ok(collector)) = &trace.collector {
            collector.secrets().for_each(|secret| secrets.add(secret));
        }
        let keys = KeyContext { processes: server_processes.clone(), secrets: secrets.clone() };
        let recording = recording.map(|file| Arc::new(Recording::new(file, secrets.clone())));
        let connector = Connector::new(&keys, recording.as_ref(), faults, cancel);
        let servers = Servers::new(plan, server_processes.clone(), cancel.clone(), trace.clone());
        Ok(Self {
            providers: connector.connect(&plan.providers)?,
            offline: connector.offline(),
            governors: governor::of(&plan.providers),
            http: HttpClients::connect(plan, recording.clone())?,
            servers: servers.recorded(recording.clone()),
            processes,
            secrets: Arc::new(secrets),
            approval: Approval::Unavailable,
            trace,
            longest_answers: LongestAnswers::default(),
            budget: Budget::of_all_runs(BudgetPlan::default(), Amount::default()),
            transcripts: Transcripts::Off,
            recording,
            server_processes,
            cancel: cancel.clone(),
            grace,
        })
    }

    /// Ends the MCP servers and the guardian, and with it every process that is left. Call it when
    /// no run is in progress. Takes at most the grace and half a second.
    pub async fn close(&self) -> Cleanup {
        let began = Instant::now();
        let deadline = began + self.grace + STOP_MARGIN;
        // Servers may exit by themselves first, unless everything is being stopped.
        let servers_deadline =
            if self.cancel.is_cancelled() { deadline } else { deadline + mcp::LEAVE };
        self.cancel.wait_for(servers_deadline, self.servers.end()).await;
        self.cancel.wait_for(deadline, self.server_processes.ended()).await;
        let outcome = self.processes.close().await;
        let survivors = outcome.survivors.into_iter().map(|survivor| Survivor {
            pid: survivor.pid,
            command: self.secrets.redact(survivor.command),
        });
        Cleanup {
            processes_stopped: self.server_processes.stopped(),
            processes_killed: self.server_processes.killed(),
            survivors: survivors.collect(),
            guardian_lost: outcome.guardian_lost,
            duration_ms: millis(began.elapsed()),
            ..Cleanup::default()
        }
    }
}

/// Output tokens of the longest answer so far, by model.
#[derive(Debug, Default)]
pub struct LongestAnswers(Mutex<HashMap<String, u64>>);

impl LongestAnswers {
    pub fn of(&self, model: &str) -> u64 {
        self.0.lock().get(model).copied().unwrap_or_default()
    }

    pub fn note(&self, model: &str, tokens: u64) {
        let mut known = self.0.lock();
        match known.get_mut(model) {
            Some(longest) => *longest = tokens.max(*longest),
            None => _ = known.insert(model.to_owned(), tokens),
        }
    }
}
