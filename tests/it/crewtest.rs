//! `crew test`: what passes, what fails and why, snapshots, and faults of tests.

use std::path::Path;

use crate::support::crew::{Crew, Ended};
use indoc::{formatdoc, indoc};

const CREW: &str = indoc! {"
    vars: {who: plumber}
    limits: {on_failure: continue}
    tools: {look: {shell: 'echo 92% used', confirm: true}}
    agents:
      a: {model: offline, retries: 1, prompt: 'As {{ vars.who }}: {{ input }}'}
      b: {model: offline, tools: [look], prompt: look}
"};

/// A folder with the crew and these tests.
fn folder(tests: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = crate::support::crew::folder(CREW);
    for (name, text) in tests {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn test(folder: &Path, args: &[&str]) -> Ended {
    Crew::at(folder).args(&["test"]).args(args).run_as_is()
}

/// The only test of a folder, with these keys.
fn one(keys: &str) -> tempfile::TempDir {
    let text = formatdoc! {"
        crew: agents.yaml
        input: slow
        offline: true
        {keys}
    "};
    folder(&[("one.crewtest.yaml", &text)])
}

#[track_caller]
fn has(ended: &Ended, code: i32, parts: &[&str]) {
    let text = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

#[test]
fn tests_below_the_folder_run_in_order() {
    let passes = "crew: ../agents.yaml\ninput: slow\noffline: true\n";
    let fails = "crew: agents.yaml\ninput: slow\noffline: true\nfaults: ['a=garbage']\n";
    let folder = folder(&[
        ("z/passes.crewtest.yaml", passes),
        ("fails.crewtest.yaml", fails),
        (".hidden/no.crewtest.yaml", "nonsense"),
        ("z/other.yaml", "nonsense"),
    ]);
    let ended = test(folder.path(), &[]);
    has(
        &ended,
        1,
        &[
            "] fails.crewtest.yaml\n          expected status succeeded, found failed\n            \
         agent a: the response does not follow the API (--fault)\n",
            "PASS [",
            "2 tests run: 1 passed, 1 failed",
        ],
    );
    let at = |part: &str| ended.stdout.find(part).unwrap();
    assert!(at("fails.crewtest") < at("z/passes.crewtest"), "{}", ended.stdout);
    has(&test(folder.path(), &["z"]), 0, &["1 test run: 1 passed"]);
    has(&test(folder.path(), &["z/passes.crewtest.yaml"]), 0, &["1 test run: 1 passed"]);
}

#[test]
fn expectations_are_about_the_report() {
    let folder = one(indoc! {r#"
        vars: {who: painter}
        agents: [a]
        expect:
          exit_code: 0
          assert:
            - '"painter: slow" in agents.a.output'
            - agents.a.turns == 1 and usage.model_calls == 1
            - agents.a.missing is not defined
    "#});
    has(&test(folder.path(), &[]), 0, &["1 passed"]);
    let folder = one(indoc! {"
        faults: ['*=429:1']
        expect:
          status: failed
          exit_code: 1
          assert: [agents.a.retries > 1, 'agents.a.status']
    "});
    has(
        &test(folder.path(), &[]),
        1,
        &[
            "expected status failed, found succeeded",
            "expected exit code 1, found 0",
            "not true: agents.a.retries > 1\n            agents.a.retries is 1",
            "agents.a.status: the condition is \"succeeded\", which is neither true nor false",
        ],
    );
}

#[test]
fn a_tool_that_needs_approval_runs_only_if_the_test_approves() {
    let ran = "expect: {assert: ['agents.b.tool_calls[0].status == \"succeeded\"']}\n";
    has(&test(one(&format!("approve: true\n{ran}")).path(), &[]), 0, &[]);
    has(&test(one(ran).path(), &[]), 1, &["not true"]);
}

#[test]
fn a_snapshot_is_written_and_compared() {
    let folder = one("expect: {snapshot: one.json}\n");
    has(&test(folder.path(), &[]), 1, &["there is no snapshot one.json", "--update"]);
    has(&test(folder.path(), &["--update"]), 0, &[]);
    has(&test(folder.path(), &[]), 0, &[]);
    let path = folder.path().join("one.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("_ms") && !text.contains("run_id"), "{text}");
    std::fs::write(&path, text.replace("As plumber", "As painter")).unwrap();
    let ended = test(folder.path(), &[]);
    has(
        &ended,
        1,
        &["differs from the snapshot one.json", "agents.a.output (recorded \"", "plumber"],
    );
    has(&test(folder.path(), &["--update"]), 0, &[]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_snapshot_that_is_no_file_fails_the_test_and_does_not_block() {
    let folder = one("expect: {snapshot: pipe}\n");
    nix::unistd::mkfifo(&folder.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for args in [&[][..], &["--update"]] {
        has(&test(folder.path(), args), 1, &["cannot read the snapshot pipe", "regular file"]);
    }
}

#[test]
fn a_recording_is_replayed_and_what_is_missing_is_said() {
    let folder = folder(&[("one.crewtest.yaml", "crew: one.yaml\nreplay: r.jsonl\ninput: slow\n")]);
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("one.yaml", "agents: {a: {model: openai/gpt-4o-mini, prompt: '{{ input }}'}}\n");
    let line = |user: &str| {
        format!(
            "{{\"kind\":\"model\",\"agent\":\"a\",\"request\":{{\"model\":\"openai/gpt-4o-mini\",\
             \"messages\":[{{\"user\":\"{user}\"}}]}},\"response\":{{\"text\":\"fine\"}}}}\n"
        )
    };
    let first = "{\"kind\":\"recording\",\"version\":1}\n";
    write("r.jsonl", &format!("{first}{}", line("slow")));
    // No key is set.
    has(&test(folder.path(), &[]), 0, &[]);
    write("r.jsonl", &format!("{first}{}", line("fast")));
    has(
        &test(folder.path(), &[]),
        1,
        &[
            "agent a: openai: not in the recording r.jsonl",
            "messages[0].user (recorded \"fast\", now \"slow\")",
        ],
    );
}

#[test]
fn faults_of_a_test_show_their_place_and_nothing_runs() {
    for (keys, expected) in [
        ("expct: {}", "one.crewtest.yaml:4:1"),
        ("expect: {status: broken}", "expected succeeded, failed, timed_out or cancelled"),
        ("faults: [a=404]", "known: 429, 500, stall, cut, hang, garbage, die"),
        ("faults: [c=429]", "no agent with a model fits c=429"),
        ("expect: {assert: [agent.a.turns > 1]}", "did you mean \"agents\"?"),
        ("expect: {assert: [agents.c.turns > 1]}", "there is no agent \"c\""),
        ("expect: {assert: ['1 +']}", "invalid expression"),
        ("replay: none.jsonl", "either `offline: true` or `replay: FILE`"),
        ("input_file: x", "either `input` or `input_file`"),
        ("vars: {what: x}", "there is no variable \"what\""),
        ("timeout: 3", "give the number a unit"),
    ] {
        has(&test(one(keys).path(), &[]), 2, &[expected]);
    }
    has(&test(one("expect: {}").path(), &["--junit", "no/such/folder.xml"]), 2, &["--junit"]);
    let folder = folder(&[("t.crewtest.yaml", "crew: agents.yaml\noffline: true\n")]);
    has(&test(folder.path(), &[]), 2, &["the crew uses an input"]);
    has(&test(folder.path(), &["none.crewtest.yaml"]), 2, &["no such file"]);
    let empty = tempfile::tempdir().unwrap();
    has(&test(empty.path(), &[]), 2, &["there is no test"]);
}

#[test]
fn results_are_written_as_junit() {
    let folder = one("faults: ['a=garbage']\n");
    std::fs::write(
        folder.path().join("b.crewtest.yaml"),
        "crew: agents.yaml\ninput: x\noffline: true\n",
    )
    .unwrap();
    has(&test(folder.path(), &["--junit", "out.xml"]), 1, &["2 tests run"]);
    let xml = std::fs::read_to_string(folder.path().join("out.xml")).unwrap();
    for part in [
        "<testcase name=\"b.crewtest.yaml\"",
        "<testcase name=\"one.crewtest.yaml\"",
        "tests=\"2\"",
        "failures=\"1\"",
        "<failure message=\"expected status succeeded, found failed\">",
        "agent a: the response does not follow the API",
    ] {
        assert!(xml.contains(part), "{part} is missing in\n{xml}");
    }
}

#[test]
fn an_input_may_have_parts() {
    let test_of = |input: &str| {
        let text = format!("crew: c.yaml\noffline: true\ninput: {input}\n");
        let folder = folder(&[("one.crewtest.yaml", &text)]);
        let crew = "agents: {a: {model: offline, prompt: 'Host {{ input.host }}'}}\n";
        std::fs::write(folder.path().join("c.yaml"), crew).unwrap();
        folder
    };
    has(&test(test_of("{host: web1}").path(), &[]), 0, &["1 passed"]);
    has(&test(test_of("web1").path(), &[]), 2, &["write a mapping as the input"]);
}
