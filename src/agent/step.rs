//! A step: a program or a request in place of a model.

use serde_json::{Value, json};

use super::driver::{Driver, failed};
use super::ledger::End;
use super::values::values;
use crate::approval::Decision;
use crate::plan::{HttpPlan, Parse, ProcessPlan, StepKind, StepPlan};
use crate::process::{Streams, signal_name};
use crate::report::{ErrorKind, Event, StepReport};
use crate::text::HeadTail;
use crate::text::json::{MAX_JSON_DEPTH, is_too_deep};
use crate::tool::http::HttpCall;
use crate::tool::{self, Program, ProgramError, ToolEnd};
use crate::untrusted::Untrusted;

/// Characters of the line of stderr that an error quotes.
const MAX_QUOTE: usize = 300;

impl Driver<'_> {
    /// Runs the step to its end.
    pub(super) async fn run_step(&self, step: &StepPlan) -> End {
        let values = values(self.run, self.needed, self.context);
        if self.scope.is_cancelled() {
            return self.stopped();
        }
        let name = name(step);
        if step.confirm
            && let Err(end) = self.approve_step(step, &name, &values).await
        {
            return end;
        }
        self.emit(Event::StepStarted { agent: self.run.id, program: name });
        match &step.kind {
            StepKind::Process(process) => self.run_program(step, process, values).await,
            StepKind::Http(request) => self.request_step(step, request, &values).await,
        }
    }

    async fn run_program(
        &self,
        step: &StepPlan,
        process: &ProcessPlan,
        values: minijinja::Value,
    ) -> End {
        let stdin = match &step.stdin {
            None => None,
            Some(stdin) => match stdin.render_in_task(values.clone()).await {
                Ok(text) => Some(text.into_bytes()),
                Err(error) => return failed(ErrorKind::Template, error.to_string()),
            },
        };
        let max_answer = self.run.plan.settings.max_answer;
        let streams = Streams { stdin, max_output: max_answer, max_stderr: Some(step.max_output) };
        let span = self.within(self.span());
        let program = Program { plan: process, values, variables: Vec::new(), streams, span };
        let stop = tool::stopped(&self.scope, None);
        let finished = match program.run(&self.context.processes, stop).await {
            Ok(finished) => finished,
            Err(ProgramError::Template(message)) => return failed(ErrorKind::Template, message),
            Err(ProgramError::Start(message)) => return failed(ErrorKind::Step, message),
        };
        let exit_code = finished.status.and_then(|status| status.code());
        let signal = finished.status.and_then(signal_name);
        let secrets = &self.context.services.secrets;
        let stderr = finished.stderr;
        let stderr = secrets.redact_output(stderr.text, stderr.truncated);
        let exit = tool::describe_exit(exit_code, signal.as_deref());
        let cause = cause(&stderr);
        let leaked = finished.leaked;
        let report = StepReport { exit_code, signal, http_status: None, stderr, leaked };
        let is_over = finished.output.truncated;
        let text = finished.output.text;
        self.keep(report, &text, is_over || finished.stopped_by.is_some());
        if finished.stopped_by.is_some() {
            return self.stopped();
        }
        if is_over {
            return failed(ErrorKind::Step, too_long(max_answer));
        }
        if !exit_code.is_some_and(|code| step.ok_exit_codes.contains(&code)) {
            return failed(ErrorKind::Step, format!("{exit}{cause}"));
        }
        self.finish_step(step, &text)
    }

    async fn request_step(
        &self,
        step: &StepPlan,
        request: &HttpPlan,
        values: &minijinja::Value,
    ) -> End {
        if request.hosts.is_out_of_reach() {
            let message = "not sent: its host is out of reach with --offline".to_owned();
            return failed(ErrorKind::Step, message);
        }
        let max_answer = self.run.plan.settings.max_answer;
        let stop = tool::stopped(&self.scope, None);
        let agent = self.run.name();
        let call = HttpCall {
            agent: &agent,
            plan: request,
            values,
            clients: &self.context.services.http,
            kept: HeadTail::head(max_answer),
            cancelled: &self.context.http_calls_cancelled,
            span: self.within(self.span()),
        };
        let mut outcome = tool::http::call(call, stop).await;
        let http_status = outcome.http_status;
        let text = outcome.output.to_its_source();
        let is_cut = outcome.truncated || matches!(outcome.end, ToolEnd::Stopped(_));
        self.keep(StepReport { http_status, ..StepReport::default() }, text, is_cut);
        match outcome.end {
            ToolEnd::Stopped(_) => self.stopped(),
            ToolEnd::Failed => failed(ErrorKind::Step, outcome.notes.pop().unwrap_or_default()),
            ToolEnd::Succeeded if outcome.truncated => {
                let why = outcome.notes.pop().unwrap_or_else(|| too_long(max_answer).into());
                failed(ErrorKind::Step, why)
            }
            ToolEnd::Succeeded => self.finish_step(step, text),
        }
    }

    /// Enters what the step has brought, which may have been cut.
    fn keep(&self, report: StepReport, text: &str, is_cut: bool) {
        let secrets = &self.context.services.secrets;
        self.record_output("output", || match Untrusted::new(text) {
            cut if is_cut => cut.redact_beginning(secrets),
            whole => whole.redact(secrets),
        });
        self.record_output("stderr", || report.stderr.clone());
        let mut draft = self.run.ledger.open();
        draft.report.step = Some(report);
        draft.report.partial = is_cut && !text.is_empty();
        draft.output = Some(Untrusted::new(text.to_owned()));
    }

    /// Ends a step that ran well: its output becomes `data` if that is asked for.
    fn finish_step(&self, step: &StepPlan, text: &str) -> End {
        // Programs that come from Windows begin with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let data = match step.parse {
            Parse::Text => None,
            Parse::Lines => {
                let lines = text.lines().filter(|line| !line.trim().is_empty());
                Some(lines.map(Value::from).collect())
            }
            Parse::Json => match self.parse_json(text) {
                Ok(value) => Some(value),
                Err(message) => return failed(ErrorKind::Step, message),
            },
        };
        let report = &mut self.run.ledger.open().report;
        report.data = data.map(|data| self.context.services.secrets.redact_value(data));
        End::Succeeded
    }

    fn parse_json(&self, text: &str) -> Result<Value, String> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| format!("the output is not valid JSON: {error}"))?;
        if is_too_deep(&value) {
            return Err(format!("the output is nested more than {MAX_JSON_DEPTH} levels deep"));
        }
        if let Some(schema) = &self.run.plan.output_schema {
            schema.fit(&value).map_err(|why| format!("the output does not fit: {why}"))?;
        }
        Ok(value)
    }

    async fn approve_step(
        &self,
        step: &StepPlan,
        name: &str,
        values: &minijinja::Value,
    ) -> Result<(), End> {
        let details = match &step.kind {
            StepKind::Process(process) => tool::preview_program(process, values),
            StepKind::Http(request) => tool::preview_request(request, values),
        };
        match self.approval(name, details, &json!({})).await {
            Some(Decision::Approved) => Ok(()),
            Some(Decision::Denied(why)) => {
                Err(failed(ErrorKind::Step, Untrusted::new(format!("not run: {why}"))))
            }
            None => Err(self.stopped()),
        }
    }
}

/// The name of a step in events and questions: its program, `sh`, or the host of its request.
fn name(step: &StepPlan) -> String {
    match &step.kind {
        StepKind::Process(process) => process.name(),
        StepKind::Http(request) => {
            let host = request.origin.host_str().unwrap_or_default();
            format!("{} {host}", request.method)
        }
    }
}

fn too_long(limit: usize) -> String {
    format!("the output is longer than max_answer ({limit} bytes)")
}

/// The line of stderr that tells most, to follow the exit code: the first one that calls itself an
/// error, else the last one that is more than a hint.
fn cause(stderr: &str) -> String {
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_hint = |line: &str| line.starts_with("hint:") || line.starts_with("note:");
    let line = lines().find(|line| is_error(line));
    let line = line.or_else(|| lines().rfind(|line| !is_hint(line)));
    line.or_else(|| lines().next_back())
        .map(|line| format!(": {}", crate::text::truncate(line.to_owned(), MAX_QUOTE)))
        .unwrap_or_default()
}

/// Whether a line is such as `error: …`, `[ERROR] …`, `docker: Error …` or `ValueError: …`.
fn is_error(line: &str) -> bool {
    let line = line.to_lowercase();
    line.contains("error:")
        || line.split(": ").any(|part| {
            let mut words = part.split(|c: char| !c.is_alphanumeric());
            matches!(words.find(|word| !word.is_empty()), Some("error" | "fatal"))
        })
}
