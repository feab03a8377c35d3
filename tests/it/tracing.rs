//! Traces: what child processes and servers learn, and the spans that a collector receives.

use std::collections::HashSet;
use std::time::Duration;

use indoc::formatdoc;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::batch::Batch;
use crate::support::crew::{Crew, Ended};
use crate::support::mcp_server;
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::{self, Script};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

fn in_trace(crew: Crew) -> Crew {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    crew.envs(&[("TRACEPARENT", &parent), ("TRACESTATE", "v=1"), ("BAGGAGE", "team=x")])
}

fn accept() -> Script {
    script::json_body(200, &json!({}))
}

/// The spans of the only request that the collector received.
#[track_caller]
fn spans(collector: &ModelServer) -> Vec<Value> {
    let requests = collector.requests();
    assert_eq!(requests.len(), 1, "{requests:#?}");
    let scope = &requests[0].body["resourceSpans"][0]["scopeSpans"][0];
    scope["spans"].as_array().unwrap().clone()
}

#[track_caller]
fn named<'a>(spans: &'a [Value], name: &str) -> &'a Value {
    let found = spans.iter().find(|span| span["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["key"] == key);
    found.map_or(&Value::Null, |attribute| {
        attribute["value"].as_object().unwrap().values().next().unwrap()
    })
}

/// The span in a `traceparent` of the trace.
#[track_caller]
fn span_of(traceparent: &str) -> String {
    let parts: Vec<&str> = traceparent.trim().split('-').collect();
    assert_eq!(
        (parts.len(), parts[0], parts[1], parts[3]),
        (4, "00", TRACE, "01"),
        "{traceparent}"
    );
    assert_ne!(parts[2], PARENT);
    parts[2].to_owned()
}

/// An agent with a tool and a check, a step, a request, and an MCP server. The programs write their
/// part of the environment to files.
fn every_kind(tool_server: &ModelServer) -> String {
    let print = |name: &str| format!("echo $TRACEPARENT $TRACESTATE $BAGGAGE > \"$DIR/{name}\"");
    formatdoc! {"
        tools:
          t: {{description: x, shell: '{}', env: [DIR]}}
          h: {{description: x, http: {{url: '{}/tool'}}}}
        {}
        agents:
          a:
            model: offline
            tools: [t, h, fx.echo, fx.env]
            check: {{shell: '{}', env: [DIR]}}
          s: {{shell: '{}', env: [DIR]}}
    ", print("tool"), tool_server.origin(), mcp_server::yaml("", ""), print("check"), print("step")}
}

fn read(ended: &Ended, name: &str) -> String {
    std::fs::read_to_string(ended.path().join(name)).unwrap()
}

#[test]
fn all_that_crew_starts_continues_the_trace() {
    let server = ModelServer::always(script::whole(200, &[], "fine"));
    let ended = in_trace(Crew::new(every_kind(&server))).run();
    let report = ended.report(0);
    let mut seen = HashSet::new();
    for name in ["tool", "check", "step"] {
        let found = read(&ended, name);
        let parts: Vec<&str> = found.split_whitespace().collect();
        assert_eq!(parts[1..], ["v=1", "team=x"], "{name}: {found}");
        assert!(seen.insert(span_of(parts[0])), "{name}: {found}");
    }
    let request = server.requests()[0].clone();
    assert!(seen.insert(span_of(request.header("traceparent").unwrap())));
    assert_eq!(request.header("tracestate"), Some("v=1"));
    assert_eq!(request.header("baggage"), None);
    for line in read(&ended, "meta").lines() {
        let meta: Value = serde_json::from_str(line).unwrap();
        assert!(seen.insert(span_of(meta["traceparent"].as_str().unwrap())), "{meta}");
        assert_eq!(meta["tracestate"], "v=1");
    }
    let calls = report["agents"]["a"]["tool_calls"].as_array().unwrap();
    let environment = calls.iter().find(|call| call["tool"] == "fx.env").unwrap();
    let environment = environment["output"].as_str().unwrap();
    assert!(environment.lines().any(|line| line == "BAGGAGE=team=x"), "{environment}");
    let line = environment.lines().find_map(|line| line.strip_prefix("TRACEPARENT="));
    assert!(seen.insert(span_of(line.unwrap())));
}

#[test]
fn without_a_trace_nothing_is_added() {
    let server = ModelServer::always(script::whole(200, &[], "fine"));
    let ended = Crew::new(every_kind(&server)).env("TRACEPARENT", "00-no-trace-01").run();
    ended.report(0);
    for name in ["tool", "check", "step"] {
        assert_eq!(read(&ended, name), "\n");
    }
    assert_eq!(server.requests()[0].header("traceparent"), None);
    assert!(!read(&ended, "meta").contains("traceparent"));
}

#[test]
fn the_author_of_the_file_has_the_last_word() {
    let yaml = "agents:\n  s: {shell: 'echo $TRACEPARENT', env: {TRACEPARENT: mine}}\n";
    let report = in_trace(Crew::new(yaml)).run().report(0);
    assert_eq!(report["agents"]["s"]["output"], "mine\n");
}

/// Runs a batch of so many inputs, each with a step, that sends its spans to this address.
fn run_batch(inputs: usize, endpoint: &str) -> (Batch, Ended) {
    let yaml = "agents:\n  s: {shell: echo $TRACEPARENT}\n";
    let lines: String = (0..inputs).map(|n| format!("\"input {n}\"\n")).collect();
    let batch = Batch::new(yaml, lines);
    let ended = in_trace(batch.crew(&[])).env(ENDPOINT, endpoint).run_as_is();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    (batch, ended)
}

#[test]
fn a_collector_receives_the_spans_of_a_batch() {
    const INPUTS: usize = 40;
    let collector = ModelServer::always(accept());
    let (batch, ended) = run_batch(INPUTS, &collector.origin());
    assert!(!ended.stderr.contains("note:"), "{}", ended.stderr);
    let requests = collector.requests();
    let documents = requests.iter().map(|request| &request.body["resourceSpans"][0]);
    let spans: Vec<Value> = documents
        .flat_map(|document| document["scopeSpans"][0]["spans"].as_array().unwrap().clone())
        .collect();
    let whole = named(&spans, "batch agents");
    assert_eq!(whole["parentSpanId"], PARENT);
    assert_eq!(attribute(whole, "crew.batch.succeeded"), &json!(INPUTS.to_string()));
    let of = |name: &str| spans.iter().filter(|span| span["name"] == name).collect::<Vec<_>>();
    let (runs, steps) = (of("invoke_workflow agents"), of("step s"));
    let ids: HashSet<_> = runs.iter().map(|run| run["spanId"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), steps.len()), (INPUTS, INPUTS));
    assert!(runs.iter().all(|run| run["parentSpanId"] == whole["spanId"]));
    assert!(steps.iter().all(|step| ids.contains(step["parentSpanId"].as_str().unwrap())));
    // The programs know the spans.
    let steps: HashSet<_> = steps.iter().map(|step| step["spanId"].as_str().unwrap()).collect();
    for line in batch.lines() {
        assert!(steps.contains(&*span_of(line["answer"].as_str().unwrap())), "{line}");
    }
}

#[test]
fn a_collector_that_rejects_spans_does_not_change_a_batch() {
    let collector = ModelServer::always(script::error(503, "full"));
    let (batch, ended) = run_batch(3, &collector.origin());
    let note = "note: 7 of 7 spans were not sent: 127.0.0.1:";
    assert!(ended.stderr.contains(note) && ended.stderr.contains("HTTP 503"), "{}", ended.stderr);
    assert_eq!(batch.lines().len(), 3);
}

#[test]
fn a_collector_that_is_silent_does_not_hold_up_a_batch() {
    let collector = ModelServer::always(script::hang());
    let (batch, ended) = run_batch(3, &collector.origin());
    assert!(ended.stderr.contains("note: 7 of 7 spans were not sent: "), "{}", ended.stderr);
    assert_eq!(batch.lines().len(), 3);
}

#[test]
fn a_collector_receives_the_spans_of_a_run() {
    let tools = ModelServer::always(script::whole(200, &[], "fine"));
    let collector = ModelServer::always(accept());
    let crew = in_trace(Crew::new(every_kind(&tools))).envs(&[
        (ENDPOINT, &collector.origin()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20otlp-k3y-1234"),
        ("OTEL_SERVICE_NAME", "nightly"),
    ]);
    let ended = crew.run();
    let report = ended.report(0);
    assert!(!ended.stderr.contains("note:"), "{}", ended.stderr);
    let request = collector.requests()[0].clone();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/traces"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), Some("Bearer otlp-k3y-1234"));
    let resource = &request.body["resourceSpans"][0]["resource"];
    assert_eq!(attribute(resource, "service.name"), "nightly");

    let spans = spans(&collector);
    // The run, two agents, two model calls, four tool calls and a check.
    assert_eq!(spans.len(), 10, "{spans:#?}");
    let ids: HashSet<&str> = spans.iter().map(|span| span["spanId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), spans.len());
    assert!(spans.iter().all(|span| span["traceId"] == TRACE && span["traceState"] == "v=1"));
    let run = spans.iter().find(|span| span["parentSpanId"] == PARENT).unwrap();
    assert_eq!(attribute(run, "gen_ai.operation.name"), "invoke_workflow");
    assert_eq!(attribute(run, "crew.run.id"), &report["run_id"]);
    let agent = named(&spans, "invoke_agent a");
    assert_eq!(agent["parentSpanId"], run["spanId"]);
    assert_eq!(attribute(agent, "gen_ai.request.model"), "offline");
    let tool = named(&spans, "execute_tool t");
    assert_eq!(tool["parentSpanId"], agent["spanId"]);
    assert_eq!(attribute(tool, "process.exit.code"), "0");
    assert_eq!(attribute(named(&spans, "execute_tool h"), "http.response.status_code"), "200");
    // The ids are those that the programs were given.
    for (name, file) in [("execute_tool t", "tool"), ("check", "check"), ("step s", "step")] {
        let found = read(&ended, file);
        let given = span_of(found.split_whitespace().next().unwrap());
        assert_eq!(named(&spans, name)["spanId"], given.as_str(), "{name}");
    }
}

#[test]
fn tokens_instances_and_failures_are_in_their_spans() {
    let model = ModelServer::start(|request: &Request| match request.contents("user")[..] {
        ["b"] => script::error(400, "no"),
        _ => script::text("fine"),
    });
    let collector = ModelServer::always(accept());
    let crew = Crew::new(formatdoc! {"
        limits: {{on_failure: continue}}
        providers: {{mistral: {{base_url: '{}'}}}}
        agents:
          r: {{model: mistral/m, for_each: [a, b], prompt: '{{{{ item }}}}'}}
          never: {{model: offline, needs: [r]}}
    ", model.base_url()});
    let traces = format!("{}/own?x=1", collector.origin());
    let crew = crew.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &traces);
    let ended = crew.run();
    ended.report(1);
    assert_eq!(collector.requests()[0].path, "/own?x=1");
    let spans = spans(&collector);
    assert_eq!(spans.len(), 6, "{spans:#?}");
    let run = named(&spans, "invoke_workflow agents");
    assert_eq!(run["parentSpanId"], Value::Null);
    assert_eq!(run["status"]["code"], 2);
    let (agent, good) = (named(&spans, "invoke_agent r"), named(&spans, "invoke_agent r[a]"));
    assert_eq!(attribute(agent, "gen_ai.usage.input_tokens"), &Value::Null);
    assert_eq!(good["parentSpanId"], agent["spanId"]);
    assert_eq!(attribute(good, "gen_ai.agent.name"), "r");
    assert_eq!(attribute(good, "crew.agent.key"), "a");
    assert_eq!(attribute(good, "gen_ai.provider.name"), "mistral_ai");
    assert_eq!(attribute(good, "gen_ai.usage.input_tokens"), "10");
    assert_eq!(attribute(good, "gen_ai.usage.output_tokens"), "5");
    assert_eq!(
        attribute(good, "gen_ai.response.finish_reasons")["values"][0]["stringValue"],
        "stop"
    );
    assert_eq!(good["status"], json!({}));
    let bad = named(&spans, "invoke_agent r[b]");
    assert_eq!(attribute(bad, "error.type"), "bad_request");
    assert_eq!(bad["status"]["code"], 2);
}

#[test]
fn spans_are_sent_after_ctrl_c_too() {
    let model = ModelServer::always(script::stream().text("so far").stall());
    let collector = ModelServer::always(accept());
    let yaml = "agents:\n  a: {model: openai/m}\n";
    let crew = Crew::new(yaml).envs(&[
        ("OPENAI_BASE_URL", &model.base_url()),
        ("OPENAI_API_KEY", "k-12345678"),
        (ENDPOINT, &collector.origin()),
    ]);
    let running = crew.start();
    model.wait_for("a call", |state| state.open_calls == 1);
    running.signal(Signal::SIGINT);
    assert_eq!(running.wait().json()["exit_code"], 130);
    let spans = spans(&collector);
    assert_eq!(attribute(named(&spans, "invoke_workflow agents"), "error.type"), "interrupted");
    assert_eq!(attribute(named(&spans, "invoke_agent a"), "crew.status"), "cancelled");
    let call = named(&spans, "chat m");
    assert_eq!(attribute(call, "error.type"), "cancelled");
    assert_eq!(call["status"]["code"], 2);
}

/// Start and end of a span in nanoseconds.
fn times(span: &Value) -> (u64, u64) {
    let [start, end] = ["startTimeUnixNano", "endTimeUnixNano"]
        .map(|name| span[name].as_str().unwrap().parse().unwrap());
    (start, end)
}

#[test]
fn every_attempt_of_a_model_call_has_a_span_of_its_own() {
    let model = ModelServer::sequence([
        script::retry_after(503, "0"),
        script::tool_call("t", &json!({})),
        script::text("fine"),
    ]);
    let collector = ModelServer::always(accept());
    let ended = Crew::new(formatdoc! {"
        providers: {{mistral: {{base_url: '{}'}}}}
        tools: {{t: {{description: x, shell: 'echo'}}}}
        agents: {{a: {{model: mistral/m, tools: [t]}}}}
    ", model.base_url()})
    .env(ENDPOINT, &collector.origin())
    .run();
    let report = ended.report(0);
    let spans = spans(&collector);
    let agent = named(&spans, "invoke_agent a");
    let calls: Vec<&Value> = spans.iter().filter(|span| span["name"] == "chat m").collect();
    assert_eq!((calls.len(), spans.len()), (3, 6), "{spans:#?}");
    let (mut earliest, agent_end) = times(agent);
    for (call, (turn, error, tokens, finish)) in calls.iter().zip([
        ("1", json!("overloaded"), "0", Value::Null),
        ("1", Value::Null, "10", json!("tool_calls")),
        ("2", Value::Null, "10", json!("stop")),
    ]) {
        assert_eq!((&call["parentSpanId"], &call["kind"]), (&agent["spanId"], &json!(3)));
        assert_eq!(attribute(call, "gen_ai.operation.name"), "chat");
        assert_eq!(attribute(call, "gen_ai.provider.name"), "mistral_ai");
        assert_eq!(attribute(call, "gen_ai.request.model"), "m");
        assert_eq!(attribute(call, "server.address"), "127.0.0.1");
        assert_eq!(attribute(call, "server.port"), &json!(model.address().port().to_string()));
        assert_eq!(attribute(call, "crew.turn"), turn);
        assert_eq!(attribute(call, "error.type"), &error);
        assert_eq!(attribute(call, "gen_ai.usage.input_tokens"), tokens);
        let reasons = attribute(call, "gen_ai.response.finish_reasons");
        assert_eq!(reasons["values"][0]["stringValue"], finish);
        let (start, end) = times(call);
        assert!(earliest <= start && start <= end && end <= agent_end, "{spans:#?}");
        earliest = end;
    }
    let reported = &report["agents"]["a"]["model_calls"];
    assert_eq!(reported[0]["status"], "failed");
    assert!(reported[0]["error"]["message"].as_str().unwrap().contains("HTTP 503"), "{reported}");
    assert_eq!((&reported[1]["model"], &reported[1]["turn"]), (&json!("mistral/m"), &json!(1)));
}

#[test]
fn of_many_model_calls_the_first_and_the_last_are_reported() {
    let collector = ModelServer::always(accept());
    let ended = Crew::new("agents: {a: {model: offline, retries: 100}}\n")
        .args(&["--offline", "--fault", "a=500:100"])
        .env(ENDPOINT, &collector.origin())
        .run();
    let report = ended.report(0);
    let agent = &report["agents"]["a"];
    assert_eq!(agent["usage"]["model_calls"], 101);
    assert_eq!(agent["model_calls_omitted"], 1);
    let calls = agent["model_calls"].as_array().unwrap();
    assert_eq!(calls.len(), 100);
    assert_eq!(calls[0]["error"]["kind"], "overloaded");
    assert_eq!(calls[99]["status"], "succeeded");
    let spans = spans(&collector);
    assert_eq!(spans.iter().filter(|span| span["name"] == "chat offline").count(), 100);
    assert_eq!(attribute(named(&spans, "invoke_agent a"), "crew.model_calls_omitted"), "1");
}

const OFFLINE: &str = "agents:\n  a: {model: offline}\n";

#[test]
fn a_collector_that_does_not_accept_costs_a_note() {
    let rejecting = ModelServer::always(script::whole(401, &[], "the key is wrong"));
    let stalling = ModelServer::always(Script::default().stall());
    let (rejected, stalled) = (rejecting.origin(), stalling.origin());
    for (name, endpoint, expected) in [
        (ENDPOINT, rejected.as_str(), "responded with HTTP 401"),
        (ENDPOINT, "http://127.0.0.1:1", "cannot send to 127.0.0.1:1: connection refused"),
        (ENDPOINT, "localhost:4317", "is not an http or https URL"),
        (ENDPOINT, stalled.as_str(), "did not respond within 2s"),
    ] {
        let ended = Crew::new(OFFLINE).env(name, endpoint).run();
        assert_eq!(ended.report(0)["status"], "succeeded");
        let note =
            ended.stderr.lines().find(|line| line.starts_with("note: the spans were not sent"));
        assert!(note.is_some_and(|note| note.contains(expected)), "{}", ended.stderr);
        assert!(ended.took < Duration::from_secs(10), "{:?}", ended.took);
        let quiet = Crew::new(OFFLINE).args(&["-q"]).env(name, "http://127.0.0.1:1").run();
        assert_eq!(quiet.stderr, "");
    }
}

#[test]
fn the_collectors_headers_are_in_no_output() {
    let yaml = "agents:\n  s: {shell: 'echo $K', env: {K: '{{ input }}'}}\n";
    let crew = Crew::new(yaml).args(&["-i", "the key otlp-k3y-1234"]).envs(&[
        (ENDPOINT, "http://user:passw0rd-1@127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=otlp-k3y-1234"),
    ]);
    let ended = crew.run_as_is();
    assert_eq!(ended.report(0)["agents"]["s"]["output"], "the key [redacted]\n");
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!text.contains("otlp-k3y") && !text.contains("passw0rd"), "{text}");
    }
}
