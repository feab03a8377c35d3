//! The instances of an agent with `for_each`: made when its items are known, run side by side.

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt};
use minijinja::Value;
use minijinja::value::Serde;
use parking_lot::Mutex;
use serde_json::Value as Json;

use super::Run;
use crate::agent::{self, AgentRun, End, Failure};
use crate::cancel::Cancellation;
use crate::plan::{ForEachPlan, Items, OnFailure};
use crate::report::{AgentReport, CancelKind, CancelReason, ErrorKind, Event, millis};
use crate::template::{TemplateError, Wait, extended};
use crate::text::json::{MAX_JSON_DEPTH, is_too_deep};
use crate::text::{inline, truncate};

/// Characters of a key.
const MAX_KEY: usize = 100;
/// Instances that a message names.
const MAX_NAMED: usize = 5;

/// The instances of one agent, in the order of its items.
#[derive(Debug, Default)]
pub struct Instances<'a>(Mutex<Vec<Instance<'a>>>);

#[derive(Debug)]
struct Instance<'a> {
    key: String,
    item: Json,
    state: State<'a>,
}

#[derive(Debug)]
enum State<'a> {
    /// It has not started.
    Waiting,
    Open(Arc<AgentRun<'a>>),
    Ended(Box<AgentReport>),
}

impl<'a> Instances<'a> {
    fn set(&self, index: usize, state: State<'a>) {
        if let Some(instance) = self.0.lock().get_mut(index) {
            instance.state = state;
        }
    }
}

/// What the instances of one agent share.
struct Batch<'a, 'r> {
    agent: &'r AgentRun<'a>,
    plan: &'a ForEachPlan,
    needed: &'r [&'r AgentRun<'a>],
    /// Of the agent itself.
    values: Value,
    /// Stops the instances.
    scope: Cancellation,
}

impl<'a> Run<'a> {
    /// Runs an agent with `for_each`.
    pub(super) async fn for_each(
        &self,
        agent: &AgentRun<'a>,
        plan: &'a ForEachPlan,
        needed: &[&AgentRun<'a>],
    ) -> End {
        agent.ledger.open().report.started_ms = Some(millis(self.context.started.elapsed()));
        (self.context.events)(Event::AgentStarted { agent: agent.id });
        let values = agent::values(agent, needed, &self.context);
        let scope = self.context.cancel.child();
        let batch = Batch { agent, plan, needed, values, scope };
        let prepared = tokio::select! {
            biased;
            prepared = self.prepare(&batch) => prepared,
            () = batch.scope.cancelled() => return self.stopped(),
        };
        let count = match prepared {
            Ok(count) => count,
            Err(failure) => return End::Failed(failure),
        };
        (self.context.events)(Event::InstancesKnown { agent: agent.id, count });
        let limit = plan.max_parallel.unwrap_or(count).max(1);
        let instances = stream::iter(0..count).map(|index| self.instance(&batch, index));
        instances.buffer_unordered(limit).for_each(|()| async {}).await;
        self.conclude(&batch)
    }

    /// Finds the items and their keys. Returns how many there are.
    async fn prepare(&self, batch: &Batch<'a, '_>) -> Result<usize, Failure> {
        let template = |error: TemplateError| Failure::new(ErrorKind::Template, error.to_string());
        let refused = |message: String| Failure::new(ErrorKind::ForEach, message);
        let items = match &batch.plan.items {
            Items::List(items) => items.clone(),
            Items::Expression(expression) => {
                let value = expression.value(batch.values.clone(), Wait::Task).await;
                match value.map_err(template)? {
                    Some(Json::Array(items)) => items,
                    found => {
                        let found = found.map_or("undefined".to_owned(), |json| json.to_string());
                        let found = truncate(found, 200);
                        return Err(refused(format!("for_each needs a list and found {found}")));
                    }
                }
            }
        };
        let (count, max) = (items.len(), batch.plan.max_items);
        if count > max {
            let message = format!("for_each has {count} items, and max_items is {max}");
            return Err(refused(message));
        }
        if items.iter().any(is_too_deep) {
            let message = format!("an item is nested more than {MAX_JSON_DEPTH} levels deep");
            return Err(refused(message));
        }
        let mut keys = HashSet::with_capacity(count);
        let mut instances = Vec::with_capacity(count);
        for (index, item) in items.into_iter().enumerate() {
            let text = match &batch.plan.key {
                Some(key) => {
                    let values = batch.instance_values(index, &item);
                    key.render_in_task(values).await.map_err(template)?
                }
                None => default_key(index, &item),
            };
            let text = self.context.services.secrets.redact(text);
            let key = unique_key(&text, index, &mut keys);
            instances.push(Instance { key, item, state: State::Waiting });
        }
        *self.instances(batch.agent).0.lock() = instances;
        Ok(count)
    }

    /// One instance from its condition to its report.
    async fn instance(&self, batch: &Batch<'a, '_>, index: usize) {
        let instances = self.instances(batch.agent);
        let Some((key, item)) =
            instances.0.lock().get(index).map(|found| (found.key.clone(), found.item.clone()))
        else {
            return;
        };
        let name = AgentReport::instance_name(&batch.agent.plan.name, &key);
        let shown = self.context.services.secrets.redact_value(item.clone());
        if let Some(earlier) = self.reuse.instance(&name, &shown) {
            return self.take_over(batch, index, key, earlier);
        }
        let Some(_place) = self.place(&batch.scope).await else { return };
        let run = AgentRun {
            values: Some(batch.instance_values(index, &item)),
            ..AgentRun::new(self.next_id(), batch.agent.plan, batch.scope.clone())
        };
        {
            let report = &mut run.ledger.open().report;
            report.name = name;
            report.key = Some(key.clone());
            report.item = Some(shown);
        }
        let run = Arc::new(run);
        instances.set(index, State::Open(run.clone()));
        let (agent, instance) = (batch.agent.id, run.id);
        (self.context.events)(Event::InstanceAdded { agent, instance, key });
        // Boxed: memory follows the instances that are open.
        let end = Box::pin(self.caught(self.work(&run, batch.needed))).await;
        self.finish(&run, end);
        let report = run.ledger.take_report();
        let failed = report.status.is_failure();
        let name = report.name.clone();
        instances.set(index, State::Ended(Box::new(report)));
        let on_failure = batch.plan.on_failure.unwrap_or(self.context.plan.limits.on_failure);
        if failed && on_failure == OnFailure::Cancel {
            batch.scope.cancel(CancelReason::agent_failed(&name));
        }
    }

    /// An instance that ended well in an earlier run.
    fn take_over(&self, batch: &Batch<'a, '_>, index: usize, key: String, earlier: &AgentReport) {
        let run = AgentRun::new(self.next_id(), batch.agent.plan, batch.scope.clone());
        run.take_over(Some(earlier));
        let (agent, instance) = (batch.agent.id, run.id);
        (self.context.events)(Event::InstanceAdded { agent, instance, key });
        (self.context.events)(Event::AgentReused { agent: instance, status: earlier.status });
        let report = State::Ended(Box::new(run.ledger.into_report()));
        self.instances(batch.agent).set(index, report);
    }

    /// How the agent ended, now that its instances have.
    fn conclude(&self, batch: &Batch<'a, '_>) -> End {
        if let Some(reason) = self.context.cancel.reason() {
            return End::Stopped(reason);
        }
        let instances = self.instances(batch.agent).0.lock();
        let failed = instances.iter().filter(|instance| match &instance.state {
            State::Ended(report) => report.status.is_failure(),
            State::Waiting | State::Open(_) => false,
        });
        let failed: Vec<&str> = failed.map(|instance| instance.key.as_str()).collect();
        if failed.is_empty() {
            return End::Succeeded;
        }
        let named = failed.iter().take(MAX_NAMED).copied().collect::<Vec<_>>().join(", ");
        let more = match failed.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let (number, count) = (failed.len(), instances.len());
        let message = format!("{number} of {count} instances failed: {named}{more}");
        End::Failed(Failure::new(ErrorKind::ForEach, message))
    }

    /// Moves the reports of the instances into the agent's. Those that have not ended are
    /// cancelled.
    pub(super) fn collect(&self, agent: &AgentRun<'a>) {
        let instances = std::mem::take(&mut *self.instances(agent).0.lock());
        if agent.plan.for_each.is_none() {
            return;
        }
        let failed = instances.iter().find_map(|instance| match &instance.state {
            State::Ended(report) if report.status.is_failure() => {
                Some(CancelReason::agent_failed(&report.name))
            }
            _ => None,
        });
        let reason = self.context.cancel.reason().or(failed);
        let reason = reason.unwrap_or_else(|| CancelKind::Timeout.into());
        let items: Vec<AgentReport> = instances
            .into_iter()
            .map(|Instance { key, item, state }| match state {
                State::Ended(report) => *report,
                State::Open(run) => {
                    self.close(&run, End::Stopped(reason.clone()));
                    run.ledger.take_report()
                }
                State::Waiting => {
                    let run = AgentRun::new(agent.id, agent.plan, self.context.cancel.clone());
                    self.close(&run, End::Stopped(reason.clone()));
                    AgentReport {
                        name: AgentReport::instance_name(&agent.plan.name, &key),
                        key: Some(key),
                        item: Some(self.context.services.secrets.redact_value(item)),
                        ..run.ledger.take_report()
                    }
                }
            })
            .collect();
        let report = &mut agent.ledger.open().report;
        items.iter().for_each(|item| report.usage += item.usage);
        report.items = Some(items);
    }
}

impl Batch<'_, '_> {
    fn instance_values(&self, index: usize, item: &Json) -> Value {
        let more = [("item", Value::from(Serde(item))), ("index", Value::from(index))];
        extended(&self.values, more)
    }
}

/// The item if it is a text or a number, else its index.
fn default_key(index: usize, item: &Json) -> String {
    match item {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => index.to_string(),
    }
}

/// A key that names one instance: one short line, followed by `#2` and so on if it is taken.
fn unique_key(text: &str, index: usize, taken: &mut HashSet<String>) -> String {
    // It may come from a model or a file.
    let short: String = text.trim().chars().take(MAX_KEY + 1).collect();
    let mut key = truncate(inline(&short).into_owned(), MAX_KEY);
    if key.is_empty() {
        key = index.to_string();
    }
    let mut unique = key.clone();
    let mut number = 2;
    while !taken.insert(unique.clone()) {
        unique = format!("{key}#{number}");
        number += 1;
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_printable_and_unique() {
        let mut taken = HashSet::new();
        let mut key = |text: &str, index| unique_key(text, index, &mut taken);
        assert_eq!(key("a", 0), "a");
        assert_eq!(key("a", 1), "a#2");
        assert_eq!(key("a#2", 2), "a#2#2");
        assert_eq!(key("a", 3), "a#3");
        assert_eq!(key(" ", 4), "4");
        assert!(!key("a\u{1b}[31m\nb", 5).contains(char::is_control));
        assert!(key(&"x".repeat(10_000), 6).chars().count() <= MAX_KEY + 1);
    }
}
