//! What was asked and answered: `--trace`, `-vv` and `--messages`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use indoc::formatdoc;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::crew::{Crew, Ended, Running, wait_for};
use crate::support::mock_model::ModelServer;
use crate::support::pty::Pty;
use crate::support::script::{self, Script};

const KEY: &str = "sk-zq81Wc0v7pA9xT2";

/// An agent that calls a tool, is retried once, has its first answer rejected by its schema and its
/// second one by its check.
fn eventful() -> ModelServer {
    ModelServer::sequence([
        script::retry_after(429, "0"),
        script::tool_call("df", &json!({"path": format!("/{KEY}")})),
        script::text("not a number"),
        script::text("1"),
        script::text("2"),
    ])
}

fn crew(server: &ModelServer) -> Crew {
    let yaml = formatdoc! {"
        providers: {{mock: {{base_url: '{}', api_key_env: MY_KEY}}}}
        tools:
          df: {{description: Free space, command: [echo, 'free: {{{{ path }}}}'],
                parameters: {{path: {{type: string}}}}}}
        agents:
          disk:
            model: mock/m
            system: 'You are an expert for {KEY}.'
            prompt: 'Is it full? {{{{ input }}}}'
            temperature: 0.5
            tools: [df]
            output_schema: {{type: integer}}
            check: {{shell: 'read -r n; echo \"saw $n\"; [ $n = 2 ]'}}
    ", server.base_url()};
    Crew::new(yaml).env("MY_KEY", KEY)
}

fn traced(ended: &Ended, file: &str) -> String {
    fs::read_to_string(ended.path().join("trace").join(file)).unwrap()
}

/// Each of the texts, in this order.
#[track_caller]
fn assert_in_order(text: &str, expected: &[&str]) {
    let mut rest = text;
    for part in expected {
        let Some((_, after)) = rest.split_once(part) else { panic!("{part:?} in {text}") };
        rest = after;
    }
}

const STORY: [&str; 22] = [
    "] disk: request, turn 1 (mock/m)",
    "\"temperature\": 0.5",
    "tool df:",
    "Free space",
    "output_schema:",
    "] disk: system",
    "You are an expert for [redacted].",
    "] disk: user",
    "Is it full? go",
    "retrying",
    "429",
    "] disk: request, turn 1 (mock/m)",
    "] disk: answer (mock/m)",
    "calls df (call_0):",
    "\"path\": \"/[redacted]\"",
    "] disk: result of df (call_0)",
    "free: /[redacted]",
    "not a number",
    "Your answer could not be used",
    "] disk: check",
    "saw 1",
    "A check rejected your answer",
];

#[test]
fn a_trace_has_all_that_was_sent_and_received() {
    let server = eventful();
    let ended = crew(&server).args(&["--trace", "trace"]).run();
    ended.report(0);
    let trace = traced(&ended, "disk.md");
    assert_in_order(&trace, &STORY);
    assert_in_order(&trace, &["saw 2", "] disk: succeeded in "]);
    // The prompt is not repeated with every request.
    assert_eq!(trace.matches("Is it full?").count(), 1, "{trace}");
    assert_eq!(trace.matches("] disk: request, turn ").count(), 5, "{trace}");
    let everything = format!("{trace}{}{}", ended.stdout, ended.stderr);
    assert!(!everything.contains(KEY), "{everything}");
    let mode =
        |path: &str| fs::metadata(ended.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("trace"), mode("trace/disk.md")), (0o700, 0o600));
}

#[test]
fn very_verbose_progress_shows_the_same() {
    let server = eventful();
    let ended = crew(&server).args(&["-vv"]).run();
    let report = ended.report(0);
    assert_in_order(&ended.stderr, &STORY);
    assert!(!ended.stderr.contains(KEY), "{}", ended.stderr);
    assert_eq!(report["agents"]["disk"].get("messages"), None);
}

#[test]
fn the_report_has_the_messages_on_request() {
    let server = eventful();
    let report = crew(&server).args(&["--messages"]).run().report(0);
    let messages = report["agents"]["disk"]["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    let expected = [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "assistant",
        "user",
        "assistant",
    ];
    assert_eq!(roles, expected, "{messages:#?}");
    assert_eq!(messages[2]["tool_calls"][0]["name"], "df");
    assert_eq!(messages[3]["tool_call_id"], messages[2]["tool_calls"][0]["id"]);
    assert_eq!((&messages[3]["tool"], &messages[8]["content"]), (&json!("df"), &json!("2")));
    // It is the conversation that the server saw.
    let requests = server.requests();
    let sent: Vec<&Value> = requests[4].messages().iter().map(|sent| &sent["content"]).collect();
    for (message, sent) in messages.iter().zip(sent) {
        let sent = sent.as_str().unwrap_or_default().replace(KEY, "[redacted]");
        assert_eq!(message["content"], sent.as_str());
    }
    assert!(!report.to_string().contains(KEY), "{report:#}");
}

#[test]
fn instances_and_steps_have_files_of_their_own() {
    let yaml = "
        agents:
          list: {shell: 'echo a/b; echo warn >&2; exit 3', ok_exit_codes: [3]}
          each: {model: offline, for_each: ['a/b', 'a_b', '../x'], prompt: 'see {{ item }}'}
    ";
    let ended = Crew::new(yaml).args(&["--trace", "trace"]).run();
    let report = ended.report(0);
    let mut files: Vec<_> = fs::read_dir(ended.path().join("trace"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["each.md", "each_.._x.md", "each_a_b-2.md", "each_a_b.md", "list.md"]);
    assert_in_order(&traced(&ended, "each_a_b.md"), &["# each[a/b]", "see a/b"]);
    assert_in_order(&traced(&ended, "each_a_b-2.md"), &["# each[a_b]", "see a_b"]);
    assert_in_order(&traced(&ended, "list.md"), &["list: output", "a/b", "list: stderr", "warn"]);
    let instances = report["agents"]["each"]["items"].as_array().unwrap();
    assert_eq!(instances[2]["messages"][0]["content"], "see ../x");
}

/// A crew that is in the middle of its second attempt at an answer, and the trace of it. The key is
/// in pieces in it.
fn writing() -> (Running, ModelServer) {
    let server = ModelServer::sequence([
        script::tool_call("df", &json!({"path": "/"})),
        script::stream().text("A broken attempt.").cut(),
        script::stream()
            .text("The disk is\n```\n\n## fine\nfor")
            .text(&format!(" {}", &KEY[..9]))
            .stall(),
    ]);
    let running = crew(&server).args(&["--trace", "trace"]).start();
    let path = running.path("trace/disk.md");
    wait_for("the answer", || {
        let trace = fs::read_to_string(&path).ok()?;
        assert!(!trace.contains(&KEY[..5]), "{trace}");
        trace.contains("\n    for [redacted]\n").then_some(trace)
    });
    (running, server)
}

#[test]
fn a_run_that_is_killed_leaves_its_trace() {
    let (running, _server) = writing();
    running.signal(Signal::SIGKILL);
    let trace = traced(&running.wait(), "disk.md");
    let expected = [
        "Is it full? go",
        "calls df",
        "free: /",
        "turn 2",
        "] disk: answer (mock/m), cut off\n\n```\nA broken attempt.\n```\n",
        "] disk: retrying",
        "turn 2",
        "] disk: answer (mock/m), in progress\n\n    The disk is\n    ```\n    \n    ## fine\n    for ",
    ];
    assert_in_order(&trace, &expected);
    assert!(trace.ends_with("\n    for [redacted]\n"), "{trace}");
    assert_eq!(trace.matches("broken attempt").count(), 1, "{trace}");
    assert_eq!(trace.matches("in progress").count(), 1, "{trace}");
}

#[test]
fn the_end_of_an_answer_replaces_what_was_written_of_it() {
    let (running, _server) = writing();
    running.signal(Signal::SIGINT);
    let trace = traced(&running.wait(), "disk.md");
    let cut = "] disk: answer (mock/m), cut off\n\n````\nThe disk is\n```\n";
    assert_in_order(&trace, &[cut, "] disk: cancelled"]);
    assert_eq!(trace.matches("The disk is").count(), 1, "{trace}");
    assert!(!trace.contains("in progress"), "{trace}");
}

#[test]
fn an_answer_that_is_cut_off_is_in_the_trace() {
    let server =
        ModelServer::always(script::stream().text(&format!("It is {}", &KEY[..9])).stall());
    let terminal = Pty::open();
    let crew = crew(&server).args(&["--trace", "trace"]).env("TERM", "xterm");
    let running = terminal.start(crew.stderr(terminal.as_stderr())).start();
    terminal.wait_for_screen((24, 80), "writing, ");
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    let trace = traced(&ended, "disk.md");
    assert_in_order(&trace, &["answer (mock/m), cut off", "It is [redacted]", "cancelled"]);
    assert_eq!(ended.json()["agents"]["disk"]["messages"][2]["partial"], true);
}

#[test]
fn a_folder_that_cannot_be_made_is_a_usage_error() {
    let server = eventful();
    let crew = crew(&server);
    fs::write(crew.path("taken"), "").unwrap();
    let ended = crew.args(&["--trace", "taken"]).run();
    assert_eq!(ended.report(2)["status"], "invalid");
    assert!(ended.stderr.contains("--trace: cannot write to the directory \"taken\""));
    assert!(server.requests().is_empty());
}

#[test]
fn an_earlier_trace_is_replaced_and_no_link_is_followed() {
    let yaml = "agents: {a: {model: offline}}";
    let crew = Crew::new(yaml);
    let (trace, other) = (crew.path("trace"), crew.path("other"));
    fs::create_dir(&trace).unwrap();
    fs::write(&other, "mine").unwrap();
    std::os::unix::fs::symlink(&other, trace.join("a.md")).unwrap();
    let ended = crew.args(&["--trace", "trace"]).run();
    ended.report(0);
    assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
    assert!(traced(&ended, "a.md").starts_with("# a\n"));
}

#[test]
fn hostile_text_stays_in_its_fence() {
    let hostile = "```\n\n## [00:00.0] disk: system\n\u{1b}[2J\u{202e}";
    let script: Script = script::text(hostile);
    let server = ModelServer::always(script);
    let yaml = formatdoc! {"
        providers: {{mock: {{base_url: '{}'}}}}
        agents: {{disk: {{model: mock/m}}}}
    ", server.base_url()};
    let ended = Crew::new(yaml).args(&["--trace", "trace", "-vv"]).run();
    ended.report(0);
    for text in [traced(&ended, "disk.md"), ended.stderr.clone()] {
        assert!(text.contains("\n````\n```\n\n## [00:00.0] disk: system\n````\n"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
}
