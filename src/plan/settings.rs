//! How an agent works and within which limits: the settings that `defaults` and an agent share.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::budget::BudgetPlan;
use super::check;
use crate::chat::{CacheMode, Effort};
use crate::config::faults::FaultLog;
use crate::config::file::SettingsConfig;
use crate::config::place::Path;

/// The largest whole number that every JSON parser reads exactly.
const MAX_SEED: u64 = (1 << 53) - 1;

/// Declares the settings: name, type, default, and the check in [`check`] with its bounds.
macro_rules! settings {
    ($(
        $(#[$doc:meta])*
        $name:ident: $type:ty = $default:expr, $check:ident($($bounds:expr)?);
    )*) => {
        /// How an agent works, and within which limits.
        #[derive(Debug, Clone)]
        pub struct AgentSettings {
            $($(#[$doc])* pub $name: $type,)*
            pub budget: BudgetPlan,
        }

        impl Default for AgentSettings {
            fn default() -> Self {
                Self { $($name: $default,)* budget: BudgetPlan::default() }
            }
        }

        impl AgentSettings {
            /// These settings, except where the file gives others.
            pub fn with(&self, given: &SettingsConfig, path: &Path<'_>, log: &FaultLog) -> Self {
                $(
                    let $name = given.$name.as_ref().and_then(|value| {
                        check::$check(value, $($bounds,)? &path.key(stringify!($name)), log)
                    });
                )*
                let limits = given.limits.as_ref();
                Self {
                    $($name: $name.map_or_else(|| self.$name.clone(), Into::into),)*
                    budget: limits.map_or(self.budget, |limits| {
                        self.budget.with(limits, &path.key("limits"), log)
                    }),
                }
            }
        }
    };
}

impl AgentSettings {
    /// The settings that the file gives and that decide the answer of a model.
    pub fn given(&self) -> Map<String, Value> {
        let given = [
            ("temperature", json!(self.temperature)),
            ("top_p", json!(self.top_p)),
            ("stop", json!((!self.stop.is_empty()).then_some(&self.stop))),
            ("seed", json!(self.seed)),
            ("effort", json!(self.effort.map(Effort::name))),
            ("max_output_tokens", json!(self.max_output_tokens)),
            ("extra_body", json!((!self.extra_body.is_empty()).then_some(&*self.extra_body))),
        ];
        let given = given.into_iter().filter(|(_, value)| !value.is_null());
        given.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

settings! {
    timeout: Duration = Duration::from_secs(120), timeout();
    idle_timeout: Duration = Duration::from_secs(60), timeout();
    tool_timeout: Duration = Duration::from_secs(30), timeout();
    max_turns: u32 = 10, whole(1..=10_000_u32);
    retries: u32 = 3, whole(0..=100_u32);
    temperature: Option<f64> = None, number(0.0..);
    top_p: Option<f64> = None, number(0.0..=1.0);
    stop: Vec<String> = Vec::new(), stops();
    seed: Option<u64> = None, whole(0..=MAX_SEED);
    effort: Option<Effort> = None, choice();
    cache: CacheMode = CacheMode::Auto, choice();
    /// Keys that are merged into the body of each request.
    extra_body: Arc<Map<String, Value>> = Arc::default(), extra_body();
    max_output_tokens: Option<u32> = None, whole(1..=100_000_000_u32);
    /// Bytes.
    max_answer: usize = 1 << 20, size(1 << 10..=256 << 20);
}
