//! `-o answer`: the crew's answer and nothing else.

use indoc::indoc;

use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script;

const YAML: &str = indoc! {"
    providers: {p: {base_url: '${URL}'}}
    agents:
      first: {model: p/first}
      last: {model: p/last, needs: [first]}
"};

fn server() -> ModelServer {
    ModelServer::start(|request| match request.model() {
        "data" => script::text("{\"n\": 1}"),
        model => script::text(&format!("from {model}")),
    })
}

#[test]
fn it_is_the_text_of_the_last_agent() {
    let server = server();
    let ended = Crew::new(YAML).env("URL", &server.base_url()).args(&["-o", "answer", "-q"]).run();
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(0), "from last\n"));
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_structured_answer_is_json() {
    let server = server();
    let yaml = indoc! {"
        providers: {p: {base_url: '${URL}'}}
        agents: {a: {model: p/data, output_schema: {type: object}}}
    "};
    let ended = Crew::new(yaml).env("URL", &server.base_url()).args(&["-o", "answer"]).run();
    assert_eq!(ended.json(), serde_json::json!({"n": 1}));
}

#[test]
fn several_possible_answers_are_a_usage_error() {
    let yaml = "agents: {a: {model: offline}, b: {model: offline}}\n";
    let ended = Crew::new(yaml).args(&["-o", "answer"]).run();
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.contains("output: AGENT"), "{}", ended.stderr);
    let named = Crew::new(format!("output: b\n{yaml}"));
    let ended = named.args(&["-o", "answer", "-a", "a"]).run();
    assert_eq!(ended.status.code(), Some(2));
    let reason = "\"b\", whose answer is the crew's, is not selected";
    assert!(ended.stderr.contains(reason), "{}", ended.stderr);
    let one = Crew::new(yaml).args(&["-o", "answer", "-a", "a"]).run();
    assert_eq!(one.status.code(), Some(0), "{}", one.stderr);
}

#[test]
fn a_failed_run_without_an_answer_prints_nothing() {
    let server = ModelServer::always(script::error(400, "no"));
    let ended = Crew::new(YAML).env("URL", &server.base_url()).args(&["-o", "answer"]).run();
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(1), ""));
}
