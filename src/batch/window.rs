//! Runs the inputs of a batch: many at once, each a run of its own on shared services.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::feed::{Job, Next, Totals};
use super::line::Line;
use super::run_file::FileError;
use super::sink::Sink;
use super::tally::Tally;
use crate::cancel::Cancellation;
use crate::engine;
use crate::plan::CrewPlan;
use crate::report::EventSink;
use crate::services::Services;

/// What the runs of a batch share.
#[derive(Clone)]
pub struct Runner {
    pub plan: Arc<CrewPlan>,
    pub services: Arc<Services>,
    pub cancel: Cancellation,
    pub events: EventSink,
    /// The fingerprint of the crew.
    pub fingerprint: Arc<str>,
}

/// Why a batch ended before its inputs.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    #[error("{0}")]
    Write(#[from] FileError),
    #[error("cannot read the inputs: {0}")]
    Read(#[from] std::io::Error),
    #[error("stopped")]
    Cancelled,
}

/// A batch at work.
pub struct Window<'a> {
    pub runner: Runner,
    pub inputs: mpsc::Receiver<Next>,
    pub sink: &'a mut Sink,
    pub tally: &'a mut Tally,
    /// Inputs at once.
    pub jobs: usize,
}

impl Window<'_> {
    /// Runs all inputs.
    ///
    /// # Errors
    /// Why some were not run.
    pub async fn run(mut self) -> Result<Totals, Stop> {
        let mut running = JoinSet::new();
        let cancel = self.runner.cancel.clone();
        let mut end = None;
        loop {
            let may_start = end.is_none() && !cancel.is_cancelled();
            tokio::select! {
                biased;
                Some(ended) = running.join_next(), if !running.is_empty() => {
                    let line = ended.unwrap_or_else(|panicked| {
                        std::panic::resume_unwind(panicked.into_panic())
                    });
                    self.write(&line).await?;
                }
                () = cancel.cancelled(), if may_start => {}
                next = self.inputs.recv(), if may_start && running.len() < self.jobs => match next {
                    Some(Next::Run(job)) => {
                        running.spawn(run_one(self.runner.clone(), job));
                    }
                    Some(Next::Unusable(line)) => self.write(&line).await?,
                    Some(Next::End(totals)) => end = Some(totals?),
                    None => end = Some(Totals { inputs: 0, keys: 0, is_all: false }),
                },
                else => break,
            }
        }
        end.ok_or(Stop::Cancelled)
    }

    async fn write(&mut self, line: &Line) -> Result<(), Stop> {
        self.sink.append(line).await?;
        self.tally.add(line);
        Ok(())
    }
}

/// Runs one input to its line.
async fn run_one(runner: Runner, job: Job) -> Line {
    let Runner { plan, services, cancel, events, fingerprint } = &runner;
    // Its own scope: an agent that fails stops the agents of its run only.
    let report = engine::run(plan, &job.input, services, &cancel.child(), events).await;
    let mut line = Line::of(job.key, job.index, &report);
    line.attempts += job.attempts;
    line.content = Some(job.content);
    line.fingerprint = fingerprint.to_string();
    line
}
