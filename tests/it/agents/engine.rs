//! Concurrent agents: needs, limits, and the effects of a failure on other agents.

use std::time::Duration;

use crate::support::crew::{Crew, Ended};
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::{self, Script};
use indoc::{formatdoc, indoc};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A crew of these agents; each agent's model has its name.
fn crew(server: &ModelServer, limits: &str, agents: &str) -> Crew {
    let yaml = formatdoc! {"
        limits: {{{limits}}}
        providers:
          mock: {{api: openai, base_url: '${{URL}}'}}
        agents:
        {agents}
    "};
    Crew::new(&yaml).env("URL", &server.base_url())
}

fn agent(name: &str, more: &str) -> String {
    format!("  {name}: {{model: mock/{name}{more}}}\n")
}

/// Each model answers with its name; those called `bad…` reject the call.
fn by_name(request: &Request) -> Script {
    let name = request.model();
    if name.starts_with("bad") { script::error(400, "no such luck") } else { script::text(name) }
}

fn statuses(report: &Value) -> Vec<(&str, &str)> {
    let agents = report["agents"].as_object().unwrap();
    agents.iter().map(|(name, agent)| (&**name, agent["status"].as_str().unwrap())).collect()
}

#[test]
fn the_report_lists_agents_in_file_order_with_their_tokens() {
    let server = ModelServer::start(by_name);
    let report = crew(&server, "", &(agent("z", "") + &agent("a", "") + &agent("m", "")));
    let report = report.run().report(0);
    let expected = [("z", "succeeded"), ("a", "succeeded"), ("m", "succeeded")];
    assert_eq!(statuses(&report), expected);
    assert_eq!(report["status"], "succeeded");
    assert_eq!(report["usage"]["input_tokens"], 30);
    assert_eq!(report["usage"]["output_tokens"], 15);
    assert_eq!(report["usage"]["model_calls"], 3);
    assert_eq!(report["agents"]["z"]["output"], "z");
    assert_eq!(report["agents"]["z"]["model"], "mock/z");
    assert_eq!(report["agents"]["z"]["finish_reason"], "stop");
    assert_eq!(report["input"], "go");
    assert!(report["started_at"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn outputs_pass_through_a_diamond_of_needs() {
    let server = ModelServer::start(by_name);
    let prompt = ", needs: [left, right], \
                  prompt: '{{ agents.left.output }}+{{ agents.right.output }} for {{ input }}'";
    let agents = agent("end", prompt)
        + &agent("left", ", needs: [top]")
        + &agent("right", ", needs: [top]")
        + &agent("top", "");
    crew(&server, "", &agents).run().report(0);
    let requests = server.requests();
    let order: Vec<&str> = requests.iter().map(Request::model).collect();
    assert_eq!((order[0], order[3]), ("top", "end"), "{order:?}");
    assert_eq!(requests[3].contents("user"), ["left+right for go"]);
}

#[test]
fn agent_output_is_never_a_template() {
    let server = ModelServer::start(|request| match request.model() {
        "first" => script::text("{{ vars.secret }} {% for x in range(9) %}"),
        _ => script::text("done"),
    });
    let agents = agent("first", "")
        + &agent("second", ", needs: [first], prompt: 'It said: {{ agents.first.output }}'");
    crew(&server, "", &agents).run().report(0);
    let said = "It said: {{ vars.secret }} {% for x in range(9) %}";
    assert_eq!(server.requests()[1].contents("user"), [said]);
}

#[test]
fn the_first_failure_stops_the_others() {
    let server = ModelServer::start(|request| match request.model() {
        "slow" => script::stream().text("so far").stall(),
        "bad" => script::delayed(Duration::from_millis(50), script::error(400, "no such luck")),
        name => script::text(name),
    });
    let agents = agent("slow", "")
        + &agent("bad", "")
        + &agent("after_bad", ", needs: [bad]")
        + &agent("after_slow", ", needs: [slow]")
        + &agent("quick", "");
    let report = crew(&server, "", &agents).run().report(1);
    let expected = [
        ("slow", "cancelled"),
        ("bad", "failed"),
        ("after_bad", "skipped"),
        ("after_slow", "cancelled"),
        ("quick", "succeeded"),
    ];
    assert_eq!(statuses(&report), expected);
    assert_eq!(report["status"], "failed");
    assert_eq!(report["reason"], json!({"kind": "agent_failed", "agent": "bad"}));
    let agents = &report["agents"];
    assert_eq!(agents["slow"]["output"], "so far");
    assert_eq!(agents["slow"]["partial"], true);
    assert_eq!(agents["slow"]["reason"], report["reason"]);
    assert_eq!(agents["after_slow"]["started_ms"], Value::Null);
    assert_eq!(agents["bad"]["error"]["kind"], "bad_request");
    assert!(agents["bad"]["error"]["message"].as_str().unwrap().contains("no such luck"));
    assert_eq!(report["cleanup"]["model_calls_cancelled"], 1);
    server.wait_for("the open call to be hung up", |state| state.open_calls == 0);
}

#[test]
fn other_agents_continue_if_allowed() {
    let server = ModelServer::start(by_name);
    let agents = agent("bad", "")
        + &agent("b", ", needs: [bad]")
        + &agent("c", ", needs: [b]")
        + &agent("good", "")
        + &agent("d", ", needs: [good]");
    let expected = [
        ("bad", "failed"),
        ("b", "skipped"),
        ("c", "skipped"),
        ("good", "succeeded"),
        ("d", "succeeded"),
    ];
    for (limits, args) in
        [("on_failure: continue", &[][..]), ("", &["--keep-going"]), ("", &["-k"])]
    {
        let report = crew(&server, limits, &agents).args(args).run().report(1);
        assert_eq!(statuses(&report), expected);
        assert_eq!(report["reason"], Value::Null);
        // The root cause, not the last agent of the chain.
        assert_eq!(report["agents"]["c"]["reason"]["agent"], "bad");
    }
}

#[test]
fn max_parallel_limits_concurrent_agents() {
    let server = ModelServer::start(|request| {
        script::delayed(Duration::from_millis(20), script::text(request.model()))
    });
    let agents: String = (0..10).map(|n| agent(&format!("a{n}"), "")).collect();
    crew(&server, "max_parallel: 3", &agents).run().report(0);
    assert_eq!(server.state().peak_calls, 3);
    crew(&server, "max_parallel: 3", &agents).args(&["--max-parallel", "1"]).run().report(0);
}

#[test]
fn an_agent_waiting_for_its_needs_takes_no_slot() {
    let server = ModelServer::start(by_name);
    let agents = agent("last", ", needs: [first]") + &agent("first", "");
    crew(&server, "max_parallel: 1", &agents).run().report(0);
}

#[test]
fn a_selection_runs_its_needs_and_nothing_else() {
    let server = ModelServer::start(by_name);
    let agents = agent("a", "") + &agent("b", ", needs: [a]") + &agent("c", "");
    let report = crew(&server, "", &agents).args(&["-a", "b"]).run().report(0);
    assert_eq!(statuses(&report), [("a", "succeeded"), ("b", "succeeded")]);
}

#[test]
fn endless_tool_calls_end_at_max_turns() {
    let server = ModelServer::always(script::tool_call("t", &json!({})));
    let yaml = indoc! {"
        providers:
          mock: {api: openai, base_url: '${URL}'}
        tools:
          t: {description: x, command: [echo, hi]}
        agents:
          a: {model: mock/m, tools: [t], max_turns: 3}
    "};
    let report = Crew::new(yaml).env("URL", &server.base_url()).run().report(1);
    let agent = &report["agents"]["a"];
    assert_eq!(agent["error"]["kind"], "max_turns");
    assert_eq!(agent["turns"], 3);
    assert_eq!(agent["tool_calls"].as_array().unwrap().len(), 2, "the last ones are not run");
}

#[test]
fn invalid_calls_are_returned_to_the_model() {
    let server = ModelServer::start(|request| match request.has_tool_results() {
        true => script::text("corrected"),
        false => script::tool_calls(&[
            ("t", &json!({"n": "three"})),
            ("\u{1b}[31mno-such", &json!({})),
            ("t", &json!({"n": 3, "extra": 1})),
            ("t", &json!({"n": 3})),
        ]),
    });
    let yaml = indoc! {"
        providers:
          mock: {api: openai, base_url: '${URL}'}
        tools:
          t:
            description: x
            command: [echo, 'n={{ n }} {{ m }}']
            parameters: {n: {type: integer}, m: {type: string, default: d}}
        agents:
          a: {model: mock/m, tools: [t]}
    "};
    let ended: Ended = Crew::new(yaml).env("URL", &server.base_url()).run();
    let report = ended.report(0);
    let calls = report["agents"]["a"]["tool_calls"].as_array().unwrap();
    let statuses: Vec<_> = calls.iter().map(|call| call["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["rejected", "rejected", "rejected", "succeeded"]);
    assert_eq!(calls[3]["output"], "n=3 d\n");
    assert_eq!(calls[3]["arguments"], json!({"n": 3, "m": "d"}));
    assert!(!ended.stderr.contains('\u{1b}'), "{:?}", ended.stderr);
    let requests = server.requests();
    let results = requests[1].contents("tool");
    assert!(results[0].contains("integer"), "{results:?}");
    assert!(results[1].contains("no such tool") && results[1].contains('t'), "{results:?}");
    assert_eq!(results[3], "n=3 d\n");
}

#[test]
fn two_hundred_agents_run_concurrently() {
    let server = ModelServer::start(|request| {
        script::delayed(Duration::from_secs(2), script::text(request.model()))
    });
    let agents: String = (0..200).map(|n| agent(&format!("a{n}"), "")).collect();
    let report = crew(&server, "", &agents).run().report(0);
    assert_eq!(report["usage"]["model_calls"], 200);
    assert_eq!(server.state().peak_calls, 200, "all of them at once");
}

#[test]
fn a_template_that_takes_long_holds_up_neither_other_agents_nor_ctrl_c() {
    // It compares two lists of 2^40 parts. What tries out the file has another input.
    let double = "{% set a = [a, a] %}{% set b = [b, b] %}".repeat(40);
    let slow = format!(
        "{{% if input == 'go' %}}{{% set a = [1] %}}{{% set b = [1] %}}{double}{{{{ a == b }}}}\
         {{% endif %}}"
    );
    let running = Crew::new(formatdoc! {r#"
        limits: {{on_failure: continue, grace: 100ms}}
        agents:
          prompt: {{model: offline, prompt: "{slow}"}}
          key: {{model: offline, for_each: [1], key: "{slow}"}}
          argument: {{command: [echo, "{slow}"]}}
          quick: {{model: offline}}
    "#})
    .args(&["-o", "json"])
    .start();
    // An agent that blocked the others would have failed before one of them began.
    running.wait_for_stderr("quick: succeeded");
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    let report = ended.json();
    assert_eq!(report["exit_code"], 130, "{report:#}");
    assert_eq!(
        statuses(&report),
        [
            ("prompt", "cancelled"),
            ("key", "cancelled"),
            ("argument", "cancelled"),
            ("quick", "succeeded")
        ]
    );
    assert!(!ended.stderr.contains("takes longer"), "{}", ended.stderr);
}
