//! One agent with one HTTP tool, and the server of the tool.

use indoc::formatdoc;
use serde_json::Value;

use super::crew::{Crew, Ended};
use super::mock_model::{ModelServer, Request};
use super::script::{Script, whole};

pub const TEXT: [(&str, &str); 1] = [("content-type", "text/plain")];

/// The agent's model is `offline`, which calls the tool once.
pub fn yaml(tool: &str) -> String {
    let indented = tool.trim().replace('\n', "\n    ");
    formatdoc! {"
        tools:
          t:
            description: under test
            {indented}
        agents:
          a: {{model: offline, tools: [t]}}
    "}
}

pub fn crew(server: &ModelServer, tool: &str) -> Crew {
    Crew::new(yaml(tool)).env("URL", &server.origin())
}

#[track_caller]
pub fn call_of(ended: &Ended) -> Value {
    ended.report(0)["agents"]["a"]["tool_calls"][0].clone()
}

pub fn output(call: &Value) -> &str {
    call["output"].as_str().unwrap()
}

pub fn ok() -> Script {
    whole(200, &TEXT, "fine")
}

/// The only request that the server received.
#[track_caller]
pub fn one(server: &ModelServer) -> Request {
    let requests = server.requests();
    assert_eq!(requests.len(), 1, "{requests:#?}");
    requests[0].clone()
}
