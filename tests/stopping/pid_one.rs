//! crew as process 1, as in a container: a PID namespace of its own, without an init.
//!
//! The kernel ignores signals of process 1 that have no handler, gives it the orphans of all
//! others, and kills everything when it ends.

use std::io::Write;
use std::process::Command;

use indoc::indoc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::crew::{Crew, Running, wait_for};

/// The command that starts another one as process 1; `None` where that is not permitted.
fn unshare() -> Option<String> {
    let users = ["", "--user --map-root-user "];
    let commands =
        users.map(|user| format!("unshare {user}--pid --fork --kill-child --mount-proc"));
    let permitted = commands.into_iter().find(|command| {
        let output = Command::new("sh").args(["-c", &format!("{command} true")]).output();
        output.is_ok_and(|output| output.status.success())
    });
    if permitted.is_none() {
        let _ = writeln!(std::io::stderr(), "skipped: this system permits no PID namespace");
    }
    permitted
}

fn as_process_one(unshare: &str, yaml: &str) -> Crew {
    Crew::new(yaml).through(&format!("exec {unshare} \"$0\" \"$@\""))
}

/// The pid of crew outside of its namespace: the only child of `unshare`.
fn crew_of(running: &Running) -> Pid {
    let unshare = Pid::from_raw(running.child.id().try_into().unwrap());
    wait_for("crew to be there", || crew::process::children(unshare).first().copied())
}

#[test]
fn signals_stop_process_one() {
    let Some(unshare) = unshare() else { return };
    let yaml = indoc! {r#"
        limits: {grace: 500ms}
        agents:
          s:
            shell: |
              (trap '' TERM INT HUP; echo > "$DIR/ready"; while :; do sleep 1000; done) &
              exec sleep 1000
            env: [DIR]
    "#};
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let running = as_process_one(&unshare, yaml).start();
        running.wait_for_file("ready");
        let crew = crew_of(&running);
        kill(crew, signal).unwrap();
        let ended = running.wait();
        let report = ended.report(code);
        assert_eq!(report["cleanup"]["survivors"], serde_json::json!([]));
        assert!(report["cleanup"]["processes_killed"].as_u64().unwrap() >= 1, "{report:#}");
        assert_eq!(report["agents"]["s"]["status"], "cancelled");
    }
}

#[test]
fn orphans_leave_no_zombies() {
    let Some(unshare) = unshare() else { return };
    // The first step leaves an orphan behind, the second one orphans that end before it does.
    let yaml = indoc! {r#"
        agents:
          leaves: {shell: '(sleep 1000 &) ; (sleep 0 &)'}
          looks:
            needs: [leaves]
            shell: |
              for i in 1 2 3 4 5; do (sh -c 'exit 0' &); done
              sleep 0.3
              ps -e -o pid=,ppid=,stat=,args=
    "#};
    let report = as_process_one(&unshare, yaml).run().report(0);
    let processes = report["agents"]["looks"]["output"].as_str().unwrap();
    let lines: Vec<Vec<&str>> =
        processes.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(lines[0][0] == "1" && lines[0][3].ends_with("crew"), "{processes}");
    assert!(lines.iter().all(|line| !line[2].starts_with('Z')), "{processes}");
    assert!(!processes.contains("sleep 1000"), "{processes}");
}
