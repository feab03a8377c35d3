//! What a whole batch would cost and take, from the results of a sample.

use std::path::Path;

use super::results::{LineHead, ResultsReader};
use super::run_file::FileError;
use crate::plan::{CrewPlan, RateLimits};
use crate::report::RunStatus;

/// Of a normal distribution, 95 % lie within so many standard deviations.
const DEVIATIONS: f64 = 1.96;
const MINUTE_MS: f64 = 60_000.0;

/// What the whole would cost and take.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The results that it is made of.
    pub sample: u64,
    pub inputs: u64,
    /// In the unit of the file's prices; `None` if the price of a call is not known.
    pub cost: Option<Interval>,
    /// Input and output together.
    pub tokens: Interval,
    pub time_ms: Interval,
    /// The inputs at once that the time is for.
    pub at_once: usize,
}

/// The true value lies between `low` and `high` in 95 of 100 cases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub middle: f64,
    pub high: f64,
}

/// The results of a sample, one number for each input.
#[derive(Debug, Default)]
pub struct Sampled {
    /// Those whose cost is known.
    costs: Vec<f64>,
    tokens: Vec<f64>,
    calls: Vec<f64>,
    times_ms: Vec<f64>,
}

impl Sampled {
    /// Reads the results of a part. Those that were cancelled say nothing.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(results: &Path) -> Result<Self, FileError> {
        let mut sampled = Self::default();
        let Some(mut results) = ResultsReader::open(results)? else { return Ok(sampled) };
        while let Some(head) = results.next::<LineHead<'_>>()? {
            if head.status == RunStatus::Cancelled {
                continue;
            }
            let usage = &head.usage;
            sampled.costs.extend(usage.cost.whole());
            sampled.tokens.push(usage.input_tokens.saturating_add(usage.output_tokens) as f64);
            sampled.calls.push(usage.model_calls as f64);
            sampled.times_ms.push(head.duration_ms as f64);
        }
        Ok(sampled)
    }

    /// The estimate for this many inputs, `at_once` of them at any time under the rates of the
    /// plan's servers. `None` without results.
    pub fn estimate(&self, inputs: u64, at_once: usize, plan: &CrewPlan) -> Option<Estimate> {
        let whole = |each: &[f64]| total(each, inputs);
        let (tokens, calls) = (whole(&self.tokens)?, whole(&self.calls)?);
        // Fewer inputs than may run at once take as long as one.
        let lanes = (at_once as u64).min(inputs).max(1) as f64;
        let work = whole(&self.times_ms)?.times(1.0 / lanes);
        let limited = plan.providers.iter().map(|provider| paced(provider.limits, tokens, calls));
        Some(Estimate {
            sample: self.times_ms.len() as u64,
            inputs,
            cost: whole(&self.costs).filter(|_| self.costs.len() == self.times_ms.len()),
            tokens,
            time_ms: limited.fold(work, Interval::max),
            at_once,
        })
    }
}

/// The milliseconds that these calls take at a server's rates.
fn paced(limits: RateLimits, tokens: Interval, calls: Interval) -> Interval {
    let period = limits.period.map_or(MINUTE_MS, |period| period.as_secs_f64() * 1e3);
    let tokens = limits.tokens_per_minute.map(|rate| tokens.times(period / rate as f64));
    let calls = limits.requests_per_minute.map(|rate| calls.times(period / rate as f64));
    let nothing = Interval { low: 0.0, middle: 0.0, high: 0.0 };
    tokens.into_iter().chain(calls).fold(nothing, Interval::max)
}

/// The sum over all inputs, from those of a sample. `None` without any.
fn total(each: &[f64], inputs: u64) -> Option<Interval> {
    let count = each.len() as f64;
    if each.is_empty() {
        return None;
    }
    let mean = each.iter().sum::<f64>() / count;
    let squares: f64 = each.iter().map(|value| (value - mean).powi(2)).sum();
    let inputs = inputs as f64;
    // What the sample leaves open: nothing if it is the whole.
    let open = (1.0 - count / inputs.max(count)).sqrt();
    let free = (count - 1.0).max(1.0);
    let error = (squares / free / count).sqrt() * quantile(free) * open;
    let low = (mean - error).max(0.0);
    Some(Interval { low: low * inputs, middle: mean * inputs, high: (mean + error) * inputs })
}

/// Student's distribution, which is wider than the normal one for small samples.
fn quantile(free: f64) -> f64 {
    DEVIATIONS + (DEVIATIONS.powi(3) + DEVIATIONS) / (4.0 * free)
}

impl Interval {
    fn times(self, factor: f64) -> Self {
        Self { low: self.low * factor, middle: self.middle * factor, high: self.high * factor }
    }

    fn max(self, other: Self) -> Self {
        Self {
            low: self.low.max(other.low),
            middle: self.middle.max(other.middle),
            high: self.high.max(other.high),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_narrows_with_the_sample_and_closes_with_the_whole() {
        let each = [1.0, 3.0, 1.0, 3.0];
        let found = total(&each, 1000).unwrap();
        assert_eq!(found.middle, 2000.0);
        assert!(found.low < 1000.0 && found.high > 3000.0, "{found:?}");
        let more = total(&each.repeat(25), 1000).unwrap();
        assert!(more.low > 1780.0 && more.high < 2220.0, "{more:?}");
        assert_eq!(total(&each, 4), Some(Interval { low: 8.0, middle: 8.0, high: 8.0 }));
        assert_eq!(total(&[], 4), None);
    }

    #[test]
    fn the_slowest_rate_counts() {
        let all = |middle| Interval { low: middle, middle, high: middle };
        let limits = RateLimits {
            requests_per_minute: Some(60),
            tokens_per_minute: Some(1000),
            ..RateLimits::default()
        };
        assert_eq!(paced(limits, all(500.0), all(120.0)), all(120_000.0));
        assert_eq!(paced(limits, all(5000.0), all(120.0)), all(300_000.0));
        assert_eq!(paced(limits.share(2), all(500.0), all(120.0)), all(240_000.0));
        assert_eq!(paced(RateLimits::default(), all(5000.0), all(120.0)), all(0.0));
    }
}
