//! What agents have in common (`defaults` for prompts, instructions and tools), and `system`.

use std::collections::BTreeMap;

use indoc::{formatdoc, indoc};
use serde_json::Value;

use crate::support::crew::Crew;
use crate::support::faults::expect_in;
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script;

/// The first request of each agent, each of which has a model of its name.
fn requests(yaml: &str) -> BTreeMap<String, Request> {
    let server = ModelServer::start(|request| match request.model() {
        "schema" => script::text(r#"{"a": 1}"#),
        _ => script::text("fine"),
    });
    let provider = "providers: {mock: {api: openai, base_url: '${URL}'}}\n";
    let crew = Crew::new(format!("{provider}{yaml}")).env("URL", &server.base_url());
    crew.run().report(0);
    server.requests().into_iter().map(|request| (request.model().to_owned(), request)).collect()
}

fn system(request: &Request) -> Option<&str> {
    request.contents("system").first().copied()
}

fn tools(request: &Request) -> Vec<&str> {
    let tools = request.body["tools"].as_array().into_iter().flatten();
    tools.map(|tool| tool["function"]["name"].as_str().unwrap()).collect()
}

#[test]
fn defaults_apply_to_agents_that_do_not_say_otherwise() {
    let found = requests(indoc! {"
        vars: {team: backend}
        defaults:
          prompt: 'For {{ vars.team }}: {{ input }}'
          instructions: 'Be brief, {{ vars.team }}.'
          tools: [one]
        tools: {one: {shell: 'true'}, two: {shell: 'true'}}
        agents:
          plain: {model: mock/plain}
          own: {model: mock/own, prompt: own, instructions: Own., role: R, tools: [two]}
          none: {model: mock/none, instructions: '', tools: []}
          role: {model: mock/role, role: R}
          whole: {model: mock/whole, system: 'All, {{ vars.team }}'}
    "});
    let prompt = |agent: &str| found[agent].contents("user")[0].to_owned();
    assert_eq!(prompt("plain"), "For backend: go");
    assert_eq!(prompt("own"), "own");
    let system = |agent: &str| system(&found[agent]);
    assert_eq!(system("plain"), Some("Instructions:\nBe brief, backend."));
    assert_eq!(system("own"), Some("Role: R\n\nInstructions:\nOwn."));
    assert_eq!(system("none"), None);
    assert_eq!(system("role"), Some("Role: R\n\nInstructions:\nBe brief, backend."));
    assert_eq!(system("whole"), Some("All, backend"));
    let tools = |agent: &str| tools(&found[agent]);
    assert_eq!((tools("plain"), tools("own"), tools("none")), (vec!["one"], vec!["two"], vec![]));
}

#[test]
fn system_is_the_whole_message_and_a_schema_is_described_below_it() {
    let found = requests(indoc! {"
        agents:
          schema:
            model: mock/schema
            system: |-
              # Title

              You review.
            output_schema: {type: object, properties: {a: {type: integer}}}
    "});
    let system = system(&found["schema"]).unwrap();
    let rest = system.strip_prefix("# Title\n\nYou review.\n\n").unwrap();
    assert!(rest.contains("integer"), "{system}");
}

#[test]
fn faults_of_system_and_defaults() {
    expect_in(
        indoc! {"
            agents:
              a: {system: x, role: y, instructions: z}
              b: {system: '{{ vars.x }}'}
        "},
        &[
            "agents.a.role 3:18 .. role is not allowed beside system",
            "agents.a.instructions 3:27 .. instructions is not allowed beside system",
            "agents.b.system 4:19 .. vars.x is not defined",
        ],
    );
    let yaml = formatdoc! {"
        tools: {{t: {{shell: 'true'}}}}
        agents:
          first: {{}}
          second: {{needs: [first]}}
          third: {{prompt: own, tools: [], instructions: own}}
        x-more: {{}}
    "};
    let with = |defaults: &str| yaml.replace("x-more: {}", defaults);
    let check = |defaults: &str| {
        let ended = Crew::new(with(defaults)).args(&["-o", "json"]).run();
        let report: Value = ended.report(2);
        let errors = report["errors"].as_array().unwrap().clone();
        let text = |error: &Value| format!("{} {}", error["path"], error["message"]);
        errors.iter().map(text).collect::<Vec<_>>()
    };
    let found = check("defaults: {model: offline, prompt: '{{ agents.first.output }}'}");
    assert!(found.len() == 1 && found[0].contains("defaults.prompt"), "{found:#?}");
    let found = check("defaults: {model: offline, tools: [t, no], instructions: '{{ nope }}'}");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("defaults.tools[1]") && found[1].contains("defaults.instructions"));
}
