//! `--record`, `--replay` and `--fault`: runs that are repeated without a server.

use std::path::Path;
use std::time::Duration;

use crate::support::crew::{Crew, Ended, folder};
use crate::support::mcp_server;
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::{self, Script};
use indoc::{formatdoc, indoc};
use serde_json::{Value, json};

fn run(folder: &Path, url: &str, args: &[&str]) -> Ended {
    Crew::at(folder).env("URL", url).args(&["run"]).args(args).run()
}

/// Nothing listens here.
const NOWHERE: &str = "http://127.0.0.1:9";

fn lines(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("r.jsonl")).unwrap();
    assert!(text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The report without its times and ids, and without the fingerprint: the addresses of servers come
/// from the environment, and a replay needs none.
fn timeless(mut report: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(entries) => {
                let ids = ["run_id", "fingerprint"];
                let times = ["started_at", "started_ms", "duration_ms", "queued_ms"];
                ids.iter().chain(&times).for_each(|name| drop(entries.remove(*name)));
                entries.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut report);
    report
}

/// Without what a replay does not count.
fn costless(mut report: Value) -> Value {
    fn strip(value: &mut Value) {
        if let Value::Object(entries) = value {
            entries.remove("cost");
            entries.values_mut().for_each(strip);
        }
    }
    strip(&mut report);
    timeless(report)
}

fn message(report: &Value, agent: &str) -> String {
    report["agents"][agent]["error"]["message"].as_str().unwrap_or_default().to_owned()
}

/// Answers in its own way to each of several equal requests; now and then it fails first.
fn moody(request: &Request) -> Script {
    let number: u32 = request.contents("user")[0].len().try_into().unwrap_or_default();
    let pause = Duration::from_millis(u64::from(number * 7919 % 40));
    if request.has_tool_results() {
        return script::delayed(pause, script::text(&format!("done {:?}", request.arrived)));
    }
    match number % 3 {
        0 => script::delayed(pause, script::tool_call("shout", &json!({"word": "x"}))),
        1 => script::delayed(pause, script::text(&format!("at {:?}", request.arrived))),
        _ => script::delayed(pause, script::stream().text("so far").cut()),
    }
}

#[test]
fn twenty_agents_side_by_side_replay_without_the_server() {
    let agents: String = (0..20)
        .map(|at| {
            // Some ask the same.
            let prompt = "p".repeat(1 + at / 2);
            format!("  a{at}: {{model: mock/m, tools: [shout], retries: 1, prompt: {prompt}}}\n")
        })
        .collect();
    let yaml = formatdoc! {"
        limits: {{on_failure: continue}}
        providers: {{mock: {{api: openai, base_url: '${{URL}}', api_key_env: MOCK_KEY}}}}
        prices: {{mock/m: {{input: 1, output: 2}}}}
        tools:
          shout: {{shell: 'echo \"$word\" loud', parameters: {{word: {{type: string}}}}}}
        agents:
        {agents}
    "};
    let folder = folder(&yaml);
    let server = ModelServer::start(moody);
    let recorded = Crew::at(folder.path())
        .envs(&[("URL", &*server.base_url()), ("MOCK_KEY", "mock-key-0123456789")])
        .args(&["run", "--record", "r.jsonl"])
        .run();
    let first = recorded.report(1);
    let calls = server.requests().len();
    assert!(calls > 30, "{calls}");
    drop(server);
    let text = std::fs::read_to_string(folder.path().join("r.jsonl")).unwrap();
    assert!(!text.contains("mock-key") && !text.contains("authorization"), "{text}");
    assert_eq!(lines(folder.path()).len(), 1 + calls);

    // Neither the key nor the server is there.
    let replayed = run(folder.path(), NOWHERE, &["--replay", "r.jsonl"]);
    let second = replayed.report(1);
    let took = |report: &Value| {
        let text = report.to_string();
        let mut parts = text.split(" attempts in ");
        let start = parts.next().unwrap_or_default().to_owned();
        parts.fold(start, |text, part| text + part.split_once("s)").unwrap_or_default().1)
    };
    assert_eq!(took(&costless(first)), took(&costless(second.clone())));
    assert_eq!(second["usage"]["cost"], 0.0);
    assert!(second["usage"]["input_tokens"].as_u64().unwrap() > 0);
}

const ONE: &str = indoc! {"
    providers: {mock: {api: openai, base_url: '${URL}'}}
    agents:
      a: {model: mock/m, role: 'A {{ vars.who }}', temperature: 0.5, prompt: 'Look at {{ input }}.'}
    vars: {who: plumber}
"};

#[test]
fn a_request_that_is_not_recorded_names_the_nearest_and_what_differs() {
    let folder = folder(ONE);
    let server = ModelServer::start(|_| script::text("fine"));
    run(folder.path(), &server.base_url(), &["--record", "r.jsonl"]).report(0);
    let replay = |more: &[&str]| {
        let args = [&["--replay", "r.jsonl"], more].concat();
        let report = run(folder.path(), NOWHERE, &args).report(1);
        assert_eq!(report["agents"]["a"]["error"]["kind"], "not_recorded", "{report:#}");
        message(&report, "a")
    };
    let role = replay(&["--var", "who=painter"]);
    let expected = "the nearest request to the model (line 2, agent a) differs in \
                    messages[0].system (recorded \"";
    assert!(role.contains(expected) && role.contains("painter"), "{role}");
    let yaml = ONE.replace("0.5", "0.75");
    std::fs::write(folder.path().join("agents.yaml"), yaml).unwrap();
    let setting = replay(&[]);
    let expected = "differs in settings.temperature (recorded \"0.5\", now \"0.75\")";
    assert!(setting.contains(expected), "{setting}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_is_missing_is_asked_and_added() {
    let folder = folder(ONE);
    let server = ModelServer::start(|request| script::text(request.contents("system")[0]));
    let both = |who: &str, url: &str| {
        let who = format!("who={who}");
        run(folder.path(), url, &["--replay-or-record", "r.jsonl", "--var", &who]).report(0)
    };
    both("plumber", &server.base_url());
    both("painter", &server.base_url());
    assert_eq!(server.requests().len(), 2);
    assert_eq!(lines(folder.path()).len(), 3);
    let again = both("painter", NOWHERE);
    assert!(again["agents"]["a"]["output"].as_str().unwrap().contains("painter"));
}

#[test]
fn failures_end_the_replay_as_they_ended_the_run() {
    let yaml = indoc! {"
        limits: {on_failure: continue}
        providers: {mock: {api: openai, base_url: '${URL}'}}
        defaults: {retries: 1}
        agents:
          limited: {model: mock/limited, retries: 2}
          wrong: {model: mock/wrong}
          slow: {model: mock/slow, timeout: 300ms}
          list: {model: [mock/wrong, mock/fine]}
          blank: {model: mock/blank}
    "};
    let folder = folder(yaml);
    let server = ModelServer::start(|request| match request.model() {
        "limited" => script::retry_after(429, "0"),
        "wrong" => script::error(400, "no such luck"),
        "slow" => script::stream().text("so far").stall(),
        "blank" => script::stream().finish("stop").usage(3, 0).done(),
        _ => script::text("fine"),
    });
    let first = run(folder.path(), &server.base_url(), &["--record", "r.jsonl"]).report(1);
    let second = run(folder.path(), NOWHERE, &["--replay", "r.jsonl"]).report(1);
    for agent in ["limited", "wrong", "slow", "list", "blank"] {
        for field in ["status", "output", "turns", "retries", "fallbacks", "model"] {
            let values = [&first, &second].map(|report| &report["agents"][agent][field]);
            assert_eq!(values[0], values[1], "{agent} {field}\n{first:#}\n{second:#}");
        }
        let kinds = [&first, &second].map(|report| &report["agents"][agent]["error"]["kind"]);
        assert_eq!(kinds[0], kinds[1], "{agent}");
        let tokens = [&first, &second].map(|report| &report["agents"][agent]["usage"]);
        assert_eq!(tokens[0], tokens[1], "{agent}");
    }
}

#[test]
fn the_first_failure_stops_the_others_of_a_replay_too() {
    let yaml = indoc! {"
        providers: {mock: {api: openai, base_url: '${URL}'}}
        agents:
          slow: {model: mock/slow}
          bad: {model: mock/bad}
    "};
    let folder = folder(yaml);
    let server = ModelServer::start(|request| match request.model() {
        "slow" => script::stream().text("so far").stall(),
        _ => script::delayed(Duration::from_millis(100), script::error(400, "no such luck")),
    });
    let first = run(folder.path(), &server.base_url(), &["--record", "r.jsonl"]).report(1);
    let second = run(folder.path(), NOWHERE, &["--replay", "r.jsonl"]).report(1);
    assert_eq!(second["agents"]["slow"]["status"], "cancelled", "{second:#}");
    assert_eq!(costless(first), costless(second));
}

#[test]
fn secrets_never_reach_the_recording() {
    let yaml = indoc! {"
        providers:
          mock: {api: openai, base_url: '${URL}', headers: {x-token: '${HEADER_TOKEN}'}}
        tools:
          look:
            http: {url: '${URL}/look', query: {api_key: '${LOOK_KEY}', q: '{{ q }}'},
              headers: {authorization: 'Bearer ${TOOL_TOKEN}'}}
            parameters: {q: {type: string}}
          spill: {shell: 'echo \"$TOOL_TOKEN\"', env: [TOOL_TOKEN]}
        agents:
          a: {model: mock/m, tools: [look, spill]}
    "};
    let folder = folder(yaml);
    let secrets = ["header-0123456789", "look-0123456789", "tool-0123456789"];
    let server = ModelServer::start(move |request| {
        if request.path.contains("/look") {
            let auth = request.header("authorization").unwrap_or_default().to_owned();
            return script::whole(200, &[("content-type", "text/plain")], auth);
        }
        match request.has_tool_results() {
            false => script::tool_calls(&[
                ("look", &json!({"q": "x tool-0123456789"})),
                ("spill", &json!({})),
            ]),
            true => script::stream()
                .text("it is header-01234")
                .text("56789, sure")
                .finish("stop")
                .done(),
        }
    });
    let names =
        [("HEADER_TOKEN", secrets[0]), ("LOOK_KEY", secrets[1]), ("TOOL_TOKEN", secrets[2])];
    let run = |url: &str, option: &str, names: &[(&str, &str)]| {
        let crew = Crew::at(folder.path()).env("URL", url).envs(names);
        crew.args(&["run", option, "r.jsonl"]).run()
    };
    let first = run(&server.base_url(), "--record", &names).report(0);
    let text = std::fs::read_to_string(folder.path().join("r.jsonl")).unwrap();
    for secret in secrets {
        assert!(!text.contains(secret) && !text.contains("56789"), "{text}");
    }
    // An edited address is another request, so the server's own is kept.
    let url = server.base_url();
    drop(server);
    let second = run(&url, "--replay", &names).report(0);
    assert_eq!(costless(first), costless(second));
}

#[test]
fn tools_of_http_and_mcp_servers_replay_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = ModelServer::start(|request| {
        if request.path.contains("/weather") {
            return script::whole(200, &[("content-type", "text/plain")], "rain");
        }
        match request.contents("tool").is_empty() {
            true => script::tool_calls(&[
                ("weather", &json!({"city": "Bern"})),
                ("fx__echo", &json!({"text": "hello"})),
                ("fx__fail", &json!({})),
                ("fx__shot", &json!({})),
            ]),
            false => script::text("seen"),
        }
    });
    let yaml = |servers: &str| {
        formatdoc! {"
            providers: {{mock: {{api: openai, base_url: '{}'}}}}
            tools:
              weather:
                http: {{url: '{}/weather/{{{{ city }}}}'}}
                parameters: {{city: {{type: string}}}}
            {servers}agents:
              step: {{http: {{url: '{}/weather/now'}}}}
              a: {{model: mock/m, tools: [weather, fx], needs: [step], prompt: '{{{{ agents.step.output }}}}'}}
        ", server.base_url(), server.origin(), server.origin()}
    };
    let file = folder.path().join("agents.yaml");
    std::fs::write(&file, yaml(&mcp_server::yaml("", ""))).unwrap();
    let first = run(folder.path(), NOWHERE, &["--record", "r.jsonl"]).report(0);
    assert_eq!(first["agents"]["a"]["tool_calls"].as_array().unwrap().len(), 4);
    let gone = yaml("mcp_servers: {fx: {command: /no/such/program}}\n");
    std::fs::write(&file, gone).unwrap();
    drop(server);
    let second = run(folder.path(), NOWHERE, &["--replay", "r.jsonl"]).report(0);
    assert_eq!(second["agents"]["step"]["output"], "rain");
    assert_eq!(costless(first.clone()), costless(second));
    // Model calls that fail take nothing of the recording.
    let faults = ["--replay", "r.jsonl", "--fault", "a=cut:1", "--fault", "a=429:2"];
    let third = run(folder.path(), NOWHERE, &faults).report(0);
    assert_eq!(third["agents"]["a"]["retries"], 3);
    let [first, third] = [first, third].map(|report| timeless(report)["agents"]["a"].clone());
    for field in ["output", "tool_calls", "turns"] {
        assert_eq!(first[field], third[field], "{field}");
    }
}

fn offline(agents: &str, args: &[&str]) -> Ended {
    Crew::new(agents).args(&["--offline"]).args(args).run()
}

#[test]
fn every_fault_ends_as_its_server_would_make_it() {
    let yaml = "agents: {a: {model: offline, retries: 1, idle_timeout: 100ms}}\n";
    for (fault, status, kind, retries) in [
        ("429", "failed", "rate_limited", 1),
        ("500", "failed", "overloaded", 1),
        ("stall", "timed_out", "timeout", 0),
        ("hang", "timed_out", "timeout", 0),
        ("cut", "failed", "network", 1),
        ("garbage", "failed", "invalid_response", 0),
        ("die", "failed", "network", 1),
    ] {
        let report = offline(yaml, &["--fault", &format!("*={fault}")]).report(1);
        let agent = &report["agents"]["a"];
        assert_eq!((&agent["status"], &agent["error"]["kind"]), (&json!(status), &json!(kind)));
        assert_eq!(agent["retries"], retries, "{fault}");
        let begun = matches!(fault, "stall" | "cut");
        assert_eq!(agent["output"].is_string(), begun, "{agent:#}");
    }
    let report = offline(yaml, &["--fault", "*=cut:1"]).report(0);
    assert_eq!(report["agents"]["a"]["retries"], 1);
    assert!(report["agents"]["a"]["output"].as_str().unwrap().starts_with("offline"));
}

#[test]
fn a_fault_meets_the_instances_that_it_names() {
    let yaml = indoc! {"
        limits: {on_failure: continue}
        agents:
          r: {model: offline, for_each: [x, y]}
          other: {model: offline}
    "};
    let report = offline(yaml, &["--fault", "r[x]=garbage"]).report(1);
    let statuses: Vec<&Value> =
        report["agents"]["r"]["items"].as_array().unwrap().iter().map(|i| &i["status"]).collect();
    assert_eq!(statuses, ["failed", "succeeded"]);
    assert_eq!(report["agents"]["other"]["status"], "succeeded");
}

#[test]
fn the_pattern_of_a_fault_may_be_unusual() {
    let yaml = indoc! {"
        limits: {on_failure: continue}
        defaults: {retries: 0}
        agents:
          r: {model: offline, for_each: [src/a.rs, 'b[1]', 'ü=1:2', '*']}
          other: {model: offline}
    "};
    for (patterns, expected) in [
        (&["r[*]"][..], "XXXX-"),
        (&["r[src/a.rs]"], "X----"),
        (&["r[b[1]]"], "-X---"),
        (&["r[ü=1:2]"], "--X--"),
        (&["r[?]"], "---X-"),
        (&["r[*[*]"], "-X---"),
        (&["*[*.rs]"], "X----"),
        (&["**"], "XXXXX"),
        (&["r"], "XXXX-"),
        (&["r[b[1]]", "r[src/*]"], "XX---"),
        (&["oth?r", "other"], "----X"),
    ] {
        let faults =
            patterns.iter().flat_map(|pattern| ["--fault".into(), format!("{pattern}=die")]);
        let faults: Vec<String> = faults.collect();
        let args: Vec<&str> = faults.iter().map(String::as_str).collect();
        let report = offline(yaml, &args).report(1);
        let items = report["agents"]["r"]["items"].as_array().unwrap().iter();
        let statuses = items.chain([&report["agents"]["other"]]).map(|agent| &agent["status"]);
        let met: String =
            statuses.map(|status| if status == "failed" { 'X' } else { '-' }).collect();
        assert_eq!(met, expected, "{patterns:?}");
    }
    for (fault, expected) in [
        ("[=die", "no agent with a model fits [=die"),
        ("other[x]=die", "no agent that fits other[x]=die has instances"),
        ("ü=die", "agents with a model that run: r, other"),
        ("=die", "expected PATTERN=KIND"),
    ] {
        let ended = Crew::new(yaml).args(&["--offline", "--fault", fault]).run();
        assert_eq!(ended.status.code(), Some(2), "{fault}: {}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{fault}: {}", ended.stderr);
    }
}

#[test]
fn faults_and_recordings_that_cannot_be_used_stop_crew_before_it_starts() {
    let yaml = "agents: {a: {model: offline}, s: {command: ['true']}}\n";
    for (args, expected) in [
        (&["--fault", "*=429"][..], "--offline|--replay"),
        (&["--offline", "--fault", "*=404"], "known: 429, 500, stall, cut, hang, garbage, die"),
        (&["--offline", "--fault", "b=429"], "no agent with a model fits b=429"),
        (&["--offline", "--fault", "s=429"], "agents with a model that run: a"),
        (&["--replay", "none.jsonl"], "cannot use the recording none.jsonl"),
        (&["--replay", "agents.yaml"], "it is not a recording"),
        (&["--replay", "a", "--record", "b"], "cannot be used with"),
    ] {
        let ended = Crew::new(yaml).args(args).run();
        assert_eq!(ended.status.code(), Some(2), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn a_run_that_is_refused_leaves_the_recording_as_it_was() {
    let folder = folder("agents: {a: {model: offline}}\n");
    let file = folder.path().join("r.jsonl");
    std::fs::write(&file, "paid for").unwrap();
    for args in [
        &["-i", "go", "--output-file", "none/x"][..],
        &["-i", "go", "--trace", "agents.yaml"],
        &["-i", "go", "--report", "html=none/x"],
        // Standard input is empty.
        &[],
    ] {
        let run = Crew::at(folder.path()).args(&["run", "--offline", "--record", "r.jsonl"]);
        let ended = run.args(args).run_as_is();
        assert_eq!(ended.status.code(), Some(2), "{args:?}: {}", ended.stderr);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "paid for", "{args:?}");
    }
}

#[test]
fn recordings_that_could_block_crew_or_never_end_are_refused() {
    let folder = folder("agents: {a: {model: offline}}\n");
    nix::unistd::mkfifo(&folder.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let test = "crew: agents.yaml\ninput: slow\nreplay: pipe\n";
    std::fs::write(folder.path().join("a.crewtest.yaml"), test).unwrap();
    for (args, expected) in [
        (&["run", "-i", "go", "--record", "pipe"][..], "named pipe without a reader"),
        (&["run", "-i", "go", "--replay", "pipe"], "it is not a regular file"),
        (&["run", "-i", "go", "--replay-or-record", "pipe"], "it is not a regular file"),
        (&["run", "-i", "go", "--replay", "/dev/zero"], "it is not a regular file"),
        (&["test"], "it is not a regular file"),
    ] {
        let ended = Crew::at(folder.path()).args(args).run_as_is();
        assert_eq!(ended.status.code(), Some(2), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn a_full_disk_leaves_whole_lines() {
    let server = ModelServer::always(script::text(&"long ".repeat(1000)));
    let yaml = indoc! {"
        providers: {m: {base_url: '${URL}'}}
        agents:
          a: {for_each: [1, 2, 3, 4, 5, 6], max_parallel: 1, model: m/x, prompt: 'Go {{ item }}'}
    "};
    // Units of 512 or 1024 bytes.
    let run = Crew::new(yaml).through("ulimit -f 20").env("URL", &server.base_url());
    let ended = run.args(&["-o", "answer", "--record", "r.jsonl"]).run_as_is();
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot write the recording r.jsonl"), "{}", ended.stderr);
    let recorded = lines(ended.path()).len();
    assert!((2..7).contains(&recorded), "{recorded}");
}
