//! Faults of values in a file, with their positions and hints.

use crate::support::faults::{AGENT, OFFLINE, expect, expect_good, expect_in};
use indoc::indoc;

#[test]
fn keys() {
    expect_in(
        "agnts: {}\nagents: {a: {}}\n",
        &[r#"agnts 2:1 .. unknown key "agnts" .. did you mean "agents"?"#],
    );
    expect_in("zzz: {}\n", &["zzz 2:1 .. unknown key .. known here: version, name"]);
    expect_in(
        indoc! {"
            agents:
              a:
                promt: x
              é: {}
        "},
        &[
            r#"agents.a.promt 4:5 .. did you mean "prompt"?"#,
            r#"agents.é 5:3 .. "é" cannot be the name of an agent .. a letter"#,
        ],
    );
    expect_in(
        "agents: {ü: {promt: x}}\n",
        &["agents.ü 2:10 .. cannot be the name", "agents.ü.promt 2:14 .. unknown key"],
    );
    expect_in(
        indoc! {"
            agents:
              a: {}
              b: {}
              a: {}
        "},
        &["agents.a 5:3 .. duplicate key .. first one is in line 3"],
    );
    expect_in(
        "agents: {1a: {}, 'a b': {}, '': {}}\n",
        &[
            "agents.1a 2:10 .. cannot be the name",
            r#"agents["a b"] 2:18 .. cannot be the name"#,
            r#"agents[""] 2:29 .. cannot be the name"#,
        ],
    );
    expect_in("? [a]\n: b\n", &["- 2:3 .. a key must be plain text"]);
    expect_in(
        "tools: {x-!: {command: [a]}}\nproviders: {-: {base_url: http://h}}\n",
        &[r#"tools["x-!"] 2:9 .. name of a tool"#, "providers.- 3:13 .. name of"],
    );
}

#[test]
fn settings_of_calls() {
    let good = indoc! {"
        agents:
          a:
            model: offline
            effort: none
            top_p: 1
            stop: [END]
            seed: 0
            extra_body: {service_tier: flex, text: {verbosity: low}, n_predict: 3}
    "};
    expect_good(good, &[], &[]);
    expect_in(
        indoc! {"
            agents:
              a: {top_p: 1.5, stop: ['', x], seed: -1, effort: hihg}
              b: {top_p: -1, stop: END}
        "},
        &[
            "agents.a.top_p 3:14 .. a number from 0 to 1, found 1.5",
            "agents.a.stop[0] 3:26 .. would end every answer",
            "agents.a.seed 3:40 .. whole number, not negative",
            r#"agents.a.effort 3:52 .. "hihg" .. did you mean "high"?"#,
            "agents.b.top_p 4:14 .. a number from 0 to 1, found -1",
            "agents.b.stop 4:24 .. a list",
        ],
    );
    expect_in(
        indoc! {"
            agents:
              a:
                extra_body:
                  model: x
                  temperature: 1
                  stream: false
                  reasoning: {summary: auto, effort: low}
                  generationConfig: {topK: 5, topP: 0.5}
        "},
        &[
            "agents.a.extra_body.model 5:7 .. crew sets model itself .. use model",
            "agents.a.extra_body.temperature 6:7 .. crew sets temperature itself .. use temperature",
            "agents.a.extra_body.stream 7:7 .. crew sets stream itself",
            "agents.a.extra_body.reasoning 8:7 .. reasoning.effort itself .. use effort",
            "agents.a.extra_body.generationConfig 9:7 .. generationConfig.topP itself .. use top_p",
        ],
    );
}

#[test]
fn types() {
    expect_in(
        indoc! {"
            name: [x]
            description: 5
            version: '1'
        "},
        &[
            "name 2:7 .. expected a text, found a list",
            "description 3:14 .. expected a text, found the number 5 .. in quotes",
            "version 4:10 .. expected a whole number .. without quotes",
        ],
    );
    expect_in(
        "agents:\n  a: {role: true, tools: x, needs: {b: c}, timeout: 30, idle_timeout: }\n",
        &[
            "agents.a.role 3:13 .. expected a text, found true",
            "agents.a.tools 3:26 .. expected a list, found \"x\"",
            "agents.a.needs.b 3:40 .. expected succeeded or done",
            "agents.a.timeout 3:53 .. expected a duration such as 30s, found the number 30 .. unit",
            "agents.a.idle_timeout 3:57 .. expected a duration such as 30s, found nothing",
        ],
    );
    expect_in(
        indoc! {"
            agents:
              a: {model: [x/y, z, 3]}
              b: {model: {c: d}}
              c: {model: []}
              d: {model: [offline, offline]}
        "},
        &[
            "agents.a.model[0] 3:15 .. there is no provider",
            "agents.a.model[1] 3:20 .. does not name a model",
            "agents.a.model[2] 3:23 .. expected a text, found the number 3",
            "agents.b.model 4:14 .. expected a model such as openai/gpt-4o-mini, \
             or a list of them, found a mapping",
            "agents.c.model 5:14 .. the list is empty",
            "agents.d.model[1] 6:24 .. listed twice",
        ],
    );
    expect_in("agents: x\n", &["agents 2:9 .. expected a mapping, found \"x\""]);
    expect_in(
        "tools: {t: {command: ls -l}, u: {command: [sleep, 5]}}\n",
        &[
            "tools.t.command 2:22 .. expected a list",
            "tools.u.command[1] 2:51 .. expected a text, found the number 5 .. in quotes",
        ],
    );
    expect_in("vars: {x: .nan}\n", &["vars.x 2:11 .. that JSON can hold"]);
    expect("[1]\n", &[], &[], &["- 1:1 .. expected a mapping, found a list"]);
    expect("crew\n", &[], &[], &["- 1:1 .. expected a mapping, found \"crew\""]);
}

#[test]
fn values() {
    expect_in(
        indoc! {"
            version: 2
            limits:
              timeout: 0s
              grace: -1s
              max_parallel: 0
              on_failure: cancle
        "},
        &[
            "version 2:10 .. files of version 1, not 2",
            "limits.timeout 4:12 .. more than 0",
            "limits.grace 5:10 .. negative",
            "limits.max_parallel 6:17 .. from 1",
            r#"limits.on_failure 7:15 .. expected cancel or continue .. did you mean "cancel"?"#,
        ],
    );
    expect_in(
        indoc! {"
            agents:
              a:
                timeout: 5x
                max_turns: 0
                retries: -1
                temperature: -0.1
                max_answer: 3GB
                tool_timeout: 800h
                max_output_tokens: 0
        "},
        &[
            "agents.a.timeout 4:14 .. expected a duration such as",
            "agents.a.max_turns 5:16 .. from 1 to",
            "agents.a.retries 6:14 .. not negative",
            "agents.a.temperature 7:18 .. 0 or more",
            "agents.a.max_answer 8:17 .. expected a size from 1KiB to 256MiB",
            "agents.a.tool_timeout 9:19 .. at most 30 days",
            "agents.a.max_output_tokens 10:24 .. from 1 to",
        ],
    );
    expect_in(
        "tools: {t: {command: [a], max_output: 1, timeout: soon}}\n",
        &[
            "tools.t.max_output 2:39 .. from 1KiB to 64MiB",
            "tools.t.timeout 2:51 .. expected a duration",
        ],
    );
    expect_good(
        indoc! {"
            limits: {grace: 0s, timeout: 1m30s}
            tools:
            providers:
            vars:
            defaults: {model: offline, max_answer: 4096, temperature: 0}
            agents:
              a:
        "},
        &[],
        &[],
    );
}

#[test]
fn needs_and_tools() {
    expect_in(
        indoc! {"
            tools: {disk_usage: {command: [df]}}
            agents:
              disk: {tools: [disk_usge, disk_usage, disk_usage]}
              sum: {needs: [dsk, sum, disk, disk]}
        "},
        &[
            r#"agents.disk.tools[0] 4:18 .. no tool "disk_usge" .. did you mean "disk_usage"?"#,
            "agents.disk.tools[2] 4:41 .. listed twice",
            r#"agents.sum.needs[0] 5:17 .. no agent "dsk" .. did you mean "disk"?"#,
            "agents.sum.needs[1] 5:22 .. needs itself",
            "agents.sum.needs[3] 5:33 .. listed twice",
        ],
    );
    expect_in(
        "agents: {a: {needs: [c]}, b: {needs: [a]}, c: {needs: [b]}, d: {needs: [a]}}\n",
        &["agents.a.needs[0] 2:22 .. a -> c -> b -> a"],
    );
    expect(OFFLINE, &[], &[], &["agents 1:1 .. no agents .. at least one"]);
}

#[test]
fn tools() {
    expect_in(
        indoc! {"
            tools:
              none: {}
              both: {command: [a], shell: b}
              empty: {command: []}
              blank: {shell: ''}
              nameless: {command: ['']}
              braces: {shell: 'echo {{ x }}'}
              away: {command: [a], cwd: nowhere}
        "},
        &[
            "tools.none 3:3 .. nothing to run .. exactly one",
            "tools.both 4:3 .. both",
            "tools.empty.command 5:20 .. is empty",
            "tools.blank.shell 6:18 .. is empty",
            "tools.nameless.command[0] 7:24 .. no program",
            "tools.braces.shell 8:19 .. templates do not work .. environment variables",
            "tools.away.cwd 9:29 .. no directory \"nowhere\" .. starts at the crew's file",
        ],
    );
    expect_in(
        indoc! {"
            tools:
              t:
                shell: echo
                env: [OPENAI_API_KEY, MINE, A B]
                parameters:
                  PATH: {}
                  LD_PRELOAD: {}
                  MINE: {}
                  a-b: {}
                  bad: {type: strng}
                  off: {type: integer, default: x}
                  nil:
        "},
        &[
            "tools.t.env[0] 5:11 .. holds an API key",
            "tools.t.env[2] 5:33 .. not the name",
            "tools.t.parameters.PATH 7:7 .. has a meaning for the shell",
            "tools.t.parameters.LD_PRELOAD 8:7 .. has a meaning for the shell",
            "tools.t.parameters.MINE 9:7 .. has a meaning for the shell",
            "tools.t.parameters.a-b 10:7 .. name of a parameter",
            "tools.t.parameters.bad.type 11:19 .. not a type of JSON Schema",
            "tools.t.parameters.off.default 12:37 .. does not fit",
            "tools.t.parameters.nil 13:7 .. expected a JSON Schema",
        ],
    );
    expect_in(
        "tools: {t: {command: [a], parameters: {input: {}, vars: {}}}}\n",
        &[
            "tools.t.parameters.input 2:40 .. has another meaning",
            "tools.t.parameters.vars 2:51 .. has another meaning",
        ],
    );
}

#[test]
fn templates() {
    expect_in(
        indoc! {r#"
            vars: {service: x, my-var: 1}
            agents:
              b: {}
              my-b: {}
              a:
                needs: [my-b]
                role: "{{ inptu }}"
                prompt: |
                  Well, {{ vars.servce }}
                  {{ agents.b.output }} {{ agents.bb.output }}
                  {{ agents.my-b.output }} {{ agents['my-b'].answer }} {{ vars.my-var }}
                goal: '{{ oops'
                backstory: '{{ input|shout }}'
        "#},
        &[
            r#"agents.a.role 8:15 .. "inptu" is not defined .. did you mean "input"?"#,
            r#"agents.a.prompt 10:16 .. vars.servce is not defined .. did you mean "service"?"#,
            "agents.a.prompt 11:10 .. not available here .. add b to this agent's needs",
            r#"agents.a.prompt 11:32 .. no agent "bb" .. did you mean "b"?"#,
            r#"agents.a.prompt 12:10 .. subtraction .. write agents["my-b"].output"#,
            r#"agents.a.prompt 12:35 .. has no "answer" .. write agents.my-b.output"#,
            r#"agents.a.prompt 12:63 .. subtraction .. write vars["my-var"]"#,
            "agents.a.goal 13:11 .. invalid template",
            "agents.a.backstory 14:26 .. there is no filter .. shout",
        ],
    );
    expect_in(
        indoc! {"
            tools:
              t:
                command: [echo, '{{ pth }}', '{{ agents.a.output }}', '{{ vars.x }}']
                parameters: {path: {}}
                cwd: '{{ nope }}'
        "},
        &[
            r#"tools.t.command[1] 4:25 .. "pth" is not defined .. did you mean "path"?"#,
            "tools.t.command[2] 4:38 .. \"agents\" is not defined",
            "tools.t.command[3] 4:63 .. vars.x is not defined",
            "tools.t.cwd 6:14 .. \"nope\" is not defined",
        ],
    );
    expect_in(
        indoc! {"
            agents:
              a:
                prompt: {{ input }}
        "},
        &["agents.a.prompt 4:14 .. a key must be plain text .. in quotes"],
    );
}

#[test]
fn models_and_providers() {
    for (model, expected) in [
        ("gpt-4o", "does not name a model .. provider/model"),
        ("opnai/x", r#"no provider "opnai" .. did you mean "openai"?"#),
        ("antropic/x", r#"no provider "antropic" .. did you mean "anthropic"?"#),
        ("gemni/x", r#"no provider "gemni" .. did you mean "gemini"?"#),
        ("anthropic/x", "ANTHROPIC_API_KEY is not set .. --offline"),
        ("gemini/x", "GEMINI_API_KEY is not set .. --offline"),
        ("openai/x", "OPENAI_API_KEY is not set .. --offline"),
        ("''", "does not name a model"),
        ("openai/", "does not name a model"),
        ("'ollama/x,offline'", "does not name a model .. as a list"),
    ] {
        let yaml = format!("agents:\n  a: {{model: {model}}}\n");
        expect(&yaml, &[], &[], &[&format!("agents.a.model 2:14 .. {expected}")]);
    }
    expect(AGENT, &[], &[], &["agents.a 1:10 .. no model .. --offline"]);
    expect(AGENT, &["-m", "opnai/x"], &[], &[r#"- -:- .. --model .. did you mean "openai"?"#]);
    expect(AGENT, &["-m", "openai/x"], &[], &["- -:- .. --model .. OPENAI_API_KEY"]);
    let yaml = "defaults: {model: openai/x}\nagents: {a: {}, b: {}}\n";
    expect(
        yaml,
        &[],
        &[("OPENAI_API_KEY", " ")],
        &["defaults.model 1:19 .. OPENAI_API_KEY is not set"],
    );
    let env = [("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "ftp://h")];
    expect(yaml, &[], &env, &["- -:- .. OPENAI_BASE_URL .. only http and https"]);
    expect_in(
        indoc! {r#"
            providers:
              openai: {base_url: http://h}
              bare: {}
              odd:
                api: opnai
                base_url: h
                headers: {a b: x, host: x, x: "a\nb"}
                max_concurrency: 0
        "#},
        &[
            "providers.openai.base_url 3:12 .. built in",
            "providers.bare 4:3 .. no base_url",
            "providers.odd.api 6:10 .. expected openai, openai-responses, anthropic or gemini \
             .. did you mean \"openai\"?",
            "providers.odd.base_url 7:15 .. expected a URL",
            r#"providers.odd.headers["a b"] 8:15 .. not a header name"#,
            "providers.odd.headers.host 8:23 .. crew sets the header",
            "providers.odd.headers.x 8:35 .. no HTTP header can carry",
            "providers.odd.max_concurrency 9:22 .. from 1 to",
        ],
    );
}

#[test]
fn the_complete_example_of_the_docs_works() {
    let page = include_str!("../../../docs/file.md");
    let (_, section) = page.split_once("## A complete example").unwrap();
    let example = section.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let report = expect_good(example, &[], &[]);
    assert_eq!(report["crew"], "it-support");
    assert_eq!(report["agents"]["disk"]["tool_calls"][0]["status"], "succeeded");
    let output = report["agents"]["summary"]["output"].as_str().unwrap();
    assert!(output.contains("go. Disk says: offline"), "{output}");
}
