//! Who gets to see what: stdout, stderr, files, and readers that do not read.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::crew::Crew;

const YAML: &str = "agents:\n  a: {model: offline}\n  b: {model: offline}\n";

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

#[test]
fn an_output_file_takes_the_place_of_stdout() {
    let ended = Crew::new(YAML).args(&["--output-file", "r.json"]).run();
    assert_eq!((ended.status.code(), &*ended.stdout), (Some(0), ""));
    let file = std::fs::read_to_string(ended.path().join("r.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&file).unwrap()["exit_code"], 0);
    assert_eq!(std::fs::read_dir(ended.path()).unwrap().count(), 2, "nothing else is left there");
    let ended = Crew::new(YAML).args(&["--output-file", "no/such/folder"]).run();
    assert_eq!(ended.report(2)["status"], "invalid");
}

#[test]
fn a_report_that_cannot_be_written_is_exit_3() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let ended = Crew::new(YAML).stdout(full.into()).run();
    assert_eq!(ended.status.code(), Some(3));
    assert!(ended.stderr.contains("could not write the report"), "{}", ended.stderr);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = Crew::new(YAML).stdout(writer.into()).run();
    assert_eq!(ended.status.code(), Some(3));
    assert!(!ended.stderr.contains("error") && !ended.stderr.contains("panic"), "{}", ended.stderr);
}

#[test]
fn a_reader_that_does_not_read_does_not_keep_crew_from_ending() {
    let yaml = "tools:\n  t: {description: x, shell: 'yes | head -c 60000'}\nagents:\n";
    let agents: String =
        (0..4).map(|n| format!("  a{n}: {{model: offline, tools: [t]}}\n")).collect();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let running = Crew::new(&format!("{yaml}{agents}")).stdout(writer.into()).start();
    // Once the first byte is there, the report is being written; the rest does not fit the pipe.
    reader.read_exact(&mut [0]).unwrap();
    running.signal(Signal::SIGTERM);
    assert_eq!(running.wait().status.signal(), Some(Signal::SIGTERM as i32));
}

#[test]
fn input_comes_from_an_option_a_file_or_a_pipe() {
    let input = |crew: Crew| crew.run_as_is().report(0)["input"].as_str().unwrap().to_owned();
    assert_eq!(input(Crew::new(YAML).args(&["-i", "-5 °C"])), "-5 °C");
    let crew = Crew::new(YAML);
    std::fs::write(crew.path("in.txt"), "from a file").unwrap();
    assert_eq!(input(crew.args(&["--input-file", "in.txt"])), "from a file");
    for args in [&[][..], &["-i", "-"]] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"from a pipe").unwrap();
        drop(writer);
        assert_eq!(input(Crew::new(YAML).args(args).stdin(reader.into())), "from a pipe");
    }
    for args in [&[][..], &["--input-file", "none.txt"]] {
        let ended = Crew::new(YAML).args(args).stdin(Stdio::null()).run_as_is();
        assert_eq!(ended.report(2)["status"], "invalid", "{args:?}");
    }
}

#[test]
fn a_command_line_that_is_wrong_is_told_in_the_format_that_was_asked_for() {
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
}

#[test]
fn a_stderr_that_nobody_reads_does_not_hold_up_the_run() {
    let (_reader, mut writer) = std::io::pipe().unwrap();
    // Full from the start.
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
