//! Crews with a tool that needs confirmation, and what became of its calls.

use indoc::formatdoc;
use serde_json::{Value, json};

use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script::{text, tool_call};

pub const ASKED: &str = ": [a]lways, ne[v]er\r\nAllow ";

/// Agents with the model `offline`, which calls each of their tools once. `write` needs
/// confirmation and appends its calls to a file; `free` needs none.
pub fn crew(agents: &str) -> Crew {
    crew_of(&format!("defaults: {{model: offline}}\nagents: {{{agents}}}\n"))
}

pub fn crew_of(rest: &str) -> Crew {
    Crew::new(formatdoc! {r#"
        tools:
          write:
            description: x
            confirm: true
            env: [DIR, WAIT]
            shell: |
              echo "$what" >> "$DIR/written"
              [ -z "$WAIT" ] || until [ -e "$DIR/$what" ]; do sleep 0.01; done
            parameters: {{what: {{type: string, default: something}}}}
          free: {{description: x, env: [DIR], shell: 'echo > "$DIR/free"'}}
        {rest}"#})
}

/// An agent whose model calls `write` with one of these in each turn, and then answers.
pub fn in_turns(calls: &[&str]) -> (ModelServer, Crew) {
    let calls = calls.iter().map(|what| tool_call("write", &json!({"what": what})));
    let server = ModelServer::sequence(calls.chain([text("answered")]).collect::<Vec<_>>());
    let crew = crew_of(&formatdoc! {"
        providers:
          mock: {{api: openai, base_url: '{}'}}
        agents: {{a: {{model: mock/m, tools: [write]}}}}
    ", server.base_url()});
    (server, crew)
}

pub fn calls<'r>(report: &'r Value, agent: &str) -> &'r Vec<Value> {
    report["agents"][agent]["tool_calls"].as_array().unwrap()
}

pub fn statuses<'r>(report: &'r Value, agent: &str) -> Vec<&'r str> {
    calls(report, agent).iter().map(|call| call["status"].as_str().unwrap()).collect()
}

pub fn written(folder: &std::path::Path) -> String {
    std::fs::read_to_string(folder.join("written")).unwrap_or_default()
}
