//! From the providers of a plan to connections.

use std::sync::Arc;

use reqwest::{Client, Url};

use super::command_key::KeyContext;
use super::faults::{FaultRule, Faults, Faulty};
use super::offline::Offline;
use super::recorded::Recorded;
use super::remote::Remote;
use super::request::Provider;
use crate::cancel::Cancellation;
use crate::net::{self, SetupError};
use crate::plan::ProviderPlan;
use crate::recording::Recording;

/// How the providers of a run are connected. Sends no request.
pub struct Connector<'a> {
    /// Of key commands.
    pub keys: &'a KeyContext,
    pub recording: Option<&'a Arc<Recording>>,
    pub faults: Option<Arc<Faults>>,
    /// The run's.
    pub cancel: &'a Cancellation,
}

impl<'a> Connector<'a> {
    pub fn new(
        keys: &'a KeyContext,
        recording: Option<&'a Arc<Recording>>,
        faults: Vec<FaultRule>,
        cancel: &'a Cancellation,
    ) -> Self {
        let faults = (!faults.is_empty()).then(|| Arc::new(Faults::new(faults)));
        Self { keys, recording, faults, cancel }
    }

    /// The providers of these plans, in the same order, with one HTTP client.
    ///
    /// # Errors
    /// As [`client`]. A replay has none.
    pub fn connect(&self, plans: &[ProviderPlan]) -> Result<Vec<Arc<dyn Provider>>, SetupError> {
        if let Some(recording) = self.recording.filter(|recording| recording.is_replay()) {
            let replayed = |plan| self.recorded(plan, None, recording);
            return Ok(plans.iter().map(replayed).collect());
        }
        if plans.is_empty() {
            return Ok(Vec::new());
        }
        let client = client(plans)?;
        let connect = |plan: &ProviderPlan| {
            let remote = Arc::new(Remote::new(plan, client.clone(), self.keys));
            match self.recording {
                Some(recording) => self.recorded(plan, Some(remote), recording),
                None => self.with_faults(remote),
            }
        };
        Ok(plans.iter().map(connect).collect())
    }

    /// The provider of the model `offline`.
    pub fn offline(&self) -> Arc<dyn Provider> {
        self.with_faults(Arc::new(Offline))
    }

    fn recorded(
        &self,
        plan: &ProviderPlan,
        inner: Option<Arc<Remote>>,
        recording: &Arc<Recording>,
    ) -> Arc<dyn Provider> {
        self.with_faults(Arc::new(Recorded {
            inner,
            name: plan.name.clone(),
            recording: Arc::clone(recording),
            cancel: self.cancel.clone(),
        }))
    }

    fn with_faults(&self, inner: Arc<dyn Provider>) -> Arc<dyn Provider> {
        match &self.faults {
            Some(faults) => Arc::new(Faulty { inner, faults: Arc::clone(faults) }),
            None => inner,
        }
    }
}

/// The HTTP client for these providers.
///
/// # Errors
/// A proxy of the environment or the system's certificates cannot be used.
pub fn client(plans: &[ProviderPlan]) -> Result<Client, SetupError> {
    let urls: Vec<Url> = plans.iter().map(|plan| plan.base_url.clone()).collect();
    net::build(net::builder(&urls)?)
}
