//! Checks: a program decides whether an answer is good.

use indoc::{formatdoc, indoc};
use serde_json::json;

use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script::{text, tool_call};

#[test]
fn a_check_sends_the_model_back_until_it_accepts() {
    let report = Crew::new(indoc! {r#"
        agents:
          fix:
            model: offline
            check: {shell: 'cat >/dev/null; echo x >>seen; test "$(wc -l <seen)" -ge 2'}
    "#})
    .run()
    .report(0);
    let checks = report["agents"]["fix"]["checks"].as_array().unwrap();
    let codes: Vec<_> = checks.iter().map(|check| check["exit_code"].as_i64().unwrap()).collect();
    assert_eq!(codes, [1, 0]);
    assert_eq!(report["agents"]["fix"]["turns"], 2);
    for (check, kind) in [
        ("{shell: 'exit 1', attempts: 1}", "unverified"),
        ("{command: [/no/such/check]}", "check"),
        ("{command: [sleep, '60'], timeout: 100ms}", "check"),
    ] {
        let yaml = format!("agents:\n  a: {{model: offline, check: {check}}}\n");
        let report = Crew::new(&yaml).run().report(1);
        assert_eq!(report["agents"]["a"]["error"]["kind"], kind, "{check}");
    }
}

#[test]
fn a_check_gets_the_answer_and_the_model_gets_its_output() {
    let yaml = indoc! {r#"
        vars: {wanted: good}
        providers: {mock: {base_url: '${URL}'}}
        agents:
          a:
            model: mock/m
            check:
              shell: |
                answer=$(cat)
                echo "$answer $output $shown $KEY_OF_MINE" | tee -a seen
                echo stderr too >&2
                test "$answer" = "$wanted"
              env: {wanted: '{{ vars.wanted }}', shown: 'of {{ input }}: {{ output }}', KEY_OF_MINE: }
              cwd: sub
    "#};
    let run = |args: &[&str]| {
        let server = ModelServer::sequence([text("bad"), text("good")]);
        let environment = [("URL", &*server.base_url()), ("KEY_OF_MINE", "key-0123456789")];
        let crew = Crew::new(yaml).envs(&environment).args(args);
        std::fs::create_dir(crew.path("sub")).unwrap();
        (crew.run(), server)
    };
    let (ended, server) = run(&[]);
    let report = ended.report(0);
    let agent = &report["agents"]["a"];
    assert_eq!((&agent["output"], &agent["turns"]), (&json!("good"), &json!(2)));
    let seen = std::fs::read_to_string(ended.path().join("sub/seen")).unwrap();
    assert!(seen.starts_with("bad bad of go: bad key-0123456789\ngood good of go"), "{seen}");
    let requests = server.requests();
    let [first, second] = &requests[..] else { panic!("{} requests", requests.len()) };
    assert_eq!(second.messages()[..first.messages().len()], *first.messages());
    let roles: Vec<_> = second.messages().iter().map(|message| message["role"].clone()).collect();
    assert_eq!(roles[roles.len() - 2..], ["assistant", "user"]);
    let feedback = second.contents("user").last().unwrap().to_string();
    let checks = agent["checks"].as_array().unwrap();
    for text in ["bad bad of go: bad [redacted]", "stderr too"] {
        assert!(feedback.contains(text), "{text}: {feedback}");
        assert!(checks[0]["output"].as_str().unwrap().contains(text), "{agent:#}");
    }
    assert_eq!((&checks[0]["exit_code"], &checks[1]["exit_code"]), (&json!(1), &json!(0)));
    // The text report shows each check with the last line it printed.
    let (shown, _server) = run(&["-o", "text"]);
    let shown = shown.stdout;
    assert!(shown.contains("check failed in") && shown.contains("(exit 1): stderr too"), "{shown}");
    assert!(shown.contains("check succeeded in"), "{shown}");
}

#[test]
fn three_answers_are_the_default_and_the_last_one_is_kept() {
    let server = ModelServer::sequence([text("one"), text("two"), text("three"), text("four")]);
    let yaml = indoc! {"
        providers: {mock: {base_url: '${URL}'}}
        agents: {a: {model: mock/m, check: {command: ['false']}}}
    "};
    let report = Crew::new(yaml).env("URL", &server.base_url()).run().report(1);
    let agent = &report["agents"]["a"];
    assert_eq!(
        (&agent["output"], &agent["error"]["kind"]),
        (&json!("three"), &json!("unverified"))
    );
    assert_eq!((agent["checks"].as_array().unwrap().len(), server.requests().len()), (3, 3));
    assert!(agent["partial"].is_null(), "{agent:#}");
}

#[test]
fn turns_and_budgets_end_a_check() {
    for (more, expected) in
        [("max_turns: 2", "no turn left"), ("limits: {max_model_calls: 2}", "max_model_calls")]
    {
        let server = ModelServer::sequence(["1", "2", "3"].map(text));
        let yaml = format!(
            "providers: {{mock: {{base_url: '{}'}}}}\nagents:\n  \
             a: {{model: mock/m, {more}, check: {{command: ['false'], attempts: 9}}}}\n",
            server.base_url()
        );
        let report = Crew::new(&yaml).run().report(1);
        let message = report["agents"]["a"]["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{expected}: {message}");
        assert_eq!(server.requests().len(), 2, "{more}");
    }
}

#[test]
fn a_model_that_says_the_same_again_has_all_its_attempts() {
    // The work is done by a tool, or by the check itself: the words do not tell.
    for (tool, check) in [
        ("edit: {shell: echo x >> work}", "test $(wc -l < work) -ge 3"),
        ("spare: {shell: date}", "echo x >> work; test $(wc -l < work) -ge 3"),
    ] {
        let name = tool.split(':').next().unwrap();
        let call = || tool_call(name, &json!({}));
        let turn = || [call(), text("Done.")];
        let server = ModelServer::sequence([turn(), turn(), turn()].into_iter().flatten());
        let yaml = formatdoc! {"
            providers: {{mock: {{base_url: '{}'}}}}
            tools: {{{tool}}}
            agents: {{a: {{model: mock/m, tools: [{name}], check: {{shell: '{check}', attempts: 5}}}}}}
        ", server.base_url()};
        let report = Crew::new(&yaml).run().report(0);
        assert_eq!(report["agents"]["a"]["checks"].as_array().unwrap().len(), 3, "{check}");
    }
}

#[test]
fn every_program_of_a_shell_check_can_read_the_answer_as_a_variable() {
    for line in [
        "echo ${#output}",
        "echo \"${output:-}\"",
        "./read",
        "sh -c 'echo \"$output\"'",
        "eval 'echo \"$out''put\"'",
    ] {
        let yaml = formatdoc! {"
            agents:
              a:
                model: offline
                prompt: hello
                check:
                  shell: |
                    {line} > seen
        "};
        let crew = Crew::new(&yaml);
        let script = crew.path("read");
        std::fs::write(&script, "#!/bin/sh\necho \"$output\"\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        let ended = crew.run();
        let report = ended.report(0);
        let answer = report["agents"]["a"]["output"].as_str().unwrap();
        let seen = std::fs::read_to_string(ended.path().join("seen")).unwrap();
        assert!(seen.trim() == answer || seen.trim() == answer.len().to_string(), "{line}: {seen}");
    }
    let own =
        "agents: {a: {model: offline, check: {shell: 'test $output = own', env: {output: own}}}}";
    Crew::new(own).run().report(0);
}

#[test]
fn a_long_answer_is_no_variable_and_the_check_says_so() {
    for (answer, why) in [("x".repeat(200 << 10), "too long"), ("a\0b".to_owned(), "NUL")] {
        let run = |line: &str| {
            let server = ModelServer::always(text(&answer));
            let yaml = formatdoc! {"
                providers: {{mock: {{base_url: '{}'}}}}
                agents: {{a: {{model: mock/m, check: {{shell: '{line}', attempts: 1}}}}}}
            ", server.base_url()};
            Crew::new(&yaml).run()
        };
        for line in ["test -z \"${output:-}\"", "test ${#output} -lt 10"] {
            let report = run(line).report(1);
            let error = &report["agents"]["a"]["error"];
            let message = error["message"].as_str().unwrap();
            assert_eq!(error["kind"], "check", "{line}: {message}");
            assert!(message.contains(why) && message.contains("standard input"), "{message}");
        }
        // A program that does not name the variable may read it all the same.
        let report = run("wc -c").report(0);
        let shown = report["agents"]["a"]["checks"][0]["output"].as_str().unwrap();
        assert!(shown.starts_with(&answer.len().to_string()), "{shown}");
        assert!(shown.contains("$output is not set") && shown.contains(why), "{shown}");
    }
}

#[test]
fn a_check_that_does_not_start_says_so() {
    for (check, kind, message) in [
        ("command: [/no/such/check]", "check", "no such program: /no/such/check"),
        ("command: ['true'], cwd: 'no-{{ output | length }}'", "check", "no such directory"),
        ("command: [echo, '{{ output | int }}']", "template", "invalid operation"),
    ] {
        let yaml = format!("agents:\n  a: {{model: offline, check: {{{check}}}}}\n");
        let ended = Crew::new(&yaml).args(&["-o", "text"]).run();
        let shown = &ended.stdout;
        assert!(shown.contains("check failed in") && shown.contains(message), "{check}: {shown}");
        let report = Crew::new(&yaml).run().report(1);
        let agent = &report["agents"]["a"];
        assert_eq!(agent["error"]["kind"], kind, "{check}: {agent:#}");
        assert_eq!(agent["checks"][0]["status"], "failed", "{agent:#}");
        let output = agent["checks"][0]["output"].as_str().unwrap();
        assert!(output.contains("did not run") && output.contains(message), "{check}: {output}");
    }
}

#[test]
fn a_check_that_misbehaves_is_bounded_and_leaves_nothing() {
    for (check, kind, status) in [
        // Never ends, whatever it is told.
        ("trap '' TERM INT HUP; while :; do sleep 1000; done", "check", "timed_out"),
        ("yes", "check", "timed_out"),
        ("sleep 1000 & exit 0", "", "succeeded"),
        // Kills its parent, the reaper.
        ("kill -KILL $PPID; sleep 1000", "unverified", "failed"),
    ] {
        let yaml = format!(
            "limits: {{grace: 100ms}}\nagents:\n  a: {{model: offline, check: {{shell: {check:?}, \
             timeout: 500ms, attempts: 1, max_output: 2KiB}}}}\n"
        );
        let report = Crew::new(&yaml).run().json();
        let agent = &report["agents"]["a"];
        assert_eq!(agent["error"]["kind"].as_str().unwrap_or_default(), kind, "{check}: {agent:#}");
        assert_eq!(agent["checks"][0]["status"], status, "{check}: {agent:#}");
        assert!(agent["checks"][0]["output"].as_str().unwrap().len() < 3000, "{check}");
        assert_eq!(report["cleanup"]["survivors"], json!([]), "{check}");
        assert!(agent["output"].is_string(), "the answer is kept: {check}");
    }
}

#[test]
fn a_check_of_a_structured_answer_gets_the_value() {
    let yaml = indoc! {r#"
        agents:
          a:
            model: offline
            output_schema: {type: object, properties: {n: {const: 5}}, required: [n]}
            check: {shell: 'cat; test "$output" = "{\"n\":5}"'}
    "#};
    let report = Crew::new(yaml).run().report(0);
    assert_eq!(report["agents"]["a"]["checks"][0]["output"], r#"{"n":5}"#);
}

#[test]
fn each_instance_has_its_own_check_in_its_own_sandbox() {
    let yaml = indoc! {"
        limits: {on_failure: continue}
        agents:
          each:
            model: offline
            for_each: [good, bad]
            prompt: '{{ item }}'
            check:
              command: [sh, -c, 'echo x > written; test \"$0\" = good', '{{ item }}']
              sandbox: {read: [/], if_unsupported: warn}
              attempts: 1
    "};
    let ended = Crew::new(yaml).run();
    let items = ended.report(1)["agents"]["each"]["items"].clone();
    let of = |at: usize| (items[at]["status"].clone(), items[at]["error"]["kind"].clone());
    assert_eq!(of(0), (json!("succeeded"), json!(null)), "{items:#}");
    assert_eq!(of(1), (json!("failed"), json!("unverified")));
    if cfg!(target_os = "linux") && !ended.stderr.contains("not fully enforced") {
        assert!(!ended.path().join("written").exists());
    }
}
