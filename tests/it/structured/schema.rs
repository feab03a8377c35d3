//! `output_schema`, inline or in a file: faults, and values that `offline` generates.

use crate::support::crew::Crew;
use crate::support::faults::{expect_in, faults, lines};
use indoc::{formatdoc, indoc};
use serde_json::json;

#[test]
fn faults_of_schemas_have_their_position() {
    for (schema, expected) in [
        ("true", "agents.a.output_schema 3:22 .. expected a JSON Schema"),
        ("[1]", "agents.a.output_schema 3:22 .. expected a JSON Schema .. path of a file"),
        ("", "agents.a.output_schema 3:7 .. expected a JSON Schema"),
        ("''", "agents.a.output_schema 3:22 .. is not the path of a file"),
        ("{type: strin}", "agents.a.output_schema.type 3:29 .. is not a type of JSON Schema"),
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
fn data_requires_an_output_schema() {
    let agents = indoc! {r#"
        agents:
          plain: {}
          made: {output_schema: {type: object}}
          good:
            needs: [made]
            prompt: '{{ agents.made.data.x }}{{ agents.made.output }}{{ agents.made["data"] }}'
          dotted: {needs: [plain], prompt: '{{ agents.plain.data.x }}'}
          quoted: {needs: [plain], prompt: '{{ agents["plain"]["data"] }}'}
          mixed: {needs: [plain], prompt: '{{ agents.plain["data"] }}'}
          unneeded: {prompt: '{{ agents.made.data }}'}
          other: {needs: [made], prompt: '{{ agents.made.date }}'}
    "#};
    expect_in(
        agents,
        &[
            "agents.dotted.prompt 8:40 .. agents.plain has no data .. give it an output_schema",
            "agents.quoted.prompt 9:40 .. agents.plain has no data",
            "agents.mixed.prompt 10:35 .. agents.plain has no data",
            "agents.unneeded.prompt 11:26 .. add made to this agent's needs",
            "agents.other.prompt 12:38 .. has no \"date\" .. write agents.made.output or .data",
        ],
    );
}

#[test]
fn unknown_fields_of_data_are_faults() {
    let part = "{{ agents.a.data";
    let agents = formatdoc! {"
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
          d: {{needs: [a], prompt: '{part}.open.y }}}}{part}.open.x.y }}}}'}}
          e: {{needs: [a], prompt: '{part}.list.z }}}}{part}.level }}}}'}}
    "};
    expect_in(
        &agents,
        &[
            "agents.b.prompt 11:31 .. agents.a.data.levl is not in the output_schema \
             .. did you mean \"level\"?",
            r#"agents.c.prompt 12:31 .. agents.a.data.level is a single value without "high""#,
        ],
    );
}

#[test]
fn schemas_in_files() {
    let yaml =
        "defaults: {model: offline}\nagents: {a: {output_schema: it}, b: {output_schema: it}}\n";
    let with = |name: &str, text: &str| {
        let crew = Crew::new(yaml.replace("it}", &format!("{name}}}")));
        std::fs::create_dir(crew.path("sub")).unwrap();
        std::fs::write(crew.path(name), text).unwrap();
        crew
    };
    let schema = concat!(
        "{\n\t\"type\": \"object\",\n\t\"required\": [\"n\"],\n",
        "\t\"properties\": {\"n\": {\"const\": 7}}\n}"
    );
    let yaml_schema = indoc! {"
        type: object
        required: [n]
        properties:
          n: {const: 7}
    "};
    for (name, text) in [("sub/s.json", schema), ("s.yaml", yaml_schema)] {
        // In another directory: the path is relative to the crew's file.
        let crew = with(name, text);
        let file = crew.path("agents.yaml");
        let elsewhere = tempfile::tempdir().unwrap();
        let args = ["run", "-c", file.to_str().unwrap(), "-i", "go", "-o", "json"];
        let report = Crew::at(elsewhere.path()).args(&args).run_as_is().json();
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
        let found = lines(&faults(&with(name, text).args(&["-o", "json"]).run()));
        let [a, b] = &found[..] else { panic!("{expected}: {found:#?}") };
        assert!(a.starts_with("agents.a.output_schema 2:") && a.contains(expected), "{a}");
        assert!(b.starts_with("agents.b.output_schema 2:") && b.contains(expected), "{b}");
    }
}

#[test]
fn offline_generates_a_value_or_reports_that_it_cannot() {
    let yaml = indoc! {r"
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
                when: {type: string, pattern: '^\d{4}$', examples: ['2026']}
              $defs: {part: {enum: [fan, disk]}}
          b:
            output_schema: {type: string, pattern: '^\d{4}$'}
    "};
    let ended = Crew::new(yaml).run();
    let report = ended.report(1);
    let [a, b] = ["a", "b"].map(|name| &report["agents"][name]);
    assert_eq!(a["data"], json!({"level": 3, "parts": ["fan"], "when": "2026"}));
    assert_eq!(a["tool_calls"].as_array().unwrap().len(), 1);
    assert_eq!(a["model"], "offline");
    assert_eq!((&b["error"]["kind"], &b["retries"]), (&json!("invalid_response"), &json!(0)));
    let message = b["error"]["message"].as_str().unwrap();
    assert!(message.contains("add one under examples"), "{message}");
}

#[test]
fn check_lists_agents_with_structured_answers() {
    let yaml = "agents: {a: {model: offline}, b: {model: offline, output_schema: {}}}\n";
    let stdout = Crew::check(yaml).run_as_is().stdout;
    assert!(stdout.contains("\nstructured answers: b\n"), "{stdout}");
}
