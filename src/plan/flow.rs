//! Conditions and lists: when an agent runs, and for which items.

use serde_json::Value;

use super::check;
use super::facts::kind_of;
use super::on_failure::OnFailure;
use super::scope::Scope;
use crate::config::faults::FaultLog;
use crate::config::file::AgentConfig;
use crate::config::flow::{ConditionText, ItemsConfig};
use crate::config::place::Path;
use crate::template::{ConditionError, Expression, Template};

const DEFAULT_MAX_ITEMS: usize = 100;

/// One instance for each item of a list.
#[derive(Debug)]
pub struct ForEachPlan {
    pub items: Items,
    /// `None`: the item if it is a text or a number, else its index.
    pub key: Option<Template>,
    pub max_items: usize,
    /// Instances at once; `None`: no limit.
    pub max_parallel: Option<usize>,
    /// What a failed instance means for the others; `None`: what a failed agent means.
    pub on_failure: Option<OnFailure>,
}

/// The items that an agent runs for.
#[derive(Debug)]
pub enum Items {
    List(Vec<Value>),
    Expression(Expression),
}

/// The plan of `for_each`; `scope` is without `item` and `index`, `instance` with them.
pub fn for_each(
    config: &AgentConfig,
    scope: &Scope<'_>,
    instance: &Scope<'_>,
    path: &Path<'_>,
    log: &FaultLog,
) -> Option<ForEachPlan> {
    let Some(items) = &config.for_each else {
        let keys = [
            ("key", config.key.is_some()),
            ("max_items", config.max_items.is_some()),
            ("max_parallel", config.max_parallel.is_some()),
            ("on_failure", config.on_failure.is_some()),
        ];
        for (key, _) in keys.into_iter().filter(|(_, is_given)| *is_given) {
            let message = format!("{key} is for agents with for_each");
            let hint = match key {
                "max_parallel" | "on_failure" => "for the whole run it stands under limits:",
                _ => "remove it",
            };
            log.key(&path.key(key), message, Some(hint.to_owned()));
        }
        return None;
    };
    let key = config.key.as_ref();
    let key = key.map(|text| instance.template(text, &path.key("key"), log));
    let whole = |key: &str, value: Option<u64>| {
        value.and_then(|value| check::whole(&value, 1..=1_000_000_usize, &path.key(key), log))
    };
    let max_items = whole("max_items", config.max_items).unwrap_or(DEFAULT_MAX_ITEMS);
    let items = match items {
        ItemsConfig::List(items) => Items::List(items.clone()),
        ItemsConfig::Expression(text) => {
            let path = path.key("for_each");
            let expression = scope.expression(text, &path, log)?;
            if let Some(what) = scope.known_kind(&expression).filter(|kind| *kind != "a list") {
                let message = format!("expected a list, found {what}");
                let hint = "write a list, or an expression such as agents.files.data".to_owned();
                log.value(&path, message, Some(hint));
            }
            Items::Expression(expression)
        }
    };
    let on_failure = config.on_failure.map(OnFailure::from);
    let max_parallel = whole("max_parallel", config.max_parallel);
    Some(ForEachPlan { items, key, max_items, max_parallel, on_failure })
}

/// A condition. Its faults, as far as they can be known, are logged.
pub fn condition(
    text: Option<&ConditionText>,
    scope: &Scope<'_>,
    path: &Path<'_>,
    log: &FaultLog,
) -> Option<Expression> {
    let expression = scope.expression(&text?.0, path, log)?;
    if let Some((name, sign)) = scope.compared_text(&expression) {
        let message = format!("{name} is free text: comparing it with {sign} is a matter of luck");
        let hint = "give that agent an output_schema and compare its data, or ask with in: \
                    'yes' in … | lower";
        log.word(path, name, message, Some(hint.to_owned()));
        return Some(expression);
    }
    let neither = |what: &str| {
        let message = format!("this is {what}, which is neither true nor false");
        let hint = "compare it with something, such as … | length > 0".to_owned();
        log.value(path, message, Some(hint));
    };
    if let Some(kind) = scope.known_kind(&expression) {
        if kind != "a boolean" {
            neither(kind);
        }
    } else if scope.is_constant(&expression)
        && let Err(ConditionError::NotBoolean(value)) = expression.holds(scope.constants())
    {
        neither(kind_of(&value));
    }
    Some(expression)
}
