//! The tool calls of one turn, side by side.

use std::time::Duration;

use futures::future::join_all;

use super::{Driver, failed};
use crate::ledger::End;
use crate::provider::ToolCall;
use crate::report::{ErrorKind, Event, ToolCallReport};
use crate::tool::{self, CheckedCall, ToolContext};

impl Driver<'_> {
    /// All calls of one turn, side by side. Their outputs, in their order.
    pub(super) async fn call_tools(&self, calls: &[ToolCall]) -> Result<Vec<String>, End> {
        if self.scope.is_cancelled() {
            return Err(self.stopped());
        }
        let count = calls.len() as u64;
        let taken = self.budget.take_tool_calls(count);
        taken
            .and_then(|()| self.context.budget.take_tool_calls(count))
            .map_err(|what| failed(ErrorKind::Budget, what))?;
        let reports = join_all(calls.iter().map(|call| self.call_tool(call))).await;
        if self.scope.is_cancelled() {
            return Err(self.stopped());
        }
        Ok(reports)
    }

    async fn call_tool(&self, call: &ToolCall) -> String {
        let started = self.context.started;
        let checked = match tool::check(&self.plan.tools, call) {
            Ok(checked) => checked,
            Err(rejection) => {
                let report = tool::rejected(call, rejection, started);
                let slot = self.reserve(report.clone());
                return self.settle(slot, report);
            }
        };
        let CheckedCall { tool, arguments } = &checked;
        let (name, values) = (tool.spec.name.clone(), arguments.clone());
        let slot = self.reserve(tool::unfinished(&name, values.clone(), started));
        self.tell(Event::ToolStarted { agent: self.index, tool: name, arguments: values });
        let context = ToolContext {
            processes: &self.context.processes,
            scope: &self.scope,
            default_timeout: self.plan.tool_timeout,
            run_started: started,
            input: self.context.input,
            vars: &self.context.plan.vars,
        };
        let mut report = tool::call(checked, context).await;
        report.output = self.context.secrets.redact(report.output);
        self.settle(slot, report)
    }

    /// A place in the ledger, so that the calls stand in the order they were asked for, and one
    /// that never ends is not missing.
    fn reserve(&self, report: ToolCallReport) -> usize {
        let mut ledger = self.ledger.open();
        ledger.usage.tool_calls += 1;
        ledger.tool_calls.push(report);
        ledger.tool_calls.len() - 1
    }

    fn settle(&self, slot: usize, report: ToolCallReport) -> String {
        self.tell(Event::ToolFinished {
            agent: self.index,
            tool: report.tool.clone(),
            status: report.status,
            duration: Duration::from_millis(report.duration_ms),
        });
        let output = report.output.clone();
        self.ledger.open().tool_calls[slot] = report;
        output
    }
}
