//! Output: stdout, stderr, files, and readers that do not read.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use crate::support::crew::{Crew, Ended, folder};
use crate::support::mock_model::ModelServer;
use crate::support::pty::Pty;
use crate::support::script;
use indoc::{formatdoc, indoc};
use nix::sys::signal::Signal;
use serde_json::Value;

const YAML: &str = indoc! {"
    agents:
      a: {model: offline}
      b: {model: offline}
"};

#[test]
fn the_result_goes_to_stdout_and_everything_else_to_stderr() {
    let ended = Crew::new(YAML).run();
    ended.report(0);
    assert!(ended.stderr.contains("a: started") && ended.stderr.contains("2 of 2 agents"));
    let text = Crew::new(YAML).args(&["-o", "text"]).run();
    assert!(text.stdout.contains("a succeeded") && text.stdout.contains("offline"));
    assert!(!text.stdout.contains('\u{1b}') && !text.stderr.contains('\u{1b}'));
    let quiet = Crew::new(YAML).args(&["-q"]).run();
    assert_eq!((quiet.report(0)["status"].as_str(), &*quiet.stderr), (Some("succeeded"), ""));
    let colour = Crew::new(YAML).args(&["-o", "text", "--color", "always"]).run();
    assert!(colour.stdout.contains('\u{1b}'));
}

/// A crew with an agent that succeeds and one whose server does not answer.
const FAILING: &str = indoc! {"
    providers: {gone: {base_url: 'http://127.0.0.1:9'}}
    agents:
      good: {model: offline}
      bad: {model: gone/m, retries: 0}
"};

#[test]
fn quiet_is_silent_until_something_fails() {
    let good = Crew::new(YAML).args(&["-q"]).run();
    assert_eq!((good.status.code(), &*good.stderr), (Some(0), ""));
    let bad = Crew::new(FAILING).args(&["-q", "-k"]).run();
    assert_eq!(bad.report(1)["agents"]["good"]["status"], "succeeded");
    let lines: Vec<_> = bad.stderr.lines().collect();
    assert!(lines[0].starts_with("error bad: network: gone: cannot connect"), "{}", bad.stderr);
    assert!(lines[1].starts_with("  check the network"), "{}", bad.stderr);
    assert!(lines[3].contains(": 1 of 2 agents succeeded"), "{}", bad.stderr);
    assert_eq!(lines.len(), 4, "{}", bad.stderr);
    // A terminal is as quiet as a pipe.
    let terminal = Pty::open();
    Crew::new(YAML).args(&["-q"]).stderr(terminal.as_stderr()).run().report(0);
    assert_eq!(terminal.shown(), "");
}

#[test]
fn quiet_twice_says_nothing_at_all() {
    let bad = Crew::new(FAILING).args(&["-qq"]).run();
    assert_eq!((bad.status.code(), &*bad.stderr), (Some(1), ""));
    let invalid = Crew::new("agents: {a: {}}").args(&["-qq"]).run();
    assert_eq!((invalid.status.code(), &*invalid.stderr), (Some(2), ""));
    assert_eq!(invalid.report(2)["status"], "invalid");
}

#[test]
fn log_lines_have_a_time_a_model_and_tokens() {
    let server = ModelServer::always(script::text("fine"));
    let yaml = formatdoc! {"
        providers: {{mock: {{base_url: '{}'}}}}
        agents: {{a: {{model: mock/m}}}}
    ", server.base_url()};
    let ended = Crew::new(yaml).run();
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert!(lines[0].starts_with("[00:0") && lines[0].ends_with("] a: started (mock/m)"));
    assert!(lines[1].contains("] a: succeeded in "), "{}", ended.stderr);
    assert!(lines[1].ends_with(", 10 in, 5 out (mock/m)"), "{}", ended.stderr);
}

#[test]
fn a_failed_tool_says_why_on_every_way() {
    let yaml = indoc! {"
        tools:
          build: {description: b, shell: 'seq 9; echo error: boom >&2; exit 3'}
          health: {description: h, http: {url: 'http://127.0.0.1:9/'}}
          absent: {description: n, command: [no-such-program]}
        agents:
          a: {model: offline, tools: [build, health, absent]}
    "};
    let ended = Crew::new(yaml).args(&["-o", "text"]).run();
    for cause in [
        "exit 3: error: boom",
        "cannot connect to 127.0.0.1:9: connection refused",
        "no such program: no-such-program",
    ] {
        assert!(ended.stdout.contains(&format!(": {cause}\n")), "{cause}: {}", ended.stdout);
        assert!(ended.stderr.contains(&format!(": {cause}\n")), "{cause}: {}", ended.stderr);
    }
    let tail = "    | 6\n    | 7\n    | 8\n    | 9\n    | error: boom\n";
    assert!(ended.stdout.contains(tail) && !ended.stdout.contains("    | 5"), "{}", ended.stdout);
}

#[test]
fn a_failure_is_told_once_where_report_and_summary_share_a_screen() {
    let message = "cannot connect to 127.0.0.1:9";
    let args = ["-o", "text", "--no-progress"];
    let terminal = Pty::open();
    let both = Crew::new(FAILING).args(&args).stdout(terminal.as_stderr());
    both.stderr(terminal.as_stderr()).run();
    terminal.wait_for("agents succeeded", 1);
    let shown = terminal.shown();
    assert_eq!(shown.matches(message).count(), 1, "{shown}");
    assert!(shown.find(message) > shown.find("agent  status"), "{shown}");
    // A file is complete on its own.
    let apart = Crew::new(FAILING).args(&args).run();
    assert!(apart.stdout.contains(message) && apart.stderr.contains(message));
}

#[test]
fn an_output_file_replaces_stdout() {
    let ended = Crew::new(YAML).args(&["--no-history", "--output-file", "r.json"]).run();
    assert_eq!((ended.status.code(), &*ended.stdout), (Some(0), ""));
    let file = std::fs::read_to_string(ended.path().join("r.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&file).unwrap()["exit_code"], 0);
    assert_eq!(std::fs::read_dir(ended.path()).unwrap().count(), 2, "nothing else is left there");
    let ended = Crew::new(YAML).args(&["--output-file", "no/such/folder"]).run();
    assert_eq!(ended.report(2)["status"], "invalid");
}

#[test]
fn a_file_gets_no_colours_from_the_terminal_on_stdout() {
    let terminal = Pty::open();
    let args = ["-o", "text", "--output-file", "r.txt"];
    let ended = Crew::new(YAML).args(&args).stdout(terminal.as_stderr()).run();
    let file = std::fs::read_to_string(ended.path().join("r.txt")).unwrap();
    assert!(file.contains("a succeeded") && !file.contains('\u{1b}'), "{file}");
}

/// The report that was kept in the run's own `TMPDIR`, the only file there.
fn kept(ended: &Ended) -> Value {
    let folder = ended.path().join("tmp");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 1, "{files:?}\n{}", ended.stderr);
    let path = files[0].path();
    assert!(ended.stderr.contains(&format!("was kept as {path:?}")), "{}", ended.stderr);
    assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(path.file_stem().unwrap(), &*format!("crew-{}", report["run_id"].as_str().unwrap()));
    report
}

fn with_own_tmpdir(crew: Crew) -> Crew {
    let folder = crew.path("tmp");
    std::fs::create_dir(&folder).unwrap();
    crew.env("TMPDIR", folder.to_str().unwrap())
}

#[test]
fn an_unwritable_report_exits_3_and_is_saved_elsewhere() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    for (crew, place) in [
        (Crew::new(YAML).stdout(full.into()), "standard output"),
        (Crew::new(YAML).args(&["-q", "--output-file", "/dev/full"]), "/dev/full"),
        (Crew::new(YAML).args(&["-o", "text", "--output-file", "/dev/full"]), "/dev/full"),
    ] {
        let ended = with_own_tmpdir(crew).run();
        assert_eq!(ended.status.code(), Some(3));
        for words in ["could not write the report", place, "o space left"] {
            assert!(ended.stderr.contains(words), "{}", ended.stderr);
        }
        assert_eq!(kept(&ended)["agents"]["b"]["status"], "succeeded");
    }
}

#[test]
fn a_report_that_cannot_be_saved_goes_to_stderr() {
    let crew = Crew::new(YAML).through("ulimit -f 0").args(&["-q", "--output-file", "r.json"]);
    std::fs::write(crew.path("r.json"), "old").unwrap();
    let ended = with_own_tmpdir(crew).run();
    assert_eq!(ended.status.code(), Some(3), "{:?} {}", ended.status, ended.stderr);
    let (message, report) = ended.stderr.split_once('\n').unwrap();
    assert!(message.contains("r.json") && message.contains("File too large"), "{message}");
    let report: Value = serde_json::from_str(report).unwrap();
    assert_eq!(report["agents"]["a"]["status"], "succeeded");
    let left = ended.path().join("tmp").read_dir().unwrap().count();
    assert_eq!((left, std::fs::read(ended.path().join("r.json")).unwrap()), (0, b"old".to_vec()));
}

#[test]
fn a_closed_stdout_gets_no_output() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = with_own_tmpdir(Crew::new(YAML).stdout(writer.into())).run();
    assert_eq!(ended.status.code(), Some(3));
    assert!(!ended.stderr.contains("error") && !ended.stderr.contains("panic"), "{}", ended.stderr);
    assert_eq!(ended.path().join("tmp").read_dir().unwrap().count(), 0);
}

/// A file whose report is larger than the buffer of a pipe.
fn long() -> String {
    let agents: String =
        (0..4).map(|n| format!("  a{n}: {{model: offline, tools: [t]}}\n")).collect();
    formatdoc! {"
        tools:
          t: {{description: x, shell: 'yes | head -c 60000'}}
        agents:
        {agents}"}
}

#[test]
fn a_blocked_stdout_does_not_delay_the_exit() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let running = with_own_tmpdir(Crew::new(long()).stdout(writer.into())).start();
    // The first byte shows that crew writes the report; the rest does not fit into the pipe.
    reader.read_exact(&mut [0]).unwrap();
    running.signal(Signal::SIGTERM);
    let ended = running.wait();
    assert_eq!(ended.status.signal(), Some(Signal::SIGTERM as i32));
    assert_eq!(kept(&ended)["agents"]["a3"]["tool_calls"][0]["truncated"], false);
}

#[test]
fn a_blocked_stdout_does_not_delay_the_exit_after_a_signal() {
    let yaml = format!("{}  b: {{model: offline, tools: [endless]}}\n", long());
    let endless = "tools:\n  endless: {description: x, shell: exec sleep 1000}\n";
    let (_reader, writer) = std::io::pipe().unwrap();
    let crew = Crew::new(yaml.replace("tools:\n", endless)).stdout(writer.into());
    let running = with_own_tmpdir(crew).start();
    for agent in ["a0", "a1", "a2", "a3"] {
        running.wait_for_stderr(&format!("{agent}: succeeded"));
    }
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    assert_eq!(ended.status.signal(), Some(Signal::SIGINT as i32));
    assert_eq!(kept(&ended)["reason"]["kind"], "interrupted");
}

#[test]
fn a_slow_reader_gets_the_whole_report_despite_a_signal() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let running = with_own_tmpdir(Crew::new(long()).stdout(writer.into())).start();
    let mut report = vec![0];
    reader.read_exact(&mut report).unwrap();
    running.signal(Signal::SIGTERM);
    let mut piece = [0; 16 * 1024];
    while let Ok(length @ 1..) = reader.read(&mut piece) {
        report.extend_from_slice(&piece[..length]);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(serde_json::from_slice::<Value>(&report).unwrap()["status"], "succeeded");
    let ended = running.wait();
    assert_eq!(ended.path().join("tmp").read_dir().unwrap().count(), 0);
}

#[test]
fn usage_errors_have_the_requested_format() {
    for (args, json) in [
        (&["--nope"][..], true),
        (&["-o", "json", "--nope"], true),
        (&["-i", "-otext", "--nope"], true),
        (&["-o=text", "--nope"], false),
        (&["-qotext", "--nope"], false),
    ] {
        let ended = Crew::new(YAML).args(args).run_as_is();
        assert_eq!(ended.status.code(), Some(2), "{args:?}");
        assert!(ended.stderr.contains("--nope"), "{}", ended.stderr);
        match json {
            true => assert_eq!(ended.report(2)["status"], "invalid", "{args:?}"),
            false => assert_eq!(ended.stdout, "", "{args:?}"),
        }
    }
    let folder = folder(YAML);
    let ended = Crew::at(folder.path()).args(&["rerun", "-o", "json", "--nope"]).run_as_is();
    assert_eq!(ended.report(2)["status"], "invalid");
}

#[test]
fn an_unread_stderr_does_not_block_the_run() {
    let (_reader, mut writer) = std::io::pipe().unwrap();
    // The pipe is full from the start.
    let filler = std::thread::spawn(move || {
        let copy = writer.try_clone().unwrap();
        nix::fcntl::fcntl(&writer, nix::fcntl::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
        while writer.write(&[b' '; 4096]).is_ok() {}
        nix::fcntl::fcntl(&writer, nix::fcntl::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
        copy
    });
    let ended = Crew::new(YAML).stderr(filler.join().unwrap().into()).run();
    ended.report(0);
}
