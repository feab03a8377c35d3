//! A key that comes back in text from outside is in no output, wherever it came back.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::support::crew::{Crew, Ended};
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::{self, Script, stream};

/// An agent for each place that a key may come back in. `{KEY}` stands for it where a program of
/// the file prints it.
const CREW: &str = "
limits: {on_failure: continue}
defaults: {retries: 1, idle_timeout: 5s}
providers:
  mock: {base_url: '${URL}', api_key_env: MOCK_KEY}
tools:
  echo: {description: x, shell: 'echo \"$text\"; cat key', parameters: {text: {type: string}}}
  flood:
    description: x
    shell: 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do cat key; done'
    max_output: 1KiB
  request: {description: x, http: {url: '${URL}/tool'}}
mcp_servers:
  mute: {command: sh, args: [-c, 'cat key >&2; exit 1']}
agents:
  text: {model: mock/text}
  reader: {model: mock/text, needs: [text], prompt: '{{ agents.text.output }}'}
  data: {model: mock/data, output_schema: {type: object}}
  misfit: {model: mock/data, output_schema: {type: integer}}
  finish: {model: mock/finish}
  call: {model: mock/call, tools: [echo], max_turns: 3}
  unknown: {model: mock/unknown, tools: [echo], max_turns: 3}
  flood: {model: mock/flood, tools: [flood], max_turns: 3}
  request: {model: mock/request, tools: [request], max_turns: 3}
  status: {model: mock/status}
  stream: {model: mock/stream}
  cut: {model: mock/cut}
  garbage: {model: mock/garbage}
  redirect: {model: mock/redirect}
  next: {model: [mock/status, mock/cut, mock/text]}
  mute: {model: mock/text, tools: [mute]}
";

fn answer(request: &Request, key: &str, at: usize) -> Script {
    if request.path.ends_with("/tool") {
        return script::whole(500, &[("content-type", "text/plain")], format!("got {key}"));
    }
    if request.has_tool_results() {
        return script::text("done");
    }
    let (head, tail) = key.split_at(at);
    let said = stream().text("it is ").text(head).text(tail);
    match request.model() {
        "data" => script::text(&json!({"key": key, key: [key]}).to_string()),
        "finish" => stream().text("x").finish(key).done(),
        "call" => script::tool_call("echo", &json!({"text": key})),
        "unknown" => script::tool_call(key, &json!({key: key})),
        "flood" => script::tool_call("flood", &json!({})),
        "request" => script::tool_call("request", &json!({})),
        "status" => script::error(400, &format!("the key {key} is not allowed to do this")),
        "stream" => said.event(&json!({"error": {"message": format!("bad key {key}")}})),
        "cut" => said.cut(),
        "garbage" => script::whole(200, &[], format!("<html>{key}</html>")),
        "redirect" => script::redirect(302, &format!("http://127.0.0.1/{key}?{key}")),
        _ => said.finish("stop").done(),
    }
}

fn run(server: &ModelServer, key: &str, options: &[&str]) -> Ended {
    let crew = Crew::new(CREW);
    std::fs::write(crew.path("key"), format!("{key}\n")).unwrap();
    crew.env("URL", &server.base_url()).env("MOCK_KEY", key).args(options).run()
}

#[test]
fn a_key_that_comes_back_is_in_no_output() {
    let key = "sk-[A-Za-z0-9/+=\"\\\\]{16,40}";
    let formats = prop::sample::select(vec!["json", "text"]);
    let mut runner =
        TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let cases = (key, 1_usize..16, formats);
    let held = runner.run(&cases, |(key, at, format)| {
        let sent = key.clone();
        let server = ModelServer::start(move |request| answer(request, &sent, at));
        let ended = run(&server, &key, &["-o", format, "-v"]);
        prop_assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        let escaped = json!(key).to_string();
        for spelling in [key.as_str(), escaped.trim_matches('"')] {
            for (name, output) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
                let line = output.lines().find(|line| line.contains(spelling));
                prop_assert_eq!(line, None, "on {}", name);
            }
        }
        prop_assert!(ended.stdout.matches("[redacted]").count() >= 10, "{}", ended.stdout);
        Ok(())
    });
    held.unwrap();
}

#[test]
fn no_part_of_a_key_is_left_where_an_output_was_cut() {
    let yaml = indoc::indoc! {"
        limits: {on_failure: continue}
        providers: {mock: {base_url: '${URL}', api_key_env: MOCK_KEY}}
        agents:
          step: {shell: 'head -c 1010 /dev/zero | tr \"\\0\" A; cat key', max_answer: 1KiB}
          model: {model: mock/m, max_answer: 1KiB, retries: 0}
    "};
    let key = "sk-0123456789abcdef";
    let long = format!("{}{key}", "A".repeat(1010));
    let server = ModelServer::start(move |_| stream().text(&long).finish("stop").done());
    let crew = Crew::new(yaml);
    std::fs::write(crew.path("key"), key).unwrap();
    let ended = crew.env("URL", &server.base_url()).env("MOCK_KEY", key).run();
    for agent in ["step", "model"] {
        let report = &ended.json()["agents"][agent];
        assert_eq!(report["partial"], true, "{report:#}");
        let output = report["output"].as_str().unwrap_or_default();
        assert!(!output.contains("sk-0"), "{output}");
    }
}

#[test]
fn keys_of_providers_that_no_selected_agent_uses_are_redacted() {
    let yaml = indoc::indoc! {"
        providers:
          other: {base_url: 'http://127.0.0.1:1/v1', api_key_env: OTHER_KEY}
          gateway:
            base_url: 'http://127.0.0.1:1/v1'
            headers: {api-key: gw-0123456789, x-token: '${TOKEN}', x-team: support-team}
            query: {key: query-0123456789}
        agents:
          here: {command: [cat, keys]}
          there: {model: other/m}
          elsewhere: {model: [gateway/m, anthropic/claude]}
    "};
    let keys = ["ok-0123456789", "tok-0123456789", "sk-ant-0123456789"];
    let crew = Crew::new(yaml).args(&["-a", "here"]);
    let all = [&keys[..], &["gw-0123456789", "query-0123456789", "support-team"]].concat();
    std::fs::write(crew.path("keys"), all.join(" ")).unwrap();
    let variables = ["OTHER_KEY", "TOKEN", "ANTHROPIC_API_KEY"];
    let ended = crew.envs(&std::array::from_fn::<_, 3, _>(|at| (variables[at], keys[at]))).run();
    let output = &ended.report(0)["agents"]["here"]["output"];
    let redacted = "[redacted] [redacted] [redacted] [redacted] [redacted] support-team";
    assert_eq!(output, redacted);
}
