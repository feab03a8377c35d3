//! Control flow: steps, instances, conditions, checks, and the answer of the crew.

use crate::support::crew::Crew;
use crate::support::faults;
use crate::support::mock_model::ModelServer;
use crate::support::script;
use indoc::indoc;
use serde_json::json;

#[test]
fn the_output_of_a_step_reaches_the_next_one_whole() {
    let report = Crew::new(indoc! {r#"
        agents:
          big: {shell: "head -c 200000 /dev/zero | tr '\\0' x; echo noise >&2"}
          count: {needs: [big], command: [wc, -c], stdin: "{{ agents.big.output }}"}
    "#})
    .run()
    .report(0);
    assert_eq!(report["agents"]["count"]["output"].as_str().unwrap().trim(), "200000");
    assert_eq!(report["agents"]["big"]["stderr"], "noise\n");
    assert_eq!(report["agents"]["big"]["kind"], "step");
    assert_eq!(report["answer"].as_str().unwrap().trim(), "200000");
}

#[test]
fn a_request_is_a_step_without_any_tool() {
    let server = ModelServer::start(|request| {
        let key = request.header("authorization").unwrap_or_default().to_owned();
        script::whole(200, &[("content-type", "application/json")], format!("[\"{key}\"]"))
    });
    let yaml = indoc! {"
        agents:
          list:
            http: {url: '${URL}/list', headers: {authorization: '${TOKEN}'}}
            parse: json
    "};
    let token = "tok-0123456789";
    let crew = Crew::new(yaml).env("URL", &server.base_url()).env("TOKEN", token);
    let report = crew.args(&["--offline"]).run().report(0);
    let list = &report["agents"]["list"];
    assert_eq!(list["data"], json!(["[redacted]"]), "{list:#}");
    assert_eq!(list["http_status"], 200);
}

#[test]
fn a_step_that_fails_says_how() {
    for (step, kind, message) in [
        ("shell: 'echo no luck >&2; exit 3'", "step", "exit code 3: no luck"),
        ("command: [/no/such/program]", "step", "no such program"),
        ("shell: 'echo no', parse: json", "step", "not valid JSON"),
        ("command: [yes], max_answer: 1KiB", "step", "longer than max_answer"),
        ("command: [sleep, '60'], timeout: 100ms", "timeout", "no answer"),
    ] {
        let yaml = format!("agents:\n  a: {{{step}}}\n");
        let report = Crew::new(&yaml).run().report(1);
        let error = &report["agents"]["a"]["error"];
        assert_eq!(error["kind"], kind, "{step}: {error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{step}: {error}");
    }
    let yaml = "agents:\n  a: {shell: 'exit 1', ok_exit_codes: [0, 1]}\n";
    assert_eq!(Crew::new(yaml).run().report(0)["agents"]["a"]["exit_code"], 1);
}

#[test]
fn an_agent_has_an_instance_for_each_item() {
    let report = Crew::new(indoc! {r#"
        agents:
          files: {shell: "printf 'a\n\nb\na\n'", parse: lines}
          size:
            needs: [files]
            for_each: agents.files.data
            when: item != "b"
            command: [echo, "{{ item }} {{ index }}"]
          all:
            needs: [size]
            command: [cat]
            stdin: "{% for i in agents.size.items %}{{ i.key }}={{ i.status }};{% endfor %}"
    "#})
    .run()
    .report(0);
    let items = report["agents"]["size"]["items"].as_array().unwrap();
    let keys: Vec<_> = items.iter().map(|item| item["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["a", "b", "a#2"]);
    assert_eq!(items[2]["output"], "a 2\n");
    assert_eq!(items[1]["reason"], json!({"kind": "when"}));
    assert_eq!(report["agents"]["all"]["output"], "a=succeeded;b=skipped;a#2=succeeded;");
}

#[test]
fn a_list_that_cannot_be_used_starts_no_instance() {
    for (items, message) in [
        ("'vars.many', max_items: 2", "3 items, and max_items is 2"),
        ("agents.text.output | upper", "needs a list and found"),
    ] {
        let yaml = format!(
            "vars: {{many: [1, 2, 3]}}\nagents:\n  text: {{command: [echo, x]}}\n  \
             a: {{needs: [text], command: [touch, started], for_each: {items}}}\n"
        );
        let crew = Crew::new(&yaml);
        let started = crew.path("started");
        let report = crew.run().report(1);
        let error = &report["agents"]["a"]["error"];
        assert_eq!(error["kind"], "for_each", "{error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
        assert!(!started.exists());
    }
    let yaml = "agents:\n  a: {command: [echo], for_each: []}\n";
    assert_eq!(Crew::new(yaml).run().report(0)["agents"]["a"]["items"], json!([]));
}

#[test]
fn an_agent_needed_by_done_may_fail() {
    let report = Crew::new(indoc! {r#"
        agents:
          bad: {shell: "echo part; exit 1"}
          after: {needs: [bad], command: [echo, never]}
          verdict:
            needs: {bad: done, after: done}
            command: [echo, "{{ agents.bad.status }} {{ agents.after.status }}"]
    "#})
    .run()
    .report(1);
    assert_eq!(report["agents"]["verdict"]["output"], "failed skipped\n");
    assert_eq!(report["agents"]["bad"]["output"], "part\n");
}

#[test]
fn a_false_condition_skips_an_agent_and_those_that_need_it() {
    let report = Crew::new(indoc! {r#"
        vars: {deep: false}
        agents:
          a: {when: vars.deep, command: [echo]}
          b: {needs: [a], command: [echo]}
          c: {needs: {a: done}, command: [echo, "{{ agents.a.status }}"]}
    "#})
    .run()
    .report(0);
    assert_eq!(report["agents"]["a"]["reason"], json!({"kind": "when"}));
    assert_eq!(report["agents"]["b"]["reason"], json!({"kind": "when", "agent": "a"}));
    assert_eq!(report["agents"]["c"]["output"], "skipped\n");
}

#[test]
fn fail_if_carries_the_verdict_into_the_exit_code() {
    for (value, exit, holds) in [("high", 4, true), ("low", 0, false)] {
        let yaml = format!(
            "fail_if: agents.a.data.severity == \"high\"\nagents:\n  \
             a: {{shell: 'echo ''{{\"severity\": \"{value}\"}}''', parse: json}}\n"
        );
        let ended = Crew::new(&yaml).run();
        let report = ended.report(exit);
        assert_eq!(report["fail_if"]["holds"], holds);
        assert_eq!(report["reason"]["kind"] == "fail_if", holds);
    }
    let yaml = "fail_if: agents.a.output == 'x'\nagents:\n  a: {shell: 'exit 1'}\n";
    assert!(Crew::new(yaml).run().report(1)["fail_if"]["holds"].is_null());
}

#[test]
fn a_check_sends_the_model_back_until_it_accepts() {
    let report = Crew::new(indoc! {r#"
        agents:
          fix:
            model: offline
            check: {shell: 'cat >/dev/null; echo x >>seen; test "$(wc -l <seen)" -ge 2'}
    "#})
    .run()
    .report(0);
    let checks = report["agents"]["fix"]["checks"].as_array().unwrap();
    let codes: Vec<_> = checks.iter().map(|check| check["exit_code"].as_i64().unwrap()).collect();
    assert_eq!(codes, [1, 0]);
    assert_eq!(report["agents"]["fix"]["turns"], 2);
    for (check, kind) in [
        ("{shell: 'exit 1', attempts: 1}", "unverified"),
        ("{command: [/no/such/check]}", "check"),
        ("{command: [sleep, '60'], timeout: 100ms}", "check"),
    ] {
        let yaml = format!("agents:\n  a: {{model: offline, check: {check}}}\n");
        let report = Crew::new(&yaml).run().report(1);
        assert_eq!(report["agents"]["a"]["error"]["kind"], kind, "{check}");
    }
}

#[test]
fn faults_of_control_flow_are_found_before_anything_runs() {
    for (agents, expected) in [
        ("a: {command: [echo], model: offline}", "model is for agents with a model"),
        ("a: {command: [echo], check: {command: ['true']}}", "check is for agents with a model"),
        ("a: {model: offline, stdin: x}", "stdin is for steps"),
        ("a: {model: offline, key: x}", "key is for agents with for_each"),
        ("a: {command: [echo], shell: echo}", "both a command and a shell line"),
        ("a: {model: offline, when: '\"yes\"'}", "neither true nor false"),
        ("a: {model: offline, when: vars.nope}", "vars.nope is not defined"),
        ("a: {model: offline, when: [x]}", "expected an expression"),
        ("a: {model: offline, for_each: input}", "expected a list"),
        ("a: {model: offline, check: {}}", "either a command or a shell line"),
        (
            "a: {model: offline}\n  b: {model: offline, needs: [a], when: agents.a.output == 'x'}",
            "free text",
        ),
        (
            "a: {model: offline}\n  b: {model: offline, needs: [a], for_each: agents.a.items}",
            "has no items",
        ),
    ] {
        let yaml = format!("vars: {{}}\nagents:\n  {agents}\n");
        let ended = Crew::check(&yaml).run_as_is();
        assert_eq!(ended.status.code(), Some(2), "{agents}");
        let text = ended.stderr.replace('\n', " ");
        assert!(text.contains(expected), "{agents}: {text}");
    }
}

#[test]
fn a_step_rejects_every_key_that_is_about_a_model() {
    let keys = [
        ("model", "offline"),
        ("role", "x"),
        ("goal", "x"),
        ("backstory", "x"),
        ("instructions", "x"),
        ("prompt", "x"),
        ("attach", "[x.png]"),
        ("tools", "[]"),
        ("check", "{command: ['true']}"),
        ("idle_timeout", "1s"),
        ("tool_timeout", "1s"),
        ("max_turns", "2"),
        ("retries", "1"),
        ("temperature", "0.5"),
        ("top_p", "0.5"),
        ("stop", "[x]"),
        ("seed", "7"),
        ("effort", "low"),
        ("cache", "'off'"),
        ("extra_body", "{service_tier: flex}"),
        ("max_output_tokens", "10"),
        ("limits", "{max_tokens: 10}"),
    ];
    for step in ["command: [echo]", "shell: echo", "http: {url: 'http://127.0.0.1:1/'}"] {
        let lines: String =
            keys.iter().map(|(key, value)| format!("    {key}: {value}\n")).collect();
        let yaml = format!("agents:\n  a:\n    {step}\n    timeout: 1s\n{lines}");
        let expected: Vec<String> = (keys.iter().enumerate())
            .map(|(at, (key, _))| {
                format!(
                    "agents.a.{key} {}:5 .. {key} is for agents with a model, and a is a step \
                         .. remove it, or the command, shell or http",
                    at + 6
                )
            })
            .collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        faults::expect_in(&yaml, &expected);
    }
}

#[test]
fn an_output_or_the_reason_is_there_for_every_instance() {
    let report = Crew::new(indoc! {r#"
        agents:
          each:
            for_each: ["true", "false", "echo x"]
            command: [sh, -c, "{{ item }}"]
            on_failure: continue
          all:
            needs: {each: done}
            command: [printf, "%s", "{% for r in agents.each.items %}{{ r.key }}={{ r.output or
              r.error.message }}{% if r.error %}!{% endif %};{% endfor %}"]
    "#})
    .run()
    .report(1);
    assert_eq!(report["agents"]["all"]["output"], "true=;false=exit code 1!;echo x=x\n;");
}
