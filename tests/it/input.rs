//! The input of a crew, and variables from `--env-file`.

use std::io::{Read, Write};
use std::process::Stdio;

use indoc::indoc;

use crate::support::crew::{Crew, Ended};
use crate::support::faults::{faults, lines};

const YAML: &str = "agents: {a: {model: offline}}";
const FIXED: &str = "agents: {a: {model: offline, prompt: What is new?}}";

fn input(ended: &Ended) -> String {
    ended.report(0)["input"].as_str().unwrap().to_owned()
}

/// A pipe that holds these bytes and has no writer.
fn pipe_with(bytes: &[u8]) -> std::io::PipeReader {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(bytes).unwrap();
    reader
}

#[test]
fn input_comes_from_an_argument_an_option_a_file_or_a_pipe() {
    let given = |args: &[&str]| input(&Crew::new(YAML).args(args).run_as_is());
    assert_eq!(given(&["-i", "-5 °C"]), "-5 °C");
    assert_eq!(given(&["my laptop is slow"]), "my laptop is slow");
    assert_eq!(given(&["--", "-5 °C"]), "-5 °C");
    assert_eq!(given(&["-i", ""]), "");
    let crew = Crew::new(YAML);
    std::fs::write(crew.path("in.txt"), "from a file").unwrap();
    assert_eq!(input(&crew.args(&["--input-file", "in.txt"]).run_as_is()), "from a file");
    for args in [&[][..], &["-i", "-"], &["-"]] {
        let crew = Crew::new(YAML).args(args).stdin(pipe_with(b"from a pipe").into());
        assert_eq!(input(&crew.run_as_is()), "from a pipe", "{args:?}");
    }
    for (args, message, hint) in [
        (&[][..], "standard input is empty", "-i ''"),
        (&["--input-file", "none.txt"], "none.txt: No such file", ""),
        (&["x", "-i", "y"], "cannot be used with", ""),
        (&["x", "--input-file", "y"], "cannot be used with", ""),
    ] {
        let found = lines(&faults(&Crew::new(YAML).args(args).run_as_is())).join("\n");
        assert!(found.contains(message) && found.contains(hint), "{args:?}: {found}");
    }
}

#[test]
fn standard_input_is_left_alone_unless_an_agent_uses_it() {
    let tool = indoc! {"
        defaults: {model: offline}
        tools: {show: {command: [echo, '{{ input }}']}}
        agents: {a: {prompt: go}, b: {prompt: go, tools: [show]}}
    "};
    for (yaml, args, is_read) in [
        (FIXED, &[][..], false),
        (FIXED, &["-i", "-"], false),
        (YAML, &[], true),
        (tool, &["-a", "a"], false),
        (tool, &[], true),
        ("agents: {a: {model: offline, prompt: go, role: '{{ input | upper }}'}}", &[], true),
        ("vars: {input: x}\nagents: {a: {model: offline, prompt: '{{ vars.input }}'}}", &[], false),
    ] {
        let mut left = pipe_with(b"line 1\nline 2\n");
        let crew = Crew::new(yaml).args(args).stdin(left.try_clone().unwrap().into());
        let ended = crew.run_as_is();
        let given = if is_read { "line 1\nline 2\n" } else { "" };
        assert_eq!(input(&ended), given, "{yaml} {args:?}");
        let mut rest = String::new();
        left.read_to_string(&mut rest).unwrap();
        assert_eq!(rest.is_empty(), is_read, "{yaml} {args:?}");
    }
    // As under cron.
    assert_eq!(input(&Crew::new(FIXED).stdin(Stdio::null()).run_as_is()), "");
    assert_eq!(input(&Crew::new(FIXED).args(&["for nothing"]).run_as_is()), "for nothing");
}

#[test]
fn a_long_wait_for_standard_input_is_announced() {
    let mut running = Crew::new(YAML).stdin(Stdio::piped()).start_as_is();
    running.wait_for_stderr("waiting for the input on standard input");
    running.child.stdin.take().unwrap().write_all(b"late").unwrap();
    assert_eq!(input(&running.wait()), "late");
}

#[test]
fn bytes_that_are_not_utf_8_are_replaced_with_a_note() {
    let bytes = b"first\nstray \xff byte \xe9\xe9\nlast\n";
    let replaced = "first\nstray \u{fffd} byte \u{fffd}\u{fffd}\nlast\n";
    let crew = Crew::new(YAML);
    std::fs::write(crew.path("log"), bytes).unwrap();
    let from_file = crew.args(&["--input-file", "log"]).run_as_is();
    let from_pipe = Crew::new(YAML).stdin(pipe_with(bytes).into()).run_as_is();
    for (ended, name) in [(from_file, "log"), (from_pipe, "standard input")] {
        assert_eq!(input(&ended), replaced);
        let note = format!("note: the input from {name} is not valid UTF-8");
        assert!(ended.stderr.contains(&note), "{}", ended.stderr);
    }
}

#[test]
fn an_argument_that_names_a_file_gets_a_hint() {
    let ended = Crew::new(YAML).args(&["agents.yaml"]).run_as_is();
    let found = lines(&faults(&ended)).join("\n");
    assert!(found.contains("crew run -c agents.yaml"), "{found}");
    // Also where no other crew file is found.
    let crew = Crew::new(YAML);
    std::fs::rename(crew.path("agents.yaml"), crew.path("mine.yml")).unwrap();
    let found = lines(&faults(&crew.args(&["mine.yml"]).run_as_is())).join("\n");
    assert!(found.contains("crew run -c mine.yml"), "{found}");
    assert_eq!(input(&Crew::new(YAML).args(&["-i", "agents.yaml"]).run_as_is()), "agents.yaml");
    let crew = Crew::new(YAML);
    std::fs::write(crew.path("report.txt"), "x").unwrap();
    let ended = crew.args(&["report.txt"]).run_as_is();
    assert_eq!(input(&ended), "report.txt");
    assert!(ended.stderr.contains("--input-file report.txt"), "{}", ended.stderr);
}

#[test]
fn variables_come_from_files_unless_the_environment_has_them() {
    let yaml = indoc! {"
        providers: {p: {base_url: 'http://127.0.0.1:9', api_key_env: P_KEY}}
        vars: {a: '${A}', b: '${B:-none}', c: '${C}'}
        tools: {show: {shell: echo \"$A/$B\", env: [A, B]}}
        agents:
          a: {model: offline, prompt: '{{ vars.a }} {{ vars.b }} {{ vars.c }}'}
          t: {model: offline, tools: [show]}
          b: {model: p/m}
    "};
    let crew = |args: &[&str]| {
        let crew = Crew::new(yaml).args(args).env("A", "from the environment");
        std::fs::write(crew.path("one.env"), "A=1\nexport B='from ${A}'\nC=1 # no\n").unwrap();
        std::fs::write(crew.path("two.env"), "C=\"2 $A\"\nP_KEY=sk-12345678\n").unwrap();
        crew.args(&["-i", "x"]).run_as_is()
    };
    let ended = crew(&["--env-file", "one.env", "--env-file", "two.env", "-a", "a,t"]);
    let report = ended.report(0);
    let output = |agent: &str| report["agents"][agent]["output"].as_str().unwrap().to_owned();
    let prompt = "from the environment from ${A} 2 from the environment";
    assert!(output("a").contains(prompt), "{report:#}");
    assert!(output("t").contains("from the environment/from ${A}"), "{report:#}");
    let found = lines(&faults(&crew(&["--env-file", "one.env"]))).join("\n");
    assert!(found.contains("P_KEY is not set"), "{found}");
    let crew = Crew::check(yaml).args(&["--env-file", "e"]);
    std::fs::write(crew.path("e"), "A=1\nC=1\nP_KEY=sk-12345678\n").unwrap();
    assert_eq!(crew.run_as_is().status.code(), Some(0));
}

#[test]
fn a_file_of_variables_that_cannot_be_read_is_an_error() {
    for (text, expected) in [
        (&b"A=1\nsecret value\n"[..], "e:2: expected = after secret"),
        (b"A='secret", "e:1: the value of A has no closing '"),
        (b"A=\xff", "invalid UTF-8"),
        (b"A=\"a\0secret\"", "e: the value of A contains a NUL byte"),
    ] {
        let crew = Crew::new(YAML).args(&["-i", "x", "--env-file", "e"]);
        std::fs::write(crew.path("e"), text).unwrap();
        let ended = crew.run_as_is();
        let found = lines(&faults(&ended)).join("\n");
        assert!(found.contains(expected), "{found}");
        assert!(!ended.stderr.contains("secret\"") && !ended.stderr.contains("'secret"));
    }
    let found = lines(&faults(&Crew::new(YAML).args(&["--env-file", "no", "-i", "x"]).run_as_is()));
    assert!(found[0].contains("cannot read no: no such file"), "{found:?}");
}
