//! The tools of an agent, and the calls of one turn, side by side.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;

use super::conversation::ToolOutput;
use super::driver::{Driver, failed};
use super::ledger::End;
use crate::approval::{Decision, Detail};
use crate::chat::ToolCall;
use crate::plan::{ModelWork, ToolPlan};
use crate::report::{ErrorKind, Event, ToolCallReport};
use crate::tool::{self, CheckedCall, ToolContext};

impl Driver<'_> {
    /// The agent's tools: those of the file, and those of the MCP servers it uses, which are
    /// started if they do not run yet.
    pub(super) async fn equip(&self, work: &ModelWork) -> Result<Vec<Arc<ToolPlan>>, End> {
        let mut tools = work.tools.clone();
        if work.grants.is_empty() {
            return Ok(tools);
        }
        let names = tools.iter().map(|tool| tool.spec.name.clone()).collect();
        let equipped = tokio::select! {
            biased;
            () = self.scope.cancelled() => return Err(self.stopped()),
            equipped = self.context.services.servers.equip(&work.grants, names) => equipped,
        };
        let equipment = equipped.map_err(|message| failed(ErrorKind::Tool, message))?;
        let secrets = &self.context.services.secrets;
        let notes = equipment.notes.into_iter().map(|note| note.redact_excerpt(secrets));
        self.run.ledger.open().report.notes.extend(notes);
        tools.extend(equipment.tools);
        Ok(tools)
    }

    /// Runs all calls of one turn concurrently and returns their outputs in order. `is_cut`: the
    /// last call may be incomplete.
    pub(super) async fn call_tools(
        &self,
        tools: &[Arc<ToolPlan>],
        calls: &[ToolCall],
        is_cut: bool,
    ) -> Result<Vec<ToolOutput>, End> {
        if self.scope.is_cancelled() {
            return Err(self.stopped());
        }
        let count = calls.len() as u64;
        let taken = self.budget.take_tool_calls(count);
        taken
            .and_then(|()| self.context.budget.take_tool_calls(count))
            .map_err(|what| failed(ErrorKind::Budget, what))?;
        let reports = calls.iter().enumerate().map(|(at, call)| {
            let is_cut = is_cut && at + 1 == calls.len();
            self.call_tool(tools, call, is_cut)
        });
        let reports = join_all(reports).await;
        if self.scope.is_cancelled() {
            return Err(self.stopped());
        }
        Ok(reports)
    }

    async fn call_tool(
        &self,
        tools: &[Arc<ToolPlan>],
        call: &ToolCall,
        is_cut: bool,
    ) -> ToolOutput {
        let started = self.context.started;
        let checked = match tool::check(tools, call, is_cut) {
            Ok(checked) => checked,
            Err(rejection) => {
                let report = tool::rejected(tools, call, rejection, started);
                let slot = self.reserve(report.clone());
                return self.settle(slot, call, report).into();
            }
        };
        let CheckedCall { tool, arguments } = &checked;
        let (name, values) = (tool.label().to_owned(), arguments.clone());
        let slot = self.reserve(tool::unfinished(&name, values.clone(), started));
        let agent = self.run.name();
        let context = ToolContext {
            agent: &agent,
            processes: &self.context.processes,
            http: &self.context.services.http,
            http_calls_cancelled: &self.context.http_calls_cancelled,
            servers: &self.context.services.servers,
            scope: &self.scope,
            default_timeout: self.run.plan.settings.tool_timeout,
            run_started: started,
            input: self.context.input,
            vars: &self.context.plan.vars,
            span: self.within(self.span().tool_call(slot)),
        };
        if tool.confirm {
            let details = tool::preview(&checked, &context, &self.context.plan.mcp_servers);
            if let Err(report) = self.ask_approval(slot, &name, details, &values).await {
                return self.settle(slot, call, report).into();
            }
        }
        self.emit(Event::ToolStarted { agent: self.run.id, tool: name, arguments: values });
        let mut finished = tool::call(checked, context).await;
        let images = std::mem::take(&mut finished.images);
        let text = self.settle(slot, call, finished.redact(&self.context.services.secrets));
        ToolOutput { text, images }
    }

    /// Asks whether a tool may be run with these arguments. `Err` is the report of the call if not.
    async fn ask_approval(
        &self,
        slot: usize,
        tool: &str,
        details: Vec<Detail>,
        arguments: &Value,
    ) -> Result<(), ToolCallReport> {
        let decision = self.approval(tool, details, arguments).await;
        let unfinished = || self.run.ledger.open().report.tool_calls[slot].clone();
        match decision {
            Some(Decision::Approved) => Ok(()),
            Some(Decision::Denied(why)) => Err(tool::refused(unfinished(), why)),
            None => Err(tool::unanswered(unfinished(), &self.scope)),
        }
    }

    /// A place in the ledger, so that the calls stand in the order they were asked for, and one
    /// that never ends is not missing.
    fn reserve(&self, report: ToolCallReport) -> usize {
        let draft = &mut self.run.ledger.open().report;
        draft.usage.tool_calls += 1;
        draft.tool_calls.push(report);
        draft.tool_calls.len() - 1
    }

    fn settle(&self, slot: usize, call: &ToolCall, report: ToolCallReport) -> String {
        self.record_result(call, &report);
        self.emit(Event::ToolFinished {
            agent: self.run.id,
            tool: report.tool.clone(),
            status: report.status,
            duration: Duration::from_millis(report.duration_ms),
            cause: report.cause(),
        });
        let output = report.output.clone();
        self.run.ledger.open().report.tool_calls[slot] = report;
        output
    }
}
