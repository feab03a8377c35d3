//! `crew batch run --estimate` as text.

use super::words::{count, millis, short};
use crate::batch::estimate::{Estimate, Interval};

/// A few lines.
pub fn batch_estimate(estimate: &Estimate) -> String {
    let Estimate { sample, inputs, cost, tokens, time_ms, at_once } = estimate;
    let money = |value: f64| match value {
        0.0 => "0".to_owned(),
        small if small < 0.01 => format!("{small:.4}"),
        value => format!("{value:.2}"),
    };
    let cost = match cost {
        Some(cost) => between(*cost, money),
        None => "not known: a call has no price".to_owned(),
    };
    let tokens = between(*tokens, |tokens| short(tokens as u64));
    let time = between(*time_ms, |ms| millis(ms as u64));
    format!(
        "estimate for {}, from {} (95 % intervals):\n  cost    {cost}\n  tokens  {tokens}\n  \
         time    {time}, with {at_once} at once\n",
        count(*inputs, "input", "inputs"),
        count(*sample, "result", "results"),
    )
}

/// `12.30 (10.10 to 14.50)`.
fn between(Interval { low, middle, high }: Interval, show: impl Fn(f64) -> String) -> String {
    let (low, middle, high) = (show(low), show(middle), show(high));
    if low == high { middle } else { format!("{middle} ({low} to {high})") }
}
