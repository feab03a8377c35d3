//! `crew batch run --estimate`: from the results of a sample to the whole.

use tokio::task::spawn_blocking;

use crate::batch::estimate::{Estimate, Sampled};
use crate::batch::folder::Folder;
use crate::batch::window::Jobs;
use crate::cancel::Cancellation;
use crate::plan::CrewPlan;

/// Inputs, unless `--sample` says otherwise.
pub const DEFAULT_SAMPLE: usize = 20;

/// The estimate for the inputs of this part. `None` without results, if their number is not known,
/// or if a signal arrives.
pub async fn estimate(
    folder: &Folder,
    jobs: Jobs,
    plan: &CrewPlan,
    cancel: &Cancellation,
) -> Option<Estimate> {
    let inputs = folder.state.inputs?.div_ceil(folder.part.of.into());
    let at_once = match jobs {
        Jobs::Fixed(jobs) => jobs,
        Jobs::Governed(most) => {
            let limits =
                plan.providers.iter().filter_map(|provider| provider.limits.max_concurrency);
            limits.min().unwrap_or(most).min(most)
        }
    };
    let results = folder.part.results(&folder.path);
    let sampled = tokio::select! {
        biased;
        () = cancel.cancelled() => return None,
        sampled = spawn_blocking(move || Sampled::read(&results)) => sampled.ok()?.ok()?,
    };
    sampled.estimate(inputs, at_once, plan)
}
