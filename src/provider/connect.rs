//! From the providers of a plan to connections.

use std::sync::Arc;

use reqwest::{Client, Url};

use super::command_key::KeyContext;
use super::remote::Remote;
use super::request::Provider;
use crate::net::{self, SetupError};
use crate::plan::ProviderPlan;

/// The providers of these plans, in the same order, with one HTTP client. Sends no request.
pub fn connect(
    plans: &[ProviderPlan],
    keys: &KeyContext,
) -> Result<Vec<Arc<dyn Provider>>, SetupError> {
    if plans.is_empty() {
        return Ok(Vec::new());
    }
    let client = client(plans)?;
    let connect = |plan: &ProviderPlan| {
        Arc::new(Remote::new(plan, client.clone(), keys)) as Arc<dyn Provider>
    };
    Ok(plans.iter().map(connect).collect())
}

/// The HTTP client for these providers.
///
/// # Errors
/// A proxy of the environment or the system's certificates cannot be used.
pub fn client(plans: &[ProviderPlan]) -> Result<Client, SetupError> {
    let urls: Vec<Url> = plans.iter().map(|plan| plan.base_url.clone()).collect();
    net::build(net::builder(&urls)?)
}
