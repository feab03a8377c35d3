//! Many agents on one endpoint: concurrency, rejections, and what other calls learn from them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::crew::Crew;
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::{self, Script, delayed};
use indoc::indoc;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A second provider with the address and key of the first.
const PROVIDERS: &str = indoc! {"
    providers:
      mock: {api: openai, base_url: '${URL}', api_key_env: MOCK_KEY}
      twin: {api: openai, base_url: '${URL}', api_key_env: MOCK_KEY}
"};

fn crew(server: &ModelServer, yaml: &str) -> Crew {
    let crew = Crew::new(format!("{PROVIDERS}{yaml}"));
    crew.env("URL", &server.base_url()).env("MOCK_KEY", "sk-mock")
}

fn agents(count: usize, agent: &str) -> String {
    let agent = |n| format!("  a{n}: {{{agent}}}\n");
    format!("agents:\n{}", (0..count).map(agent).collect::<String>())
}

/// A server that accepts `limit` concurrent calls.
fn narrow(limit: usize, refusal: Script, answer: Script) -> ModelServer {
    ModelServer::start(
        move |request: &Request| {
            if request.open_calls > limit { refusal.clone() } else { answer.clone() }
        },
    )
}

fn all(report: &Value, key: &str) -> Vec<Value> {
    report["agents"].as_object().unwrap().values().map(|agent| agent[key].clone()).collect()
}

#[test]
fn two_hundred_agents_share_a_server_that_accepts_twenty_calls() {
    for (name, refusal, pause) in [
        ("plain", script::error(429, "too many"), 600),
        ("asks to wait", script::retry_after(429, "1"), 300),
        ("overloaded", script::retry_after(529, "0.3"), 300),
    ] {
        let answer = delayed(Duration::from_millis(pause), script::text("x"));
        let server = narrow(20, refusal, answer);
        let ended = crew(&server, &agents(200, "model: mock/m")).run();
        let report = ended.report(0);
        let calls = server.requests().len();
        assert!(calls <= 220, "{name}: {calls} calls for 200 answers");
        assert_eq!(report["usage"]["model_calls"], calls, "{name}");
        let waited = all(&report, "queued_ms").iter().filter(|ms| ms.as_u64() > Some(1000)).count();
        assert!(waited > 10, "{name}");
        let note = "model calls were queued for up to";
        assert!(ended.stderr.contains(note), "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains(": queued ("), "{}", ended.stderr);
    }
}

#[test]
fn one_rejection_pauses_all_calls_of_the_model() {
    let refused = AtomicBool::new(false);
    let server = ModelServer::start(move |_| {
        if refused.swap(true, Ordering::Relaxed) {
            script::text("x")
        } else {
            script::retry_after(429, "1")
        }
    });
    let yaml = indoc! {"
        tools:
          wait: {description: x, shell: sleep 0.3}
        agents:
          a: {model: mock/m}
          b: {model: offline, tools: [wait]}
          c: {model: twin/m, needs: [b]}
    "};
    crew(&server, yaml).run().report(0);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    for later in &requests[1..] {
        assert!(later.arrived - requests[0].arrived >= Duration::from_secs(1));
    }
}

#[test]
fn a_reset_header_says_how_long_to_wait() {
    let headers = [
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ];
    let server = ModelServer::sequence([script::whole(429, &headers, ""), script::text("x")]);
    crew(&server, &agents(1, "model: mock/m")).run().report(0);
    let requests = server.requests();
    let waited = requests[1].arrived - requests[0].arrived;
    assert!((1..30).contains(&waited.as_secs()), "{waited:?}");
}

#[test]
fn constant_rejection_exhausts_the_retries() {
    let server = ModelServer::always(script::retry_after(429, "0"));
    let report = crew(&server, &agents(1, "model: mock/m, retries: 2")).run().report(1);
    assert_eq!(report["agents"]["a0"]["error"]["kind"], "rate_limited");
    assert_eq!((server.requests().len(), &report["agents"]["a0"]["retries"]), (3, &2.into()));
}

#[test]
fn a_rejected_key_is_not_used_again() {
    for (name, refusal, kind) in [
        ("401", script::error(401, "bad key"), "auth"),
        ("403", script::error(403, "not for you"), "auth"),
        ("402", script::error(402, "no credit"), "rate_limited"),
        (
            "spend limit",
            script::error(400, "You have reached your specified API usage limits."),
            "rate_limited",
        ),
        (
            "quota",
            script::json_body(
                429,
                &json!({"error": {"message": "no", "code": "insufficient_quota"}}),
            ),
            "rate_limited",
        ),
    ] {
        let server = ModelServer::always(delayed(Duration::from_millis(100), refusal));
        let yaml = "limits: {on_failure: continue, max_parallel: 5}\n".to_owned()
            + &agents(30, "model: mock/m")
            + "  twin: {model: twin/other}\n";
        let ended = crew(&server, &yaml).run();
        let report = ended.report(1);
        // The 402 and the 403 may be about the model, so the other one is asked as well.
        let most = if matches!(name, "402" | "403") { 6 } else { 5 };
        assert!(server.requests().len() <= most, "{name}: {}", server.requests().len());
        let errors = all(&report, "error");
        assert!(errors.iter().all(|error| error["kind"] == kind), "{name}: {errors:#?}");
        if most > 5 {
            continue;
        }
        let message = report["agents"]["twin"]["error"]["message"].as_str().unwrap();
        assert!(message.contains("skipped: an earlier call failed with mock: HTTP"), "{message}");
        assert_eq!(report["agents"]["twin"]["usage"]["model_calls"], 0, "{name}");
    }
}

#[test]
fn an_unavailable_model_does_not_affect_others() {
    let used_up = json!({"error": {"code": 429, "message": "no more today", "details": [
        {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]}});
    for refusal in [script::error(404, "no such model"), script::json_body(429, &used_up)] {
        let server = ModelServer::start(move |request| match request.model() {
            "gone" => refusal.clone(),
            _ => script::text("x"),
        });
        let yaml = indoc! {"
            limits: {on_failure: continue, max_parallel: 1}
            agents:
              a: {model: mock/gone}
              b: {model: mock/gone}
              c: {model: [mock/gone, mock/there]}
        "};
        let report = crew(&server, yaml).run().report(1);
        assert_eq!(server.requests().len(), 2);
        assert_eq!(report["agents"]["c"]["output"], "x");
        let message = report["agents"]["b"]["error"]["message"].as_str().unwrap();
        assert!(message.contains("skipped: an earlier call failed with mock: HTTP 4"), "{message}");
    }
}

#[test]
fn queueing_counts_against_the_agents_timeout() {
    let server = ModelServer::always(script::hang());
    let yaml = indoc! {"
        limits: {on_failure: continue}
        providers:
          mock: {api: openai, base_url: '${URL}', max_concurrency: 1}
        agents:
          a: {model: mock/m, timeout: 2s}
          b: {model: mock/m, timeout: 1s}
    "};
    let report = Crew::new(yaml).env("URL", &server.base_url()).run().report(1);
    for (agent, calls) in [("a", 1), ("b", 0)] {
        assert_eq!(report["agents"][agent]["error"]["scope"], "agent");
        assert_eq!(report["agents"][agent]["usage"]["model_calls"], calls);
    }
    assert!(report["agents"]["b"]["queued_ms"].as_u64().unwrap() >= 900);
}

#[test]
fn queued_calls_stop_at_once() {
    let server = ModelServer::always(script::retry_after(429, "60"));
    let running = crew(&server, &agents(50, "model: mock/m, timeout: 1h")).start();
    running.wait_for_stderr("queued (the server asked to wait)");
    running.signal(Signal::SIGINT);
    let asked = Instant::now();
    let report = running.wait().json();
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(report["agents"]["a49"]["status"], "cancelled");
}

#[test]
fn a_long_tool_does_not_block_other_calls() {
    let server = ModelServer::start(|request| match request.has_tool_results() {
        false if request.model() == "tools" => script::tool_call("wait", &json!({})),
        _ => script::text("x"),
    });
    let yaml = indoc! {r#"
        providers:
          mock: {api: openai, base_url: '${URL}', max_concurrency: 1}
        tools:
          wait: {description: x, shell: 'until test -e "$DIR/answered"; do sleep 0.01; done'}
          tell: {description: x, shell: 'touch "$DIR/answered"'}
        agents:
          a: {model: mock/tools, tools: [wait]}
          b: {model: mock/m}
          c: {model: offline, needs: [b], tools: [tell]}
    "#};
    let yaml = yaml.replace("shell: '", "env: [DIR], shell: '");
    Crew::new(&yaml).env("URL", &server.base_url()).run().report(0);
    assert_eq!(server.state().peak_calls, 1);
}

#[test]
fn queueing_does_not_count_as_idle_time() {
    let pause = Duration::from_millis(200);
    let server = ModelServer::always(delayed(pause, script::text("x")));
    let yaml = "providers:\n  mock: {api: openai, base_url: '${URL}', max_concurrency: 2}\n"
        .to_owned()
        + &agents(10, "model: mock/m, idle_timeout: 600ms");
    Crew::new(&yaml).env("URL", &server.base_url()).run().report(0);
    assert_eq!(server.state().peak_calls, 2);
}

#[test]
fn a_built_in_provider_accepts_limits_only() {
    let server = ModelServer::always(script::text("x"));
    let yaml = "providers:\n  openai: {requests_per_minute: 2, tokens_per_minute: 1000000}\n"
        .to_owned()
        + "limits: {timeout: 1500ms, on_failure: continue}\n"
        + &agents(3, "model: openai/m");
    let crew = Crew::new(&yaml).env("OPENAI_BASE_URL", &server.base_url());
    let report = crew.env("OPENAI_API_KEY", "sk-test").run().report(124);
    assert_eq!((server.requests().len(), &report["usage"]["model_calls"]), (2, &2.into()));
}
