//! What crew says about a faulty file: through the program, as a script and a person see it.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

fn crew(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crew"))
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", dir)
        .envs(env.iter().copied())
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn folder(yaml: impl AsRef<[u8]>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("agents.yaml"), yaml).unwrap();
    dir
}

fn run(yaml: impl AsRef<[u8]>, more: &[&str], env: &[(&str, &str)]) -> Output {
    let dir = folder(yaml);
    crew(dir.path(), &[&["run", "--input", "go", "-o", "json"], more].concat(), env)
}

/// The faults of a file, from the JSON document that stands in for the report.
#[track_caller]
fn faults(output: &Output) -> Vec<Value> {
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{stdout}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["status"], "invalid");
    assert_eq!(report["exit_code"], 2);
    report["errors"].as_array().unwrap().clone()
}

/// `path line:column message | hint`, a line a fault.
fn lines(faults: &[Value]) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    faults
        .iter()
        .map(|fault| {
            let [path, line, column, message, hint] =
                ["path", "line", "column", "message", "hint"].map(|key| text(&fault[key]));
            format!("{path} {line}:{column} {message} | {hint}")
        })
        .collect()
}

/// Every line of `expected` is `path line:column`, then pieces of the message and hint, all
/// separated by ` .. `; the file has these faults and no others.
#[track_caller]
fn expect(yaml: &str, more: &[&str], env: &[(&str, &str)], expected: &[&str]) {
    let found = lines(&faults(&run(yaml, more, env)));
    let fits = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| {
            let mut pieces = expected.split(" .. ");
            found.starts_with(&format!("{} ", pieces.next().unwrap()))
                && pieces.all(|piece| found.contains(piece))
        });
    assert!(fits, "{yaml}\nexpected {expected:#?}\nfound {found:#?}");
}

#[track_caller]
fn expect_good(yaml: &str, more: &[&str], env: &[(&str, &str)]) -> Value {
    let output = run(yaml, more, env);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{yaml}\n{stdout}");
    serde_json::from_slice(&output.stdout).unwrap()
}

const OFFLINE: &str = "defaults: {model: offline}\n";
const AGENT: &str = "agents: {a: {}}\n";

/// Faults in a file whose first line makes `offline` the model, so that `yaml` begins in line 2; it
/// is given an agent if it has none.
#[track_caller]
fn expect_in(yaml: &str, expected: &[&str]) {
    let agents = if yaml.contains("agents:") { "" } else { AGENT };
    expect(&format!("{OFFLINE}{yaml}{agents}"), &[], &[], expected);
}

#[test]
fn keys() {
    expect_in(
        "agnts: {}\nagents: {a: {}}\n",
        &[r#"agnts 2:1 .. unknown key "agnts" .. did you mean "agents"?"#],
    );
    expect_in("zzz: {}\n", &["zzz 2:1 .. unknown key .. known here: version, name"]);
    expect_in(
        "agents:\n  a:\n    promt: x\n  é: {}\n",
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
        "agents:\n  a: {}\n  b: {}\n  a: {}\n",
        &["agents.a 5:3 .. given twice .. first given in line 3"],
    );
    expect_in(
        "agents: {1a: {}, 'a b': {}, '': {}}\n",
        &[
            "agents.1a 2:10 .. cannot be the name",
            r#"agents["a b"] 2:18 .. cannot be the name"#,
            r#"agents[""] 2:29 .. cannot be the name"#,
        ],
    );
    expect_in("? [a]\n: b\n", &["- 2:3 .. a key is plain text"]);
    expect_in(
        "tools: {x-!: {command: [a]}}\nproviders: {-: {base_url: http://h}}\n",
        &[r#"tools["x-!"] 2:9 .. name of a tool"#, "providers.- 3:13 .. name of"],
    );
}

#[test]
fn types() {
    expect_in(
        "name: [x]\ndescription: 5\nversion: '1'\n",
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
            "agents.a.needs 3:36 .. expected a list, found a mapping",
            "agents.a.timeout 3:53 .. expected a duration such as 30s, found the number 30 .. unit",
            "agents.a.idle_timeout 3:57 .. expected a duration such as 30s, found nothing",
        ],
    );
    expect_in(
        "agents: {a: {model: [x/y, z]}}\n",
        &["agents.a.model 2:21 .. expected one model such as openai/gpt-4o-mini, found a list"],
    );
    expect_in("agents: x\n", &["agents 2:9 .. expected a mapping, found \"x\""]);
    expect_in(
        "tools: {t: {command: ls -l}, u: {command: [sleep, 5]}}\n",
        &[
            "tools.t.command 2:22 .. expected a list",
            "tools.u.command[1] 2:51 .. expected a text, found the number 5 .. in quotes",
        ],
    );
    expect_in("vars: {x: .nan}\n", &["vars.x 2:11 .. can be written in JSON"]);
    expect("[1]\n", &[], &[], &["- 1:1 .. expected a mapping, found a list"]);
    expect("crew\n", &[], &[], &["- 1:1 .. expected a mapping, found \"crew\""]);
}

#[test]
fn values() {
    expect_in(
        "version: 2\nlimits:\n  timeout: 0s\n  grace: -1s\n  max_parallel: 0\n  on_failure: cancle\n",
        &[
            "version 2:10 .. files of version 1, not 2",
            "limits.timeout 4:12 .. more than 0",
            "limits.grace 5:10 .. negative",
            "limits.max_parallel 6:17 .. from 1",
            r#"limits.on_failure 7:15 .. expected cancel or continue .. did you mean "cancel"?"#,
        ],
    );
    expect_in(
        "agents:\n  a:\n    timeout: 5x\n    max_turns: 0\n    retries: -1\n    temperature: -0.1\n    \
         max_answer: 3GB\n    tool_timeout: 800h\n    max_output_tokens: 0\n",
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
        "limits: {grace: 0s, timeout: 1m30s}\ntools:\nproviders:\nvars:\ndefaults: {model: offline, \
         max_answer: 4096, temperature: 0}\nagents:\n  a:\n",
        &[],
        &[],
    );
}

#[test]
fn needs_and_tools() {
    expect_in(
        "tools: {disk_usage: {command: [df]}}\nagents:\n  disk: {tools: [disk_usge, disk_usage, disk_usage]}\n  \
         sum: {needs: [dsk, sum, disk, disk]}\n",
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
        "tools:\n  none: {}\n  both: {command: [a], shell: b}\n  empty: {command: []}\n  blank: {shell: ''}\n  \
         nameless: {command: ['']}\n  braces: {shell: 'echo {{ x }}'}\n  away: {command: [a], cwd: nowhere}\n",
        &[
            "tools.none 3:3 .. nothing to run .. exactly one",
            "tools.both 4:3 .. both",
            "tools.empty.command 5:20 .. is empty",
            "tools.blank.shell 6:18 .. is empty",
            "tools.nameless.command[0] 7:24 .. no program",
            "tools.braces.shell 8:19 .. no template .. environment variables",
            "tools.away.cwd 9:29 .. no folder \"nowhere\" .. starts at the crew's file",
        ],
    );
    expect_in(
        "tools:\n  t:\n    shell: echo\n    env: [OPENAI_API_KEY, MINE, A B]\n    parameters:\n      PATH: {}\n      \
         LD_PRELOAD: {}\n      MINE: {}\n      a-b: {}\n      bad: {type: strng}\n      off: {type: integer, default: x}\n      nil:\n",
        &[
            "tools.t.env[0] 5:11 .. holds an API key",
            "tools.t.env[2] 5:33 .. not the name",
            "tools.t.parameters.PATH 7:7 .. use of its own",
            "tools.t.parameters.LD_PRELOAD 8:7 .. use of its own",
            "tools.t.parameters.MINE 9:7 .. use of its own",
            "tools.t.parameters.a-b 10:7 .. name of a parameter",
            "tools.t.parameters.bad.type 11:19 .. not a valid JSON Schema",
            "tools.t.parameters.off.default 12:37 .. does not fit",
            "tools.t.parameters.nil 13:7 .. expected a JSON Schema",
        ],
    );
    expect_in(
        "tools: {t: {command: [a], parameters: {input: {}, vars: {}}}}\n",
        &[
            "tools.t.parameters.input 2:40 .. something else",
            "tools.t.parameters.vars 2:51 .. something else",
        ],
    );
}

#[test]
fn templates() {
    expect_in(
        "vars: {service: x, my-var: 1}\nagents:\n  b: {}\n  my-b: {}\n  a:\n    needs: [my-b]\n    role: \"{{ inptu }}\"\n    \
         prompt: |\n      Well, {{ vars.servce }}\n      {{ agents.b.output }} {{ agents.bb.output }}\n      \
         {{ agents.my-b.output }} {{ agents['my-b'].answer }} {{ vars.my-var }}\n    goal: '{{ oops'\n    backstory: '{{ input|shout }}'\n",
        &[
            r#"agents.a.role 8:15 .. "inptu" is not defined .. did you mean "input"?"#,
            r#"agents.a.prompt 10:16 .. vars.servce is not defined .. did you mean "service"?"#,
            "agents.a.prompt 11:10 .. not known here .. add b to this agent's needs",
            r#"agents.a.prompt 11:32 .. no agent "bb" .. did you mean "b"?"#,
            r#"agents.a.prompt 12:10 .. subtraction .. write agents["my-b"].output"#,
            r#"agents.a.prompt 12:35 .. has no "answer" .. write agents.my-b.output"#,
            r#"agents.a.prompt 12:63 .. subtraction .. write vars["my-var"]"#,
            "agents.a.goal 13:11 .. does not parse",
            "agents.a.backstory 14:16 .. cannot be filled in .. unknown filter",
        ],
    );
    expect_in(
        "tools:\n  t:\n    command: [echo, '{{ pth }}', '{{ agents.a.output }}', '{{ vars.x }}']\n    \
         parameters: {path: {}}\n    cwd: '{{ nope }}'\n",
        &[
            r#"tools.t.command[1] 4:25 .. "pth" is not defined .. did you mean "path"?"#,
            "tools.t.command[2] 4:38 .. \"agents\" is not defined",
            "tools.t.command[3] 4:63 .. vars.x is not defined",
            "tools.t.cwd 6:14 .. \"nope\" is not defined",
        ],
    );
    expect_in(
        "agents:\n  a:\n    prompt: {{ input }}\n",
        &["agents.a.prompt 4:14 .. a key is plain text .. in quotes"],
    );
}

#[test]
fn models_and_providers() {
    for (model, expected) in [
        ("gpt-4o", "does not name a model .. provider/model"),
        ("opnai/x", r#"no provider "opnai" .. did you mean "openai"?"#),
        ("anthropic/x", "this version speaks the OpenAI protocol only"),
        ("gemini/x", "this version speaks the OpenAI protocol only"),
        ("openai/x", "OPENAI_API_KEY is not set .. --offline"),
        ("''", "does not name a model"),
        ("openai/", "does not name a model"),
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
        "providers:\n  openai: {base_url: http://h}\n  bare: {}\n  odd:\n    api: opnai\n    base_url: h\n    \
         headers: {a b: x, host: x, x: \"a\\nb\"}\n    max_concurrency: 0\n",
        &[
            "providers.openai 3:3 .. built in",
            "providers.bare 4:3 .. no base_url",
            "providers.odd.api 6:10 .. expected openai",
            "providers.odd.base_url 7:15 .. expected an address",
            r#"providers.odd.headers["a b"] 8:15 .. not a header's name"#,
            "providers.odd.headers.host 8:23 .. crew's own",
            "providers.odd.headers.x 8:35 .. no HTTP header can carry",
            "providers.odd.max_concurrency 9:22 .. from 1 to",
        ],
    );
}

#[test]
fn a_key_is_never_shown() {
    let dir = folder(
        "providers:\n  p: {base_url: http://h, api_key_env: sk-SECRET, api_key: SECRET, \
         headers: {authorization: SECRET}}\ndefaults: {model: openai/x}\nagents: {a: {}}\n",
    );
    let key = "bad\u{7f}SECRET";
    let output = crew(dir.path(), &["run", "-i", "x"], &[("OPENAI_API_KEY", key)]);
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout.contains("looks like an API key"), "{stdout}");
    assert!(stdout.contains("no HTTP header can carry"), "{stdout}");
    assert!(!stdout.contains("SECRET") && !stderr.contains("SECRET"), "{stdout}{stderr}");
}

#[test]
fn variables_of_the_environment() {
    let yaml = format!(
        "{OFFLINE}name: '${{NAME:-none}} $${{NAME}} ${{EMPTY:-e}}'\nagents:\n  a:\n    \
         max_turns: ${{TURNS:-10}}\n    temperature: ${{T}}\n    timeout: ${{X:-5s}}\n    prompt: ${{NAME}}\n"
    );
    let env = [("NAME", "{{ nope }}: [\n"), ("EMPTY", ""), ("T", "0.5")];
    let report = expect_good(&yaml, &[], &env);
    assert_eq!(report["crew"], "{{ nope }}: [\n ${NAME} e");
    expect(
        &yaml,
        &[],
        &[],
        &[
            "agents.a.temperature 6:18 .. variable T is not set .. ${T:-default}",
            "agents.a.prompt 8:13 .. variable NAME is not set",
        ],
    );
    expect(
        &yaml,
        &[],
        &[("NAME", ""), ("T", "warm"), ("TURNS", "x")],
        &[
            "agents.a.max_turns 5:16 .. expected a whole number",
            "agents.a.temperature 6:18 .. expected a number",
        ],
    );
    expect_in(
        "name: ${A\ndescription: ${A B}\nvars: {x: ['${A:-${B}}']}\n",
        &[
            "name 2:7 .. no closing }",
            "description 3:14 .. does not name",
            "vars.x[0] 4:12 .. cannot hold another",
        ],
    );
    let yaml = "agents:\n  a: {max_turns: ${T:-10}}\n";
    expect(yaml, &[], &[], &["agents.a 2:19 .. not valid YAML .. in quotes"]);
    let yaml = "providers: {p: {base_url: http://h, api_key_env: P_KEY}}\n\
                agents: {a: {model: offline, prompt: '${P_KEY} ${OPENAI_API_KEY}'}}\n";
    let env = [("P_KEY", "secret-1"), ("OPENAI_API_KEY", "secret-2")];
    expect(
        yaml,
        &[],
        &env,
        &[
            "agents.a.prompt 2:38 .. P_KEY holds an API key .. api_key_env",
            "agents.a.prompt 2:38 .. OPENAI_API_KEY holds an API key",
        ],
    );
    // A shell line keeps its own.
    expect_good(&format!("{OFFLINE}tools: {{t: {{shell: 'echo ${{NOPE}}'}}}}\n{AGENT}"), &[], &[]);
}

#[test]
fn options_about_the_file() {
    let yaml = format!("{OFFLINE}vars: {{service: x}}\nagents: {{disk: {{}}, net: {{}}}}\n");
    expect(
        &yaml,
        &["-a", "dsk,net", "--var", "servce=y"],
        &[],
        &[
            r#"- -:- .. --var .. "servce" .. did you mean "service"?"#,
            r#"- -:- .. --agents .. "dsk" .. did you mean "disk"?"#,
        ],
    );
    let report = expect_good(&yaml, &["-a", "net", "--var", "service=a=b"], &[]);
    assert_eq!(report["agents"].as_object().unwrap().keys().collect::<Vec<_>>(), ["net"]);
}

#[test]
fn yaml_itself() {
    for (yaml, expected) in [
        ("", "- -:- .. is empty .. agents:"),
        ("# nothing\n", "- -:- .. is empty"),
        ("---\n~\n", "- -:- .. is empty"),
        ("a: \"x\n", "a 1:4 .. not valid YAML"),
        ("a:\n\t- b\n", "a 2:2 .. not valid YAML .. tabs"),
        ("a: 1\n---\nb: 2\n", "- 2:1 .. second document"),
        ("a: !x 1\n", "a 1:7 .. tag !x"),
        ("a: *x\n", "a 1:4 .. no &x"),
        ("a: &a [*a]\n", "a[0] 1:8 .. inside the very value"),
        ("x: \u{1b}[2J\n", "x 1:4 .. not valid YAML"),
    ] {
        expect(yaml, &[], &[], &[expected]);
    }
    let output = run(b"name: ok\nd: \xe9\xff\n", &[], &[]);
    assert_eq!(
        lines(&faults(&output)),
        ["- 2:4 this is not valid UTF-8 | save the file in the encoding UTF-8"]
    );
    let crlf = format!("\u{feff}{OFFLINE}{AGENT}").replace('\n', "\r\n");
    expect_good(&crlf, &[], &[]);
}

/// Files made to hurt: each must be refused at once.
#[test]
fn hostile_files_cost_nothing() {
    let bomb: String = ('b'..='i')
        .zip('a'..='h')
        .map(|(name, last)| {
            format!("{name}: &{name} [{}]\n", vec![format!("*{last}"); 10].join(","))
        })
        .collect();
    let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(900_000), vec!["*a"; 2000].join(","));
    let nested = format!("a: {}1{}\n", "[".repeat(100), "]".repeat(100));
    for (yaml, expected) in [
        (format!("a: &a [{}]\n{bomb}", ["x"; 10].join(",")), "grows too large"),
        (long, "grows too large"),
        (nested, "more than 32 levels"),
        ("[".repeat(100_000), "more than 32 levels"),
        ("- ".repeat(100_000), "more than 32 levels"),
        ("x".repeat(50 << 20), "larger than 1 MiB"),
    ] {
        let dir = folder(&yaml);
        let started = Instant::now();
        let output = crew(dir.path(), &["run", "-i", "x"], &[]);
        let took = started.elapsed();
        let found = lines(&faults(&output));
        assert!(found.len() == 1 && found[0].contains(expected), "{found:#?}");
        assert!(took < Duration::from_secs(5), "{expected}: {took:?}");
    }
}

#[test]
fn many_agents_in_a_row() {
    let chain = |first: &str| {
        let agents = (1..5000).map(|n| format!("  a{n}: {{needs: [a{}]}}\n", n - 1));
        format!("{OFFLINE}agents:\n  a0: {{{first}}}\n{}", agents.collect::<String>())
    };
    let dir = folder(chain(""));
    let output = crew(dir.path(), &["check"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("a4999"));
    expect(
        &chain("needs: [a4999]"),
        &[],
        &[],
        &["agents.a0.needs[0] 3:16 .. a0 -> a4999 -> a4998 .. more .. -> a0"],
    );
}

#[test]
fn files_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    let found = |args: &[&str]| lines(&faults(&crew(here, args, &[]))).join("\n");
    let run = ["run", "-i", "x", "-c"];
    assert!(found(&run[..3]).contains("no crew here"));
    assert!(found(&[&run[..], &["no.yaml"]].concat()).contains("there is no such file"));
    assert!(found(&[&run[..], &["."]].concat()).contains("is a folder"));
    assert!(found(&[&run[..], &["/dev/zero"]].concat()).contains("not a regular file"));
    nix::unistd::mkfifo(&here.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(found(&[&run[..], &["pipe"]].concat()).contains("not a regular file"));
}

#[test]
fn where_a_file_is_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let name_of = |env: &[(&str, &str)]| {
        let output = crew(dir.path(), &["run", "-i", "x", "-o", "json"], env);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["crew"].as_str().unwrap().to_owned()
    };
    let write = |path: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("name: {}\n{OFFLINE}{AGENT}", path.display())).unwrap();
    };
    let xdg = dir.path().join("xdg");
    let env = [("XDG_CONFIG_HOME", xdg.to_str().unwrap())];
    // The last place first, so that each next one has to win over those before.
    write(".config/crew/agents.yaml");
    assert!(name_of(&[]).ends_with(".config/crew/agents.yaml"));
    for path in ["xdg/crew/agents.yaml", "crew.yaml", "agents.yml", "agents.yaml"] {
        write(path);
        assert!(name_of(&env).ends_with(path), "{path}");
    }
}

#[test]
fn people_see_the_line_and_what_to_do() {
    let dir = folder(format!("{OFFLINE}agents:\n  disk:\n    tols: [x]\n    timeout: 5x\n"));
    for command in ["check", "run"] {
        let args: &[&str] =
            if command == "run" { &["run", "-i", "x", "-o", "text"] } else { &["check"] };
        let output = crew(dir.path(), args, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        let stderr = String::from_utf8(output.stderr).unwrap();
        for piece in ["agents.yaml:4:5", "tols: [x]", "did you mean \"tools\"?", "agents.yaml:5:14"]
        {
            assert!(stderr.contains(piece), "{piece}: {stderr}");
        }
    }
}

#[test]
fn a_hostile_file_writes_no_escape_sequences() {
    let dir = folder("agents:\n  \"\\e]0;owned\\a\": {\"\\e[2J\": 1}\nname: \"\\e[31m\u{9b}31m\n");
    for yaml in [None, Some("agents: {\"\\e]0;x\\a\": {\"\\e[2J\": \u{85}1}}\n")] {
        if let Some(yaml) = yaml {
            std::fs::write(dir.path().join("agents.yaml"), yaml).unwrap();
        }
        let output = crew(dir.path(), &["check"], &[]);
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{85}']), "{stderr:?}");
    }
}

#[test]
fn check_shows_what_would_run() {
    let dir = folder(
        "defaults: {model: offline}\ntools: {df: {command: [df, -h]}}\n\
         agents: {late: {needs: [early]}, early: {tools: [df], timeout: 7s}}\n",
    );
    let output = crew(dir.path(), &["check"], &[]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    let at = |text: &str| stdout.find(text).unwrap_or_else(|| panic!("{text}: {stdout}"));
    assert!(at("early") < at("late"));
    assert!(stdout.contains("df -h") && stdout.contains("7s") && stdout.contains("offline"));
    assert!(stdout.lines().all(|line| line.chars().count() <= 80), "{stdout}");
}

#[test]
fn a_wrong_command_line_is_a_fault_too() {
    let dir = folder(format!("{OFFLINE}{AGENT}"));
    for args in [
        &["run", "--nope"][..],
        &["run", "-i", "x", "--timeout", "5x"],
        &["run", "-i", "x", "--input-file", "y"],
        &["run", "-i", "x", "--max-parallel", "0"],
        &["run", "-i", "x", "--var", "=x"],
        &["run", "-i", "x", "-k", "--fail-fast"],
    ] {
        let output = crew(dir.path(), args, &[]);
        let found = faults(&output);
        assert_eq!(found.len(), 1, "{args:?}");
        assert_eq!(found[0]["path"], Value::Null);
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
    let output = crew(dir.path(), &["check", "--nope"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
}
