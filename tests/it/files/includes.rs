//! Crews of several files: `include`, prompts in files of their own, and what agents have in
//! common.

use std::path::Path;

use indoc::indoc;
use serde_json::Value;

use crate::support::crew::{Crew, Ended};
use crate::support::faults::{faults, lines};

/// Writes the files into a folder. `agents.yaml` is the main one.
fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// `crew run` on these files.
fn run(files: &[(&str, &str)], args: &[&str]) -> Ended {
    let crew = Crew::new("").args(&["-o", "json"]).args(args);
    write(&crew.path(""), files);
    crew.run()
}

/// The faults of these files, each as `file path line:column message | hint`.
#[track_caller]
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let faults = faults(&run(files, &[]));
    let file = |fault: &Value| fault["file"].as_str().unwrap_or("-").to_owned();
    let files = faults.iter().map(file);
    files.zip(lines(&faults)).map(|(file, line)| format!("{file} {line}")).collect()
}

/// Asserts that the files have these faults: each begins with the first piece and contains the
/// others, separated by ` .. `.
#[track_caller]
fn expect(files: &[(&str, &str)], expected: &[&str]) {
    let found = found(files);
    let fits = |(found, expected): (&String, &&str)| {
        let mut pieces = expected.split(" .. ");
        found.starts_with(pieces.next().unwrap()) && pieces.all(|piece| found.contains(piece))
    };
    let all_fit = found.len() == expected.len() && found.iter().zip(expected).all(fits);
    assert!(all_fit, "expected {expected:#?}\nfound {found:#?}");
}

fn output(ended: &Ended, agent: &str) -> String {
    ended.report(0)["agents"][agent]["output"].as_str().unwrap().to_owned()
}

#[test]
fn included_files_define_what_the_main_file_uses() {
    let files = [
        (
            "agents.yaml",
            indoc! {"
                include: [lib/tools.yaml, lib/agents.yaml]
                vars: {team: main}
                agents:
                  last: {model: offline, needs: [first], prompt: 'after {{ agents.first.output }}'}
            "},
        ),
        (
            "lib/tools.yaml",
            indoc! {"
                x-note: &note {max_output: 2KiB}
                include: deeper/vars.yaml
                tools:
                  list: {command: [./list.sh, '{{ vars.team }}'], cwd: data, <<: *note}
            "},
        ),
        (
            "lib/agents.yaml",
            indoc! {"
                include: [deeper/vars.yaml, ./tools.yaml, tools.yaml]
                agents:
                  first: {model: offline, tools: [list], output_schema: answer.json}
                providers: {local: {base_url: 'http://127.0.0.1:9/v1'}}
                prices: {'local/*': {input: 0, output: 0}}
                mcp_servers: {files: {command: ./server}}
            "},
        ),
        ("lib/deeper/vars.yaml", "vars: {team: lib, city: Rome}\n"),
        ("lib/answer.json", r#"{"type": "object", "properties": {"a": {"const": 1}}}"#),
        ("lib/list.sh", "#!/bin/sh\necho \"$1 in $(basename \"$PWD\"): $(ls)\"\n"),
        ("lib/data/one.txt", ""),
    ];
    let crew = Crew::new("").args(&["-o", "json"]);
    write(&crew.path(""), &files);
    let script = crew.path("lib/list.sh");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(script, mode).unwrap();
    let report = crew.run().report(0);
    let call = &report["agents"]["first"]["tool_calls"][0];
    assert_eq!(call["output"], "main in data: one.txt\n", "{report:#}");
    assert_eq!(report["agents"]["last"]["status"], "succeeded");
    let names: Vec<&String> = report["agents"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["last", "first"]);
    let check = Crew::check("");
    write(&check.path(""), &files);
    let shown = check.run_as_is().stdout;
    for text in ["lib/tools.yaml", "lib/deeper/vars.yaml", "lib/agents.yaml", "./list.sh", "first"]
    {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    // A file that is reached twice is read once.
    assert_eq!(shown.matches("vars.yaml").count(), 1, "{shown}");
}

#[test]
fn a_fault_is_shown_in_the_file_it_is_in() {
    let main = "include: lib/a.yaml\nagents: {x: {model: offline, tools: [t]}}\n";
    let lib = indoc! {"
        # tools
        tools:
          t: {shell: 'true', timeot: 1s}
          t: {shell: 'false'}
        agents:
          y: {model: offline, prompt: '{{ vars.no }}', needs: [z]}
        limits: {timeout: 1s}
        tols: {}
    "};
    let files = [("agents.yaml", main), ("lib/a.yaml", lib)];
    expect(
        &files,
        &[
            "lib/a.yaml tools.t.timeot 3:22 unknown key .. did you mean \"timeout\"?",
            "lib/a.yaml tools.t 4:3 ",
            "lib/a.yaml agents.y.prompt 6:35 vars.no is not defined",
            "lib/a.yaml agents.y.needs[0] 6:56 there is no agent \"z\" .. known: x, y",
            "lib/a.yaml limits 7:1 an included file cannot hold \"limits\" .. agents, mcp_servers",
            "lib/a.yaml tols 8:1 an included file cannot hold \"tols\" .. did you mean \"tools\"?",
        ],
    );
    let ended = {
        let crew = Crew::new("").args(&["-o", "text"]);
        write(&crew.path(""), &files);
        crew.run()
    };
    assert!(ended.stderr.contains("lib/a.yaml:3:22"), "{}", ended.stderr);
    assert!(ended.stderr.contains("timeot: 1s}"), "{}", ended.stderr);
    assert!(ended.stderr.contains("agents.yaml: 6 errors in lib/a.yaml"), "{}", ended.stderr);
}

#[test]
fn a_name_that_two_files_define_is_a_fault_with_both_places() {
    expect(
        &[
            (
                "agents.yaml",
                "include: [a.yaml, b.yaml]\ntools:\n  t: {shell: 'true'}\nagents: {x: {model: offline}}\n",
            ),
            ("a.yaml", "tools: {t: {shell: 'true'}}\nvars: {v: 1}\n"),
            ("b.yaml", "vars: {v: 2}\nagents: {x: {model: offline}}\n"),
        ],
        &[
            "a.yaml tools.t 1:9 \"t\" is also defined in agents.yaml:3:3",
            "b.yaml vars.v 1:8 \"v\" is also defined in a.yaml:2:8",
            "b.yaml agents.x 2:10 \"x\" is also defined in agents.yaml:4:10",
        ],
    );
}

#[test]
fn what_cannot_be_included_is_a_fault() {
    let crew = "agents: {x: {model: offline}}\n";
    for (include, expected) in [
        ("no.yaml", "agents.yaml include 1:10 cannot read no.yaml: no such file"),
        ("[., a.yaml]", "agents.yaml include[0] 1:11 . is a directory"),
        ("agents.yaml", "agents.yaml include 1:10 agents.yaml includes itself"),
        ("./lib/../agents.yaml", "agents.yaml include 1:10 agents.yaml includes itself"),
        ("huge.yaml", "agents.yaml include 1:10 huge.yaml is larger than 1 MiB"),
        ("latin.yaml", "latin.yaml - 2:5 invalid UTF-8"),
        ("syntax.yaml", "syntax.yaml - 1:5 invalid YAML"),
        ("list.yaml", "list.yaml - 1:1 expected a mapping, found a list"),
        (
            "lib/circle.yaml",
            "lib/circle2.yaml include[0] 1:11 these files include each other: \
                             lib/circle.yaml -> lib/circle2.yaml -> lib/circle.yaml",
        ),
        ("''", "agents.yaml include 1:10 \"\" is not the path of a file"),
        ("~/a.yaml", "agents.yaml include 1:10 \"~/a.yaml\" begins with a ~ .. ${HOME}"),
        ("{a: 1}", "agents.yaml include 1:10 expected a path or a list"),
        (
            "[a.yaml, a.yaml, lib/two.yaml]",
            "lib/three.yaml include 1:10 these files include each \
                                           other: lib/two.yaml -> lib/three.yaml .. two.yaml",
        ),
        ("[3]", "agents.yaml include[0] 1:11 expected a path, found the number 3"),
        ("${NONE}", "agents.yaml include 1:10 the environment variable NONE is not set"),
        ("/dev/zero", "agents.yaml include 1:10 /dev/zero is not a regular file"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let main = format!("include: {include}\n{crew}");
        let huge = "x".repeat((1 << 20) + 1);
        let files = [
            ("agents.yaml", main.as_str()),
            ("a.yaml", "vars: {a: 1}\n"),
            ("huge.yaml", huge.as_str()),
            ("syntax.yaml", "a: b: c\n"),
            ("list.yaml", "- a\n"),
            ("lib/two.yaml", "include: [three.yaml, three.yaml]\n"),
            ("lib/three.yaml", "include: two.yaml\n"),
            ("lib/circle.yaml", "include: [circle2.yaml]\n"),
            ("lib/circle2.yaml", "include: [../lib/circle.yaml]\n"),
        ];
        write(folder.path(), &files);
        std::fs::write(folder.path().join("latin.yaml"), b"a: 1\nb: \"\xe9\"\n").unwrap();
        let ended = Crew::at(folder.path()).args(&["run", "-o", "json"]).run();
        let faults = faults(&ended);
        let file = faults[0]["file"].as_str().unwrap_or("-");
        let line = format!("{file} {}", lines(&faults)[0]);
        let mut pieces = expected.split(" .. ");
        assert!(faults.len() == 1 && line.starts_with(pieces.next().unwrap()), "{include}: {line}");
        assert!(pieces.all(|piece| line.contains(piece)), "{include}: {line}");
    }
}

#[test]
fn prompts_come_from_files() {
    let files = [
        (
            "agents.yaml",
            indoc! {"
                include: lib/more.yaml
                vars: {team: backend}
                defaults: {model: offline, prompt: {file: prompts/all.md}}
                agents:
                  own: {prompt: {file: '${DIR}/prompts/own.md'}, system: {file: prompts/own.md}}
                  shared: {instructions: {file: prompts/own.md}}
            "},
        ),
        ("prompts/all.md", "For {{ vars.team }}: {{ input }} ${HOME}\n"),
        ("prompts/own.md", "\u{feff}# Own\n\nOf {{ vars.team }}.\n"),
        ("lib/more.yaml", "agents: {there: {prompt: {file: prompts/there.md}}}\n"),
        ("lib/prompts/there.md", "There: {{ input }}"),
    ];
    let ended = run(&files, &[]);
    assert!(output(&ended, "shared").contains("For backend: go ${HOME}"));
    assert!(output(&ended, "own").contains("# Own"));
    assert!(output(&ended, "there").contains("There: go"));
}

#[test]
fn a_fault_in_a_prompt_has_its_place_in_the_file_of_the_prompt() {
    let crew = indoc! {"
        vars: {team: backend}
        defaults: {model: offline}
        agents:
          a: {prompt: {file: p/a.md}, system: {file: p/b.md}}
          b: {prompt: {file: p/a.md}, instructions: {file: p/none.md}}
          c: {prompt: {fil: x}, instructions: {}, system: {file: [x]}}
          d: {prompt: {file: p/c.md}}
    "};
    let a = "# Title\n\nHello {{ vars.tem }}\n";
    let b = "one\n{{ input | nope }}\n";
    let files = [("agents.yaml", crew), ("p/a.md", a), ("p/b.md", b), ("p/c.md", "x\n\n{% if %}")];
    expect(
        &files,
        &[
            "agents.yaml agents.b.instructions.file 5:52 cannot read p/none.md: no such file",
            "agents.yaml agents.c.prompt.fil 6:16 expected a text or {file: PATH}",
            "agents.yaml agents.c.instructions 6:39 expected a text or {file: PATH}",
            "agents.yaml agents.c.system 6:51 expected a text or {file: PATH}",
            "p/a.md agents.a.prompt 3:10 vars.tem is not defined .. did you mean \"team\"?",
            "p/a.md agents.b.prompt 3:10 vars.tem is not defined .. did you mean \"team\"?",
            "p/b.md agents.a.system 2:12 there is no filter \"nope\" .. known: abs, ",
            "p/c.md agents.d.prompt 3:1 invalid template",
        ],
    );
}

#[test]
fn a_literal_block_has_lines_of_its_own() {
    let crew = "agents:\n  a:\n    model: offline\n    prompt: |-\n      x\n\n      {% if %}\n";
    expect(&[("agents.yaml", crew)], &["agents.yaml agents.a.prompt 7:1 invalid template"]);
    let crew = "agents:\n  a:\n    prompt: |\n\n      {% if %}\n    model: offline\n";
    expect(&[("agents.yaml", crew)], &["agents.yaml agents.a.prompt 5:1 invalid template"]);
}

#[test]
fn keys_that_begin_with_x_are_a_home_for_anchors() {
    let crew = indoc! {"
        x-base: &base {model: offline, timeout: 7s}
        x-unused: {anything: ['{{ nope }}', '${NOPE}']}
        agents: {a: {<<: *base}}
    "};
    assert_eq!(run(&[("agents.yaml", crew)], &[]).status.code(), Some(0));
    expect(
        &[("agents.yaml", "agents: {a: {model: offline, x-note: 1}}\n")],
        &["agents.yaml agents.a.x-note 1:30 unknown key"],
    );
}
