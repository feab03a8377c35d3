//! Finding, reading and expanding a crew's file, and how its faults are shown.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;

use support::faults::{
    AGENT, OFFLINE, crew, expect, expect_good, expect_in, faults, folder, lines, run,
};

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
            "description 3:14 .. is not the name",
            "vars.x[0] 4:12 .. cannot contain another",
        ],
    );
    let yaml = "agents:\n  a: {max_turns: ${T:-10}}\n";
    expect(yaml, &[], &[], &["agents.a 2:19 .. invalid YAML .. in quotes"]);
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
        ("a: \"x\n", "a 1:4 .. invalid YAML"),
        ("a:\n\t- b\n", "a 2:2 .. invalid YAML .. tabs"),
        ("a: 1\n---\nb: 2\n", "- 2:1 .. second document"),
        ("a: !x 1\n", "a 1:7 .. tag !x"),
        ("a: *x\n", "a 1:4 .. no &x"),
        ("a: &a [*a]\n", "a[0] 1:8 .. inside the value it refers to"),
        ("x: \u{1b}[2J\n", "x 1:4 .. invalid YAML"),
    ] {
        expect(yaml, &[], &[], &[expected]);
    }
    let output = run(b"name: ok\nd: \xe9\xff\n", &[], &[]);
    assert_eq!(lines(&faults(&output)), ["- 2:4 invalid UTF-8 | save the file as UTF-8"]);
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
        (format!("a: &a [{}]\n{bomb}", ["x"; 10].join(",")), "is too large from here on"),
        (long, "is too large from here on"),
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
    assert!(found(&run[..3]).contains("no crew file found"));
    assert!(found(&[&run[..], &["no.yaml"]].concat()).contains("no such file"));
    assert!(found(&[&run[..], &["."]].concat()).contains("is a directory"));
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
