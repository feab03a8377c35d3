//! Mistakes of new users, and the advice they get.

use indoc::indoc;
use serde_json::Value;

use crate::support::crew::Crew;
use crate::support::faults::{expect, expect_in};

#[test]
fn mistakes_in_yaml_get_advice() {
    for (yaml, expected) in [
        ("agents:\n  a:\n    goal: Review: bugs\n", "- 3:17 .. a second `: ` .. in quotes"),
        ("agents:\n  a: {model: offline}\n  b\n    c: d\n", "- 3:3 .. invalid YAML .. indentation"),
        ("agents:\n\ta: {}\n", "- 2:2 .. tab in the indentation .. spaces"),
        ("agents:\n  a:\n  \tmodel: x\n", "- 3:4 .. tab in the indentation .. spaces"),
    ] {
        expect(yaml, &[], &[], &[expected]);
    }
    expect_in(
        indoc! {"
            tools: !include tools.yaml
            agents:
              a: {role: !!str 5, gaol: !env X}
        "},
        &[
            "tools 2:17 .. !include .. include: [PATH]",
            "tools 2:17 .. expected a mapping",
            "agents.a.gaol 4:22 .. did you mean \"goal\"?",
            "agents.a.gaol 4:33 .. !env",
        ],
    );
}

#[test]
fn a_list_of_agents_or_tools_is_explained() {
    expect_in(
        indoc! {"
            tools:
              - name: t
            agents:
              - name: a
        "},
        &[
            "tools 2:1 .. expected a mapping, found a list .. without dashes",
            "agents 4:1 .. expected a mapping, found a list .. without dashes",
        ],
    );
}

#[test]
fn words_of_other_programs_get_the_word_of_crew() {
    expect_in(
        indoc! {"
            env_file: .env
            extends: base.yaml
            providers:
              p: {api_base: 'http://h', api_key: sk-SECRET}
            agents:
              a:
                depends_on: [b]
                system_prompt: x
                response-format: {}
              b: {Max_Iter: 3}
              c: {model: offline, api_base: 'http://h'}
        "},
        &[
            "env_file 2:1 .. --env-file PATH",
            "extends 3:1 .. include: [PATH]",
            "providers.p 5:3 .. has no base_url",
            "providers.p.api_base 5:7 .. base_url: https://",
            "providers.p.api_key 5:29 .. api_key_env",
            "agents.a.depends_on 8:5 .. needs: [other-agent]",
            "agents.a.system_prompt 9:5 .. system: the whole",
            "agents.a.response-format 10:5 .. output_schema",
            "agents.b.Max_Iter 11:7 .. max_turns",
            "agents.c.api_base 12:23 .. providers: {name: {base_url:",
        ],
    );
}

#[test]
fn settings_at_the_top_of_the_file_get_their_place() {
    let yaml = "on_failure: continue\ntimeout: 5m\nmodel: offline\nagents: {a: {}}\n";
    let report = Crew::check(yaml).args(&["-o", "json"]).run_as_is().report(2);
    let hints = report["files"][0]["errors"].to_string();
    for hint in [
        "write limits: {on_failure: continue}",
        "write limits: {timeout: 10m} for the run",
        "write defaults: {model: provider/model}",
    ] {
        assert!(hints.contains(hint), "{hint}: {hints}");
    }
}

#[test]
fn a_tab_is_visible() {
    let stderr = Crew::check("agents:\n  a:\n  \tmodel: x\n").run_as_is().stderr;
    assert!(stderr.contains("3 |   →model: x\n"), "{stderr}");
}

#[test]
fn unknown_names_list_the_known_ones() {
    expect_in(
        indoc! {"
            tools: {list: {shell: 'true'}, show: {shell: 'true'}}
            agents:
              a: {tools: [search], needs: [zzz]}
              b: {model: gpt-4o-mini}
              c: {model: 'llama3.1:8b'}
        "},
        &[
            "agents.a.tools[0] 4:15 .. no tool \"search\" .. known: list, show",
            "agents.a.needs[0] 4:32 .. no agent \"zzz\" .. known: a, b, c",
            "agents.b.model 5:14 .. openai/gpt-4o-mini",
            "agents.c.model 6:14 .. ollama/llama3.1:8b",
        ],
    );
    let yaml = "agents: {a: {model: offline}}\n";
    expect(yaml, &["-a", "zzz"], &[], &["- -:- .. no agent \"zzz\" .. known: a"]);
}

#[test]
fn only_values_of_secret_keys_are_masked() {
    let yaml =
        "agents: {a: {model: offline, promt: visible, password: hidden-1, apiKey: hidden-2}}\n";
    let stderr = Crew::check(yaml).run_as_is().stderr;
    assert!(stderr.contains("promt: visible"), "{stderr}");
    assert!(!stderr.contains("hidden-"), "{stderr}");
    let stderr = Crew::check("agents: {a: {model: offline, max_tokens: 100}}\n").run_as_is().stderr;
    assert!(stderr.contains("max_tokens: 100"), "{stderr}");
}

#[test]
fn a_schema_of_all_parameters_is_explained() {
    let yaml = indoc! {"
        tools:
          find:
            shell: ls
            parameters: {type: object, properties: {id: {type: string}}}
        agents: {a: {model: offline, tools: [find]}}
    "};
    let fault = "tools.find.parameters.type 4:18 .. without `type: object`";
    expect(yaml, &[], &[], &[fault]);
}

#[test]
fn a_word_is_underlined_and_advice_without_a_line_has_no_margin() {
    let yaml = "agents: {a: {model: offline, output_schema: {type: strng}}}\n";
    let stderr = Crew::new(yaml).args(&["-a", "zzz"]).run().stderr;
    assert!(stderr.contains(" ^^^^^\n"), "{stderr}");
    assert!(stderr.contains("\"strng\" is not a type of JSON Schema"), "{stderr}");
    assert!(stderr.contains("no agent \"zzz\"\nhelp: known: a\n"), "{stderr}");
}

#[test]
fn a_wrong_value_of_an_option_lists_the_possible_ones() {
    let ended = Crew::new("agents: {}").args(&["-o", "yaml"]).run();
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(report["errors"][0]["hint"].as_str().unwrap().contains("text, json"), "{report:#}");
    let ended = Crew::new("agents: {}").args(&["--max-parallel", "0"]).run();
    assert!(ended.stderr.contains("a whole number of 1 or more"), "{}", ended.stderr);
}
