//! Faults of control flow, found before anything runs.

use indoc::indoc;

use crate::support::crew::Crew;
use crate::support::faults::expect_in;

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
fn the_kind_of_a_value_is_checked() {
    expect_in(
        indoc! {"
            agents:
              a: {command: echo, stdin: [x]}
              b: {shell: [echo, x], parse: csv}
              c: {command: [echo], env: {A: [x]}, ok_exit_codes: 1}
              d: {when: {a: b}, for_each: 5}
              e: {for_each: [1], key: [x], max_items: many, on_failure: maybe}
              f: {check: [cargo, test], needs: {a: maybe}}
              g: {check: {command: cargo test, attempts: 0}, prompt: [x]}
              h: {command: [echo], parse: lines, output_schema: {type: object}}
        "},
        &[
            "agents.a.command 3:16 .. expected a list",
            "agents.a.stdin 3:29 .. expected a text, found a list",
            "agents.b.shell 4:14 .. expected a text, found a list",
            "agents.b.parse 4:32 .. expected text, lines or json",
            "agents.c.env.A 5:33 .. expected a text",
            "agents.c.ok_exit_codes 5:54 .. expected a list",
            "agents.d.when 6:13 .. expected an expression",
            "agents.d.for_each 6:31 .. expected a list, or an expression",
            "agents.e.key 7:27 .. expected a text, found a list",
            "agents.e.max_items 7:43 .. expected a whole number",
            "agents.e.on_failure 7:61 .. expected cancel or continue",
            "agents.f.check 8:14 .. expected a mapping",
            "agents.f.needs.a 8:40 .. expected succeeded or done",
            "agents.g.check.command 9:24 .. expected a list",
            "agents.g.check.attempts 9:46 .. from 1 to 100",
            "agents.g.prompt 9:58 .. expected a text, found a list",
            "agents.h.parse 10:31 .. an output_schema needs parse: json",
        ],
    );
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
        expect_in(&yaml, &expected);
    }
}

#[test]
fn cycles_through_lists_and_conditions_are_faults() {
    expect_in(
        indoc! {"
            agents:
              a: {needs: [b], for_each: agents.b.data, command: [echo, '{{ item }}']}
              b: {needs: {a: done}, when: agents.a.items | length > 0, command: [echo], parse: lines}
              c: {for_each: agents.d.data, command: [echo]}
              d: {needs: [d], command: [echo], parse: lines}
              e: {for_each: agents.e.data, command: [echo], parse: lines}
              f: {when: agents.f.output | length > 0, command: [echo]}
              g: {model: offline, check: {command: [grep, '{{ agents.g.output }}']}}
        "},
        &[
            "agents.a.needs[0] 3:15 .. these agents need each other: a -> b -> a",
            "agents.c.for_each 5:17 .. the answer of agent \"d\" is not available here .. needs",
            "agents.d.needs[0] 6:15 .. agent \"d\" needs itself",
            "agents.e.for_each 7:17 .. agent \"e\" would need itself .. answers of other agents",
            "agents.f.when 8:13 .. agent \"f\" would need itself .. answers of other agents",
            "agents.g.check.command[1] 9:51 .. agent \"g\" would need itself .. write output",
        ],
    );
}
