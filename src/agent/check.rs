//! The check of an answer: a program that accepts it or says what is wrong.

use std::time::Duration;

use minijinja::Value;
use tokio::time::Instant;

use super::conversation::Conversation;
use super::driver::{Driver, failed};
use super::ledger::End;
use super::values::values;
use crate::plan::{CheckPlan, ToolCommand};
use crate::process::Streams;
use crate::report::{CancelKind, CheckReport, ErrorKind, Event, ToolStatus, millis};
use crate::template::extended;
use crate::tool::{self, Program, ProgramError, ToolEnd, ToolOutcome};
use crate::untrusted::Untrusted;

/// Bytes of an answer that fit into an environment variable everywhere.
const MAX_VARIABLE: usize = 100 << 10;

impl Driver<'_> {
    /// Checks an answer. `Ok(true)`: it is accepted; `Ok(false)`: the model is to answer again.
    ///
    /// # Errors
    /// The agent ends: the check cannot run, or there is no attempt left.
    pub(super) async fn check_answer(
        &self,
        check: &CheckPlan,
        answer: &str,
        conversation: &mut Conversation,
    ) -> Result<bool, End> {
        // A whole answer, though perhaps not a good one.
        self.run.ledger.open().report.partial = false;
        let (outcome, output) = self.run_check(check, answer).await?;
        if outcome.end == ToolEnd::Succeeded {
            return Ok(true);
        }
        let exit = tool::describe_exit(outcome.exit_code, outcome.signal.as_deref());
        let unverified = |why: String| {
            Err(failed(ErrorKind::Unverified, format!("the check rejected the answer: {why}")))
        };
        let attempts = check.attempts;
        if self.run.ledger.open().report.checks.len() >= attempts as usize {
            return unverified(format!("{exit}, in attempt {attempts} of {attempts}"));
        }
        let feedback = format!(
            "A check rejected your answer. Its output:\n\n{output}\n\nFix what it reports and \
             answer again."
        );
        if !conversation.answer_rejected(feedback) {
            return unverified(format!("{exit}, and there is no turn left for another answer"));
        }
        self.report_retry(Duration::ZERO, format!("the check rejected the answer: {exit}").into());
        Ok(false)
    }

    /// Runs the check; returns its outcome and its output as it may be shown.
    async fn run_check(
        &self,
        check: &CheckPlan,
        answer: &str,
    ) -> Result<(ToolOutcome, String), End> {
        let started = Instant::now();
        let started_ms = millis(self.context.started.elapsed());
        let slot = self.open_check(started_ms);
        self.emit(Event::CheckStarted { agent: self.run.id, program: check.process.name() });
        let limit = check.timeout.unwrap_or(self.run.plan.settings.tool_timeout);
        let stop = tool::stopped(&self.scope, Some(limit));
        let finished = match self.program(check, answer, slot) {
            Ok(program) => program.run(&self.context.processes, stop).await,
            Err(error) => Err(error),
        };
        let mut outcome = match finished {
            Ok(finished) => tool::program_outcome(finished),
            Err(error) => return Err(self.check_did_not_run(slot, started, &error)),
        };
        if let Some(Err(why)) = variable(check, answer) {
            // A program that the line calls may have looked for it.
            outcome.add_note(&format!("$output is not set: the answer {why}"));
        }
        let output = outcome.take_text();
        let output = output.redact_output(&self.context.services.secrets, outcome.truncated);
        let report = CheckReport {
            status: outcome.end.status(),
            exit_code: outcome.exit_code,
            signal: outcome.signal.clone(),
            started_ms,
            duration_ms: millis(started.elapsed()),
            output: output.clone(),
            truncated: outcome.truncated,
            leaked: outcome.leaked,
            stopped_by: outcome.end.stopped_by(),
        };
        self.run.ledger.open().report.checks[slot] = report;
        self.record_output("check", || output.clone());
        self.emit_end(outcome.end.status(), started.elapsed());
        match outcome.end {
            ToolEnd::Stopped(CancelKind::ToolTimeout) => {
                let message = format!("the check exceeded its timeout of {limit:?}");
                Err(failed(ErrorKind::Check, message))
            }
            ToolEnd::Stopped(_) => Err(self.stopped()),
            ToolEnd::Succeeded | ToolEnd::Failed => Ok((outcome, output)),
        }
    }

    /// Reports a check whose program did not start.
    fn check_did_not_run(&self, slot: usize, started: Instant, error: &ProgramError) -> End {
        let kind = match error {
            ProgramError::Template(_) => ErrorKind::Template,
            ProgramError::Start(_) => ErrorKind::Check,
        };
        let message = Untrusted::new(format!("the check did not run: {error}"));
        {
            let check = &mut self.run.ledger.open().report.checks[slot];
            check.status = ToolStatus::Failed;
            check.duration_ms = millis(started.elapsed());
            check.output = message.clone().redact_excerpt(&self.context.services.secrets);
        }
        self.emit_end(ToolStatus::Failed, started.elapsed());
        failed(kind, message)
    }

    fn program<'p>(
        &'p self,
        check: &'p CheckPlan,
        answer: &str,
        slot: usize,
    ) -> Result<Program<'p>, ProgramError> {
        let mut variables = Vec::new();
        match (variable(check, answer), &check.process.command) {
            (Some(Ok(answer)), _) => variables.push(("output".to_owned(), answer.to_owned())),
            // Without the variable, the line might accept the answer unseen.
            (Some(Err(why)), ToolCommand::Shell(line)) if line.contains("output") => {
                let message = format!(
                    "the answer {why}, so $output cannot hold it; read it from standard input"
                );
                return Err(ProgramError::Start(message));
            }
            _ => {}
        }
        let values = values(self.run, self.needed, self.context);
        let values = extended(&values, [("output", Value::from(answer))]);
        let stdin = Some(answer.as_bytes().to_vec());
        let streams = Streams { stdin, max_output: check.max_output, max_stderr: None };
        let span = self.within(self.span().check(slot));
        Ok(Program { plan: &check.process, values, variables, streams, span })
    }

    /// A place in the ledger, so that a check that never ends is not missing.
    fn open_check(&self, started_ms: u64) -> usize {
        let checks = &mut self.run.ledger.open().report.checks;
        checks.push(CheckReport {
            status: ToolStatus::Cancelled,
            exit_code: None,
            signal: None,
            started_ms,
            duration_ms: 0,
            output: String::new(),
            truncated: false,
            leaked: false,
            stopped_by: None,
        });
        checks.len() - 1
    }

    fn emit_end(&self, status: ToolStatus, duration: Duration) {
        self.emit(Event::CheckFinished { agent: self.run.id, status, duration });
    }
}

/// The value of `$output`, or why the answer cannot be one. `None`: the check runs no shell line, or
/// sets the variable itself.
fn variable<'a>(check: &CheckPlan, answer: &'a str) -> Option<Result<&'a str, String>> {
    let is_set = check.process.set_env.iter().any(|(name, _)| name == "output");
    if is_set || matches!(check.process.command, ToolCommand::Argv(_)) {
        return None;
    }
    Some(match answer.len() {
        _ if answer.contains('\0') => Err("contains a NUL character".to_owned()),
        length if length > MAX_VARIABLE => {
            Err(format!("is too long ({length} bytes, at most {MAX_VARIABLE})"))
        }
        _ => Ok(answer),
    })
}
