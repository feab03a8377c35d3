//! What people read when a run has ended, and the lines of the log on the way there.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::crew::{Crew, Ended};
use crate::support::mock_model::ModelServer;
use crate::support::pty::Pty;
use crate::support::script;

/// The lines from the table on.
fn summary(ended: &Ended) -> &str {
    &ended.stderr[ended.stderr.find("agent ").unwrap()..]
}

/// The columns of the row of an agent.
fn row<'e>(ended: &'e Ended, agent: &str) -> Vec<&'e str> {
    let row = summary(ended).lines().find(|line| line.starts_with(&format!("{agent} "))).unwrap();
    row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn ctrl_c_is_said_in_the_last_line_and_in_no_note() {
    let server = ModelServer::always(script::stream().text("so far").stall());
    let agents = "{a: {model: mock/m}, last: {model: mock/m, needs: [a]}}";
    let running = Crew::team(&server, agents).args(&["-o", "json"]).start();
    server.wait_for("the call", |state| state.open_calls > 0);
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    assert_eq!(ended.status.signal(), Some(Signal::SIGINT as i32));
    let summary = summary(&ended);
    assert_eq!(summary.matches("Ctrl-C").count(), 1, "{summary}");
    assert!(summary.contains("\ncrew team: interrupted by Ctrl-C after "), "{summary}");
}

#[test]
fn a_partial_answer_is_noted_only_where_the_report_does_not_say_it() {
    let server = ModelServer::always(script::stream().text("so far").stall());
    for (args, notes) in [(&["-o", "text"][..], 0), (&["-o", "json"], 1), (&["--brief"], 1)] {
        let terminal = Pty::sized(40, 80);
        let one_agent = "{a: {model: mock/m}, b: {model: offline}}";
        let crew = Crew::team(&server, one_agent).args(args).env("TERM", "dumb");
        let crew = crew.stdout(terminal.as_stderr()).stderr(terminal.as_stderr());
        let running = crew.start();
        terminal.wait_for("b: succeeded", 1);
        running.signal(Signal::SIGTERM);
        running.wait();
        terminal.wait_for("crew team: terminated by SIGTERM", 1);
        let shown = terminal.shown();
        assert_eq!(shown.matches("note: a: answer is partial").count(), notes, "{args:?}: {shown}");
    }
}

#[test]
fn each_error_has_its_advice_once() {
    let quota = json!({"error": {"message": "no credit left.", "code": "insufficient_quota"}});
    let server = ModelServer::start(move |request| match request.model() {
        "quota" => script::json_body(429, &quota),
        "unknown" => script::error(404, "no such model."),
        _ => script::error(401, "no such key."),
    });
    let error = |model: &str| {
        let ended = Crew::team(&server, &format!("{{a: {{model: mock/{model}}}}}")).run();
        let (_, error) = ended.stderr.split_once("\nerror a: ").unwrap();
        error.split("\n\n").next().unwrap().to_owned()
    };
    assert_eq!(
        error("quota"),
        "rate_limited: mock: HTTP 429 Too Many Requests: no credit left. (model quota)\n  retrying does not help: \
         add credit with provider `mock`, or list another model under `model`"
    );
    let unknown = format!(
        "bad_request: mock: HTTP 404 Not Found: no such model. (model unknown), at {}/chat/completions\n  check the \
         model name, `base_url` and the agent's settings",
        server.base_url()
    );
    assert_eq!(error("unknown"), unknown);
    assert_eq!(
        error("key"),
        "auth: mock: HTTP 401 Unauthorized: no such key; no key was sent: name its \
         variable in api_key_env"
    );
}

#[test]
fn the_table_and_the_error_say_how_often_a_call_was_tried() {
    let server = ModelServer::start(|request| match request.model() {
        "broken" => script::error(500, "broken"),
        "wrong" => script::text("five"),
        _ => script::text("fine"),
    });
    let agents = "{bad: {model: mock/broken}, good: {model: mock/m}, \
                   odd: {model: mock/wrong, output_schema: {type: number}}}";
    let ended = Crew::team(&server, agents).run();
    assert!(summary(&ended).lines().next().unwrap().contains("  retries"), "{}", ended.stderr);
    assert!(row(&ended, "bad").contains(&"1") && row(&ended, "odd").contains(&"1"));
    assert_eq!(row(&ended, "bad").len(), row(&ended, "good").len() + 1, "{}", ended.stderr);
    let errors: Vec<&str> =
        ended.stderr.lines().filter(|line| line.starts_with("error ")).collect();
    assert!(errors[0].contains(" (after 2 attempts in "), "{errors:?}");
    assert!(
        errors[1].contains("not JSON") && errors[1].ends_with(" (after 2 answers)"),
        "{errors:?}"
    );
    let good = Crew::team(&server, "{good: {model: mock/m}}").run();
    assert!(!good.stderr.contains("retries"), "{}", good.stderr);
}

#[test]
fn an_answer_that_cannot_be_used_is_whole_even_if_the_next_call_fails() {
    let server = ModelServer::sequence([script::text("five"), script::error(400, "no more")]);
    let ended = Crew::team(&server, "{a: {model: mock/m, output_schema: {type: number}}}").run();
    let agent = &ended.report(1)["agents"]["a"];
    assert_eq!((&agent["output"], agent.get("partial")), (&json!("five"), None), "{agent:#}");
    assert!(!ended.stderr.contains("partial"), "{}", ended.stderr);
}

#[test]
fn the_timeline_names_all_that_an_agent_waited_for() {
    let server = ModelServer::always(script::text("fine"));
    let agents = "{disk: {model: mock/m}, net: {model: mock/m}, bad: {shell: exit 1}, \
                   last: {model: mock/m, needs: {disk: done, net: succeeded, bad: done}}}";
    let ended = Crew::team(&server, agents).run();
    assert!(summary(&ended).contains("  after disk, net, bad\n"), "{}", ended.stderr);
    // Where that is too wide, the names are cut, not the timeline.
    let terminal = Pty::with_columns(80);
    let running = Crew::team(&server, &agents.replace("net", "network-part"))
        .env("TERM", "xterm")
        .stderr(terminal.as_stderr())
        .start();
    running.wait();
    let screen = terminal.wait_for_screen((40, 80), "crew team:");
    let last = screen.lines().find(|line| line.starts_with("last ")).unwrap();
    assert!(last.contains("  after disk, ") && last.ends_with('…'), "{screen}");
}

#[test]
fn the_log_says_why_an_agent_was_skipped_and_no_time_of_what_did_not_run() {
    let agents = "{bad: {shell: exit 1}, last: {model: offline, needs: [bad]}, \
                   rare: {model: offline, when: 'false'}}";
    let server = ModelServer::always(script::tool_call("nosuch", &json!({})).usage(1, 1));
    let ended = Crew::team(&server, agents).run();
    let log: Vec<&str> =
        ended.stderr.lines().filter_map(|line| Some(line.split_once("] ")?.1)).collect();
    for line in ["last: skipped: bad failed", "rare: skipped: when false is false"] {
        assert!(log.contains(&line), "{log:#?}");
    }
    let ended = Crew::team(&server, "{a: {model: mock/m, max_turns: 2}}").run();
    assert!(
        ended.stderr.contains("] a: nosuch rejected: there is no such tool"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_output_of_a_step_is_not_taken_for_markdown() {
    let server = ModelServer::always(script::text("+ item"));
    let terminal = Pty::sized(40, 80);
    let agents = "{diff: {shell: echo '+ let a = 1;'}, a: {model: mock/m}}";
    let crew = Crew::team(&server, agents).args(&["-o", "text"]).env("TERM", "xterm");
    crew.stdout(terminal.as_stderr()).stderr(terminal.as_stderr()).start().wait();
    let screen = terminal.wait_for_screen((40, 80), "2 of 2 agents succeeded");
    assert!(screen.contains("\n+ let a = 1;") && screen.contains("\n- item"), "{screen}");
}

#[test]
fn what_took_less_than_a_millisecond_took_some_time() {
    // No part of a run takes no time at all.
    let ended = Crew::team(&ModelServer::always(script::text("")), "{a: {model: offline}}").run();
    for text in [" 0ms", " 0.0s"] {
        assert!(!ended.stderr.contains(text), "{}", ended.stderr);
    }
    let report = ended.report(0);
    let time = match report["agents"]["a"]["duration_ms"].as_u64().unwrap() {
        0 => "<1ms".to_owned(),
        ms @ 1..1000 => format!("{ms}ms"),
        _ => return,
    };
    assert_eq!(row(&ended, "a").last(), Some(&time.as_str()), "{}", ended.stderr);
}

#[test]
fn variables_of_the_environment_turn_colours_on_and_off() {
    let has_colour = |variables: &[(&str, &str)], args: &[&str], on_terminal: bool| {
        let server = ModelServer::always(script::text("**fine**"));
        let crew = Crew::team(&server, "{a: {model: mock/m}}").args(&["-o", "text"]).args(args);
        let crew = crew.env("TERM", "xterm").envs(variables);
        if !on_terminal {
            let ended = crew.run();
            let [stdout, stderr] =
                [&ended.stdout, &ended.stderr].map(|text| text.contains("\u{1b}["));
            assert_eq!(stdout, stderr, "{variables:?}: {}{}", ended.stdout, ended.stderr);
            return stdout;
        }
        let terminal = Pty::open();
        crew.args(&["--no-progress"])
            .stdout(terminal.as_stderr())
            .stderr(terminal.as_stderr())
            .start()
            .wait();
        terminal.wait_for_screen((60, 80), "1 of 1 agent succeeded");
        terminal.shown().contains("\u{1b}[32m")
    };
    for (variables, args, on_terminal, elsewhere) in [
        (&[][..], &[][..], true, false),
        (&[("NO_COLOR", "1")], &[], false, false),
        (&[("NO_COLOR", "1"), ("FORCE_COLOR", "1")], &[], false, false),
        (&[("NO_COLOR", "1")], &["--color", "always"], true, true),
        (&[("FORCE_COLOR", "1")], &[], true, true),
        (&[("FORCE_COLOR", "0")], &[], true, false),
        (&[("CLICOLOR_FORCE", "1")], &[], true, true),
        (&[("CLICOLOR_FORCE", "1")], &["--color", "never"], false, false),
        (&[("CLICOLOR", "0")], &[], false, false),
    ] {
        assert_eq!(has_colour(variables, args, true), on_terminal, "{variables:?} {args:?}");
        assert_eq!(has_colour(variables, args, false), elsewhere, "{variables:?} {args:?}");
    }
}
