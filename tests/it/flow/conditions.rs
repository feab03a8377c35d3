//! Conditions: `when`, needs by `done`, and `fail_if`.

use indoc::{formatdoc, indoc};
use serde_json::{Value, json};

use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script::text;

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
    let reason = json!({"kind": "when", "expression": "vars.deep"});
    assert_eq!(report["agents"]["a"]["reason"], reason);
    let reason = json!({"kind": "when", "agent": "a", "expression": "vars.deep"});
    assert_eq!(report["agents"]["b"]["reason"], reason);
    assert_eq!(report["agents"]["c"]["output"], "skipped\n");
}

#[test]
fn what_was_skipped_shows_its_condition_on_one_line_without_secrets() {
    let yaml = indoc! {r#"
        agents:
          a:
            when: |-
              vars.level ==
              "${API_TOKEN}"
            command: [echo]
            env: [API_TOKEN]
        vars: {level: low}
    "#};
    let ended = Crew::new(yaml).args(&["-o", "text"]).env("API_TOKEN", "s3cret-s3cret").run();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    for text in [&ended.stdout, &ended.stderr] {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(line.contains("when vars.level =="), "{text}");
        assert!(line.contains(" is false") && !text.contains("s3cret"), "{text}");
    }
}

#[test]
fn check_shows_what_the_file_says_of_instances() {
    let yaml = indoc! {r#"
        agents:
          files: {shell: "seq 3", parse: lines}
          each:
            needs: [files]
            for_each: agents.files.data
            key: "n{{ item }}"
            max_items: 7
            max_parallel: 2
            on_failure: continue
            command: [echo, "{{ item }}"]
    "#};
    let ended = Crew::check(yaml).run_as_is();
    let shown = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let list =
        "agents.files.data, max_items 7, key n{{ item }}, max_parallel 2, on_failure continue";
    for text in [list, "seq 3 (parse: lines)"] {
        assert!(shown.contains(text), "{text}: {}", ended.stdout);
    }
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
fn conditions_have_several_forms() {
    for (condition, runs) in [
        ("true", true),
        ("false", false),
        ("'{{ vars.on }}'", true),
        ("\"{{ 'high' in agents.a.output }}\"", true),
        ("agents.a.data.level > 2", true),
        ("agents.a.data.missing > 2", false),
        ("agents.a.data.missing.deep == 1", false),
        ("agents.b.data.level > 2", false),
        ("agents.b.data.level != 2", false),
        ("input == 'go'", true),
    ] {
        let yaml = formatdoc! {r#"
            vars: {{on: true}}
            limits: {{on_failure: continue}}
            agents:
              a: {{command: [echo, '{{"level": 3, "t": "high"}}'], parse: json}}
              b: {{shell: exit 1, parse: json}}
              c: {{needs: {{a: done, b: done}}, when: {condition}, command: [echo, ran]}}
        "#};
        let report = Crew::new(&yaml).run().report(1);
        let expected = if runs { "succeeded" } else { "skipped" };
        assert_eq!(report["agents"]["c"]["status"], expected, "{condition}");
    }
}

#[test]
fn a_condition_that_is_neither_true_nor_false_fails_the_agent() {
    let yaml = indoc! {r#"
        agents:
          a: {command: [echo, '{"n": 3, "s": "maybe", "l": [true]}'], parse: json}
          b: {needs: [a], when: agents.a.data.WHAT, command: [touch, ran]}
    "#};
    for (what, seen) in [("n", "3"), ("s", "\"maybe\""), ("l", "[true]")] {
        let ended = Crew::new(yaml.replace("WHAT", what)).run();
        let report = ended.report(1);
        let error = &report["agents"]["b"]["error"];
        assert_eq!(error["kind"], "template");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("neither true nor false") && message.contains(seen), "{message}");
        assert!(!ended.path().join("ran").exists());
    }
}

#[test]
fn nothing_starts_after_the_time_limit_of_the_run() {
    let ended = Crew::new(indoc! {"
        limits: {timeout: 300ms, grace: 100ms}
        agents:
          slow: {command: [sleep, '60']}
          after: {needs: {slow: done}, command: [touch, started]}
    "})
    .run();
    assert!(!ended.path().join("started").exists());
    let report = ended.report(124);
    assert_eq!(report["agents"]["slow"]["status"], "timed_out");
    assert!(report["agents"]["after"]["started_ms"].is_null(), "{:#}", report["agents"]["after"]);
}

#[test]
fn the_summary_says_which_fail_if_holds_and_what_it_saw() {
    let yaml = indoc! {r#"
        fail_if: agents["the-verdict"].data.severity == "high" and input == "go"
        agents:
          the-verdict: {command: [echo, '{"severity": "high"}'], parse: json}
    "#};
    for args in [&[][..], &["-q"]] {
        let ended = Crew::new(yaml).args(args).run();
        let report = ended.report(4);
        let name = "agents[\"the-verdict\"].data.severity";
        assert_eq!(report["fail_if"]["saw"], json!({name: "high", "input": "go"}));
        assert_eq!(report["status"], "failed");
        for text in ["fail_if holds: agents[", &format!("{name} is \"high\"")] {
            assert!(ended.stderr.contains(text), "{text}: {}", ended.stderr);
        }
    }
    let silent = Crew::new(yaml).args(&["-qq"]).run();
    assert_eq!((silent.status.code(), silent.stderr.as_str()), (Some(4), ""));
}

#[test]
fn a_fail_if_that_cannot_be_evaluated_is_a_failure_of_its_own() {
    let yaml = indoc! {r#"
        fail_if: agents.a.data.severity
        agents:
          a: {command: [echo, '{"severity": "high"}'], parse: json}
    "#};
    let ended = Crew::new(yaml).run();
    let report = ended.report(1);
    let fail_if = &report["fail_if"];
    assert_eq!((&report["status"], &fail_if["holds"]), (&json!("failed"), &Value::Null));
    assert!(fail_if["error"].as_str().unwrap().contains("neither true nor false"), "{fail_if}");
    assert_eq!(report["agents"]["a"]["status"], "succeeded");
    assert!(ended.stderr.contains("fail_if cannot be evaluated: "), "{}", ended.stderr);
    assert!(!ended.stderr.contains("fail_if holds"), "{}", ended.stderr);
}

#[test]
fn a_selection_without_the_agent_of_fail_if_says_so() {
    let yaml = indoc! {r#"
        fail_if: agents["the-verdict"].data == ["high"]
        agents:
          one: {command: [echo, one]}
          the-verdict: {command: [echo, high], parse: lines}
    "#};
    let ended = Crew::new(yaml).args(&["-a", "one"]).run();
    let report = ended.report(0);
    assert_eq!(report["fail_if"].get("holds"), Some(&Value::Null));
    assert_eq!(report["reason"], Value::Null);
    let warning = "warning: fail_if is not evaluated: --agents leaves out the-verdict";
    assert!(ended.stderr.contains(warning), "{}", ended.stderr);
    let ended = Crew::new(yaml).args(&["-a", "one", "--no-progress"]).run();
    assert!(ended.stderr.contains(", fail_if was not evaluated"), "{}", ended.stderr);
    let all = Crew::new(yaml).run();
    assert_eq!(all.report(4)["fail_if"]["holds"], true);
    assert!(!all.stderr.contains("warning"), "{}", all.stderr);
}

#[test]
fn free_text_is_compared_in_no_disguise() {
    let check = |condition: &str| {
        let yaml = format!("fail_if: \"{condition}\"\nagents: {{my-agent: {{model: offline}}}}\n");
        Crew::check(&yaml).run_as_is()
    };
    let name = "agents['my-agent'].output";
    for condition in [
        format!("({name}) == 'a'"),
        format!("{name} | trim == 'a'"),
        format!("'a' != ({name} | lower | replace('x', 'y'))"),
        format!("{name} is eq('a')"),
    ] {
        let ended = check(&condition);
        assert_eq!(ended.status.code(), Some(2), "{condition}");
        assert!(ended.stderr.contains("is free text"), "{condition}: {}", ended.stderr);
    }
    for condition in [format!("{name} | length > 3"), format!("'a' in ({name} | lower)")] {
        let ended = check(&condition);
        assert_eq!(ended.status.code(), Some(0), "{condition}: {}", ended.stderr);
    }
}

#[test]
fn a_part_that_an_open_schema_does_not_name_is_a_warning() {
    let yaml = |closed: &str, part: &str| {
        formatdoc! {"
            fail_if: agents.a.data.{part} == 'high'
            agents:
              a:
                model: offline
                output_schema: {{type: object, properties: {{severity: {{type: string}}}}{closed}}}
        "}
    };
    let open = Crew::check(yaml("", "severty")).run_as_is();
    assert_eq!(open.status.code(), Some(0), "{}", open.stderr);
    for text in ["fail_if: agents.a.data.severty: the output_schema does not name", "\"severity\"?"]
    {
        assert!(open.stderr.contains(text), "{text}: {}", open.stderr);
    }
    let strict = Crew::check(yaml("", "severty")).args(&["--strict"]).run_as_is();
    assert_eq!(strict.status.code(), Some(2));
    let closed = Crew::check(yaml(", additionalProperties: false", "severty")).run_as_is();
    assert_eq!(closed.status.code(), Some(2), "{}", closed.stderr);
    assert!(!closed.stderr.contains("warning"), "{}", closed.stderr);
    let good = Crew::check(yaml("", "severity")).run_as_is();
    assert_eq!((good.status.code(), good.stderr.as_str()), (Some(0), ""));
}

#[test]
fn parts_of_list_elements_are_checked() {
    let check = |condition: &str, closed: &str| {
        let yaml = formatdoc! {"
            fail_if: {condition} | list | length > 0
            agents:
              each:
                model: offline
                for_each: [x, y]
                output_schema: {{type: object, properties: {{severity: {{type: string}}}}{closed}}}
              one: {{model: offline, output_schema: 'crew:findings'}}
        "};
        Crew::check(yaml).run_as_is()
    };
    let similar = "did you mean \"severity\"?";
    for (condition, message, hint) in [
        ("agents.each.items[0].data.severty", "agents.each.items[0].data.severty: ", similar),
        (
            "agents.each.items | selectattr('data.severty', 'equalto', 'high')",
            "data.severty of agents.each.items: ",
            similar,
        ),
        (
            "agents['each'].items[:1] | reverse | map(attribute='data.severty')",
            "data.severty of agents['each'].items: ",
            similar,
        ),
        (
            "agents.each.data | rejectattr('severty', 'equalto', 'low')",
            "severty of agents.each.data: ",
            similar,
        ),
        (
            "agents.one.data.findings | selectattr('levl', 'equalto', 'error')",
            "levl of agents.one.data.findings: ",
            "did you mean \"level\"?",
        ),
    ] {
        let ended = check(condition, "");
        assert_eq!(ended.status.code(), Some(0), "{condition}: {}", ended.stderr);
        let text = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [message, "warning: ", "the output_schema does not name", hint] {
            assert!(text.contains(part), "{condition}: {text}");
        }
    }
    let closed = ", additionalProperties: false";
    let ended = check("agents.each.items | selectattr('data.severty')", closed);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("is not in the output_schema"), "{}", ended.stderr);
    for condition in [
        "agents.each.items[0].data.severity",
        "agents.each.items | selectattr('data.severity', 'equalto', 'high')",
        "agents.each.items | selectattr('status', 'equalto', 'failed')",
        "agents.each.data | map(attribute='severity')",
        "agents.one.data.findings | selectattr('level', 'equalto', 'error')",
    ] {
        let ended = check(condition, closed);
        assert_eq!((ended.status.code(), &ended.stderr[..]), (Some(0), ""), "{condition}");
    }
}

#[test]
fn free_text_of_instances_is_compared_in_no_disguise() {
    let check = |key: &str, condition: &str| {
        let yaml = formatdoc! {r#"
            agents:
              each: {{model: offline, for_each: [x, y]}}
              last: {{model: offline, needs: [each], {key}: "{condition}"}}
        "#};
        Crew::check(yaml).run_as_is()
    };
    let selected = "agents.each.items | selectattr('output', 'equalto', 'yes') | list | length > 0";
    let joined = "agents.each.output == 'yes'";
    for condition in [selected, joined, "agents.each.items[0].output | trim == 'yes'"] {
        let ended = check("when", condition);
        assert_eq!(ended.status.code(), Some(2), "{condition}");
        assert!(ended.stderr.contains("is free text"), "{condition}: {}", ended.stderr);
    }
    let by_status = selected.replace("output", "status").replace("yes", "failed");
    let in_prompt = format!("{{{{ {selected} }}}}");
    for (key, text) in [("when", by_status.as_str()), ("prompt", &in_prompt)] {
        let ended = check(key, text);
        assert_eq!(ended.status.code(), Some(0), "{text}: {}", ended.stderr);
    }
}

#[test]
fn output_names_the_answer_of_the_crew() {
    let server = ModelServer::start(|request| text(request.model()));
    let yaml = indoc! {"
        output: first
        providers: {p: {base_url: '${URL}'}}
        agents:
          first: {model: p/first}
          last: {model: p/last, needs: [first]}
    "};
    let report = Crew::new(yaml).env("URL", &server.base_url()).run().report(0);
    assert_eq!(report["answer"], "first");
    let check = Crew::check(yaml).env("URL", &server.base_url()).run_as_is();
    assert!(check.stdout.contains("output: first"), "{}", check.stdout);
    assert!(check.stdout.contains("stages: first → last"), "{}", check.stdout);
}
