//! The structs of a crew's file: options as written, without defaults and checks.
//!
//! A field named `<flattened>` has its keys beside those of the other fields. The decoder knows the
//! newtypes of texts by their names.

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::SeqAccess;
use serde_json::Value;

use super::flow::{ConditionText, ConfirmText, EnvConfig, ItemsConfig, NeedsConfig, ParseConfig};
use super::forms::{Entries, forms, items};
use crate::chat::{CacheMode, Effort};
use crate::vendor::Api;

#[derive(Debug, Default, Deserialize)]
pub struct CrewFile {
    pub version: Option<u64>,
    pub name: Option<String>,
    pub description: Option<String>,
    /// Resolved before the file is decoded.
    pub include: Option<Value>,
    pub vars: Option<Entries<Value>>,
    pub limits: Option<LimitsConfig>,
    pub prices: Option<PricesConfig>,
    pub defaults: Option<DefaultsConfig>,
    pub providers: Option<Entries<ProviderConfig>>,
    pub tools: Option<Entries<ToolConfig>>,
    pub mcp_servers: Option<Entries<McpServerConfig>>,
    pub agents: Option<Entries<AgentConfig>>,
    /// The agent whose answer is the crew's.
    pub output: Option<String>,
    pub fail_if: Option<ConditionText>,
    /// The values of variables at places for secrets.
    #[serde(skip)]
    pub secrets: Vec<SecretString>,
}

#[derive(Debug, Default, Deserialize)]
pub struct LimitsConfig {
    pub timeout: Option<DurationText>,
    pub grace: Option<DurationText>,
    pub max_parallel: Option<u64>,
    pub on_failure: Option<OnFailureConfig>,
    #[serde(rename = "<flattened>")]
    pub budget: BudgetConfig,
}

/// The limits that a run and an agent have in common.
#[derive(Debug, Default, Deserialize)]
pub struct BudgetConfig {
    pub max_tokens: Option<u64>,
    pub max_cost: Option<f64>,
    pub max_model_calls: Option<u64>,
    pub max_tool_calls: Option<u64>,
}

/// The prices of models by pattern, and a list of further ones.
#[derive(Debug, Default, Deserialize)]
pub struct PricesConfig {
    pub file: Option<String>,
    #[serde(rename = "<flattened>")]
    pub models: Entries<PriceConfig>,
}

#[derive(Debug, Default, Deserialize)]
pub struct PriceConfig {
    pub input: Option<f64>,
    pub output: Option<f64>,
    pub cached_input: Option<f64>,
    pub cache_write: Option<f64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailureConfig {
    Cancel,
    Continue,
}

/// What agents with a model have unless they say otherwise.
#[derive(Debug, Default, Deserialize)]
pub struct DefaultsConfig {
    pub prompt: Option<String>,
    pub instructions: Option<String>,
    pub tools: Option<Vec<String>>,
    #[serde(rename = "<flattened>")]
    pub settings: SettingsConfig,
}

/// `defaults`, and the options of an agent that `defaults` can give as well.
#[derive(Debug, Default, Deserialize)]
pub struct SettingsConfig {
    pub model: Option<ModelTexts>,
    pub timeout: Option<DurationText>,
    pub idle_timeout: Option<DurationText>,
    pub tool_timeout: Option<DurationText>,
    pub max_turns: Option<u64>,
    pub retries: Option<u64>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub stop: Option<Vec<String>>,
    pub seed: Option<u64>,
    pub effort: Option<Effort>,
    pub cache: Option<CacheMode>,
    pub extra_body: Option<Entries<Value>>,
    pub max_output_tokens: Option<u64>,
    pub max_answer: Option<SizeText>,
    pub limits: Option<BudgetConfig>,
}

#[derive(Debug, Default, Deserialize)]
pub struct ProviderConfig {
    pub api: Option<Api>,
    pub base_url: Option<String>,
    pub query: Option<Entries<String>>,
    pub api_key_env: Option<String>,
    pub api_key_command: Option<Vec<String>>,
    pub headers: Option<Entries<String>>,
    pub max_concurrency: Option<u64>,
    pub requests_per_minute: Option<u64>,
    pub tokens_per_minute: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
pub struct ToolConfig {
    pub description: Option<String>,
    pub command: Option<Vec<String>>,
    pub shell: Option<String>,
    pub http: Option<HttpConfig>,
    pub parameters: Option<Entries<Value>>,
    pub timeout: Option<DurationText>,
    pub cwd: Option<String>,
    pub env: Option<Vec<String>>,
    pub max_output: Option<SizeText>,
    pub sandbox: Option<SandboxConfig>,
    pub confirm: Option<bool>,
}

/// The access of a program to files and network.
#[derive(Debug, Default, Deserialize)]
pub struct SandboxConfig {
    pub read: Option<Vec<String>>,
    pub write: Option<Vec<String>>,
    pub network: Option<NetworkConfig>,
    pub if_unsupported: Option<UnsupportedConfig>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkConfig {
    None,
    Full,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnsupportedConfig {
    Error,
    Warn,
}

/// The request of an HTTP tool.
#[derive(Debug, Default, Deserialize)]
pub struct HttpConfig {
    pub method: Option<String>,
    pub url: Option<String>,
    pub query: Option<Entries<Value>>,
    pub headers: Option<Entries<String>>,
    pub body: Option<Value>,
    pub allow_hosts: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
pub struct McpServerConfig {
    pub command: Option<String>,
    pub args: Option<Vec<String>>,
    pub env: Option<Entries<String>>,
    pub cwd: Option<String>,
    pub sandbox: Option<SandboxConfig>,
    pub url: Option<String>,
    pub headers: Option<Entries<String>>,
    pub roots: Option<Vec<String>>,
    pub confirm: Option<ConfirmText>,
    pub start_timeout: Option<DurationText>,
    pub timeout: Option<DurationText>,
    pub max_output: Option<SizeText>,
}

#[derive(Debug, Default, Deserialize)]
pub struct AgentConfig {
    pub role: Option<String>,
    pub goal: Option<String>,
    pub backstory: Option<String>,
    pub instructions: Option<String>,
    /// The whole system message.
    pub system: Option<String>,
    pub prompt: Option<String>,
    pub attach: Option<Vec<String>>,
    pub tools: Option<Vec<String>>,
    pub needs: Option<NeedsConfig>,
    pub when: Option<ConditionText>,
    pub for_each: Option<ItemsConfig>,
    pub key: Option<String>,
    pub max_items: Option<u64>,
    pub max_parallel: Option<u64>,
    pub on_failure: Option<OnFailureConfig>,
    pub check: Option<CheckConfig>,
    pub command: Option<Vec<String>>,
    pub shell: Option<String>,
    pub http: Option<HttpConfig>,
    pub stdin: Option<String>,
    pub cwd: Option<String>,
    pub env: Option<EnvConfig>,
    pub parse: Option<ParseConfig>,
    pub ok_exit_codes: Option<Vec<u64>>,
    pub max_output: Option<SizeText>,
    pub sandbox: Option<SandboxConfig>,
    pub confirm: Option<bool>,
    /// A JSON Schema, or the path of a file with one.
    pub output_schema: Option<Value>,
    #[serde(rename = "<flattened>")]
    pub settings: SettingsConfig,
}

/// A program that decides whether an answer is good.
#[derive(Debug, Default, Deserialize)]
pub struct CheckConfig {
    pub command: Option<Vec<String>>,
    pub shell: Option<String>,
    pub timeout: Option<DurationText>,
    pub cwd: Option<String>,
    pub env: Option<EnvConfig>,
    pub max_output: Option<SizeText>,
    pub sandbox: Option<SandboxConfig>,
    pub attempts: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct DurationText(pub String);

#[derive(Debug, Clone, Deserialize)]
pub struct SizeText(pub String);

/// One model, or a list of them: each replaces the one before it when that fails.
#[derive(Debug, Clone)]
pub struct ModelTexts {
    pub texts: Vec<String>,
    pub is_list: bool,
}

forms!(ModelTexts, {
    fn visit_str<E>(self, text: &str) -> Result<ModelTexts, E> {
        Ok(ModelTexts { texts: vec![text.to_owned()], is_list: false })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<ModelTexts, A::Error> {
        Ok(ModelTexts { texts: items(list)?, is_list: true })
    }
});
