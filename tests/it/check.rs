//! `crew check`: files, warnings, and what it prints.

use std::fs;
use std::path::Path;

use indoc::{formatdoc, indoc};
use serde_json::{Value, json};

use crate::support::crew::{Crew, Ended};
use crate::support::faults::lines;
use crate::support::mcp_server;
use crate::support::pty::Pty;

const GOOD: &str = "agents: {a: {model: offline}}\n";

/// A folder with these files, and `crew check` in it.
fn check(files: &[(&str, &str)], args: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(&folder.path().join(name), text);
    }
    Crew::at(folder.path()).args(&["check"]).args(args).run_as_is()
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The warnings about one file, which has no faults.
#[track_caller]
fn warnings(files: &[(&str, &str)]) -> Vec<String> {
    let ended = check(files, &["-o", "json"]);
    let report = ended.report(0);
    assert_eq!(
        (&report["status"], &report["files"][0]["errors"]),
        (&json!("succeeded"), &json!([]))
    );
    lines(report["files"][0]["warnings"].as_array().unwrap())
}

#[test]
fn every_file_is_checked_and_reported() {
    let files = [
        ("a.yaml", GOOD),
        ("b/b.yaml", "agents: {a: {model: offline, tols: []}}\n"),
        ("c.yaml", "agents: {a: {model: offline, needs: [b]}, c: {needs: [a]}}\n"),
    ];
    let all = &["a.yaml", "b/b.yaml", "c.yaml"];
    let ended = check(&files, all);
    assert_eq!(ended.status.code(), Some(2));
    assert_eq!(ended.stdout, "a.yaml: ok\n");
    for text in ["b/b.yaml:1:", "\"tols\"", "c.yaml:1:", "no agent \"b\"", "c has no model"] {
        let text = text.replace("c has", "\"c\" has");
        assert!(ended.stderr.contains(&text), "{text}: {}", ended.stderr);
    }
    let ended = check(&files, &[all.as_slice(), &["-o", "json"]].concat());
    let report = ended.report(2);
    assert_eq!(report["status"], "invalid");
    let found: Vec<(&str, usize)> = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["file"].as_str().unwrap(), file["errors"].as_array().unwrap().len()))
        .collect();
    assert_eq!(found, [("a.yaml", 0), ("b/b.yaml", 1), ("c.yaml", 2)]);
    assert!(ended.stderr.is_empty(), "{}", ended.stderr);

    let good = check(&[("a.yaml", GOOD), ("d.yaml", GOOD)], &["-c", "a.yaml", "d.yaml"]);
    assert_eq!((good.status.code(), &*good.stdout), (Some(0), "a.yaml: ok\nd.yaml: ok\n"));
}

#[test]
fn a_missing_file_is_a_fault_and_the_others_are_checked() {
    let ended = check(&[("a.yaml", GOOD)], &["none.yaml", "a.yaml", "-o", "json"]);
    let report = ended.report(2);
    assert_eq!(report["files"][0]["file"], "none.yaml");
    assert!(report["files"][0]["errors"][0]["message"].as_str().unwrap().contains("no such file"));
    assert_eq!(report["files"][1]["errors"], json!([]));
    let none = check(&[], &["-o", "json"]).report(2);
    assert_eq!(none["files"][0]["file"], Value::Null);
    let usage = check(&[("agents.yaml", GOOD)], &["-o", "json", "--nope"]);
    assert_eq!(usage.report(2)["status"], "invalid");
}

#[test]
fn a_single_file_shows_its_plan_and_then_ok() {
    let ended = check(&[("agents.yaml", GOOD)], &[]);
    assert!(ended.stdout.starts_with("crew agents\n"), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("\nagents.yaml: ok\n"), "{}", ended.stdout);
    assert!(ended.stderr.is_empty());
}

#[test]
fn offline_needs_no_key() {
    let yaml = indoc! {"
        providers: {mine: {base_url: https://models.example/v1, api_key_env: MY_KEY}}
        agents: {a: {model: openai/gpt-4o-mini}, b: {model: [mine/m, anthropic/claude-haiku-4-5]}}
    "};
    let ended = check(&[("agents.yaml", yaml)], &[]);
    assert_eq!(ended.status.code(), Some(2));
    for name in ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "MY_KEY"] {
        assert!(ended.stderr.contains(name), "{name}: {}", ended.stderr);
    }
    assert_eq!(check(&[("agents.yaml", yaml)], &["--offline"]).status.code(), Some(0));
}

#[test]
fn unused_definitions_are_warnings() {
    let yaml = indoc! {"
        vars: {a: 1, b: 1, c-d: 1, e: {f: 1}, spare: 1}
        defaults: {model: offline}
        tools:
          used: {command: [echo, '{{ vars.a }}']}
          lonely: {shell: date}
        mcp_servers:
          files: {command: cat}
          wiki: {url: 'https://wiki.example/mcp'}
          idle: {url: 'https://idle.example/mcp'}
        agents:
          x: {tools: [used, files], prompt: '{{ vars.b }} {{ vars[\"c-d\"] }}'}
          y: {tools: [wiki.search], goal: '{% if vars.e.f %}x{% endif %}'}
    "};
    assert_eq!(
        warnings(&[("agents.yaml", yaml)]),
        [
            "vars.spare 1:39 no template uses the variable spare | -",
            "tools.lonely 5:3 no agent uses the tool lonely | -",
            "mcp_servers.idle 9:3 no agent uses a tool of the MCP server idle | -",
        ]
    );
    let whole = "vars: {a: 1}\nagents: {x: {model: offline, prompt: '{{ vars | tojson }}'}}\n";
    assert_eq!(warnings(&[("agents.yaml", whole)]), [""; 0]);
}

#[test]
fn what_an_included_file_offers_may_be_left_unused() {
    let main = indoc! {"
        include: common.yaml
        agents: {a: {model: offline, prompt: '{{ vars.one }}'}}
    "};
    let common = "vars: {one: 1, two: 2}\ntools: {lonely: {shell: date}}\n";
    assert_eq!(warnings(&[("agents.yaml", main), ("common.yaml", common)]), [""; 0]);
}

#[test]
fn missing_programs_are_warnings() {
    let yaml = indoc! {"
        tools:
          found: {command: [sh, -c, date], cwd: sub}
          script: {command: [./run.sh]}
          gone: {command: [no-such-program-here, x]}
          lost: {command: [./sub/none.sh]}
          plain: {command: [./plain.txt]}
          late: {command: ['./{{ input }}']}
        mcp_servers: {fx: {command: no-such-server}}
        agents:
          a: {model: offline, tools: [found, script, gone, lost, plain, late, fx]}
    "};
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("agents.yaml", yaml), ("plain.txt", ""), ("sub/x", ""), ("run.sh", "")] {
        write(&folder.path().join(name), text);
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path().join("run.sh"), mode).unwrap();
    let crew = |args: &[&str]| Crew::at(folder.path()).args(&["check"]).args(args).run_as_is();
    let report = crew(&["-o", "json"]).report(0);
    let relative = "a relative path starts at the crew file";
    let path = "install it, or add its directory to PATH";
    let expected = [
        format!("tools.gone.command[0] 4:20 there is no program \"no-such-program-here\" | {path}"),
        format!("tools.lost.command[0] 5:20 there is no program \"./sub/none.sh\" | {relative}"),
        format!("tools.plain.command[0] 6:21 there is no program \"./plain.txt\" | {relative}"),
        format!("mcp_servers.fx.command 8:20 there is no program \"no-such-server\" | {path}"),
    ];
    assert_eq!(lines(report["files"][0]["warnings"].as_array().unwrap()), expected);

    let text = crew(&[]);
    assert!(text.stdout.ends_with("\nagents.yaml: ok, 4 warnings\n"), "{}", text.stdout);
    assert!(text.stderr.contains("warning: tools.gone.command[0]: there is no program"));
    assert!(text.stderr.contains("--> agents.yaml:4:20"), "{}", text.stderr);

    let strict = crew(&["--strict"]);
    assert_eq!(strict.status.code(), Some(2));
    assert!(strict.stderr.contains("error: tools.gone") && strict.stderr.contains("4 errors"));
    assert!(!strict.stdout.contains("ok"), "{}", strict.stdout);
    let report = crew(&["--strict", "-o", "json"]).report(2);
    assert_eq!(lines(report["files"][0]["errors"].as_array().unwrap()), expected);

    let quiet = crew(&["-q"]);
    let silent = (quiet.status.code(), quiet.stdout.as_str(), quiet.stderr.as_str());
    assert_eq!(silent, (Some(0), "", ""));
}

#[test]
fn quiet_prints_errors_only() {
    let files = [("a.yaml", GOOD), ("b.yaml", "agents: {}\n")];
    let ended = check(&files, &["-q", "a.yaml", "b.yaml"]);
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.contains("the file has no agents"), "{}", ended.stderr);
}

#[test]
fn a_narrow_terminal_gets_a_list() {
    let yaml = indoc! {"
        defaults: {model: offline}
        tools: {df: {command: [df, -h], timeout: 7s}}
        agents: {early: {tools: [df]}, late: {needs: [early]}}
    "};
    for (columns, is_list) in [(40, true), (79, true), (80, false)] {
        let pty = Pty::with_columns(columns);
        let ended = Crew::check(yaml).stdout(pty.as_stderr()).run_as_is();
        assert_eq!(ended.status.code(), Some(0));
        pty.wait_for("agents.yaml: ok", 1);
        let shown = pty.shown();
        let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
        assert!(lines.iter().all(|line| line.chars().count() <= columns.into()), "{shown}");
        let has = |line: &str| lines.contains(&line);
        assert_eq!(has("agent    late") && has("needs    early"), is_list, "{columns}: {shown}");
        assert_eq!(has("tool     df") && has("runs     df -h"), is_list, "{columns}: {shown}");
    }
}

#[test]
fn the_tools_of_servers_are_in_the_document() {
    let server = mcp_server::yaml("unhurried", "");
    let yaml = |tool: &str| {
        formatdoc! {"
        {server}agents:
          a: {{model: offline, tools: [{tool}]}}
    "}
    };
    let run = |tool: &str| Crew::check(yaml(tool)).args(&["--tools", "-o", "json"]).run_as_is();
    let report = run("fx.echo").report(0);
    let listed = &report["files"][0]["mcp_servers"][0];
    assert_eq!((&listed["name"], &listed["errors"]), (&json!("fx"), &json!([])));
    let tools = listed["tools"].as_array().unwrap();
    let echo = tools.iter().find(|tool| tool["name"] == "echo").unwrap();
    assert_eq!((&echo["read_only"], &echo["parameters"]["type"]), (&json!(true), &json!("object")));
    let report = run("fx.nothing").report(1);
    assert_eq!(report["status"], "failed");
    let error = report["files"][0]["mcp_servers"][0]["errors"][0].as_str().unwrap();
    assert!(error.contains("no tool nothing"), "{error}");
}

#[test]
fn of_a_script_the_plan_has_the_first_line() {
    let yaml = indoc! {"
        tools:
          show:
            description: x
            shell: |
              uname -sr
              uptime
        agents: {a: {model: offline, tools: [show]}}
    "};
    let plan = Crew::check(yaml).run_as_is().stdout;
    assert!(plan.contains("sh: uname -sr (2 lines)  default"), "{plan}");
}

#[test]
fn the_last_line_names_the_file_that_was_checked() {
    let files = [
        ("main.yaml", "include: part.yaml\nagents: {a: {model: offline}}\n"),
        ("part.yaml", "vars: {a: {b: [}}\n"),
    ];
    let ended = check(&files, &["main.yaml"]);
    assert_eq!(ended.status.code(), Some(2));
    let last = ended.stderr.lines().last().unwrap();
    assert_eq!(last, "main.yaml: 1 error in part.yaml; nothing ran", "{}", ended.stderr);
}
