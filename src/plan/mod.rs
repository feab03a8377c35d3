//! The plan of a run: names resolved, defaults filled in, every value checked.
//!
//! [`load`] turns a file into a [`CrewPlan`] or into all its faults. After that, only things
//! outside the file can still be wrong.

use std::fmt;

use secrecy::SecretString;

pub use crate::config::faults::Faults;
pub use agent_plan::{AgentPlan, ModelPlan};
pub use budget::BudgetPlan;
pub use crew_plan::{CrewPlan, Limits, OnFailure};
pub use http::{BodyPlan, HeaderPlan, HttpPlan, is_dots};
#[cfg(any(test, fuzzing))]
pub(crate) use load::read;
pub use load::{Overrides, load};
pub use mcp::{McpAccess, McpGrant, McpServerPlan};
pub use prices::{Price, Prices};
pub use sandbox::SandboxPlan;
pub use settings::AgentSettings;
pub use tool_plan::{McpToolPlan, ProcessPlan, ToolCommand, ToolKind, ToolPlan};

mod agent_plan;
mod agents;
mod budget;
mod build;
mod check;
mod crew_plan;
mod declared;
mod endpoint;
mod glob;
mod graph;
pub mod hosts;
mod http;
mod load;
mod mcp;
mod models;
mod needs;
mod output_schema;
mod prices;
mod rate;
mod sandbox;
mod scope;
mod secrets;
mod settings;
#[cfg(test)]
mod tests;
mod tool_index;
mod tool_plan;
mod tools;

/// The protocol that an endpoint speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Api {
    /// Chat completions.
    #[default]
    OpenAi,
    /// Messages.
    Anthropic,
    /// `generateContent`.
    Gemini,
}

impl fmt::Display for Api {
    /// As in a crew's file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        })
    }
}

/// An endpoint that serves models.
#[derive(Debug)]
pub struct ProviderPlan {
    pub name: String,
    pub api: Api,
    /// What the SDK of the protocol's vendor takes: for OpenAI's with the version, for the others
    /// without. No slash at its end; `http` or `https`.
    pub base_url: String,
    /// Added to the address of every call.
    pub query: Vec<(String, SecretString)>,
    pub api_key: Option<SecretString>,
    /// The variable that the key is from.
    pub key_variable: Option<String>,
    pub headers: Vec<(String, SecretString)>,
    pub limits: RateLimits,
}

/// What an endpoint is to be spared, all agents together; `None`: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Calls in flight.
    pub max_concurrency: Option<usize>,
    pub requests_per_minute: Option<usize>,
    /// Read and written together.
    pub tokens_per_minute: Option<u64>,
}

impl RateLimits {
    /// The narrower one of each limit.
    pub fn narrowed(self, other: Self) -> Self {
        fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.into_iter().chain(other).min()
        }
        Self {
            max_concurrency: least(self.max_concurrency, other.max_concurrency),
            requests_per_minute: least(self.requests_per_minute, other.requests_per_minute),
            tokens_per_minute: least(self.tokens_per_minute, other.tokens_per_minute),
        }
    }
}
