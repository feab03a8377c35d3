//! Sending spans.

use serde_json::Value;

use super::collector::CollectorError;
use super::context::Trace;
use super::spans::{RunPlace, document, of_run};
use crate::report::Report;

impl Trace {
    /// Sends the spans of a run to the collector, if there is one. Takes 2 s at most.
    ///
    /// # Errors
    /// The spans were not sent.
    pub async fn export(&self, report: &Report) -> Result<(), CollectorError> {
        match self.collector {
            None => Ok(()),
            Some(_) => self.send(of_run(report, self, RunPlace::of_process(self))).await,
        }
    }

    /// Sends spans to the collector, if there is one. Takes 2 s at most.
    ///
    /// # Errors
    /// The spans were not sent.
    pub(super) async fn send(&self, spans: Vec<Value>) -> Result<(), CollectorError> {
        match &self.collector {
            None => Ok(()),
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(collector)) => {
                let document = document(spans, &collector.resource);
                collector.send(document.to_string().into_bytes()).await
            }
        }
    }
}
