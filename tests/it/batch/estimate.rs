//! `--estimate`: a sample of the inputs, and what the whole would cost and take.

use std::time::Duration;

use crate::support::batch::Batch;
use crate::support::mock_model::ModelServer;
use crate::support::script::{delayed, stream};

/// 200 inputs with a key, for a model whose calls cost 0.0500 each.
fn batch(server: &ModelServer, limits: &str) -> Batch {
    let yaml = format!(
        "providers: {{p: {{base_url: '{}'{limits}}}}}\n\
         prices: {{p/m: {{input: 300, output: 200}}}}\n\
         agents: {{a: {{model: p/m}}}}\n",
        server.base_url()
    );
    let inputs: String = (0..200).map(|number| format!("{{\"id\": {number}}}\n")).collect();
    Batch::new(yaml, inputs)
}

fn server() -> ModelServer {
    let answer = || stream().text("done").finish("stop").usage(100, 100).done();
    ModelServer::start(move |_| delayed(Duration::from_millis(100), answer()))
}

#[test]
fn a_sample_says_what_the_whole_costs_and_is_kept() {
    let server = server();
    let batch = batch(&server, "");
    let ended = batch.run(&["--key", "/id", "--estimate", "-j", "10"]);
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
    for text in
        ["estimate for 200 inputs, from 20 results", "cost    10.00", "tokens  40.0k", "10 at once"]
    {
        assert!(ended.stderr.contains(text), "{text}: {}", ended.stderr);
    }
    // 200 calls of 100 ms, 10 at once, take at least 2 s.
    let time = ended.stderr.lines().find(|line| line.trim().starts_with("time")).unwrap();
    let took = time.split_whitespace().nth(1).unwrap().trim_end_matches(',');
    let seconds = match took.split_once('m') {
        // Calls take longer on a busy machine.
        Some((minutes, _)) if !took.ends_with("ms") => 60.0 * minutes.parse::<f64>().unwrap(),
        _ => took.trim_end_matches('s').parse::<f64>().unwrap(),
    };
    assert!(seconds >= 2.0, "{time}");
    assert_eq!(batch.lines().len(), 20);
    // The same sample: nothing is run again.
    let again = batch.run(&["--key", "/id", "--estimate", "-j", "10"]);
    assert!(again.stderr.contains("from 20 results"), "{}", again.stderr);
    assert_eq!(server.requests().len(), 20);
    // A larger one contains it; another seed chooses others.
    let more = batch.run(&["--key", "/id", "--estimate", "--sample", "30"]);
    assert!(more.stderr.contains("from 30 results"), "{}", more.stderr);
    assert_eq!(server.requests().len(), 30);
    let others = batch.run(&["--key", "/id", "--estimate", "--seed", "7"]);
    assert_eq!(others.status.code(), Some(0), "{}", others.stderr);
    assert!(server.requests().len() > 30);
    // The whole pays for the rest only.
    assert_eq!(batch.run(&["--key", "/id"]).status.code(), Some(0));
    assert_eq!((batch.lines().len(), server.requests().len()), (200, 200));
}

#[test]
fn the_time_is_that_of_the_slowest_limit() {
    let server = server();
    let batch = batch(&server, ", requests_per_minute: 100");
    let ended = batch.run(&["--key", "/id", "--estimate"]);
    // 200 calls at 100 a minute.
    assert!(ended.stderr.contains("time    2m00s"), "{}", ended.stderr);
}

#[test]
fn an_estimate_needs_a_file_and_a_folder() {
    let batch = Batch::new("agents: {a: {model: offline}}", "\"a\"\n");
    for (inputs, out, expected) in [
        ("in.jsonl", "-", "--estimate keeps the results"),
        ("-", "out", "standard input can be read once"),
    ] {
        let ended = batch.command(inputs, &["--out", out, "--estimate"]).run_as_is();
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
    // Without a price, the cost is not known; offline nothing costs.
    let ended = batch.run(&["--estimate"]);
    assert!(ended.stderr.contains("estimate for 1 input, from 1 result"), "{}", ended.stderr);
}
