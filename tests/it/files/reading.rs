//! Finding, reading and expanding a crew's file, and the output of its faults.

use std::time::{Duration, Instant};

use indoc::{formatdoc, indoc};
use serde_json::Value;

use crate::support::crew::Crew;
use crate::support::faults::{AGENT, OFFLINE, expect, expect_good, expect_in, faults, lines, run};

#[test]
fn a_key_is_never_shown() {
    let crew = Crew::new(indoc! {"
        providers:
          p:
            base_url: http://h
            api_key_env: sk-SECRET
            api_key: SECRET
            headers: {authorization: SECRET}
        defaults: {model: openai/x}
        agents: {a: {}}
    "});
    let key = "bad\u{7f}SECRET";
    let ended = crew.env("OPENAI_API_KEY", key).run();
    let (stdout, stderr) = (&ended.stdout, &ended.stderr);
    assert_eq!(ended.status.code(), Some(2));
    assert!(stdout.contains("looks like an API key"), "{stdout}");
    assert!(stdout.contains("no HTTP header can carry"), "{stdout}");
    assert!(!stdout.contains("SECRET") && !stderr.contains("SECRET"), "{stdout}{stderr}");
}

#[test]
fn variables_of_the_environment() {
    let yaml = formatdoc! {"
        {OFFLINE}name: '${{NAME:-none}} $${{NAME}} ${{EMPTY:-e}}'
        agents:
          a:
            max_turns: ${{TURNS:-10}}
            temperature: ${{T}}
            timeout: ${{X:-5s}}
            prompt: ${{NAME}}
    "};
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
        indoc! {"
            name: ${A
            description: ${A B}
            vars: {x: ['${A:-${B}}']}
        "},
        &[
            "name 2:7 .. no closing }",
            "description 3:14 .. is not the name",
            "vars.x[0] 4:12 .. cannot contain another",
        ],
    );
    let yaml = "agents:\n  a: {max_turns: ${T:-10}}\n";
    expect(yaml, &[], &[], &["- 2:19 .. invalid YAML .. in quotes"]);
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
    // Shell lines keep their own variables.
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
fn yaml_syntax() {
    for (yaml, expected) in [
        ("", "- -:- .. is empty .. agents:"),
        ("# nothing\n", "- -:- .. is empty"),
        ("---\n~\n", "- -:- .. is empty"),
        ("a: \"x\n", "- 1:4 .. invalid YAML"),
        ("a:\n\t- b\n", "- 2:2 .. invalid YAML .. tabs"),
        ("a: 1\n---\nb: 2\n", "- 2:1 .. second document"),
        ("name: !x y\nagents: {a: {model: offline}}\n", "name 1:10 .. tag !x"),
        ("a: *x\n", "a 1:4 .. no &x"),
        ("a: &a [*a]\n", "a[0] 1:8 .. inside the value it refers to"),
        ("x: \u{1b}[2J\n", "- 1:4 .. invalid YAML"),
    ] {
        expect(yaml, &[], &[], &[expected]);
    }
    let output = run(b"name: ok\nd: \xe9\xff\n", &[], &[]);
    assert_eq!(lines(&faults(&output)), ["- 2:4 invalid UTF-8 | save the file as UTF-8"]);
    let crlf = format!("\u{feff}{OFFLINE}{AGENT}").replace('\n', "\r\n");
    expect_good(&crlf, &[], &[]);
}

/// Hostile files: crew must reject each of them at once.
#[test]
fn hostile_files_are_rejected_at_once() {
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
        let crew = Crew::new(&yaml);
        let started = Instant::now();
        let ended = crew.run();
        let took = started.elapsed();
        let found = lines(&faults(&ended));
        assert!(found.len() == 1 && found[0].contains(expected), "{found:#?}");
        assert!(took < Duration::from_secs(5), "{expected}: {took:?}");
    }
}

#[test]
fn long_chains_of_needs() {
    let chain = |first: &str| {
        let agents = (1..5000).map(|n| format!("  a{n}: {{needs: [a{}]}}\n", n - 1));
        format!("{OFFLINE}agents:\n  a0: {{{first}}}\n{}", agents.collect::<String>())
    };
    let ended = Crew::check(chain("")).run_as_is();
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.stdout.contains("a4999"));
    expect(
        &chain("needs: [a4999]"),
        &[],
        &[],
        &["agents.a0.needs[0] 3:16 .. a0 -> a4999 -> a4998 .. more .. -> a0"],
    );
}

#[test]
fn unreadable_files_are_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    let found = |args: &[&str]| lines(&faults(&Crew::at(here).args(args).run_as_is())).join("\n");
    let run = ["run", "-i", "x", "-c"];
    assert!(found(&run[..3]).contains("no crew file found"));
    assert!(found(&[&run[..], &["no.yaml"]].concat()).contains("no such file"));
    assert!(found(&[&run[..], &["."]].concat()).contains("is a directory"));
    assert!(found(&[&run[..], &["/dev/zero"]].concat()).contains("not a regular file"));
    nix::unistd::mkfifo(&here.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(found(&[&run[..], &["pipe"]].concat()).contains("not a regular file"));
}

#[test]
fn search_order_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let name_of = |env: &[(&str, &str)]| {
        let crew = Crew::at(dir.path()).args(&["run", "-o", "json"]).envs(env);
        crew.run().json()["crew"].as_str().unwrap().to_owned()
    };
    let write = |path: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("name: {}\n{OFFLINE}{AGENT}", path.display())).unwrap();
    };
    let xdg = dir.path().join("xdg");
    let env = [("XDG_CONFIG_HOME", xdg.to_str().unwrap())];
    // In reverse order, so that each file takes precedence over those before it.
    write(".config/crew/agents.yaml");
    assert!(name_of(&[]).ends_with(".config/crew/agents.yaml"));
    for path in ["xdg/crew/agents.yaml", "crew.yaml", "agents.yml", "agents.yaml"] {
        write(path);
        assert!(name_of(&env).ends_with(path), "{path}");
    }
}

#[test]
fn text_output_shows_the_line_and_a_hint() {
    let yaml = formatdoc! {"
        {OFFLINE}agents:
          disk:
            tols: [x]
            timeout: 5x
    "};
    let run = Crew::new(&yaml).args(&["-i", "x", "-o", "text"]);
    for crew in [Crew::check(&yaml), run] {
        let ended = crew.run_as_is();
        assert_eq!(ended.status.code(), Some(2));
        assert!(ended.stdout.is_empty());
        let stderr = ended.stderr;
        for piece in ["agents.yaml:4:5", "tols: [x]", "did you mean \"tools\"?", "agents.yaml:5:14"]
        {
            assert!(stderr.contains(piece), "{piece}: {stderr}");
        }
    }
}

#[test]
fn a_hostile_file_writes_no_escape_sequences() {
    for yaml in [
        indoc! {"
            agents:
              \"\\e]0;owned\\a\": {\"\\e[2J\": 1}
            name: \"\\e[31m\u{9b}31m
        "},
        "agents: {\"\\e]0;x\\a\": {\"\\e[2J\": \u{85}1}}\n",
    ] {
        let ended = Crew::check(yaml).run_as_is();
        assert_eq!(ended.status.code(), Some(2));
        let stderr = ended.stderr;
        assert!(!stderr.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{85}']), "{stderr:?}");
    }
}

#[test]
fn check_shows_what_would_run() {
    let crew = Crew::check(indoc! {"
        defaults: {model: offline}
        tools: {df: {command: [df, -h]}}
        agents: {late: {needs: [early]}, early: {tools: [df], timeout: 7s}}
    "});
    let ended = crew.run_as_is();
    let stdout = ended.stdout;
    assert_eq!(ended.status.code(), Some(0));
    let at = |text: &str| stdout.find(text).unwrap_or_else(|| panic!("{text}: {stdout}"));
    assert!(at("early") < at("late"));
    assert!(stdout.contains("df -h") && stdout.contains("7s") && stdout.contains("offline"));
    assert!(stdout.lines().all(|line| line.chars().count() <= 80), "{stdout}");
}

#[test]
fn usage_errors_are_faults() {
    let yaml = format!("{OFFLINE}{AGENT}");
    for args in [
        &["--nope"][..],
        &["-i", "x", "--timeout", "5x"],
        &["-i", "x", "--input-file", "y"],
        &["-i", "x", "--max-parallel", "0"],
        &["-i", "x", "--var", "=x"],
        &["-i", "x", "-k", "--fail-fast"],
    ] {
        let ended = Crew::new(&yaml).args(args).run_as_is();
        let found = faults(&ended);
        assert_eq!(found.len(), 1, "{args:?}");
        assert_eq!(found[0]["path"], Value::Null);
        assert!(!ended.stderr.is_empty(), "{args:?}");
    }
    let ended = Crew::check(&yaml).args(&["--nope"]).run_as_is();
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stdout.is_empty());
}
