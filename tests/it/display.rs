//! The live display on a terminal, read from the screen.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::termios::LocalFlags;

use crate::support::crew::{Crew, Ended, Running, wait_for};
use crate::support::mock_model::ModelServer;
use crate::support::pty::Pty;
use crate::support::script::{self, Script};

const SIZE: (u16, u16) = (24, 80);

/// The answer of each agent by the name of its model.
fn by_model(reply: impl Fn(&str) -> Script + Send + Sync + 'static) -> ModelServer {
    ModelServer::start(move |request| reply(request.model()))
}

/// Writes this and no more until it is stopped.
fn writing(text: &str) -> Script {
    script::stream().text(text).stall()
}

/// Starts it with the terminal as its own, for stderr.
fn start(crew: Crew, terminal: &Pty) -> Running {
    terminal.start(crew.env("TERM", "xterm").stderr(terminal.as_stderr())).start()
}

/// Waits for the end of the run, and for its last line on the terminal.
fn end(running: Running, terminal: &Pty) -> Ended {
    let ended = running.wait();
    wait_for("the last line of the summary", || {
        terminal.screen(60, 120).rsplit_once("crew team:")?.1.contains(" succeeded").then_some(())
    });
    ended
}

fn echoes(terminal: &Pty) -> bool {
    terminal.settings().local_flags.contains(LocalFlags::ECHO)
}

#[test]
fn an_agent_with_instances_says_how_many_are_done() {
    let server = by_model(|_| script::hang());
    let agents = r#"{each: {for_each: [slow, fine, good, bad], on_failure: continue,
                     shell: 'case $item in slow) exec sleep 1000;; bad) exit 1;; esac',
                     env: {item: "{{ item }}"}}}"#;
    let terminal = Pty::open();
    let running = start(Crew::team(&server, agents), &terminal);
    terminal.wait_for_screen(SIZE, "s  2 of 4 done, 1 failed");
    running.signal(Signal::SIGINT);
    running.wait();
}

#[test]
fn each_agent_says_what_it_does() {
    let server = by_model(|model| match model {
        "silent" => script::hang(),
        "writer" => writing("The disk is nearly full."),
        "limited" => script::retry_after(429, "15"),
        "thinker" => {
            script::stream().delta(serde_json::json!({"reasoning_content": "so..."})).stall()
        }
        "caller" => {
            let call = serde_json::json!({"index": 0, "id": "1", "type": "function",
                "function": {"name": "build", "arguments": "{\"x"}});
            script::stream().call(call).stall()
        }
        _ => script::tool_call("build", &serde_json::json!({})),
    });
    let agents = "{silent: {model: mock/silent}, writer: {model: mock/writer}, \
                   limited: {model: mock/limited}, builder: {model: mock/tool, tools: [build]}, \
                   thinker: {model: mock/thinker}, caller: {model: mock/caller, tools: [build]}, \
                   bad: {shell: exit 1}, rare: {model: offline, needs: [bad]}, \
                   last: {model: offline, needs: [writer, silent]}}";
    let terminal = Pty::open();
    let running = start(Crew::team(&server, agents), &terminal);
    for text in [
        "team  0:",
        "  0 of 9 done, 1 failed, 1 stopped",
        "  waiting for the first token",
        "  writing, 6 tokens  The disk is nearly full.",
        "  rate limited, ",
        "  reasoning, 2 tokens",
        "  writing a tool call, ",
        "  build, ",
        "⊘ rare            skipped: bad failed",
        "· last            after ",
    ] {
        terminal.wait_for_screen(SIZE, text);
    }
    running.signal(Signal::SIGINT);
    let ended = end(running, &terminal);
    assert_eq!(ended.status.signal(), Some(Signal::SIGINT as i32));
    let screen = terminal.screen(24, 80);
    for gone in ["team  0:", "waiting for", "rate limited", "nearly full"] {
        assert!(!screen.contains(gone), "{screen}");
    }
    let above = &screen[..screen.find("agent ").unwrap()];
    assert!(above.starts_with("✗ bad failed after ") && above.lines().count() <= 2, "{screen}");
}

#[test]
fn instances_count_as_soon_as_they_are_known() {
    let server = by_model(|model| match model {
        "each" => script::hang(),
        model => script::text(model),
    });
    let agents = "{each: {model: mock/each, for_each: [a, b, c], max_parallel: 1}, \
                   one: {model: mock/one}}";
    let terminal = Pty::open();
    let running = start(Crew::team(&server, agents), &terminal);
    // Two agents and three instances, one of which has started.
    let screen = terminal.wait_for_screen(SIZE, "1 of 5 done");
    assert!(screen.contains("each[a]") && !screen.contains("each[b]"), "{screen}");
    running.signal(Signal::SIGINT);
    end(running, &terminal);
}

#[test]
fn a_failure_stands_above_the_display_at_once_and_at_the_end_with_advice() {
    let server = by_model(|model| match model {
        "bad" => script::error(400, "context too long"),
        _ => script::delayed(Duration::from_millis(1500), script::text("fine")),
    });
    let agents = "{bad: {model: mock/bad}, good: {model: mock/good}}";
    let terminal = Pty::open();
    let running = start(Crew::team(&server, agents), &terminal);
    let screen = terminal.wait_for_screen(SIZE, "1 failed");
    let above = screen.find("✗ bad failed after ").unwrap();
    assert!(above < screen.find("team  0:").unwrap(), "{screen}");
    assert!(screen[above..].contains("context too long"), "{screen}");
    end(running, &terminal);
    let screen = terminal.screen(24, 80);
    assert_eq!(screen.matches("✗ bad failed after ").count(), 1, "{screen}");
    let error = screen.find("error bad: bad_request").unwrap();
    assert!(error > screen.find("agent  status").unwrap(), "{screen}");
    assert!(!screen.contains("team  0:"), "{screen}");
}

#[test]
fn on_a_narrow_terminal_the_reason_of_a_failure_is_whole() {
    let server = by_model(|model| match model {
        "bad" => script::error(400, "context too long: 90210 of 8192 tokens"),
        _ => script::hang(),
    });
    let terminal = Pty::sized(20, 40);
    let agents = "{bad: {model: mock/bad}, good: {model: mock/good}}";
    let running = start(Crew::team(&server, agents), &terminal);
    let screen = terminal.wait_for_screen((20, 40), "1 fail");
    let above: Vec<&str> = screen.lines().take_while(|line| !line.starts_with("team")).collect();
    let words = above.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    assert!(words.contains("context too long: 90210 of 8192 tokens"), "{screen}");
    running.signal(Signal::SIGINT);
    end(running, &terminal);
}

#[test]
fn a_hundred_thousand_lines_cost_the_display_nothing() {
    const LINES: usize = 100_000;
    let server = by_model(|_| {
        (0..100)
            .fold(script::stream(), |script, _| script.text(&"line\n".repeat(LINES / 100)))
            .finish("stop")
            .done()
    });
    let run = |args: &[&str]| {
        let terminal = Pty::open();
        let crew = Crew::team(&server, "{a: {model: mock/m, max_answer: 1 MiB}}").args(args);
        let ended = end(
            start(crew.args(&["--output-file", "r.txt", "-o", "answer"]), &terminal),
            &terminal,
        );
        let answer = std::fs::read_to_string(ended.path().join("r.txt")).unwrap();
        assert_eq!(answer.lines().filter(|line| *line == "line").count(), LINES);
        // What the display shows of it is a few frames.
        (ended.peak_memory, terminal.shown().len())
    };
    let (with, shown) = run(&[]);
    let (without, _) = run(&["--no-progress"]);
    assert!(shown < 64 << 10, "{shown} bytes");
    assert!(with < without + (1 << 20), "{with} and {without} bytes");
}

#[test]
fn the_answer_of_a_single_agent_streams_and_then_goes() {
    let server =
        by_model(|_| writing("# Result\n\nThe disk is \u{1b}[2Jfull.\n\nDelete\u{202e} it."));
    let terminal = Pty::sized(12, 40);
    let running = start(Crew::team(&server, "{a: {model: mock/m}}"), &terminal);
    let screen = terminal.wait_for_screen((12, 40), "  Delete it.");
    assert!(screen.contains("\n  # Result\n  The disk is full.\n  Delete it."), "{screen}");
    running.signal(Signal::SIGTERM);
    end(running, &terminal);
    assert!(!terminal.screen(12, 40).contains("Delete"), "{}", terminal.screen(12, 40));
}

#[test]
fn many_agents_on_a_small_window_leave_nothing_behind() {
    let server = by_model(|model| match model {
        "bad" => script::error(400, "no"),
        _ => script::hang(),
    });
    let mut agents: Vec<_> = (0..30).map(|n| format!("a{n}: {{model: mock/m}}")).collect();
    agents.push("bad: {model: mock/bad}".into());
    let terminal = Pty::sized(12, 40);
    let running = start(Crew::team(&server, &format!("{{{}}}", agents.join(", "))), &terminal);
    let screen = terminal.wait_for_screen((12, 40), "0 of 31 done, 1 f");
    assert!(screen.contains("\n✗ bad ") && screen.contains("\n… 2"), "{screen}");
    let frame = screen.lines().skip_while(|line| !line.starts_with("team"));
    assert!(frame.clone().all(|line| line.chars().count() < 40), "{screen}");
    assert_eq!(frame.count(), 10, "{screen}");
    // A narrower window: the frame is as narrow.
    terminal.resize(12, 30);
    wait_for("a frame that fits", || {
        let screen = terminal.screen(12, 30);
        screen.contains("team  0:").then_some(())
    });
    running.signal(Signal::SIGINT);
    let ended = end(running, &terminal);
    assert_eq!(ended.status.signal(), Some(Signal::SIGINT as i32));
}

#[test]
fn a_report_on_a_terminal_is_formatted_unless_it_is_to_be_raw() {
    let answer = "## The *disk*\n\nIt is **full** since the journal has grown without any bound.";
    let formatted = "\nThe disk\n\nIt is full since the journal has\ngrown without any bound.\n";
    for (args, expected) in [(&["-o", "text"][..], formatted), (&["--raw"], "## The *disk*\n\nIt")]
    {
        let server = by_model(|_| script::text(answer));
        let terminal = Pty::sized(40, 36);
        let agents = "{last: {model: mock/m, needs: [a]}, a: {model: mock/m}}";
        let crew = Crew::team(&server, agents).args(args).env("TERM", "xterm");
        let crew = crew.stdout(terminal.as_stderr()).stderr(terminal.as_stderr());
        end(crew.start(), &terminal);
        let screen = terminal.screen(60, 36);
        let lines: Vec<&str> = screen.lines().map(str::trim_end).collect();
        let screen = lines.join("\n");
        assert!(screen.contains(expected), "{args:?}: {screen}");
        let (first, last) = (screen.find("✓ a ").unwrap(), screen.find("✓ last ").unwrap());
        assert!(first < last, "{screen}");
        assert!(screen.contains("2 of 2 agents"), "{screen}");
    }
}

#[test]
fn a_brief_report_has_the_answer_only() {
    let server = by_model(script::text);
    let report = |agents: &str| {
        let crew = Crew::team(&server, agents).args(&["-o", "text", "--brief", "-q"]);
        crew.run().stdout.replace("\n\n", " ")
    };
    let blocks = report("{a: {model: mock/one}, last: {model: mock/two, needs: [a]}}");
    assert!(blocks.starts_with("✓ last ") && blocks.trim_end().ends_with("two"), "{blocks}");
    let blocks =
        report("{a: {model: mock/one}, b: {model: mock/two, needs: [a]}, c: {model: mock/three}}");
    assert!(!blocks.contains("one") && blocks.contains("two") && blocks.contains("three"));
}

#[test]
fn typing_is_not_shown_and_the_echo_comes_back() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let server = by_model(|_| script::hang());
        let terminal = Pty::open();
        let running = start(Crew::team(&server, "{a: {model: mock/m}}"), &terminal);
        terminal.wait_for_screen(SIZE, "waiting for the first token");
        wait_for("the echo to be off", || (!echoes(&terminal)).then_some(()));
        terminal.type_in("hello\n\n");
        let before = terminal.shown().len();
        wait_for("another frame", || (terminal.shown().len() > before + 200).then_some(()));
        assert!(!terminal.shown().contains("hello"));
        running.signal(signal);
        end(running, &terminal);
        assert!(echoes(&terminal));
    }
}

#[test]
fn ctrl_c_on_the_keyboard_stops_the_run() {
    let server = by_model(|_| writing("so far"));
    let terminal = Pty::open();
    let running = start(Crew::team(&server, "{a: {model: mock/m}}"), &terminal);
    terminal.wait_for_screen(SIZE, "writing, 2 tokens");
    terminal.type_in("\u{3}");
    let ended = end(running, &terminal);
    assert_eq!(ended.status.signal(), Some(Signal::SIGINT as i32));
    assert!(terminal.screen(24, 80).contains("interrupted by Ctrl-C"));
    assert!(echoes(&terminal));
}

/// Stops crew as Ctrl-Z does, prints what a shell would, and continues.
fn suspend(running: &Running, terminal: &Pty) {
    running.stop();
    terminal.print("\r\n[1]+  Stopped\r\n$ fg\r\n");
    running.signal(Signal::SIGCONT);
}

#[test]
fn after_a_stop_the_display_goes_on_below_what_the_shell_has_written() {
    let server = by_model(|_| script::hang());
    let terminal = Pty::open();
    let agents = "{a: {model: mock/m}, b: {model: mock/m}, c: {model: mock/m}}";
    let running = start(Crew::team(&server, agents), &terminal);
    terminal.wait_for_screen(SIZE, "waiting for the first token");
    suspend(&running, &terminal);
    terminal.wait_for_screen(SIZE, "\n[1]+  Stopped\n$ fg\nteam  0:");
    wait_for("the echo to be off", || (!echoes(&terminal)).then_some(()));
    running.signal(Signal::SIGINT);
    end(running, &terminal);
    assert!(echoes(&terminal));
    let screen = terminal.screen(60, 80);
    let after = screen.split_once("$ fg\n").unwrap().1;
    assert!(!after.contains("team  0:") && !after.contains("first token"), "{screen}");
}

#[test]
fn after_a_stop_an_open_question_is_asked_again() {
    let server = by_model(|_| script::tool_call("ask", &serde_json::json!({})));
    let terminal = Pty::open();
    let crew = Crew::team(&server, "{a: {model: mock/m, tools: [ask], max_turns: 2}}");
    let yaml = std::fs::read_to_string(crew.path("agents.yaml")).unwrap();
    let yaml =
        yaml.replace("build:", "ask: {description: b, shell: 'true', confirm: true}, build:");
    std::fs::write(crew.path("agents.yaml"), yaml).unwrap();
    let running = start(crew, &terminal);
    terminal.wait_for_screen(SIZE, "Allow a to run ask? ");
    suspend(&running, &terminal);
    let screen = terminal.wait_for_screen(SIZE, "\n[1]+  Stopped\n$ fg\nteam  0:");
    let asked = "a wants to run ask:\n";
    assert_eq!(terminal.wait_for_screen(SIZE, asked).matches(asked).count(), 2, "{screen}");
    running.signal(Signal::SIGINT);
    end(running, &terminal);
}

#[test]
fn plain_terminals_get_plain_text() {
    let run = |variables: &[(&str, &str)], args: &[&str]| {
        let server = by_model(|_| script::delayed(Duration::from_millis(300), script::text("x")));
        let terminal = Pty::open();
        let crew = Crew::team(&server, "{a: {model: mock/m}}").env("TERM", "xterm").envs(variables);
        end(crew.args(args).stderr(terminal.as_stderr()).start(), &terminal);
        terminal.shown()
    };
    let dumb = run(&[("TERM", "dumb")], &[]);
    assert!(dumb.contains("] a: started (mock/m)") && !dumb.contains('\u{1b}'), "{dumb}");
    let none = run(&[], &["--no-progress"]);
    assert!(none.contains("succeeded in") && !none.contains("\u{1b}[J"), "{none}");
    for locale in ["LANG", "LC_ALL"] {
        let ascii = run(&[(locale, "C")], &[]);
        assert!(ascii.contains("waiting for the first token") && ascii.is_ascii(), "{ascii}");
        assert!(ascii.contains("+ succeeded"), "{ascii}");
    }
}

#[test]
fn a_secret_in_pieces_is_never_on_the_screen() {
    let server = by_model(|_| {
        script::stream().text("the key is sk-zq81").text("Wc0v7pA9").text("xT2").stall()
    });
    let terminal = Pty::open();
    let yaml = Crew::team(&server, "{a: {model: mock/m}}");
    let text = std::fs::read_to_string(yaml.path("agents.yaml")).unwrap();
    let text = text.replace("base_url:", "api_key_env: MY_KEY, base_url:");
    std::fs::write(yaml.path("agents.yaml"), text).unwrap();
    let running = start(yaml.env("MY_KEY", "sk-zq81Wc0v7pA9xT2"), &terminal);
    terminal.wait_for_screen(SIZE, "  the key is [redacted]");
    running.signal(Signal::SIGINT);
    end(running, &terminal);
    assert!(!terminal.shown().contains("sk-z"), "{}", terminal.shown());
}

#[test]
fn a_hostile_model_spoils_nothing() {
    let hostile = "\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}\u{9b}31mx".repeat(4096);
    let piece = script::stream().text(&hostile).sent();
    let lines = script::stream().text(&"a\r\n\u{b}".repeat(5000)).sent();
    let server = by_model(move |model| match model {
        "long" => script::stream().flood(&piece, 12 << 20).finish("stop").done(),
        _ => script::stream().flood(&lines, 2 << 20).finish("stop").done(),
    });
    for model in ["long", "lines"] {
        let terminal = Pty::open();
        let agents = format!("{{a: {{model: mock/{model}, max_answer: 16 MiB}}}}");
        let ended =
            end(start(Crew::team(&server, &agents).args(&["-o", "text"]), &terminal), &terminal);
        assert_eq!(ended.status.code(), Some(0), "{}", terminal.screen(24, 80));
        let shown = terminal.shown();
        for escape in ["\u{1b}[2J", "\u{1b}]0", "\u{202e}", "\u{9b}", "\u{7}"] {
            assert!(!shown.contains(escape) && !ended.stdout.contains(escape), "{escape:?}");
        }
        assert!(terminal.screen(24, 80).contains("1 of 1 agent succeeded"));
    }
}
