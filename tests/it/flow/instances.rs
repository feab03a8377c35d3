//! Instances: one agent for each item of a list.

use std::collections::HashSet;
use std::time::Duration;

use indoc::{formatdoc, indoc};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script::{delayed, error, text};

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
    assert_eq!(items[1]["reason"], json!({"kind": "when", "expression": "item != \"b\""}));
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

#[test]
fn others_see_items_outputs_and_data() {
    let server = ModelServer::start(|request| match request.contents("user")[0] {
        "bad" => error(400, "no"),
        item => text(&format!("{{\"n\": \"{item}\"}}")),
    });
    let report = Crew::new(indoc! {r#"
        limits: {on_failure: continue}
        providers: {mock: {base_url: '${URL}'}}
        agents:
          each:
            model: mock/m
            for_each: [one, bad, two]
            prompt: "{{ item }}"
            output_schema: {type: object, properties: {n: {type: string}}}
          all:
            needs: {each: done}
            command: [cat]
            stdin: |-
              {% for i in agents.each.items -%}
              {{ i.key }} {{ i.item }} {{ i.status }} {{ i.data.n if i.data is defined }} {{ i.error.kind }};
              {% endfor %}
              {{ agents.each.data }}
              {{ agents.each.output }}
    "#})
    .env("URL", &server.base_url())
    .run()
    .report(1);
    let seen = report["agents"]["all"]["output"].as_str().unwrap();
    for text in [
        "one one succeeded one ;\n",
        "bad bad failed  bad_request;\n",
        "two two succeeded two ;\n",
        r#"[{"n":"one"},{"n":"two"}]"#,
        "## one\n\n{\"n\": \"one\"}\n",
        "## bad\n\nfailed: ",
    ] {
        assert!(seen.contains(text), "{text}: {seen}");
    }
    let each = &report["agents"]["each"];
    assert_eq!(each["usage"]["output_tokens"], 10, "the sum of two answers of 5 tokens");
    assert_eq!(each["error"]["kind"], "for_each");
    assert_eq!(each["error"]["message"], "1 of 3 instances failed: bad");
}

#[test]
fn a_key_is_the_item_or_its_index_or_a_template() {
    let template = ", key: 'k{{ index }}{{ item if item is string }}'";
    for (more, expected) in [
        ("", json!(["a", "7", "2", "3", "a#2"])),
        (template, json!(["k0a", "k1", "k2", "k3", "k4a"])),
    ] {
        let yaml = format!(
            "agents:\n  a: {{command: ['true'], for_each: [a, 7, {{b: 1}}, [c], a]{more}}}\n"
        );
        let report = Crew::new(&yaml).run().report(0);
        let items = report["agents"]["a"]["items"].as_array().unwrap();
        let keys: Vec<&Value> = items.iter().map(|item| &item["key"]).collect();
        assert_eq!(json!(keys), expected);
    }
}

#[test]
fn hostile_keys_are_short_printable_and_unique() {
    let long = "x".repeat(10_000);
    // A real key may look like one that crew makes unique.
    let list = json!(["a", "a", "", "", long, long, "\u{1b}[31m\n\u{0}\u{7}red", "a#2"]);
    let yaml = indoc! {"
        agents:
          list: {command: [cat, list.json], parse: json}
          each: {needs: [list], for_each: agents.list.data, command: [printf, '%s', '{{ index }}']}
    "};
    let run = |args: &[&str]| {
        let crew = Crew::new(yaml).args(args);
        std::fs::write(crew.path("list.json"), list.to_string()).unwrap();
        crew.run()
    };
    let ended = run(&[]);
    let report = ended.report(0);
    let items = report["agents"]["each"]["items"].as_array().unwrap();
    let keys: Vec<&str> = items.iter().map(|item| item["key"].as_str().unwrap()).collect();
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 8, "{keys:?}");
    assert!(keys.iter().all(|key| !key.is_empty() && key.chars().count() < 110), "{keys:?}");
    assert!(!keys.iter().any(|key| key.contains(char::is_control)), "{keys:?}");
    assert_eq!(keys[..4], ["a", "a#2", "2", "3"]);
    assert_eq!(items[7]["output"], "7");
    let text = run(&["-o", "text"]).stdout;
    for shown in [&ended.stderr, &text] {
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{0}']), "{shown}");
    }
}

#[test]
fn the_default_of_max_items_is_a_hundred() {
    let yaml = |more: &str| {
        formatdoc! {"
            agents:
              list: {{command: [seq, '101'], parse: lines}}
              each: {{needs: [list], for_each: agents.list.data, command: ['true']{more}}}
        "}
    };
    let report = Crew::new(yaml("")).run().report(1);
    let message = report["agents"]["each"]["error"]["message"].as_str().unwrap();
    assert!(message.contains("101 items") && message.contains("100"), "{message}");
    let report = Crew::new(yaml(", max_items: 101")).run().report(0);
    assert_eq!(report["agents"]["each"]["items"].as_array().unwrap().len(), 101);
}

#[test]
fn a_million_items_are_refused_in_bounded_time_and_memory() {
    let ended = Crew::new(indoc! {"
        agents:
          list: {command: [seq, '1000000'], parse: lines, max_answer: 16MiB}
          each: {needs: [list], for_each: agents.list.data, command: [touch, started]}
    "})
    .args(&["-q", "--output-file", "report.json"])
    .run();
    let report = std::fs::read_to_string(ended.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let error = &report["agents"]["each"]["error"];
    assert_eq!((ended.status.code(), &error["kind"]), (Some(1), &json!("for_each")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("1000000 items"), "{error}");
    assert!(!ended.path().join("started").exists());
    assert!(ended.peak_memory < 600 << 20, "{} MiB", ended.peak_memory >> 20);
    assert!(ended.took < Duration::from_secs(20), "{:?}", ended.took);
}

#[test]
fn memory_follows_the_open_instances() {
    const INSTANCES: usize = 32;
    const INPUT: usize = 1 << 20;
    let server = ModelServer::start(|request| match request.model() {
        // So that all of them are open.
        "slow" => delayed(Duration::from_secs(2), text("x")),
        _ => text("x"),
    });
    let peak = |model: &str, max_parallel: usize| {
        let yaml = formatdoc! {"
            providers: {{mock: {{base_url: '{}', max_concurrency: {INSTANCES}}}}}
            agents:
              each:
                model: mock/{model}
                for_each: range({INSTANCES}) | list
                max_parallel: {max_parallel}
                prompt: '{{{{ item }}}}: {{{{ input }}}}'
        ", server.base_url()};
        let crew = Crew::new(&yaml);
        let input = crew.path("input");
        std::fs::write(&input, "x".repeat(INPUT)).unwrap();
        let ended = crew.args(&["--input-file", input.to_str().unwrap(), "-q"]).run_as_is();
        let report = ended.report(0);
        assert_eq!(report["agents"]["each"]["items"].as_array().unwrap().len(), INSTANCES);
        ended.peak_memory
    };
    let (one, all) = (peak("quick", 1), peak("slow", INSTANCES));
    let at_least = (INSTANCES * INPUT) as u64 / 2;
    assert!(all > one + at_least, "{} and {} MiB", one >> 20, all >> 20);
    assert!(one * 2 < all, "{} and {} MiB", one >> 20, all >> 20);
}

#[test]
fn instances_take_places() {
    for (own, run) in [(", max_parallel: 2", ""), ("", "limits: {max_parallel: 2}\n")] {
        let server = ModelServer::always(delayed(Duration::from_millis(100), text("x")));
        let url = server.base_url();
        let yaml = formatdoc! {"
            {run}providers: {{mock: {{base_url: '{url}', max_concurrency: 9}}}}
            agents:
              a: {{model: mock/m, for_each: [1, 2, 3, 4, 5, 6]{own}}}
        "};
        Crew::new(&yaml).run().report(0);
        assert_eq!(server.state().peak_calls, 2, "{own}{run}");
    }
}

#[test]
fn on_failure_says_what_a_failed_instance_does_to_the_others() {
    let second = |on_failure: &str| {
        let yaml = formatdoc! {"
            agents:
              each:
                for_each: [exit 1, echo ran]
                shell: eval \"$line\"
                env: {{line: '{{{{ item }}}}'}}
                max_parallel: 1
                {on_failure}
        "};
        let report = Crew::new(yaml).run().report(1);
        let item = &report["agents"]["each"]["items"][1];
        (item["status"].clone(), item["reason"].clone())
    };
    let cancelled = json!({"kind": "agent_failed", "agent": "each[exit 1]"});
    assert_eq!(second(""), (json!("cancelled"), cancelled.clone()));
    assert_eq!(second("on_failure: cancel"), (json!("cancelled"), cancelled));
    assert_eq!(second("on_failure: continue"), (json!("succeeded"), Value::Null));
}

/// The status, the reason and the scope of each instance of `each`.
fn ends(report: &Value) -> Vec<[Value; 3]> {
    let items = report["agents"]["each"]["items"].as_array().unwrap().iter();
    let end = |item: &Value| {
        [item["status"].clone(), item["reason"].clone(), item["error"]["scope"].clone()]
    };
    items.map(end).collect()
}

#[test]
fn an_instance_that_the_run_stops_does_not_stop_the_others() {
    for on_failure in ["", "on_failure: cancel"] {
        let report = Crew::new(formatdoc! {"
            limits: {{timeout: 1s}}
            agents:
              each: {{for_each: [1, 2, 3], command: [sleep, '60'], {on_failure}}}
        "})
        .run()
        .report(124);
        let expected = [json!("timed_out"), Value::Null, json!("run")];
        assert_eq!(ends(&report), vec![expected; 3], "{on_failure}");
    }
    let running = Crew::new(indoc! {r#"
        agents:
          each:
            for_each: [1, 2, 3]
            shell: 'trap "exit 1" TERM; echo $$ > "$DIR/$item"; while :; do sleep 0.1; done'
            env: {DIR: "${DIR}", item: "{{ item }}"}
    "#})
    .start();
    for item in ["1", "2", "3"] {
        running.pid_from(item);
    }
    running.signal(Signal::SIGINT);
    let expected = [json!("cancelled"), json!({"kind": "interrupted"}), Value::Null];
    assert_eq!(ends(&running.wait().json()), vec![expected; 3]);
}

#[test]
fn many_instances_are_folded_and_failures_are_shown() {
    let crew = |end: u32| {
        Crew::new(formatdoc! {r#"
            limits: {{on_failure: continue}}
            agents:
              list: {{command: [seq, "{end}"], parse: lines}}
              each:
                needs: [list]
                for_each: agents.list.data
                shell: 'echo "seen $item"; test $((item % 30)) != 7'
                env: {{item: "{{{{ item }}}}"}}
        "#})
        .args(&["--no-progress"])
    };
    let ended = crew(40).run();
    let report = ended.report(1);
    assert_eq!(report["agents"]["each"]["items"].as_array().unwrap().len(), 40);
    assert!(ended.stderr.contains("each[7]"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("each[8]"), "{}", ended.stderr);
    assert!(ended.stderr.contains("✓ 39 succeeded"), "{}", ended.stderr);
    let errors = "error each[7], each[37]: step: exit code 1";
    assert!(ended.stderr.contains(errors), "{}", ended.stderr);
    let state = ended.path().join("state");
    let state = state.to_str().unwrap();
    let shown = |crew: Crew, args: &[&str]| {
        crew.env("XDG_STATE_HOME", state).args(&["-o", "text"]).args(args).run().stdout
    };
    let show = |args: &[&str]| {
        let crew = Crew::at(ended.path()).args(&["runs", "show", "-o", "text"]).args(args);
        crew.env("XDG_STATE_HOME", state).run_as_is().stdout
    };
    let text = shown(crew(40), &[]);
    assert!(text.contains("each[7] failed") && text.contains("seen 37\n"), "{text}");
    assert!(!text.contains("seen 8\n"), "{text}");
    assert!(text.ends_with("\n\n… 38 more instances ended well; -v shows them\n"), "{text}");
    for text in [show(&["-v"]), shown(crew(40), &["-v"])] {
        assert!((1..=40).all(|item| text.contains(&format!("seen {item}\n"))), "{text}");
    }
    let few = shown(crew(15), &[]);
    assert!(few.contains("seen 15\n") && !few.contains("ended well;"), "{few}");
}

#[test]
fn advice_is_given_once() {
    let ended = Crew::new(indoc! {r#"
        agents:
          each:
            for_each: [one, two, three]
            on_failure: continue
            shell: 'echo "no $item" >&2; exit 1'
            env: {item: "{{ item }}"}
    "#})
    .run();
    let errors = indoc! {"

        error each[one]: step: exit code 1: no one
        error each[two]: step: exit code 1: no two
        error each[three]: step: exit code 1: no three
          run the step's command by hand to see what it lacks

    "};
    assert!(ended.stderr.contains(errors), "{}", ended.stderr);
}

#[test]
fn structured_answers_are_shown_for_each_instance_only() {
    let yaml = indoc! {"
        agents:
          a:
            model: offline
            for_each: [one, two]
            output_schema: {type: object, required: [ok], properties: {ok: {type: boolean}}}
    "};
    let text = Crew::new(yaml).args(&["-o", "text"]).run().stdout;
    assert!(!text.contains("null") && text.matches("\"ok\": false").count() == 2, "{text}");
}
