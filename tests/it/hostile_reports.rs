//! Reports of crews whose models and programs are hostile: their text stays text.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use indoc::{formatdoc, indoc};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::reports::{KINDS, all_reports, assert_sarif, cases, read};
use crate::support::crew::{Crew, Ended, folder};

/// What a hostile model or program writes.
fn hostile() -> String {
    let controls: String =
        (1..32_u8).map(char::from).chain(['\u{7f}', '\u{9b}', '\u{fffe}', '\u{ffff}']).collect();
    let mixed = "]]> <script>alert(1)</script> <img src=https://evil.example/x onerror=alert(1)> \
        ![x](https://evil.example/y) [click](javascript:alert(1)) \u{202e}reversed\u{2066} \
        --> ]]]]><![CDATA[ &amp; &#x3c; \"'` </textarea></style></svg> @everyone\n\
        ::error::fake\n::stop-commands::x\n```\n</details>\n";
    format!("{controls}\n{mixed}{}\n<iframe src=//evil.example>", "long ]]> <b> ".repeat(16_000))
}

fn hostile_folder() -> TempDir {
    let folder = folder(indoc! {r#"
        output: a
        limits: {on_failure: continue}
        agents:
          a: {command: [cat, hostile]}
          data: {command: [cat, hostile.json], parse: json}
          # Without a line that names an error, the last line is the message.
          fails: {command: [sh, -c, "sed s/error/warning/ hostile >&2; exit 1"]}
          each: {needs: [data], for_each: "[agents.data.data.text[:300]]", command: [cat, hostile]}
    "#});
    fs::write(folder.path().join("hostile"), hostile()).unwrap();
    let finding = json!({"file": "a.rs", "line": 1, "level": "error", "rule": hostile()[..300], "message": hostile()});
    let data = json!({"text": hostile(), "findings": [finding]});
    fs::write(folder.path().join("hostile.json"), data.to_string()).unwrap();
    folder
}

#[test]
fn a_hostile_answer_stays_text_in_every_form() {
    let folder = hostile_folder();
    let report = all_reports(&folder).run_as_is().report(1);
    let answer = report["answer"].as_str().unwrap();
    assert!(answer.len() > 200_000 && answer.contains("\u{202e}"), "JSON keeps everything");
    for (_, path) in KINDS {
        let text = read(&folder, path);
        let acts = |c: char| {
            (c.is_control() && c != '\n' && c != '\t')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!text.chars().any(acts), "{path}");
        assert!(text.contains("reversed"), "{path}");
    }
    let cases = cases(&folder.path().join("report.xml"));
    assert_eq!(cases.len(), 5);
    assert!(cases[2][4].contains("<iframe src=//evil.example>"), "{:?}", cases[2][4]);
    let sarif: Value = serde_json::from_str(&read(&folder, "report.sarif")).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 1);
    assert_sarif(&sarif);
    let page = read(&folder, "report.html");
    for tag in tags(&page) {
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap_or_default();
        assert!(TAGS.contains(&name), "{tag}");
        // Without the values of attributes.
        let names: String = tag.split('"').step_by(2).collect();
        assert!(!["src", "href", " on", "style="].iter().any(|bad| names.contains(bad)), "{tag}");
    }
}

/// `crew report` of this text in every form.
fn saved_as_all(text: &str) -> (TempDir, Vec<Ended>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("saved.json"), text).unwrap();
    let ended = KINDS.map(|(kind, path)| {
        let ended =
            Crew::at(folder.path()).args(&["report", "saved.json", "--as", kind]).run_as_is();
        fs::write(folder.path().join(path), &ended.stdout).unwrap();
        ended
    });
    let mut ended = Vec::from(ended);
    let in_step = Crew::at(folder.path()).args(&["report", "saved.json", "--as", "github"]);
    ended.push(in_step.env("GITHUB_STEP_SUMMARY", "summary").run_as_is());
    (folder, ended)
}

#[test]
fn an_edited_report_stays_text_in_every_form() {
    let hostile = "]]></a><script>alert(1)</script>\u{1b}[2J\u{202e}\u{ffff}\n::error::x\n";
    let call = json!({"tool": hostile, "arguments": hostile, "status": "failed", "exit_code": 1,
        "signal": hostile, "started_ms": u64::MAX, "duration_ms": u64::MAX, "output": hostile,
        "truncated": true, "leaked": true, "stopped_by": null});
    let model_call = json!({"model": hostile, "turn": 1, "status": "failed", "started_ms": u64::MAX,
        "duration_ms": u64::MAX, "usage": {"input_tokens": u64::MAX, "output_tokens": u64::MAX}});
    let agent = |status: &str| {
        json!({"status": status, "output": hostile, "model": hostile, "needs": [hostile],
            "error": {"kind": "internal", "message": hostile}, "notes": [hostile],
            "started_ms": u64::MAX, "duration_ms": u64::MAX, "finish_reason": hostile,
            "usage": {"input_tokens": u64::MAX, "output_tokens": u64::MAX, "cost": 1e308},
            "tool_calls": [call], "model_calls": [model_call, model_call], "key": hostile})
    };
    let mut with_items = agent("succeeded");
    with_items["items"] = json!([agent("failed"), agent("skipped"), agent("timed_out")]);
    with_items["data"] = json!({"findings": [{"file": hostile, "line": u64::MAX, "level": "error",
        "rule": hostile, "message": hostile}, {"file": "a", "line": -1, "rule": 3}, 5]});
    let report = json!({"schema_version": 1, "run_id": "0", "crew": hostile, "status": "failed",
        "exit_code": 1, "reason": {"kind": "agent_failed", "agent": hostile}, "input": hostile,
        "started_at": hostile, "duration_ms": u64::MAX, "answer": hostile, "answer_of": hostile,
        "fail_if": {"expression": hostile, "holds": true, "saw": {hostile: hostile}},
        "agents": {hostile: with_items, "": agent("cancelled"), "b": agent("failed")},
        "cleanup": {"survivors": [{"pid": -1, "command": hostile}]}});
    let (folder, ended) = saved_as_all(&report.to_string());
    for ended in &ended {
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        let acts = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
        assert!(!ended.stdout.contains(acts), "{}", ended.stdout);
    }
    assert_eq!(cases(&folder.path().join("report.xml")).len(), 7);
    assert_sarif(&serde_json::from_str(&read(&folder, "report.sarif")).unwrap());
    for tag in tags(&read(&folder, "report.html")) {
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap_or_default();
        assert!(TAGS.contains(&name), "{tag}");
    }
    let annotations = ended[KINDS.len()].stdout.lines();
    assert!(annotations.clone().count() > 1);
    assert!(!annotations.clone().any(|line| line == "::error::x"), "{:?}", ended[5].stdout);
}

#[test]
fn a_report_of_version_0_1_has_every_form_and_a_cut_one_has_none() {
    let agent = json!({"status": "timed_out", "output": "so far", "partial": true,
        "model": "openai/m", "finish_reason": null, "started_ms": 1, "duration_ms": 30_000,
        "error": {"kind": "timeout", "scope": "agent", "message": "no answer within 30s"},
        "turns": 1, "retries": 0, "tool_calls": [],
        "usage": {"model_calls": 1, "input_tokens": 3, "output_tokens": 2, "tool_calls": 0}});
    let report = json!({"schema_version": 1, "run_id": "0199", "crew": "old", "status": "failed",
        "exit_code": 1, "reason": null, "started_at": "2026-01-01T00:00:00.000Z", "input": "x",
        "duration_ms": 30_001, "usage": {"model_calls": 1}, "agents": {"disk": agent},
        "cleanup": {"model_calls_cancelled": 1, "survivors": [], "duration_ms": 0}});
    let text = report.to_string();
    let (folder, ended) = saved_as_all(&text);
    for ended in ended {
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    }
    assert_eq!(cases(&folder.path().join("report.xml"))[0][2], "error");
    assert_sarif(&serde_json::from_str(&read(&folder, "report.sarif")).unwrap());
    for length in [0, 1, text.len() / 2, text.len() - 1] {
        for ended in saved_as_all(&text[..length]).1 {
            assert_eq!((ended.status.code(), &*ended.stdout), (Some(2), ""), "{length}");
            assert!(
                ended.stderr.contains("saved.json is not a report of crew"),
                "{}",
                ended.stderr
            );
        }
    }
}

/// The tags that crew writes.
const TAGS: [&str; 22] = [
    "!doctype", "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "b",
    "span", "div", "details", "summary", "table", "tr", "th", "td", "svg", "rect",
];

/// The tags of a page of HTML with their attributes.
fn tags(page: &str) -> Vec<&str> {
    page.split('<').skip(1).filter_map(|tag| tag.split_once('>')).map(|(tag, _)| tag).collect()
}

/// A server that reports the paths it is asked for.
fn listener() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, paths) = channel();
    thread::spawn(move || {
        let path_of = |stream: TcpStream| {
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).ok()?;
            let _ = (&stream).write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            Some(line.split(' ').nth(1)?.to_owned())
        };
        listener.incoming().flatten().filter_map(path_of).try_for_each(|path| sender.send(path))
    });
    (address, paths)
}

fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    let mut paths = names.iter().flat_map(|name| folders.iter().map(move |dir| dir.join(name)));
    paths.find(|path| path.is_file())
}

#[test]
fn a_browser_loads_and_runs_nothing_of_an_answer() {
    let Some(browser) = browser() else {
        #[expect(clippy::print_stderr, reason = "that nothing was tested must be seen")]
        {
            eprintln!("skipped: there is no Chromium in PATH");
        }
        return;
    };
    let (address, paths) = listener();
    let active = |what: &str| {
        formatdoc! {r#"
            <script>new Image().src = "http://{address}/{what}/script"</script>
            <img src="http://{address}/{what}/image">
        "#}
    };
    let folder = folder(indoc! {"
        limits: {on_failure: continue}
        agents:
          a: {command: [cat, hostile]}
          b: {command: [sh, -c, 'cat hostile >&2; exit 1']}
    "});
    let breakouts = "</style></title></textarea></svg></summary></details>--> ]]>'\">";
    let style = format!("<style>@import url(http://{address}/answer/style)</style>");
    let hostile = [breakouts, &style, &active("answer")].concat();
    fs::write(folder.path().join("hostile"), hostile).unwrap();
    all_reports(&folder).run_as_is().report(1);
    // The page around the report shows that the browser loads and runs what it is told to.
    let around = active("around") + r#"<iframe src="report.html"></iframe>"#;
    fs::write(folder.path().join("around.html"), around).unwrap();
    let page = format!("file://{}", folder.path().join("around.html").display());
    let ended = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--timeout=20000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(page)
        .env("HOME", folder.path())
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let mut asked: Vec<String> = paths.try_iter().collect();
    asked.sort();
    assert_eq!(asked, ["/around/image", "/around/script"]);
}
