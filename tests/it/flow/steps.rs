//! Steps: programs and requests in place of a model.

use indoc::{formatdoc, indoc};
use serde_json::json;

use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script;

#[test]
fn the_output_of_a_step_reaches_the_next_one_whole() {
    let report = Crew::new(indoc! {r#"
        agents:
          big: {shell: "head -c 200000 /dev/zero | tr '\\0' x; echo noise >&2"}
          count: {needs: [big], command: [wc, -c], stdin: "{{ agents.big.output }}"}
    "#})
    .run()
    .report(0);
    assert_eq!(report["agents"]["count"]["output"].as_str().unwrap().trim(), "200000");
    assert_eq!(report["agents"]["big"]["stderr"], "noise\n");
    assert_eq!(report["agents"]["big"]["kind"], "step");
    assert_eq!(report["answer"].as_str().unwrap().trim(), "200000");
}

#[test]
fn a_request_is_a_step_without_any_tool() {
    let server = ModelServer::start(|request| {
        let key = request.header("authorization").unwrap_or_default().to_owned();
        script::whole(200, &[("content-type", "application/json")], format!("[\"{key}\"]"))
    });
    let yaml = indoc! {"
        agents:
          list:
            http: {url: '${URL}/list', headers: {authorization: '${TOKEN}'}}
            parse: json
    "};
    let token = "tok-0123456789";
    let crew = Crew::new(yaml).env("URL", &server.base_url()).env("TOKEN", token);
    let report = crew.args(&["--offline"]).run().report(0);
    let list = &report["agents"]["list"];
    assert_eq!(list["data"], json!(["[redacted]"]), "{list:#}");
    assert_eq!(list["http_status"], 200);
}

#[test]
fn a_step_that_fails_says_how() {
    for (step, kind, message) in [
        ("shell: 'echo no luck >&2; exit 3'", "step", "exit code 3: no luck"),
        ("command: [/no/such/program]", "step", "no such program"),
        ("shell: 'echo no', parse: json", "step", "not valid JSON"),
        ("command: [yes], max_answer: 1KiB", "step", "longer than max_answer"),
        ("command: [sleep, '60'], timeout: 100ms", "timeout", "no answer"),
    ] {
        let yaml = format!("agents:\n  a: {{{step}}}\n");
        let report = Crew::new(&yaml).run().report(1);
        let error = &report["agents"]["a"]["error"];
        assert_eq!(error["kind"], kind, "{step}: {error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{step}: {error}");
    }
    let yaml = "agents:\n  a: {shell: 'exit 1', ok_exit_codes: [0, 1]}\n";
    assert_eq!(Crew::new(yaml).run().report(0)["agents"]["a"]["exit_code"], 1);
}

#[test]
fn the_error_of_a_step_names_the_cause_and_not_the_hint() {
    for (stderr, cause) in [
        ("fatal: real cause\\nhint: blah", "fatal: real cause"),
        ("error: unknown option x\\nusage: git [-v]\\n  --more", "error: unknown option x"),
        ("docker: Error response from daemon: no image\\nRun docker --help", "docker: Error resp"),
        ("Traceback\\nValueError: bad\\n", "ValueError: bad"),
        ("warning: old\\nerror[E0382]: moved\\n--> a.rs", "error[E0382]: moved"),
        ("ERROR no disk\\ndone", "ERROR no disk"),
        ("panicked at a.rs\\nboom\\nnote: set RUST_BACKTRACE", "boom"),
        ("errors.log is old\\nno luck\\n\\n", "no luck"),
        ("hint: only this", "hint: only this"),
    ] {
        let yaml = format!("agents:\n  a: {{shell: \"printf '{stderr}' >&2; exit 3\"}}\n");
        let report = Crew::new(&yaml).run().report(1);
        let message = report["agents"]["a"]["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("exit code 3: {cause}")), "{stderr}: {message}");
    }
}

#[test]
fn the_output_of_a_request_is_the_body_and_nothing_else() {
    let json = [("content-type", "application/json")];
    let run = |url: &str, more: &str| {
        let yaml = format!("agents: {{a: {{http: {{url: '{url}/x'}}{more}}}}}\n");
        let report = Crew::new(&yaml).run().json();
        report["agents"]["a"].clone()
    };
    for (status, body, message) in [
        (204, "", None),
        (200, "[1]", None),
        (500, "oops", Some("HTTP 500 Internal Server Error")),
        (404, "", Some("HTTP 404 Not Found")),
        (302, "moved", Some("HTTP 302 Found")),
    ] {
        let server = ModelServer::always(script::whole(status, &json, body));
        let agent = run(&server.origin(), "");
        let output = agent["output"].as_str().unwrap_or_default();
        assert_eq!((output, &agent["http_status"]), (body, &json!(status)), "{agent:#}");
        assert_eq!(agent["error"]["message"].as_str(), message, "{agent:#}");
    }
    let server = ModelServer::always(script::whole(204, &json, ""));
    let agent = run(&server.origin(), ", parse: lines");
    assert_eq!((&agent["status"], &agent["data"]), (&json!("succeeded"), &json!([])));
    let error = run(&server.origin(), ", parse: json")["error"]["message"].clone();
    assert!(error.as_str().unwrap().contains("EOF"), "{error}");
    let agent = run("http://127.0.0.1:1", "");
    assert_eq!(agent["output"].as_str().unwrap_or_default(), "", "{agent:#}");
    let error = agent["error"]["message"].as_str().unwrap();
    assert!(error.starts_with("cannot connect to 127.0.0.1:1"), "{error}");
}

#[test]
fn a_replayed_request_has_the_same_output_and_error() {
    let server = ModelServer::always(script::whole(500, &[], "oops"));
    let yaml = format!("agents: {{a: {{http: {{url: '{}/x'}}}}}}\n", server.origin());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let run = |option: &str| {
        let report = Crew::new(&yaml).args(&[option, file.to_str().unwrap()]).run().report(1);
        let agent = &report["agents"]["a"];
        (agent["output"].clone(), agent["error"]["message"].clone(), agent["http_status"].clone())
    };
    let first = run("--record");
    assert_eq!(first.0, "oops");
    assert_eq!((run("--replay"), server.requests().len()), (first, 1));
}

#[test]
fn a_byte_order_mark_is_no_part_of_data() {
    for (text, parse, data) in
        [("[1]", "json", json!([1])), ("one\\ntwo", "lines", json!(["one", "two"]))]
    {
        let bytes = "\\\\357\\\\273\\\\277";
        let yaml = format!("agents:\n  a: {{shell: \"printf '{bytes}{text}'\", parse: {parse}}}\n");
        assert_eq!(Crew::new(&yaml).run().report(0)["agents"]["a"]["data"], data);
    }
}

#[test]
fn a_step_sees_what_a_prompt_sees_and_nothing_on_standard_input() {
    let crew = Crew::new(indoc! {r#"
        vars: {who: world}
        agents:
          first: {command: [echo, one]}
          all:
            needs: [first]
            command: [echo, "{{ input }} {{ vars.who }} {{ agents.first.output }}"]
            stdin: "ignored"
          empty: {command: [cat]}
          here: {shell: "pwd; cat here", cwd: "sub-{{ vars.who }}"}
    "#});
    let folder = crew.path("sub-world");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("here"), "yes\n").unwrap();
    let report = crew.run().report(0);
    let output = |agent: &str| report["agents"][agent]["output"].as_str().unwrap();
    assert_eq!(output("all"), "go world one\n\n");
    assert_eq!(output("empty"), "");
    assert!(output("here").ends_with("/sub-world\nyes\n"), "{}", output("here"));
}

#[test]
fn the_environment_of_a_step_is_what_the_file_names() {
    let names = "NAMED OTHER SET OPENAI_API_KEY DEEPSEEK_API_KEY";
    let show = format!("for n in {names}; do eval \"echo $n=\\$$n\"; done");
    let yaml = formatdoc! {"
        agents:
          none: {{shell: '{show}'}}
          list: {{shell: '{show}', env: [NAMED, OPENAI_API_KEY]}}
          map: {{shell: '{show}', env: {{SET: '{{{{ input }}}}!', OTHER: }}}}
    "};
    let variables = [
        ("NAMED", "n"),
        ("OTHER", "o"),
        ("OPENAI_API_KEY", "key-0123456789"),
        ("DEEPSEEK_API_KEY", "key-9876543210"),
    ];
    let report = Crew::new(&yaml).envs(&variables).run().report(0);
    let of = |agent: &str| report["agents"][agent]["output"].as_str().unwrap().replace('\n', " ");
    assert_eq!(of("none"), "NAMED= OTHER= SET= OPENAI_API_KEY= DEEPSEEK_API_KEY= ");
    assert_eq!(of("list"), "NAMED=n OTHER= SET= OPENAI_API_KEY=[redacted] DEEPSEEK_API_KEY= ");
    assert_eq!(of("map"), "NAMED= OTHER=o SET=go! OPENAI_API_KEY= DEEPSEEK_API_KEY= ");
    let checked = Crew::check(&yaml).envs(&variables).run_as_is().stdout;
    assert!(checked.contains("NAMED OPENAI_API_KEY"), "{checked}");
}

#[test]
fn the_limits_of_a_step_keep_what_fits() {
    let report = Crew::new(indoc! {r#"
        limits: {on_failure: continue}
        agents:
          long: {shell: "echo begun; yes", max_answer: 1KiB}
          loud: {shell: "echo first >&2; seq 100000 >&2; echo last >&2; echo out", max_output: 1KiB}
    "#})
    .run()
    .report(1);
    let long = &report["agents"]["long"];
    assert!(long["output"].as_str().unwrap().starts_with("begun\ny\n"), "{long}");
    assert_eq!((&long["partial"], &long["error"]["kind"]), (&json!(true), &json!("step")));
    let loud = &report["agents"]["loud"];
    let stderr = loud["stderr"].as_str().unwrap();
    assert_eq!(loud["output"], "out\n");
    assert!(stderr.starts_with("first\n") && stderr.ends_with("last\n") && stderr.len() < 1300);
}

#[test]
fn a_schema_checks_the_json_of_a_step() {
    let yaml = |value: &str| {
        formatdoc! {"
            agents:
              a:
                command: [echo, '{value}']
                output_schema: {{type: object, properties: {{n: {{type: integer}}}}, required: [n]}}
        "}
    };
    let report = Crew::new(yaml(r#"{"n": 1}"#)).run().report(0);
    assert_eq!(report["answer"], json!({"n": 1}));
    let report = Crew::new(yaml(r#"{"n": "x"}"#)).run().report(1);
    let error = &report["agents"]["a"]["error"];
    assert_eq!(error["kind"], "step");
    assert!(error["message"].as_str().unwrap().contains("does not fit"), "{error}");
}

#[test]
fn offline_still_runs_programs() {
    let yaml = indoc! {"
        agents:
          a: {command: [echo, ran]}
          b: {http: {url: 'https://api.example.com/'}}
    "};
    let report = Crew::new(yaml).args(&["--offline", "-k"]).run().report(1);
    assert_eq!(report["agents"]["a"]["output"], "ran\n");
    let message = report["agents"]["b"]["error"]["message"].as_str().unwrap();
    assert!(message.contains("--offline"), "{message}");
}

#[test]
fn a_program_that_does_not_exist_is_found_by_check() {
    let yaml = indoc! {"
        agents:
          a: {command: [no-such-program-here]}
          b: {model: offline, check: {command: [./no-such-check]}}
    "};
    let ended = Crew::check(yaml).run_as_is();
    assert_eq!(ended.status.code(), Some(0));
    for text in ["agents.a.command[0]: there is no program", "agents.b.check.command[0]"] {
        assert!(ended.stderr.contains(text), "{text}: {}", ended.stderr);
    }
}

#[test]
fn what_a_step_leaves_behind_is_stopped() {
    let report = Crew::new("agents: {a: {shell: 'sleep 1000 & echo left'}}\n").run().report(0);
    assert_eq!(report["answer"], "left\n");
    assert_eq!(report["agents"]["a"]["leaked"], true);
    assert_eq!(report["cleanup"]["survivors"], json!([]));
}

#[test]
fn a_step_that_needs_approval_is_not_run_without_a_terminal() {
    let yaml = "agents: {a: {command: [touch, ran], confirm: true}}\n";
    let without_terminal = || Ok(nix::unistd::setsid().map(drop)?);
    let ended = Crew::new(yaml).prepare(without_terminal).run();
    let report = ended.report(1);
    assert!(!ended.path().join("ran").exists());
    let message = report["agents"]["a"]["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("not run: "), "{message}");
    let ended = Crew::new(yaml).args(&["--yes"]).run();
    assert!(ended.path().join("ran").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_step_has_a_sandbox() {
    let yaml = indoc! {"
        agents:
          a:
            shell: echo x > written
            sandbox: {read: [/], if_unsupported: warn}
    "};
    let ended = Crew::new(yaml).run();
    let is_enforced = !ended.stderr.contains("not fully enforced");
    assert_eq!(ended.path().join("written").exists(), !is_enforced);
}

#[test]
fn advice_about_a_step_speaks_of_what_it_has() {
    let server = ModelServer::always(script::error(404, "gone"));
    let yaml = indoc! {"
        limits: {on_failure: continue}
        agents:
          slow: {command: [sleep, '60'], timeout: 100ms}
          gone: {http: {url: '${URL}/list'}}
    "};
    let ended = Crew::new(yaml).env("URL", &server.base_url()).run();
    assert_eq!(ended.status.code(), Some(1));
    for text in ["raise the step's `timeout`", "check the step's `http`"] {
        assert!(ended.stderr.contains(text), "{text}: {}", ended.stderr);
    }
    for other in ["faster model", "command by hand"] {
        assert!(!ended.stderr.contains(other), "{other}: {}", ended.stderr);
    }
    for (step, advice) in [
        ("command: [yes], max_answer: 1KiB", "raise `max_answer`"),
        ("command: [echo], ok_exit_codes: [3]", "`ok_exit_codes`"),
        ("shell: 'echo no; exit 1', ok_exit_codes: [1], parse: json", "make the step print what"),
        ("command: [echo, '{{ \"x\" * 3000000 }}']", "with `stdin`"),
        ("command: [echo], for_each: [1, 2], max_items: 1", "raise `max_items`"),
        ("command: ['false'], for_each: [1, 2]", "see the errors of the instances"),
    ] {
        let shown = Crew::new(format!("agents:\n  a: {{{step}}}\n")).run().stderr;
        assert!(shown.contains(advice), "{step}: {shown}");
        for other in ["raise `max_answer`", "make the step print", "max_items`"] {
            assert!(advice == other || !shown.contains(other) || advice.contains(other), "{shown}");
        }
    }
}

#[test]
fn defaults_for_models_are_not_for_steps() {
    let report = Crew::new(indoc! {r#"
        defaults: {model: offline, prompt: "{{ input }}", instructions: x, tools: [t], max_turns: 2}
        tools: {t: {command: [touch, called]}}
        agents: {a: {command: [echo, step]}}
    "#})
    .run()
    .report(0);
    let agent = &report["agents"]["a"];
    assert_eq!((&agent["output"], &agent["kind"]), (&json!("step\n"), &json!("step")));
    assert!(agent["model"].is_null() && agent["tool_calls"] == json!([]), "{agent:#}");
}

#[test]
fn the_templates_of_a_request_see_what_a_prompt_sees() {
    let server = ModelServer::always(script::whole(200, &[], "ok"));
    let yaml = indoc! {r#"
        vars: {team: ops}
        agents:
          first: {command: [printf, one]}
          post:
            needs: [first]
            http:
              url: "${URL}/{{ vars.team }}"
              body: {text: "{{ input }} {{ agents.first.output }}"}
    "#};
    let report = Crew::new(yaml).env("URL", &server.origin()).run().report(0);
    assert_eq!(report["answer"], "ok");
    let request = &server.requests()[0];
    assert_eq!((request.path.as_str(), &request.body["text"]), ("/ops", &json!("go one")));
}

#[test]
fn the_lines_of_a_step_are_shown_as_lines() {
    let yaml = indoc! {r#"
        agents:
          lines: {shell: "printf 'one \"1\"\n\ntwo\n'", parse: lines}
          list: {command: [echo, '["three"]'], parse: json}
    "#};
    let text = Crew::new(yaml).args(&["-o", "text"]).run().stdout;
    assert!(text.contains("(step)\n\none \"1\"\n\ntwo\n\n"), "{text}");
    assert!(text.contains("(step)\n\n[\n  \"three\"\n]\n"), "{text}");
}
