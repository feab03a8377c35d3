//! From the providers of a plan to connections.

use std::sync::Arc;

use reqwest::Url;

use super::remote::Remote;
use super::request::Provider;
use crate::net::{self, SetupError};
use crate::plan::ProviderPlan;

/// The providers of these plans, in the same order, with one HTTP client. Sends no request.
pub fn connect(plans: &[ProviderPlan]) -> Result<Vec<Arc<dyn Provider>>, SetupError> {
    if plans.is_empty() {
        return Ok(Vec::new());
    }
    let urls: Vec<Url> = plans.iter().map(|plan| plan.base_url.clone()).collect();
    let client = net::build(net::builder(&urls)?)?;
    let connect =
        |plan: &ProviderPlan| Arc::new(Remote::new(plan, client.clone())) as Arc<dyn Provider>;
    Ok(plans.iter().map(connect).collect())
}
