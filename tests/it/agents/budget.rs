//! Budgets of runs and agents, and their cost.

use std::time::Duration;

use crate::support::crew::Crew;
use crate::support::faults;
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::{self, delayed, stream};
use indoc::{formatdoc, indoc};
use serde_json::{Value, json};

fn crew(server: &ModelServer, yaml: &str) -> Crew {
    let provider = indoc! {"
        providers:
          mock: {api: openai, base_url: '${URL}'}
        tools:
          t: {description: x, command: [echo, hi]}
    "};
    Crew::new(format!("{provider}{yaml}")).env("URL", &server.base_url())
}

fn agents(count: usize, agent: &str) -> String {
    let agent = |n| format!("  a{n}: {{{agent}}}\n");
    format!("agents:\n{}", (0..count).map(agent).collect::<String>())
}

/// The number of agents with this value.
fn with(report: &Value, pointer: &str, value: &str) -> usize {
    let agents = report["agents"].as_object().unwrap().values();
    agents.filter(|agent| agent.pointer(pointer) == Some(&value.into())).count()
}

#[test]
fn a_run_stays_within_max_model_calls() {
    let server = ModelServer::always(delayed(Duration::from_millis(50), script::text("x")));
    let yaml = "limits: {max_model_calls: 3, on_failure: continue}\n".to_owned()
        + &agents(10, "model: mock/m");
    let ended = crew(&server, &yaml).run();
    let report = ended.report(1);
    assert_eq!(server.requests().len(), 3);
    assert_eq!(with(&report, "/status", "succeeded"), 3);
    assert_eq!(with(&report, "/error/kind", "budget"), 7);
    assert!(ended.stderr.contains("budget: limits.max_model_calls is used up: 3 of 3"));
}

#[test]
fn an_exhausted_budget_ends_the_run_according_to_on_failure() {
    let server = ModelServer::start(|request: &Request| match request.model() {
        "slow" => stream().text("so far").stall(),
        _ if request.has_tool_results() => script::text("too late"),
        // The other call has started by then.
        _ => delayed(Duration::from_millis(300), script::tool_call("t", &json!({}))),
    });
    let yaml = indoc! {"
        limits: {max_model_calls: 2}
        agents:
          slow: {model: mock/slow}
          a: {model: mock/m, tools: [t]}
    "};
    let report = crew(&server, yaml).run().report(1);
    assert_eq!(report["reason"], json!({"kind": "agent_failed", "agent": "a"}));
    assert_eq!(report["agents"]["a"]["error"]["kind"], "budget");
    assert_eq!(report["agents"]["a"]["tool_calls"][0]["status"], "succeeded");
    let slow = &report["agents"]["slow"];
    assert_eq!((&slow["status"], &slow["output"]), (&"cancelled".into(), &"so far".into()));
}

#[test]
fn concurrent_agents_exceed_the_budget_by_at_most_one_call() {
    let answer = stream().text("x").finish("stop").usage(100, 100).done();
    let server = ModelServer::always(delayed(Duration::from_millis(20), answer));
    let yaml = "limits: {max_tokens: 500, on_failure: continue}\n".to_owned()
        + &agents(20, "model: mock/m");
    let report = crew(&server, &yaml).run().report(1);
    assert_eq!(server.requests().len(), 3);
    let usage = &report["usage"];
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&300.into(), &300.into()));
    assert_eq!(with(&report, "/error/kind", "budget"), 17);
}

#[test]
fn concurrent_agents_share_the_remaining_budget() {
    let server = ModelServer::always(delayed(Duration::from_millis(300), script::text("x")));
    let yaml = "limits: {max_tokens: 2000}\ndefaults: {max_output_tokens: 50}\n".to_owned()
        + &agents(10, "model: mock/m");
    crew(&server, &yaml).run().report(0);
    assert_eq!(server.state().peak_calls, 10);
}

#[test]
fn estimates_are_kept_per_model() {
    let long = stream().text("x").finish("stop").usage(10, 60_000).done();
    let short = delayed(Duration::from_millis(300), script::text("x"));
    let server = ModelServer::start(move |request: &Request| match request.model() {
        "long" => long.clone(),
        _ => short.clone(),
    });
    let yaml = "limits: {max_tokens: 200000}\n".to_owned()
        + &agents(10, "model: mock/m, needs: [first]")
        + "  first: {model: mock/long}\n";
    crew(&server, &yaml).run().report(0);
    assert_eq!(server.state().peak_calls, 10);
}

#[test]
fn concurrent_long_answers_stay_within_the_budget() {
    // No limit is known for an answer, and each one is longer than the estimate.
    let answer = stream().text("x").finish("stop").usage(10, 2000).done();
    let server = ModelServer::always(delayed(Duration::from_millis(1200), answer));
    let yaml = "limits: {max_tokens: 10000, on_failure: continue}\n".to_owned()
        + &agents(10, "model: mock/m")
        + "  short: {model: mock/m, max_output_tokens: 10, needs: [a0]}\n";
    let ended = crew(&server, &yaml).run();
    let report = ended.report(1);
    // 2010 tokens each: the fifth call exceeds the limit.
    assert_eq!(server.requests().len(), 5, "{:#}", report["usage"]);
    assert_eq!(with(&report, "/status", "succeeded"), 5);
    let waits = "queued (calls under way may use up the budget)";
    assert!(ended.stderr.contains(waits), "{}", ended.stderr);
    let waited = report["agents"].as_object().unwrap().values();
    assert!(waited.filter(|agent| agent["queued_ms"].as_u64() > Some(1000)).count() > 5);
    // A call that was not made does not count as a turn.
    let agents = report["agents"].as_object().unwrap().values();
    assert!(agents.clone().all(|agent| agent["turns"] == agent["usage"]["model_calls"]));
}

#[test]
fn tokens_are_estimated_if_the_server_reports_none() {
    let server = ModelServer::always(stream().text(&"word ".repeat(400)).finish("stop").done());
    let yaml = "limits: {max_tokens: 900, on_failure: continue}\n".to_owned()
        + &agents(5, "model: mock/m");
    crew(&server, &yaml).run().report(1);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn cost_is_computed_from_prices_and_limited() {
    let server = ModelServer::always(script::text("x"));
    let limits = indoc! {"
        prices:
          mock/cheap*: {input: 1, output: 2}
          '*': {input: 100, output: 200}
        limits: {max_cost: 0.00003, on_failure: continue}
    "};
    let yaml = limits.to_owned() + &agents(5, "model: mock/cheap-one");
    let ended = crew(&server, &yaml).run();
    let report = ended.report(1);
    // 10 tokens of input and 5 of output: 0.00002 per call.
    assert_eq!(server.requests().len(), 2);
    assert!((report["usage"]["cost"].as_f64().unwrap() - 0.00004).abs() < 1e-9, "{report:#}");
    assert!(ended.stderr.contains(", cost < 0.0001"), "{}", ended.stderr);
    assert!(ended.stderr.contains("limits.max_cost is used up: 0.000040 of 0.00003"));
}

#[test]
fn cached_input_has_its_own_price() {
    let usage = json!({"prompt_tokens": 1_000_000, "completion_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": 400_000}});
    let answer = stream().text("x").finish("stop").event(&json!({"choices": [], "usage": usage}));
    let server = ModelServer::always(answer.done());
    for (price, cost) in
        [("{input: 10, output: 1}", 10.0), ("{input: 10, output: 1, cached_input: 1}", 6.4)]
    {
        let yaml = format!("prices: {{mock/m: {price}}}\nagents: {{a: {{model: mock/m}}}}\n");
        let ended = crew(&server, &yaml).run();
        let report = ended.report(0);
        assert_eq!(report["agents"]["a"]["usage"]["cost"], cost);
        assert_eq!(report["usage"]["cached_input_tokens"], 400_000);
        assert!(ended.stderr.contains(&format!(", cost {cost:.4}")), "{}", ended.stderr);
    }
}

#[test]
fn huge_token_counts_do_not_overflow() {
    for tokens in [json!(u64::MAX), json!(1e300), json!("18446744073709551615")] {
        let server = ModelServer::start(move |request: &Request| {
            let usage = json!({"prompt_tokens": tokens, "completion_tokens": tokens});
            let call = json!({"id": "1", "function": {"name": "t", "arguments": "{}"}});
            let answer = match request.has_tool_results() {
                false => stream().call(call).finish("tool_calls"),
                true => stream().text("done").finish("stop"),
            };
            answer.event(&json!({"choices": [], "usage": usage})).done()
        });
        let yaml = "prices: {mock/m: {input: 1, output: 2}}\n".to_owned()
            + &agents(3, "model: mock/m, tools: [t]");
        let report = crew(&server, &yaml).run().report(0);
        assert_eq!(report["usage"]["model_calls"], 6);
        assert_eq!(report["usage"]["input_tokens"], 6_u64 << 40);
    }
}

/// `cost`, `partial_cost` and `unpriced_calls` of a usage.
fn costs(usage: &Value) -> [Option<f64>; 3] {
    ["cost", "partial_cost", "unpriced_calls"].map(|key| usage.get(key).and_then(Value::as_f64))
}

#[test]
fn a_cost_that_is_known_in_part_says_how_many_calls_it_lacks() {
    let server = ModelServer::start(|request: &Request| match request.model() {
        "uncounted" => stream().text("x").finish("stop").done(),
        "broken" => script::error(400, "no"),
        _ => stream().text("x").finish("stop").usage(1_000_000, 500_000).done(),
    });
    let yaml = indoc! {"
        prices: {mock/m: {input: 1, output: 2}, mock/uncounted: {input: 1, output: 2}}
        agents:
          priced: {model: mock/m}
          other: {model: mock/other}
          free: {model: offline}
          uncounted: {model: mock/uncounted}
          listed: {model: [mock/broken, mock/m]}
    "};
    let ended = crew(&server, yaml).run();
    let report = ended.report(0);
    for (agent, expected) in [
        ("priced", [Some(2.0), None, None]),
        ("other", [None, None, Some(1.0)]),
        ("free", [Some(0.0), None, None]),
        ("uncounted", [None, None, Some(1.0)]),
        ("listed", [None, Some(2.0), Some(1.0)]),
    ] {
        assert_eq!(costs(&report["agents"][agent]["usage"]), expected, "{agent}");
    }
    assert_eq!(costs(&report["usage"]), [None, Some(4.0), Some(3.0)]);
    assert!(ended.stderr.contains(", cost 4.0000 and 3 unpriced calls"), "{}", ended.stderr);

    // Without prices nothing is known of the cost.
    let ended = crew(&server, "agents: {a: {model: mock/m}}\n").run();
    assert_eq!(costs(&ended.report(0)["usage"]), [None, None, Some(1.0)]);
    assert!(!ended.stderr.contains("cost"), "{}", ended.stderr);
}

#[test]
fn an_agent_has_limits_of_its_own() {
    let server = ModelServer::start(|request: &Request| match request.has_tool_results() {
        false => script::tool_call("t", &json!({})),
        true => script::text("done"),
    });
    let yaml = indoc! {"
        limits: {on_failure: continue}
        defaults: {model: [mock/m, mock/n], limits: {max_model_calls: 1}}
        agents:
          a: {tools: [t]}
          b: {tools: [t], limits: {max_model_calls: 2}}
          c: {tools: [t], limits: {max_model_calls: 2, max_tokens: 12}}
    "};
    let report = crew(&server, yaml).run().report(1);
    for (agent, message) in
        [("a", "max_model_calls is used up: 1 of 1"), ("c", "max_tokens is used up: 15 of 12")]
    {
        let error = &report["agents"][agent]["error"];
        assert_eq!(error["message"], format!("the agent's limits.{message}"));
        // A fallback to another model does not help.
        assert_eq!(report["agents"][agent].get("fallbacks"), None);
    }
    assert_eq!(report["agents"]["b"]["output"], "done");
}

#[test]
fn tool_calls_beyond_the_limit_are_not_run() {
    let server = ModelServer::start(|request: &Request| match request.contents("tool").len() {
        0 => script::tool_calls(&[("t", &json!({})), ("t", &json!({}))]),
        _ => script::tool_call("t", &json!({})),
    });
    for limits in ["limits: {max_tool_calls: 2}\n", "defaults: {limits: {max_tool_calls: 2}}\n"] {
        let yaml = limits.to_owned() + &agents(1, "model: mock/m, tools: [t]");
        let report = crew(&server, &yaml).run().report(1);
        let agent = &report["agents"]["a0"];
        assert_eq!(agent["tool_calls"].as_array().unwrap().len(), 2);
        assert_eq!(agent["error"]["kind"], "budget");
        let message = agent["error"]["message"].as_str().unwrap();
        assert!(message.contains("limits.max_tool_calls is used up: 2 of 2"), "{message}");
    }
}

#[test]
fn faults_of_limits_and_prices() {
    faults::expect(
        indoc! {"
            limits: {max_tokens: 0, max_cost: -1, max_model_calls: x}
            prices: {a/b: {input: 1}, c/d: {input: -1, output: 2, cached: 3}}
            agents: {a: {model: offline, limits: {max_tool_call: 3}}}
        "},
        &[],
        &[],
        &[
            "limits.max_tokens 1:22 .. from 1 to",
            "limits.max_cost 1:35 .. above 0",
            "limits.max_model_calls 1:56 .. expected a whole number",
            "prices[\"a/b\"] 2:10 .. is incomplete",
            "prices[\"c/d\"].input 2:40 .. 0 or more",
            "prices[\"c/d\"].cached 2:55 .. did you mean \"cached_input\"?",
            "agents.a.limits.max_tool_call 3:39 .. did you mean \"max_tool_calls\"?",
        ],
    );
    let models = "agents: {a: {model: [ollama/x, ollama/y]}, b: {model: offline}}\n";
    let yaml = formatdoc! {"
        prices: {{ollama/x: {{input: 0, output: 0}}}}
        limits: {{max_cost: 1}}
        {models}"};
    faults::expect(
        &yaml,
        &[],
        &[],
        &["limits.max_cost 2:20 .. needs a price for \"ollama/y\" .. prices: {ollama/y"],
    );
    faults::expect_good(&yaml, &["-a", "b"], &[]);
    faults::expect_good(&yaml, &["--offline"], &[]);
    let yaml = "agents: {a: {model: ollama/x, limits: {max_cost: 1}}}\n";
    faults::expect(yaml, &[], &[], &["agents.a 1:10 .. needs a price for \"ollama/x\""]);
}

#[test]
fn check_shows_limits_and_prices() {
    let shown = |yaml: &str| Crew::check(yaml).run_as_is().stdout;
    let text = shown(indoc! {"
        limits: {max_tokens: 5000, max_model_calls: 1}
        providers: {ollama: {max_concurrency: 2, requests_per_minute: 60}}
        prices: {ollama/x: {input: 1.5, output: 2}}
        defaults: {model: ollama/x, limits: {max_tool_calls: 3}}
        agents:
          a: {limits: {max_cost: 0.5}}
          b: {}
          c: {model: [offline, ollama/x]}
    "});
    assert!(text.contains("at most 5000 tokens, 1 model call\n"), "{text}");
    assert!(text.contains("\n        agent a: at most cost 0.5, 3 tool calls\n"), "{text}");
    assert!(text.contains("\n        each of b, c: at most 3 tool calls\n"), "{text}");
    assert!(
        text.contains("ollama: at most 2 concurrent calls, 60 requests per minute\n"),
        "{text}"
    );
    let price = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("ollama/x  ")).unwrap().to_owned();
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(price(&text), ["1.5", "1.5", "2"], "{text}");
    // A pattern without a match shows.
    let text = shown(indoc! {"
        prices: {ollama/y: {input: 1.5, output: 2}}
        defaults: {limits: {max_tokens: 7}}
        agents: {a: {model: ollama/x}, b: {model: ollama/x}}
    "});
    assert_eq!(price(&text), ["unknown"], "{text}");
    assert!(text.contains("\n        each agent: at most 7 tokens\n"), "{text}");
}

#[test]
fn the_example_of_the_docs_works() {
    let page = include_str!("../../../docs/budgets.md");
    let mut blocks = page.split("```yaml\n").filter_map(|block| block.split("```").next());
    let yaml = blocks.find(|block| block.contains("\nprices:")).unwrap();
    let server = ModelServer::always(stream().text("x").finish("stop").usage(30, 20).done());
    let env = [("OPENAI_API_KEY", "sk-0123456789"), ("OPENAI_BASE_URL", &server.base_url())];
    let usage = &Crew::new(yaml).envs(&env).run().report(0)["agents"]["disk"]["usage"];
    assert!((usage["cost"].as_f64().unwrap() - (30.0 * 0.15 + 20.0 * 0.6) / 1e6).abs() < 1e-12);
    let text = Crew::check(yaml).envs(&env).run_as_is().stdout;
    for line in [
        "at most 200000 tokens, cost 0.5, 100 model calls, 50 tool calls",
        "each agent: at most 20000 tokens",
    ] {
        assert!(text.lines().any(|shown| shown.trim() == line), "{text}");
    }
    for price in
        [["openai/gpt-4o-mini", "0.15", "0.075", "0.6"], ["ollama/llama3.1:8b", "0", "0", "0"]]
    {
        assert!(text.lines().any(|row| row.split_whitespace().eq(price)), "{text}");
    }
}
