//! `output_schema` as written: inline or in a file, found faulty before anything runs, and made up
//! for by `offline`.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::json;
use support::crew::Crew;
use support::faults::{self, expect_in, folder, lines};

#[test]
fn what_is_wrong_with_a_schema_is_found_where_it_stands() {
    for (schema, expected) in [
        ("true", "agents.a.output_schema 3:22 .. expected a JSON Schema"),
        ("[1]", "agents.a.output_schema 3:22 .. expected a JSON Schema .. path of a file"),
        ("", "agents.a.output_schema 3:7 .. expected a JSON Schema"),
        ("''", "agents.a.output_schema 3:22 .. is not the path of a file"),
        ("{type: strin}", "agents.a.output_schema.type 3:29 .. not a valid JSON Schema"),
        (
            "{anyOf: [{}, {items: {pattern: '('}}]}",
            "agents.a.output_schema.anyOf[1].items.pattern 3:53 .. not a valid JSON Schema",
        ),
        (
            "{properties: {x: {$ref: 'https://h/x'}}}",
            "agents.a.output_schema.properties.x[\"$ref\"] 3:46 .. nothing is fetched .. $defs",
        ),
        ("{$ref: '#'}", "agents.a.output_schema[\"$ref\"] 3:29 .. refers to itself"),
        ("none.json", "agents.a.output_schema 3:22 .. none.json: no such file"),
        (".", "agents.a.output_schema 3:22 .. is a directory"),
    ] {
        expect_in(&format!("agents:\n  a: {{output_schema: {schema}}}\n"), &[expected]);
    }
}

#[test]
fn an_answer_has_data_only_if_it_was_asked_for() {
    let agents = "
agents:
  plain: {}
  made: {output_schema: {type: object}}
  good:
    needs: [made]
    prompt: '{{ agents.made.data.x }}{{ agents.made.output }}{{ agents.made[\"data\"] }}'
  dotted: {needs: [plain], prompt: '{{ agents.plain.data.x }}'}
  quoted: {needs: [plain], prompt: '{{ agents[\"plain\"][\"data\"] }}'}
  mixed: {needs: [plain], prompt: '{{ agents.plain[\"data\"] }}'}
  unneeded: {prompt: '{{ agents.made.data }}'}
  other: {needs: [made], prompt: '{{ agents.made.date }}'}
";
    expect_in(
        agents,
        &[
            "agents.dotted.prompt 9:40 .. agents.plain has no data .. give it an output_schema",
            "agents.quoted.prompt 10:40 .. agents.plain has no data",
            "agents.mixed.prompt 11:35 .. agents.plain has no data",
            "agents.unneeded.prompt 12:26 .. add made to this agent's needs",
            "agents.other.prompt 13:38 .. has no \"date\" .. write agents.made.output or .data",
        ],
    );
}

#[test]
fn a_name_that_no_answer_can_have_is_found_before_anything_runs() {
    let part = "{{ agents.a.data";
    let agents = format!(
        "
agents:
  a:
    output_schema:
      type: object
      additionalProperties: false
      properties:
        level: {{type: string}}
        open: {{type: object, properties: {{x: {{}}}}}}
        list: {{type: array}}
  b: {{needs: [a], prompt: '{part}.levl }}}}'}}
  c: {{needs: [a], prompt: '{part}.level.high }}}}'}}
  d: {{needs: [a], prompt: '{part}.open.y }}}}{part}.open.x.y }}}}{part}.list.z }}}}{part}.level }}}}'}}
"
    );
    expect_in(
        &agents,
        &[
            r#"agents.b.prompt 12:31 .. agents.a.data.levl is not in the output_schema .. did you mean "level"?"#,
            r#"agents.c.prompt 13:31 .. agents.a.data.level is a single value without "high""#,
        ],
    );
}

#[test]
fn a_file_of_its_own_is_as_good_and_as_bounded() {
    let yaml =
        "defaults: {model: offline}\nagents: {a: {output_schema: it}, b: {output_schema: it}}\n";
    let with = |name: &str, text: &str| {
        let dir = folder(yaml.replace("it}", &format!("{name}}}")));
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join(name), text).unwrap();
        dir
    };
    let schema = "{\n\t\"type\": \"object\",\n\t\"required\": [\"n\"],\n\t\"properties\": {\"n\": {\"const\": 7}}\n}";
    for (name, text) in [
        ("sub/s.json", schema),
        ("s.yaml", "type: object\nrequired: [n]\nproperties:\n  n: {const: 7}\n"),
    ] {
        // From elsewhere: the path starts at the crew's file.
        let dir = with(name, text);
        let file = dir.path().join("agents.yaml");
        let elsewhere = tempfile::tempdir().unwrap();
        let args = ["run", "-c", file.to_str().unwrap(), "-i", "go", "-o", "json"];
        let output = faults::crew(elsewhere.path(), &args, &[]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["agents"]["b"]["data"], json!({"n": 7}), "{report:#}");
    }
    for (name, text, expected) in [
        ("s.json", "{\"type\": }", "s.json: invalid JSON: expected value at line 1"),
        ("s.json", "{\"items\": {\"type\": 1}}", "s.json at /items/type: this is not a valid JSON"),
        ("s.yaml", "type: object\ntype: object\n", "s.yaml:2:1: duplicate key"),
        ("s.yaml", "a: &a [*a]\n", "s.yaml:1:8: this alias is inside the value it refers to"),
        ("s.yaml", "- type: object\n", "s.yaml: expected a JSON Schema"),
        ("s.yaml", &format!("description: {}", "x".repeat(70_000)), "larger than 64 KiB"),
        ("s.json", &" ".repeat(300_000), "s.json is larger than 256 KiB, the maximum for a schema"),
        ("s.json", &format!("{}{}", "[".repeat(9999), "]".repeat(9999)), "s.json: invalid JSON"),
        ("s.yaml", "", "s.yaml: the file is empty"),
    ] {
        let dir = with(name, text);
        let args = ["run", "-i", "go", "-o", "json"];
        let found = lines(&faults::faults(&faults::crew(dir.path(), &args, &[])));
        let [a, b] = &found[..] else { panic!("{expected}: {found:#?}") };
        assert!(a.starts_with("agents.a.output_schema 2:") && a.contains(expected), "{a}");
        assert!(b.starts_with("agents.b.output_schema 2:") && b.contains(expected), "{b}");
    }
}

#[test]
fn offline_makes_up_a_value_or_says_that_it_cannot() {
    let yaml = "
defaults: {model: offline, retries: 3}
limits: {on_failure: continue}
tools: {look: {command: [echo, full]}}
agents:
  a:
    tools: [look]
    output_schema:
      type: object
      required: [level, parts, when]
      properties:
        level: {type: integer, minimum: 3}
        parts: {type: array, minItems: 1, items: {$ref: '#/$defs/part'}}
        when: {type: string, pattern: '^\\d{4}$', examples: ['2026']}
      $defs: {part: {enum: [fan, disk]}}
  b:
    output_schema: {type: string, pattern: '^\\d{4}$'}
";
    let ended = Crew::new(yaml).run();
    let report = ended.report(1);
    let [a, b] = ["a", "b"].map(|name| &report["agents"][name]);
    assert_eq!(a["data"], json!({"level": 3, "parts": ["fan"], "when": "2026"}));
    assert_eq!(a["tool_calls"].as_array().unwrap().len(), 1);
    assert_eq!(a["model"], "offline");
    assert_eq!((&b["error"]["kind"], &b["retries"]), (&json!("invalid_response"), &json!(0)));
    let message = b["error"]["message"].as_str().unwrap();
    assert!(message.contains("give it one under examples"), "{message}");
}

#[test]
fn check_says_who_answers_so() {
    let dir = folder("agents: {a: {model: offline}, b: {model: offline, output_schema: {}}}\n");
    let output = faults::crew(dir.path(), &["check"], &[]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("\nstructured answers: b\n"), "{stdout}");
}
