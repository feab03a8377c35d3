//! What stops a batch before its inputs end, besides signals.

use std::time::Duration;

use indoc::formatdoc;

use crate::support::batch::Batch;
use crate::support::mock_model::ModelServer;
use crate::support::script::{self, delayed};

fn inputs(count: usize) -> String {
    (0..count).map(|number| format!("\"{number}\"\n")).collect()
}

fn yaml(server: &ModelServer) -> String {
    formatdoc! {"
        providers: {{p: {{base_url: '{}'}}}}
        prices: {{'p/*': {{input: 1000, output: 1000}}}}
        defaults: {{retries: 0, max_output_tokens: 5}}
        agents: {{a: {{model: p/m}}}}
    ", server.base_url()}
}

#[test]
fn a_hopeless_start_stops_after_twenty_inputs() {
    let server = ModelServer::always(script::error(400, "no such model"));
    let batch = Batch::new(yaml(&server), inputs(100));
    let ended = batch.run(&["-j", "2"]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the first 20 inputs all failed with bad_request"),
        "{}",
        ended.stderr
    );
    assert!((20..=22).contains(&batch.lines().len()), "{}", batch.lines().len());
}

#[test]
fn a_refused_key_stops_at_once() {
    let server = ModelServer::always(script::error(401, "wrong key"));
    let batch = Batch::new(yaml(&server), inputs(100));
    let ended = batch.run(&["-j", "1"]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("no input can succeed: "), "{}", ended.stderr);
    assert_eq!(batch.lines().len(), 1);
}

#[test]
fn failures_stop_it_where_that_is_asked_for() {
    let yaml = "agents: {a: {command: ['false']}, b: {command: ['true']}}\n";
    for (args, expected) in [(["--max-failures", "3"], 3), (["--max-failures", "50%"], 20)] {
        let batch = Batch::new(yaml, inputs(60));
        let ended = batch.run(&[&args[..], &["-j", "1"]].concat());
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert_eq!(batch.lines().len(), expected, "{args:?}");
        assert!(ended.stderr.contains("have failed (--max-failures)") || expected == 20);
    }
}

#[test]
fn a_budget_holds_for_all_inputs_and_counts_earlier_runs() {
    let server = ModelServer::always(script::text("x"));
    // A call takes 15 tokens and costs 0.015. The inputs are long enough for the estimate of a call
    // not to be below that, so that the open calls cannot exceed the budget together.
    let inputs: String = (0..50).map(|number| format!("\"{number:0200}\"\n")).collect();
    let batch = Batch::new(yaml(&server), inputs);
    let ended = batch.run(&["--max-tokens", "145", "-j", "4"]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("--max-tokens is used up"), "{}", ended.stderr);
    assert_eq!(server.requests().len(), 10);
    let ended = batch.run(&["--max-cost", "0.295", "-j", "2"]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("--max-cost is used up"), "{}", ended.stderr);
    assert_eq!(server.requests().len(), 20);
    assert_eq!(batch.run(&["--max-cost", "1"]).status.code(), Some(0));
    assert_eq!((server.requests().len(), batch.keys("succeeded").len()), (50, 50));
    batch.write("agents.yaml", self::yaml(&server).replace("prices:", "x-prices:"));
    let ended = batch.run(&["--max-cost", "1"]);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("--max-cost needs a price for"), "{}", ended.stderr);
}

#[test]
fn inputs_share_what_a_server_accepts() {
    const ACCEPTED: usize = 8;
    let server = ModelServer::start(|request| match request.open_calls {
        open if open > ACCEPTED => script::retry_after(429, "0.05"),
        _ => delayed(Duration::from_millis(10), script::text("x")),
    });
    let yaml = yaml(&server).replace("retries: 0", "retries: 3");
    let batch = Batch::new(yaml, inputs(300));
    let ended = batch.run(&[]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let calls = server.requests().len();
    assert!(calls < 345, "{calls} calls for 300 inputs");
}

#[test]
fn a_time_to_stop_at_has_a_form() {
    let batch = Batch::new("agents: {a: {model: offline}}", inputs(3));
    for (time, code) in [("2020-01-01T00:00:00Z", 75), ("23:59", 0), ("24:01", 2), ("soon", 2)] {
        let args = ["--drain-at", time, "--out", time];
        let ended = batch.command("in.jsonl", &args).run_as_is();
        assert_eq!(ended.status.code(), Some(code), "{time}: {}", ended.stderr);
    }
}
