//! `crew batch run --estimate`: from the results of a sample to the whole.

use crate::batch::estimate::{Estimate, Sampled};
use crate::batch::folder::Folder;
use crate::batch::window::Jobs;
use crate::plan::CrewPlan;

/// Inputs, unless `--sample` says otherwise.
pub const DEFAULT_SAMPLE: usize = 20;

/// The estimate for the inputs of this part. `None` without results, or if their number is not
/// known.
pub fn estimate(folder: &Folder, jobs: Jobs, plan: &CrewPlan) -> Option<Estimate> {
    let inputs = folder.state.inputs?.div_ceil(folder.part.of.into());
    let at_once = match jobs {
        Jobs::Fixed(jobs) => jobs,
        Jobs::Governed(most) => {
            let limits =
                plan.providers.iter().filter_map(|provider| provider.limits.max_concurrency);
            limits.min().unwrap_or(most).min(most)
        }
    };
    let sampled = Sampled::read(&folder.part.results(&folder.path)).ok()?;
    sampled.estimate(inputs, at_once, plan)
}
