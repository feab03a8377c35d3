#![allow(clippy::unwrap_used)]

use serde::Deserialize;

use super::*;
use crate::config::faults::Fault;
use crate::config::file::LimitsConfig;
use crate::config::yaml;

fn limits(source: &str) -> (LimitsConfig, Vec<String>) {
    let mut log = FaultLog::default();
    let file = log.sources.add("limits.yaml".into(), source.to_owned());
    let (mark, node) = yaml::read(file, &log).unwrap();
    log.sources.replace_root(mark);
    let limits = LimitsConfig::deserialize(Decoder::new(&node, &Path::Root, &log)).unwrap();
    let faults = log.finish().faults;
    let line = |fault: Fault| {
        format!("{}: {} | {}", fault.line.unwrap(), fault.message, fault.hint.unwrap_or_default())
    };
    (limits, faults.into_iter().map(line).collect())
}

#[test]
fn a_flattened_struct_shares_the_mapping() {
    let (limits, faults) = limits(
        "max_parallel: 2\nmax_tokens: 3\nmax_cost: x\ngrase: 1s\nmax_token: 1\n\
         <flattened>: 1\nzzz: 1\n",
    );
    assert_eq!((limits.max_parallel, limits.budget.max_tokens), (Some(2), Some(3)));
    let known = "known here: timeout, grace, max_parallel, on_failure, max_tokens, max_cost, \
                 max_model_calls, max_tool_calls";
    assert_eq!(
        faults,
        [
            r#"3: expected a number, found "x" | "#.to_owned(),
            r#"4: unknown key "grase" | did you mean "grace"?"#.to_owned(),
            r#"5: unknown key "max_token" | did you mean "max_tokens"?"#.to_owned(),
            format!(r#"6: unknown key "<flattened>" | {known}"#),
            format!(r#"7: unknown key "zzz" | {known}"#),
        ]
    );
}

#[test]
fn a_flattened_struct_repeats_no_fault() {
    let (limits, faults) = limits("[1]");
    assert!(limits.timeout.is_none() && limits.budget.max_tokens.is_none());
    let hint = "write name: {…} for each entry, without dashes";
    assert_eq!(faults, [format!("1: expected a mapping, found a list | {hint}")]);
}
