//! How a run was started.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::secret::Secrets;

/// How a run was started, as far as its answers depend on it. Paths are absolute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Invocation {
    /// The crew's file.
    pub file: PathBuf,
    /// The selected agents; all of the file if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    /// The texts of `--var`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub offline: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attach: Vec<PathBuf>,
}

impl Invocation {
    pub fn redact(self, secrets: &Secrets) -> Self {
        let vars = self.vars.into_iter();
        let vars = vars.map(|(name, value)| (name, secrets.redact_value(value)));
        Self { vars: vars.collect(), ..self }
    }
}
