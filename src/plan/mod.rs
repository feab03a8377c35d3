//! The plan of a run: names resolved, defaults filled in, every value checked.
//!
//! [`load`] turns a file into a [`CrewPlan`] or into all its faults. After that, only things
//! outside the file can still be wrong.

pub use agent_plan::{AgentPlan, ModelPlan, ModelWork, Need, Work};
pub use budget::BudgetPlan;
pub use crew_plan::{CrewPlan, FailIfPlan, Limits};
pub use endpoint::base_url;
pub use fingerprint::Fingerprint;
pub use flow::{ForEachPlan, Items};
pub use http::{BodyPlan, HttpPlan, is_dots};
#[cfg(any(test, fuzzing))]
pub(crate) use load::read;
pub use load::{Checked, check, load};
pub use mcp::{Confirm, McpAccess, McpGrant, McpServerPlan};
pub use on_failure::OnFailure;
pub use overrides::Overrides;
pub use price::Price;
pub use provider::{KeyCommand, ProviderPlan, RateLimits};
pub use sandbox::SandboxPlan;
pub use settings::AgentSettings;
pub use step_plan::{CheckPlan, Parse, StepKind, StepPlan};
pub use tool_plan::{McpToolPlan, ProcessPlan, ToolCommand, ToolKind, ToolPlan};

mod agent_keys;
mod agent_plan;
mod agents;
mod budget;
mod build;
mod check;
mod comparison;
mod condition;
mod crew_plan;
mod declared;
mod elements;
mod endpoint;
mod facts;
mod fingerprint;
mod flow;
pub(crate) mod glob;
mod graph;
pub mod hosts;
mod http;
mod input;
mod lint;
mod literal;
mod load;
mod mcp;
mod models;
mod needs;
mod on_failure;
mod output_schema;
mod overrides;
mod price;
mod price_list;
mod prices;
mod provider;
mod rate;
mod result;
mod sandbox;
mod scope;
mod secrets;
pub mod selection;
mod settings;
mod shape;
mod step;
mod step_plan;
#[cfg(test)]
mod tests;
mod tool_index;
mod tool_plan;
mod tools;
