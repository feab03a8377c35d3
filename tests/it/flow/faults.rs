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

#[test]
fn unknown_filters_and_tests_are_found_where_no_trial_gets() {
    expect_in(
        indoc! {r#"
            agents:
              p: {shell: "echo {}", parse: json}
              i: {for_each: [1], prompt: x}
              a:
                needs: [p, i]
                when: agents.p.data.x is nope
                prompt: |
                  {% if input == "x" %}{{ input | triim }}{% endif %}
                  {% for row in agents.i.items %}{% filter uper %}{{ row.key }}{% endfilter %}
                  {{ row.output is defind }}{% endfor %}
                  {% raw %}{{ x | unknown }}{% endraw %} a | unknown
              b:
                needs: [i]
                for_each: agents.i.items | selectattr("status", "equalsto", "failed") | list
                prompt: x
            fail_if: agents.p.data.x | lenght > 1
        "#},
        &[
            "agents.a.when 7:30 .. there is no test \"nope\"",
            "agents.a.prompt 9:39 .. there is no filter \"triim\" .. did you mean \"trim\"?",
            "agents.a.prompt 10:48 .. there is no filter \"uper\" .. did you mean \"upper\"?",
            "agents.a.prompt 11:24 .. there is no test \"defind\" .. did you mean \"defined\"?",
            "agents.b.for_each 15:54 .. there is no test \"equalsto\" .. did you mean \"equalto\"?",
            "fail_if 17:28 .. there is no filter \"lenght\" .. did you mean \"length\"?",
        ],
    );
}

#[test]
fn parts_of_items_and_instances_are_checked() {
    expect_in(
        indoc! {r#"
            vars: {hosts: [{name: a}, {name: b, port: 1}]}
            agents:
              find:
                prompt: x
                output_schema: &closed
                  type: object
                  additionalProperties: false
                  properties:
                    findings:
                      type: array
                      items:
                        type: object
                        additionalProperties: false
                        properties: {severity: {type: string}, file: {type: string}}
              lines: {shell: "seq 3", parse: lines}
              each:
                needs: [find]
                for_each: agents.find.data.findings | sort(attribute="severity")
                when: item.sevrity == "high"
                prompt: "{{ item.file.name }} {{ item['sevrity'] }} {{ item }}"
                output_schema: *closed
              hosts:
                for_each: [{name: a, port: 1}, {name: b}]
                key: "{{ item.nmae }}"
                prompt: "{{ item.port }} {{ item.name }}"
              words: {needs: [lines], for_each: agents.lines.data, prompt: "{{ item.text }}"}
              again:
                needs: [each]
                for_each: agents.each.items
                when: item.stattus == "failed" and item.item.severity and item.item.sev
                prompt: "{{ item.data.findins }}"
              sum:
                needs: [each, hosts]
                prompt: |
                  {% for row in agents.each.items | rejectattr("statsu", "eq", "failed") %}
                  {{ row.ouput }} {{ row.output }} {{ row.data.find }} {{ row.error.kid }}
                  {{ loop.index }} {{ row.item.line }}{% endfor %}
                  {% for host in vars.hosts %}{{ host.prt }} {{ host.port }}{% endfor %}
                  {{ agents.hosts.items[0].data.x }} {{ agents.each.items[0].keys }}
            fail_if: agents.hosts.items | selectattr("statsu", "eq", "failed") | list | length > 0
        "#},
        &[
            "agents.each.when 20:11 .. item.sevrity: \"sevrity\" is not in the output_schema .. did you \
             mean \"severity\"?",
            "agents.each.prompt 21:17 .. item.file.name: this is a single value without \"name\"",
            "agents.each.prompt 21:38 .. item.sevrity: \"sevrity\" is not in the output_schema",
            "agents.hosts.key 25:14 .. item.nmae: no value in the file has \"nmae\" here .. \"name\"?",
            "agents.words.prompt 27:68 .. item.text: this is a single value",
            "agents.again.when 31:11 .. item.stattus: an instance has no \"stattus\" .. \"status\"?",
            "agents.again.when 31:63 .. item.item.sev: \"sev\" is not in the output_schema",
            "agents.again.prompt 32:17 .. item.data.findins: .. \"findings\"?",
            "agents.sum.prompt 36:53 .. statsu of agents.each.items: an instance has no \"statsu\"",
            "agents.sum.prompt 37:10 .. row.ouput of agents.each.items: .. \"output\"?",
            "agents.sum.prompt 37:43 .. row.data.find of agents.each.items: \"find\" is not in",
            "agents.sum.prompt 37:63 .. an error has no \"kid\"",
            "agents.sum.prompt 38:27 .. row.item.line of agents.each.items: \"line\" is not in",
            "agents.sum.prompt 39:38 .. host.prt of vars.hosts: no value in the file .. \"port\"?",
            "agents.sum.prompt 40:10 .. there is no data: agent \"hosts\" has no output_schema",
            "agents.sum.prompt 40:45 .. an instance has no \"keys\" .. \"key\"?",
            "fail_if 41:43 .. statsu of agents.hosts.items: an instance has no .. \"status\"?",
        ],
    );
}

#[test]
fn parts_that_may_exist_are_no_faults() {
    let yaml = indoc! {r#"
        defaults: {model: offline}
        vars: {hosts: [{name: a}, {name: b, port: 1}], none: []}
        agents:
          open: {prompt: x, output_schema: {type: object}}
          any: {shell: "echo {}", parse: json}
          hosts:
            for_each: [{name: a, tags: [{x: 1}]}, {name: b, more: {deep: 1}}, text]
            prompt: "{{ item.tags[0].x }} {% if item.more %}{{ item.more.deep }}{% endif %}"
            when: item.name == "none"
          other:
            for_each: [{a: 1}]
            prompt: |
              {% for item in vars.hosts %}{{ item.name }}{{ item["port"] }}{% endfor %}{{ item.a }}
          parts:
            needs: [open, any]
            for_each: agents.any.data.list
            when: item.anything == 1
            prompt: "{{ item.anything }} {{ agents.open.data.list[0].x }}"
          sum:
            needs: [hosts, open]
            prompt: |
              {% for row in agents.hosts.items %}{% set row = {"x": 1} %}{{ row.x }}{% endfor %}
              {% for row in agents.hosts.items | map(attribute="item") %}{{ row.any }}{% endfor %}
              {% for row in agents.hosts.items if row.status == "failed" %}
              {{ row.key }} {{ row.item.name }} {{ row.error.message }} {{ row["output"] }}
              {% for row in vars.hosts %}{{ row.name }}{% endfor %}{% endfor %}
              {% for x in vars.none %}{{ x.y }}{% endfor %}
              {{ agents.hosts.items | sort(attribute="key,status") | map(attribute="error.kind") }}
              {% raw %}{% for r in agents.hosts.items %}{{ r.nope }}{% endfor %}{% endraw %}
    "#};
    let ended = Crew::check(yaml).run_as_is();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn a_comparison_that_never_holds_is_a_fault() {
    expect_in(
        indoc! {r#"
            agents:
              one: {prompt: x, output_schema: {type: object, properties: {level: {enum: [hi, lo]}}}}
              each: {for_each: [1], shell: "true"}
              a:
                needs: {one: done, each: done}
                when: agents.one.status == "suceeded" or agents.one.data.level != "high"
                prompt: |
                  {% if agents.one.status in ["failed", "timeout"] %}x{% endif %}
                  {% for row in agents.each.items %}{% if "done" == row.status %}x{% endif %}{% endfor %}
                  {{ agents.each.items[0].status == "skipped" and agents.one.data.level == "lo" }}
            fail_if: agents.each.items | selectattr("status", "equalto", "faild") | list | length > 0
        "#},
        &[
            "agents.a.when 7:11 .. agents.one.status: this is never \"suceeded\" .. \"succeeded\"?",
            "agents.a.when 7:46 .. agents.one.data.level: this is never \"high\" .. \"hi\"?",
            "agents.a.prompt 9:13 .. agents.one.status: this is never \"timeout\" .. \"timed_out\"?",
            "agents.a.prompt 10:57 .. row.status of agents.each.items: this is never \"done\" .. known: succ",
            "fail_if 12:42 .. status of agents.each.items: this is never \"faild\" .. \"failed\"?",
        ],
    );
}
