//! Sending the spans of a run.

use super::collector::CollectorError;
use super::context::Trace;
use super::spans::document;
use crate::report::Report;

impl Trace {
    /// Sends the spans of a run to the collector, if there is one. Takes 2 s at most.
    ///
    /// # Errors
    /// The spans were not sent.
    pub async fn export(&self, report: &Report) -> Result<(), CollectorError> {
        match &self.collector {
            None => Ok(()),
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(collector)) => {
                let document = document(report, self, &collector.resource);
                collector.send(document.to_string().into_bytes()).await
            }
        }
    }
}
