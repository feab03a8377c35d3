//! `--report` and `crew report`: the report in the forms of other programs.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use indoc::{formatdoc, indoc};
use jsonschema::Validator;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::crew::{Crew, Ended, folder};
use crate::support::faults::{faults, lines};

pub const KINDS: [(&str, &str); 5] = [
    ("json", "report.json"),
    ("junit", "report.xml"),
    ("markdown", "report.md"),
    ("html", "report.html"),
    ("sarif", "report.sarif"),
];

/// A crew with one agent of each ending.
const ENDINGS: &str = indoc! {r#"
    name: nightly & co
    output: good
    limits: {on_failure: continue}
    agents:
      good: {command: [printf, '**fine** | <b>bold</b>']}
      bad: {command: [sh, -c, 'echo half; echo "<why>" >&2; exit 3']}
      slow: {command: [sleep, '60'], timeout: 100ms}
      needy: {needs: [bad], command: [echo]}
      unasked: {when: "false", command: [echo]}
      each: {for_each: ["true", "false"], command: ["{{ item }}"]}
"#};

/// `crew run` in this folder with all kinds of reports.
pub fn all_reports(folder: &TempDir) -> Crew {
    let options: Vec<String> = KINDS
        .iter()
        .flat_map(|(kind, path)| ["--report".into(), format!("{kind}={path}")])
        .collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Crew::at(folder.path()).args(&["run", "-o", "json"]).args(&options)
}

pub fn read(folder: &TempDir, name: &str) -> String {
    fs::read_to_string(folder.path().join(name)).unwrap()
}

fn report_as(folder: &TempDir, kind: &str) -> Ended {
    Crew::at(folder.path()).args(&["report", "report.json", "--as", kind]).run_as_is()
}

/// The cases of a JUnit document, as a reader of CI servers gets them: `[name, class, kind of
/// failure, its message attribute, its text]`. Verifies that the document is made as the schema of
/// Jenkins's xUnit plugin wants it, which is stricter than the readers are.
pub fn cases(path: &Path) -> Vec<[String; 5]> {
    const SCRIPT: &str = indoc! {"
        import json, re, sys, xml.etree.ElementTree as tree
        root = tree.parse(sys.argv[1]).getroot()
        assert root.tag == 'testsuites' and len(root) == 1, root
        # By element: the attributes that it needs, those that it may have, and its children.
        rules = {
            'testsuites': (set(), {'name', 'tests', 'failures', 'errors', 'time'}, {'testsuite'}),
            'testsuite': ({'name', 'tests', 'failures', 'errors'},
                          {'skipped', 'time', 'timestamp', 'hostname', 'id', 'package'},
                          {'testcase'}),
            'testcase': ({'name'}, {'classname', 'time'},
                         {'failure', 'error', 'skipped', 'system-out', 'system-err'}),
            'failure': (set(), {'type', 'message'}, set()),
            'error': (set(), {'type', 'message'}, set()),
            'skipped': (set(), {'type', 'message'}, set()),
            'system-out': (set(), set(), set()),
            'system-err': (set(), set(), set()),
        }
        for part in root.iter():
            needed, allowed, children = rules[part.tag]
            assert needed <= set(part.attrib) <= needed | allowed, (part.tag, part.attrib)
            assert {child.tag for child in part} <= children, part.tag
            assert not children or not (part.text or '').strip(), part.text
            assert re.fullmatch('[0-9]+[.][0-9]+', part.get('time', '0.0')), part.attrib
            for count in ('tests', 'failures', 'errors', 'skipped'):
                assert re.fullmatch('[0-9]+', part.get(count, '0')), part.attrib
            for once in ('system-out', 'system-err'):
                assert len(part.findall(once)) <= 1, part.tag
        suite = root[0]
        for tag, count in (('failure', 'failures'), ('error', 'errors'), ('skipped', 'skipped')):
            found = len(suite.findall('testcase/' + tag))
            assert int(suite.get(count)) == found, (count, found)
            assert int(root.get(count, found)) == found, (count, found)
        cases = suite.findall('testcase')
        assert int(suite.get('tests')) == len(cases)
        names = [case.get('name') for case in cases]
        assert len(set(names)) == len(names), names
        rows = []
        for case in cases:
            bad = [part for part in case if part.tag in ('failure', 'error', 'skipped')]
            bad = bad[0] if bad else tree.Element('')
            rows.append([case.get('name'), case.get('classname'), bad.tag,
                         bad.get('message', ''), bad.text or ''])
        print(json.dumps(rows))
    "};
    // A reader in Rust takes it, too.
    let document = fs::read_to_string(path).unwrap();
    quick_junit::Report::deserialize_from_str(&document).unwrap();
    let ended = Command::new("python3").args(["-c", SCRIPT]).arg(path).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    serde_json::from_slice(&ended.stdout).unwrap()
}

/// Verifies that a document is SARIF as its schema describes it, which a crate carries.
#[track_caller]
pub fn assert_sarif(document: &Value) {
    static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
        let host = output_of(Command::new("rustc").arg("-vV"));
        let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        // Only the crates that were needed to build this are certain to be on this machine.
        let metadata = output_of(
            Command::new(env!("CARGO"))
                .args(["metadata", "--offline", "--locked", "--format-version=1"])
                .args(["--filter-platform", host])
                .current_dir(env!("CARGO_MANIFEST_DIR")),
        );
        let metadata: Value = serde_json::from_str(&metadata).unwrap();
        let packages = metadata["packages"].as_array().unwrap();
        let carrier = packages.iter().find(|package| package["name"] == "serde-sarif").unwrap();
        let manifest = Path::new(carrier["manifest_path"].as_str().unwrap());
        let schema = fs::read_to_string(manifest.with_file_name("src/schema.json")).unwrap();
        let mut schema: Value = serde_json::from_str(&schema).unwrap();
        for part in ["run", "toolComponent"] {
            // Its regular expression has a bracket too many. crew writes no language.
            let language = &mut schema["definitions"][part]["properties"]["language"];
            language.as_object_mut().unwrap().remove("pattern").unwrap();
        }
        jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
    });
    let errors: Vec<String> = VALIDATOR
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
}

fn output_of(command: &mut Command) -> String {
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap()
}

#[test]
fn the_schema_of_sarif_is_strict() {
    let driver = json!({"name": "crew"});
    let valid = json!({"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": []}]});
    assert_sarif(&valid);
    for (pointer, value) in [
        ("/version", json!("2.0.0")),
        ("/runs/0/results", json!([{"ruleId": "r"}])),
        ("/runs/0/tool/driver", json!({"name": "crew", "unknown": 1})),
        ("/runs/0/tool/driver", json!({"name": "crew", "informationUri": "not a URI"})),
    ] {
        let mut invalid = valid.clone();
        *invalid.pointer_mut(pointer).unwrap() = value;
        assert!(std::panic::catch_unwind(|| assert_sarif(&invalid)).is_err(), "{invalid}");
    }
}

#[test]
fn every_kind_is_written_and_is_the_same_later() {
    let folder = folder(ENDINGS);
    let report = all_reports(&folder).run_as_is().report(1);
    assert_eq!(serde_json::from_str::<Value>(&read(&folder, "report.json")).unwrap(), report);
    for (kind, path) in KINDS {
        let later = report_as(&folder, kind);
        assert_eq!(later.status.code(), Some(0), "{}", later.stderr);
        assert_eq!(later.stdout, read(&folder, path), "{kind}");
    }
    assert_sarif(&serde_json::from_str(&read(&folder, "report.sarif")).unwrap());
    cases(&folder.path().join("report.xml"));
}

#[test]
fn junit_has_a_case_for_each_agent_and_instance() {
    let folder = folder(ENDINGS);
    all_reports(&folder).run_as_is().report(1);
    let cases = cases(&folder.path().join("report.xml"));
    let short: Vec<(&str, &str)> = cases.iter().map(|case| (&*case[0], &*case[2])).collect();
    let expected = [
        ("good", ""),
        ("bad", "failure"),
        ("slow", "error"),
        ("needy", "skipped"),
        ("unasked", "skipped"),
        ("each", "failure"),
        ("each[true]", ""),
        ("each[false]", "failure"),
    ];
    assert_eq!(short, expected);
    assert!(cases.iter().all(|case| case[1] == "nightly & co"), "{cases:?}");
    for case in cases.iter().filter(|case| case[2] == "failure") {
        assert!(case[3].contains("exit") || case[3].contains("instances failed"), "{case:?}");
        assert_eq!(case[3], case[4].trim());
    }
    assert!(
        cases[3][3].contains("bad failed") && cases[4][3].contains("when false is false"),
        "{cases:?}"
    );
}

#[test]
fn a_gate_is_a_case() {
    let folder = folder("fail_if: agents.a.output == 'x'\nagents: {a: {command: [printf, x]}}\n");
    all_reports(&folder).run_as_is().report(4);
    let cases = cases(&folder.path().join("report.xml"));
    assert_eq!((&*cases[1][0], &*cases[1][2]), ("fail_if", "failure"));
    assert!(cases[1][4].contains("agents.a.output"), "{cases:?}");
    assert!(read(&folder, "report.md").contains("`fail_if` holds"));
    assert!(read(&folder, "report.html").contains("fail_if holds"));
}

#[test]
fn reports_are_written_after_a_signal() {
    let folder = folder("agents: {a: {shell: 'echo so far; touch started; sleep 60'}}\n");
    let running = all_reports(&folder).start_as_is();
    running.wait_for_file("started");
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    assert_eq!(ended.json()["status"], "cancelled");
    for (_, path) in KINDS {
        assert!(!read(&folder, path).is_empty(), "{path}");
    }
    assert_eq!(cases(&folder.path().join("report.xml"))[0][2], "error");
}

#[test]
fn a_report_that_cannot_be_opened_is_found_before_anything_runs() {
    let folder = folder("agents: {a: {command: [touch, ran]}}\n");
    fs::create_dir(folder.path().join("sub")).unwrap();
    std::os::unix::fs::symlink("x", folder.path().join("link")).unwrap();
    for (options, message) in [
        (&["--report", "junit=none/x.xml"][..], "directory does not exist"),
        (&["--report", "junit=."], "is a directory"),
        (&["--report", "junit"], "expected junit=PATH"),
        (&["--report", "pdf=x"], "one of json, junit, markdown, html, sarif, github"),
        (&["--report", "html=-"], "-o writes to standard output"),
        (&["--report", "github=x"], "takes no path"),
        (&["--report", "github"], "GITHUB_STEP_SUMMARY"),
        (&["--report", "html=x", "--report", "junit=x"], "the file of --report is the same"),
        (&["--report", "html=x", "--report", "junit=./sub/../x"], "the file of --report is the"),
        (&["--report", "html=x", "--report", "junit=link"], "the file of --report is the same"),
        (&["--report", "html=agents.yaml"], "the crew's file is the same"),
        (&["--output-file", "x", "--report", "junit=x"], "the file of --output-file is the same"),
        (&["--output-file", "x", "--record", "./x"], "the file of --record is the same"),
    ] {
        let ended = Crew::at(folder.path()).args(&["run", "-o", "json"]).args(options).run_as_is();
        assert_eq!(ended.status.code(), Some(2), "{options:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(message), "{options:?}: {}", ended.stderr);
        if !options.contains(&"--output-file") {
            assert!(!lines(&faults(&ended)).is_empty());
        }
    }
    assert!(!folder.path().join("ran").exists() && !folder.path().join("x").exists());
}

#[test]
fn a_report_that_cannot_be_written_stops_no_other() {
    let folder = folder("agents: {a: {command: [printf, fine]}}\n");
    for kind in ["json", "junit", "markdown", "html", "sarif"] {
        let full = format!("{kind}=/dev/full");
        let options = ["--report", &full, "--report", "junit=report.xml"];
        let ended =
            Crew::at(folder.path()).args(&["run", "-o", "answer"]).args(&options).run_as_is();
        assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
        let error = "error: could not write the report to \"/dev/full\": No space left on device";
        assert!(ended.stderr.contains(error), "{}", ended.stderr);
        assert_eq!(ended.stdout, "fine\n");
        assert_eq!(cases(&folder.path().join("report.xml")).len(), 1);
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure_of_a_saved_report() {
    let folder = folder("agents: {a: {command: [printf, fine]}}\n");
    Crew::at(folder.path()).args(&["run", "--output-file", "report.json"]).run_as_is();
    for kind in ["json", "junit", "markdown", "html", "sarif"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let report = Crew::at(folder.path()).args(&["report", "report.json", "--as", kind]);
        let ended = report.stdout(writer.into()).run_as_is();
        assert_eq!(ended.status.code(), Some(0), "{kind}: {}", ended.stderr);
    }
}

#[test]
fn a_file_of_github_that_is_a_pipe_does_not_block_crew() {
    let folder = folder("agents: {a: {command: [touch, ran]}}\n");
    nix::unistd::mkfifo(&folder.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let run = Crew::at(folder.path()).args(&["run", "--report", "github"]);
    let ended = run.env("GITHUB_OUTPUT", "pipe").run_as_is();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("named pipe without a reader"), "{}", ended.stderr);
    assert!(!folder.path().join("ran").exists());
}

/// A crew whose agents have these findings.
fn findings_crew(findings: &Value) -> String {
    formatdoc! {r#"
        output: a
        agents:
          a: {{command: [cat, findings.json], parse: json, output_schema: crew:findings}}
          b: {{command: [cat, findings.json], parse: json}}
        # {}
    "#, findings.as_array().map_or(0, Vec::len)}
}

fn findings_folder(findings: &Value) -> TempDir {
    let folder = folder(findings_crew(findings));
    let text = json!({"findings": findings}).to_string();
    fs::write(folder.path().join("findings.json"), text).unwrap();
    folder
}

#[test]
fn findings_become_sarif() {
    let folder = findings_folder(&json!([
        {"file": "src/a b.rs", "line": 3, "end_line": 5, "level": "error", "rule": "sql", "message": "see [this](https://e)"},
        {"file": "./x/../y.rs", "line": 1, "level": "note", "rule": "style", "message": "m"},
        {"file": "/etc/passwd", "line": 1, "level": "warning", "rule": "r", "message": "m"},
        {"file": "../../x", "line": 1, "level": "warning", "rule": "r", "message": "m"},
    ]));
    all_reports(&folder).run_as_is().report(0);
    let sarif: Value = serde_json::from_str(&read(&folder, "report.sarif")).unwrap();
    assert_sarif(&sarif);
    let run = &sarif["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "crew");
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2, "the same finding of two agents counts once: {sarif:#}");
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "src/a%20b.rs");
    assert_eq!(place["region"], json!({"startLine": 3, "endLine": 5}));
    assert_eq!(results[0]["level"], "error");
    assert_eq!(results[0]["message"]["text"], "see [this\\](https://e)");
    let other = &results[1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(other, "y.rs");
    let rules = &run["tool"]["driver"]["rules"];
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
    }
    let note = &run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"];
    assert!(note.as_str().unwrap().starts_with("4 findings were left out"), "{note}");
    let page = read(&folder, "report.md");
    assert!(page.contains("| error | src/a b.rs:3 | sql |"), "{page}");
}

#[test]
fn the_schema_of_findings_is_built_in() {
    for (finding, code) in [
        (json!({"file": "a", "line": 1, "level": "error", "rule": "r", "message": "m"}), 0),
        (json!({"file": "a", "line": 1, "level": "severe", "rule": "r", "message": "m"}), 1),
        (json!({"file": "a", "level": "error", "rule": "r", "message": "m"}), 1),
        (json!({"file": "a", "line": 0, "level": "error", "rule": "r", "message": "m"}), 1),
    ] {
        let folder = findings_folder(&json!([finding]));
        let ended = Crew::at(folder.path()).args(&["run", "-o", "json"]).run_as_is();
        assert_eq!(ended.status.code(), Some(code), "{finding}: {}", ended.stdout);
    }
    let folder = folder("agents: {a: {model: offline, output_schema: 'crew:other'}}\n");
    let ended = Crew::at(folder.path()).args(&["check"]).run_as_is();
    assert!(ended.stderr.contains("crew:findings"), "{}", ended.stderr);
    // The offline model answers by schema: a review crew can be tried without a key.
    let yaml = "agents: {a: {model: offline, output_schema: 'crew:findings'}}\n";
    Crew::new(yaml).run().report(0);
}

#[test]
fn a_step_of_github_gets_summary_outputs_and_annotations() {
    let folder = findings_folder(&json!([
        {"file": "src/a,b.rs", "line": 3, "end_line": 4, "level": "error", "rule": "r:1", "message": "100%\n::stop-commands::x"},
        {"file": "c.rs", "line": 1, "level": "note", "rule": "r", "message": "m"},
    ]));
    fs::write(folder.path().join("summary"), "before\n").unwrap();
    fs::write(folder.path().join("outputs"), "a=b\n").unwrap();
    let in_step = |crew: Crew| {
        crew.env("GITHUB_STEP_SUMMARY", "summary").env("GITHUB_OUTPUT", "outputs").run_as_is()
    };
    let args = ["run", "-o", "json", "-q", "--report", "github", "--report", "json=report.json"];
    let ended = in_step(Crew::at(folder.path()).args(&args));
    ended.report(0);
    let expected = [
        "::error file=src/a%2Cb.rs,line=3,endLine=4,title=r%3A1::100%25%0A::stop-commands::x",
        "::notice file=c.rs,line=1,title=r::m",
    ];
    assert_eq!(ended.stderr.lines().collect::<Vec<_>>(), expected);
    let summary = read(&folder, "summary");
    assert!(summary.starts_with("before\n## ✓ crew "), "{summary}");
    let outputs = read(&folder, "outputs");
    let (before, value) = outputs.split_once("answer<<").unwrap();
    assert_eq!(before, "a=b\nstatus=succeeded\n");
    let (delimiter, rest) = value.split_once('\n').unwrap();
    let answer = rest.strip_suffix(&format!("\n{delimiter}\n")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(answer).unwrap()["findings"][1]["file"], "c.rs");
    // The same later, on stdout.
    let later = in_step(Crew::at(folder.path()).args(&["report", "report.json", "--as", "github"]));
    assert_eq!(later.stdout.lines().collect::<Vec<_>>(), expected);
    assert!(read(&folder, "summary").len() > summary.len());
}

#[test]
fn what_a_model_says_is_no_command_to_github() {
    let yaml = indoc! {r#"
        output: a
        limits: {on_failure: continue}
        agents:
          a: {command: [cat, hostile]}
          b: {command: [sh, -c, 'cat hostile >&2; exit 1']}
          c: {model: offline}
    "#};
    let folder = folder(yaml);
    let hostile = "::add-mask::x\n  ::stop-commands::y\nfine ##[error]z\nstd::fs\n";
    fs::write(folder.path().join("hostile"), hostile).unwrap();
    let run = |format: &str| {
        let args = ["run", "-vv", "-i", hostile, "-o", format];
        Crew::at(folder.path()).args(&args).env("GITHUB_ACTIONS", "true").run_as_is()
    };
    let commands = |text: &str| {
        let lines = text.lines();
        lines.filter(|line| line.trim_start().starts_with("::") || line.contains("##[")).count()
    };
    let shown = run("text");
    assert_eq!((commands(&shown.stdout), commands(&shown.stderr)), (0, 0), "{}", shown.stdout);
    assert!(shown.stdout.contains("add-mask") && shown.stdout.contains("std::fs"));
    assert!(shown.stderr.contains("stop-commands"), "{}", shown.stderr);
    // What programs read stays as it is, as does a file, which no runner reads.
    assert_eq!(run("answer").stdout, hostile);
    assert_eq!(run("json").report(1)["answer"], hostile);
    let to_file = ["run", "-i", "x", "-o", "text", "--output-file", "text"];
    Crew::at(folder.path()).args(&to_file).env("GITHUB_ACTIONS", "true").run_as_is();
    assert!(commands(&read(&folder, "text")) > 1);
    let elsewhere = Crew::at(folder.path()).args(&["run", "-i", "x", "-o", "text"]).run_as_is();
    assert!(commands(&elsewhere.stdout) > 1, "{}", elsewhere.stdout);
}

#[test]
fn failures_are_annotations() {
    let folder = folder(ENDINGS);
    let args = ["run", "-o", "json", "-qq", "--report", "github"];
    let ended =
        Crew::at(folder.path()).args(&args).env("GITHUB_STEP_SUMMARY", "summary").run_as_is();
    ended.report(1);
    let errors: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(
        errors[0].starts_with("::error title=nightly & co%3A bad::step: exit code 3: <why>"),
        "{errors:?}"
    );
}

#[test]
fn a_summary_fits_into_what_github_takes() {
    let yaml = indoc! {r#"
        output: last
        agents:
          many: {for_each: [1, 2, 3, 4, 5, 6, 7, 8], shell: "yes 'a `line` <b>' | head -c 190000"}
          last: {command: [printf, done]}
    "#};
    let folder = folder(yaml);
    fs::write(folder.path().join("summary"), "x".repeat(300_000)).unwrap();
    let args = ["run", "-o", "json", "--report", "github"];
    Crew::at(folder.path()).args(&args).env("GITHUB_STEP_SUMMARY", "summary").run_as_is().report(0);
    let summary = read(&folder, "summary");
    assert!(summary.len() <= 1 << 20, "{}", summary.len());
    assert!(summary.len() > 900_000, "{}", summary.len());
    assert!(summary.trim_end().ends_with("The JSON report has everything._"));
}

#[test]
fn a_summary_of_many_agents_is_short_until_it_is_opened() {
    let folder = folder(indoc! {r#"
        output: last
        limits: {on_failure: continue}
        agents:
          numbers: {command: [seq, '60'], parse: lines}
          many:
            needs: [numbers]
            for_each: agents.numbers.data
            shell: 'yes "line of $n" | head -n 500; test $n != 7'
            env: {n: '{{ item }}'}
          last: {shell: "yes 'a long answer' | head -c 100000"}
    "#});
    all_reports(&folder).run_as_is().report(1);
    let page = read(&folder, "report.md");
    let mut open = String::new();
    for part in page.split("<details>") {
        open.push_str(part.split_once("</details>").map_or(part, |(_, after)| after));
    }
    assert!(open.len() < 1000, "{open}");
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text} in {open}"));
    assert!(place("- **many\\[7\\]**: step: exit code 1") < place("### Answer"));
    assert!(place("### Answer") < place("<details><summary>63 rows</summary>"));
    assert!(place("63 rows") < place("<details><summary>many[1]</summary>"));
    assert!(page.contains("line of 60"));
}

/// Lists inside each other.
fn nested(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

#[test]
fn a_report_can_be_read_however_deep_its_data_is() {
    let folder = folder(indoc! {"
        limits: {on_failure: continue}
        agents:
          fits: {command: [cat, fits], parse: json}
          deep: {command: [cat, deep], parse: json}
          each: {needs: [fits], for_each: '[agents.fits.data]', key: a, shell: 'cat fits', parse: json}
          wrapped: {needs: [fits], for_each: '[[agents.fits.data]]', key: a, command: [echo]}
    "});
    fs::write(folder.path().join("fits"), nested(100)).unwrap();
    fs::write(folder.path().join("deep"), nested(101)).unwrap();
    all_reports(&folder).run_as_is();
    let report: Value = serde_json::from_str(&read(&folder, "report.json")).unwrap();
    for (agent, kind) in [("deep", "step"), ("wrapped", "for_each")] {
        let error = &report["agents"][agent]["error"];
        assert_eq!(error["kind"], kind);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("nested more than 100 levels deep"), "{message}");
    }
    assert_eq!(report["agents"]["each"]["status"], "succeeded", "{:#}", report["agents"]["each"]);
    assert_eq!(report_as(&folder, "json").stdout, read(&folder, "report.json"));
    let rerun = Crew::at(folder.path()).args(&["rerun", "report.json", "-o", "json"]).run_as_is();
    assert_eq!(rerun.report(1)["agents"]["each"]["reused"], true);
    let listed = Crew::at(folder.path()).args(&["runs", "-o", "json"]).run_as_is().json();
    assert_eq!(listed["runs"].as_array().unwrap().len(), 2);
}
