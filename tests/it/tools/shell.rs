//! Command and shell tools: their input, output and report.

use crate::support::crew::{Crew, Ended, is_alive};
use indoc::formatdoc;
use serde_json::{Value, json};

/// One agent with the model `offline`, which calls its one tool once.
fn crew(tool: &str) -> Crew {
    let indented = tool.trim().replace('\n', "\n    ");
    Crew::new(formatdoc! {"
        tools:
          t:
            description: under test
            {indented}
        agents:
          a: {{model: offline, tools: [t]}}
    "})
}

fn call_of(ended: &Ended) -> Value {
    ended.report(0)["agents"]["a"]["tool_calls"][0].clone()
}

#[test]
fn a_template_fills_exactly_one_argument() {
    let hostile = "a b; $(touch owned) `touch owned` 'q' \"d\" * \\ {{ input }} ${HOME}";
    let default = serde_json::to_string(&hostile.replace("${", "$${")).unwrap();
    let tool = formatdoc! {"
        command: [printf, '<%s>', '{{{{ text }}}}', 'x={{{{ text }}}}']
        parameters:
          text: {{type: string, default: {default}}}
    "};
    let ended = crew(&tool).run();
    assert_eq!(call_of(&ended)["output"], format!("<{hostile}><x={hostile}>"));
    assert!(!ended.path().join("owned").exists());
}

#[test]
fn shell_tools_get_arguments_as_variables_only() {
    let hostile = "a b; $(touch owned) `touch owned` 'q' \"d\" * \\";
    let default = serde_json::to_string(hostile).unwrap();
    let tool = formatdoc! {r#"
        shell: printf '<%s>' "$text" "$n"
        parameters:
          text: {{type: string, default: {default}}}
          n: {{type: integer, default: 7}}
    "#};
    let ended = crew(&tool).run();
    assert_eq!(call_of(&ended)["output"], format!("<{hostile}><7>"));
    assert!(!ended.path().join("owned").exists());
}

#[test]
fn secrets_in_arguments_are_redacted() {
    let tool = "command: [echo, '--password=${DB_PASSWORD}', '${DB_USER}']";
    let secret = "hunter2-hunter2";
    for (tool, vars) in [
        (tool, ""),
        (&*tool.replace("${DB_PASSWORD}", "{{ vars.pw }}"), "vars: {pw: '${DB_PASSWORD}'}\n"),
    ] {
        let yaml = format!(
            "{vars}tools: {{t: {{description: x, {tool}}}}}\n\
             agents: {{a: {{model: offline, tools: [t]}}}}\n"
        );
        let ended = Crew::new(&yaml).env("DB_PASSWORD", secret).env("DB_USER", "joe").run();
        assert_eq!(call_of(&ended)["output"], "--password=[redacted] joe\n");
    }
    let yaml = format!(
        "tools: {{t: {{description: x, {tool}}}}}\nagents: {{a: {{model: offline, tools: [t]}}}}\n"
    );
    let checked =
        Crew::check(&yaml).env("DB_PASSWORD", "hunter2-hunter2").env("DB_USER", "joe").run_as_is();
    assert!(checked.stdout.contains("echo --password=[redacted] joe "), "{}", checked.stdout);
}

#[test]
fn a_tool_sees_the_listed_variables_and_no_others() {
    let ended = crew("command: [env]\nenv: [EXTRA]")
        .env("EXTRA", "yes")
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("OPENAI_API_KEY", "sk-very-secret-key")
        .env("OTHER", "no")
        .run();
    let call = call_of(&ended);
    let output = call["output"].as_str().unwrap();
    let mut names: Vec<&str> =
        output.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(names, ["EXTRA", "HOME", "LC_ALL", "PATH", "TZ"]);
    assert!(!ended.stdout.contains("very-secret"));
}

#[test]
fn a_tool_starts_in_crews_directory_or_in_its_cwd() {
    for (cwd, expected) in
        [("", "."), ("cwd: .", "."), ("cwd: sub", "sub"), ("cwd: '{{ vars.d }}'", "sub")]
    {
        let yaml = formatdoc! {"
            vars: {{d: sub}}
            tools:
              t:
                description: x
                command: [pwd, -P]
                {cwd}
            agents:
              a: {{model: offline, tools: [t]}}
        "};
        let crew = Crew::new(&yaml);
        std::fs::create_dir(crew.path("sub")).unwrap();
        let expected = std::fs::canonicalize(crew.path(expected)).unwrap();
        let output = call_of(&crew.run())["output"].as_str().unwrap().to_owned();
        assert_eq!(output.trim_end(), expected.to_str().unwrap(), "{cwd}");
    }
}

#[test]
fn stdout_and_stderr_keep_their_order() {
    let ended = crew("shell: echo 1; echo 2 >&2; echo 3; echo 4 >&2").run();
    assert_eq!(call_of(&ended)["output"], "1\n2\n3\n4\n");
}

#[test]
fn a_tool_has_an_empty_stdin_and_no_terminal() {
    let ended = crew("shell: 'cat; (: </dev/tty) 2>/dev/null || echo no terminal'").run();
    assert_eq!(call_of(&ended)["output"], "no terminal\n");
}

#[test]
fn a_long_output_keeps_its_head_and_its_tail() {
    let ended = crew("shell: echo first; yes | head -c 5000000; echo last\nmax_output: 2KiB").run();
    let call = call_of(&ended);
    let output = call["output"].as_str().unwrap();
    assert_eq!(call["truncated"], true);
    assert!(output.starts_with("first\ny\n") && output.ends_with("y\nlast\n"), "{output}");
    assert!(output.contains("bytes left out"));
    assert!(output.len() < 2 * 1024 + 60);
}

#[test]
fn a_failing_tool_is_a_result_and_the_agent_continues() {
    for (shell, exit_code, signal, note) in [
        ("echo no; exit 3", json!(3), json!(null), "no\n[exit code 3]"),
        ("kill -9 $$", json!(null), json!("SIGKILL"), "[ended by SIGKILL]"),
    ] {
        let ended = crew(&format!("shell: {shell}")).run();
        let call = call_of(&ended);
        assert_eq!(call["status"], "failed");
        assert_eq!(call["exit_code"], exit_code);
        assert_eq!(call["signal"], signal);
        assert_eq!(call["output"], note);
    }
}

#[test]
fn a_missing_program_is_a_result() {
    let call = call_of(&crew("command: [no-such-program-anywhere]").run());
    assert_eq!(call["status"], "failed");
    assert_eq!(call["output"], "[no such program: no-such-program-anywhere]");
}

#[test]
fn a_tool_that_times_out_is_stopped_and_the_agent_continues() {
    let ended = crew("shell: echo before; exec sleep 1000\ntimeout: 700ms").run();
    let call = call_of(&ended);
    assert_eq!(call["status"], "timed_out");
    assert_eq!(call["stopped_by"], "tool_timeout");
    assert_eq!(call["signal"], "SIGTERM");
    assert!(call["output"].as_str().unwrap().starts_with("before\n[stopped"));
}

#[test]
fn leaked_processes_are_stopped_and_do_not_delay_the_output() {
    for left_behind in [
        "sleep 1000 &",                                   // keeps the output open
        "sleep 1000 >/dev/null 2>&1 &",                   // closes the output
        "(trap '' TERM; while :; do sleep 1000; done) &", // ignores SIGTERM
    ] {
        let script = format!("{left_behind}\necho $! > \"$DIR/pid\"\necho done");
        let tool = formatdoc! {"
            shell: |
              {}
            env: [DIR]", script.replace('\n', "\n  ")};
        let yaml_grace = "limits: {grace: 2s}\n";
        let indented = tool.replace('\n', "\n    ");
        let ended = Crew::new(formatdoc! {"
            {yaml_grace}tools:
              t:
                description: x
                {indented}
            agents:
              a: {{model: offline, tools: [t]}}
        "})
        .run();
        let call = call_of(&ended);
        assert_eq!(call["status"], "succeeded", "{left_behind}");
        assert_eq!(call["leaked"], true, "{left_behind}");
        assert_eq!(call["output"], "done\n");
        assert!(call["duration_ms"].as_u64().unwrap() < 1500, "{call:#}");
        let pid = std::fs::read_to_string(ended.path().join("pid")).unwrap();
        let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
        assert!(!is_alive(pid), "{left_behind}");
        let cleanup = &ended.json()["cleanup"];
        let gone = cleanup["processes_stopped"].as_u64().unwrap()
            + cleanup["processes_killed"].as_u64().unwrap();
        assert!(gone >= 1, "{cleanup:#}");
    }
}
