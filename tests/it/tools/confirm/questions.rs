//! What a question and `crew check` show of a tool that needs confirmation.

use indoc::indoc;

use super::common::{ASKED, in_turns, statuses};
use crate::support::crew::Crew;
use crate::support::faults::expect_in;
use crate::support::pty::Pty;

/// What a question shows before the prompt.
fn asked(yaml: &str, env: &[(&str, &str)]) -> String {
    let terminal = Pty::with_columns(200);
    let running = terminal.start(Crew::new(yaml).envs(env)).start();
    terminal.wait_for(ASKED, 1);
    terminal.type_in("n\n");
    running.wait();
    terminal.shown().replace('\r', "")
}

#[test]
fn a_question_shows_what_will_run() {
    let shown = asked(
        indoc! {"
            tools:
              restart:
                description: x
                command: [systemctl, restart, '{{ name }}']
                cwd: /tmp
                sandbox: {read: [/usr], network: none, if_unsupported: warn}
                confirm: true
                parameters: {name: {type: string, default: \"a b'c\\n\"}}
            agents: {a: {model: offline, tools: [restart]}}
        "},
        &[],
    );
    let expected = indoc! {r#"
        a wants to run restart:
          | command: systemctl restart 'a b'\''c\u{a}'
          | cwd: /tmp
          | sandbox: no network, reads /usr
          | "name": "a b'c\n"
    "#};
    assert!(shown.starts_with(expected), "{shown}");
    let shown = asked(
        indoc! {"
            tools:
              ticket:
                description: x
                http:
                  url: 'http://127.0.0.1:9/t/{{ id }}'
                  query: {key: '${API_TOKEN}'}
                  headers: {authorization: 'Bearer ${API_TOKEN}'}
                  body: {state: closed}
                confirm: true
                parameters: {id: {type: integer, default: 7}}
            agents: {a: {model: offline, tools: [ticket]}}
        "},
        &[("API_TOKEN", "s3cret-0123456789")],
    );
    let expected = indoc! {r#"
        a wants to run ticket:
          | http: POST http://127.0.0.1:9/t/7?key=[redacted]
          | body: {"state":"closed"}
          | "id": 7
    "#};
    assert!(shown.starts_with(expected), "{shown}");
}

#[test]
fn a_question_about_a_step_shows_its_command() {
    let yaml = "agents: {push: {command: [git, push, '{{ input }}'], confirm: true}}";
    let shown = asked(yaml, &[]);
    let expected = "push wants to run git:\n  | command: git push go\n  | sandbox: none\n[y]es";
    assert!(shown.starts_with(expected), "{shown}");
}

#[test]
fn model_text_is_escaped_in_questions() {
    let terminal = Pty::open();
    let hostile = format!(
        "\u{1b}[2J\u{202e}{}\r\nevery call of write{ASKED}a to run write? {}; rm -rf ~",
        " ".repeat(100),
        "x".repeat(3000)
    );
    let (_server, crew) = in_turns(&[&hostile]);
    let running = terminal.start(crew.args(&["-q"])).start();
    terminal.wait_for("\nAllow a to run write? ", 1);
    let shown = terminal.shown();
    assert!(shown.contains("\"\\u001b[2J\\u{202e}  "), "{shown}");
    assert_eq!(shown.matches("\nAllow a to run").count(), 1, "{shown}");
    assert!(shown.contains("; rm -rf ~\"\r\n"), "{shown}");
    assert!(shown.contains(" characters left out …]\r\n"), "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
    terminal.type_in("n\n");
    running.wait().report(0);
}

#[test]
fn check_shows_which_tools_need_confirmation() {
    let yaml = indoc! {"
        tools:
          asks: {description: x, command: [id], confirm: true}
          web: {description: x, confirm: true, http: {url: 'https://example.com'}}
          free: {description: x, command: [id]}
        agents: {a: {model: offline, tools: [asks, web, free]}}
    "};
    let shown = Crew::check(yaml).env("COLUMNS", "200").run_as_is().stdout;
    for (tool, asks) in [("asks", "yes"), ("web", "yes"), ("free", "no")] {
        let line = shown.lines().find(|line| line.trim_start().starts_with(tool));
        assert!(line.unwrap_or_default().trim_end().ends_with(asks), "{shown}");
    }
    expect_in(
        "tools: {t: {description: x, command: [id], confirm: maybe}}\n",
        &["tools.t.confirm 2:53 .. true"],
    );
}

#[test]
fn the_example_of_the_docs_works() {
    let page = include_str!("../../../../docs/tools.md");
    let mut blocks = page.split("```yaml fragment\n");
    let example = blocks.find(|block| block.contains("    confirm: true")).unwrap();
    let (example, rest) = example.split_once("```").unwrap();
    let question = rest.split("```text\n").nth(1).unwrap().split("\n```").next().unwrap();
    let terminal = Pty::open();
    let agents = "agents: {services: {model: offline, tools: [restart]}}\n";
    let running = terminal.start(Crew::new(format!("{example}{agents}"))).start();
    terminal.wait_for(ASKED, 1);
    terminal.type_in("n\n");
    assert_eq!(statuses(&running.wait().report(0), "services"), ["rejected"]);
    assert!(terminal.shown().replace('\r', "").starts_with(question), "{}", terminal.shown());
}
