//! Every protocol passes the same table of behaviors, through the whole program.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use indoc::formatdoc;
use serde_json::Value;

use super::wire::Wire;
use super::{anthropic, failures, gemini, openai, responses, work};
use crate::support::crew::{Crew, Ended};
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::Script;

/// Pairs of a protocol and a behavior that run side by side: most of the time they wait.
const SIDE_BY_SIDE: usize = 6;

const KEY: &str = "secret-test-0123456789abcdef";

type Behavior = fn(&Wire);

const BEHAVIORS: [(&str, Behavior); 22] = [
    ("text", work::text),
    ("tools in parallel", work::tools_in_parallel),
    ("reasoning carried back", work::reasoning_carried_back),
    ("usage", work::usage),
    ("cache", work::cache),
    ("effort", work::effort),
    ("attachments", work::attachments),
    ("images of tools", work::images_of_tools),
    ("structured answer", work::structured_answer),
    ("stop reasons", failures::stop_reasons),
    ("refusals of settings", failures::refusals_of_settings),
    ("one of two settings", failures::one_of_two_settings),
    ("limits of output", failures::limits_of_output),
    ("rejections of efforts", failures::rejections_of_efforts),
    ("rejections", failures::rejections),
    ("too long a context", failures::too_long_a_context),
    ("mistakes of the model", failures::mistakes_of_the_model),
    ("rate limits", failures::rate_limits),
    ("mid-stream errors", failures::mid_stream_errors),
    ("cut streams", failures::cut_streams),
    ("hostile bytes", failures::hostile_bytes),
    ("answers without an end", failures::answers_without_an_end),
];

#[test]
fn every_protocol_passes_every_behavior() {
    let wires = [openai::wire(), responses::wire(), anthropic::wire(), gemini::wire()];
    let pairs = wires.iter().flat_map(|wire| BEHAVIORS.map(|(name, passes)| (wire, name, passes)));
    let pairs = Mutex::new(pairs.collect::<Vec<_>>());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let Some((wire, name, passes)) = pairs.lock().unwrap().pop() else { break };
                    if catch_unwind(AssertUnwindSafe(|| passes(wire))).is_err() {
                        failed.lock().unwrap().push(format!("{:?}: {name}", wire.api));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "see above: {failed:#?}");
}

impl Wire {
    /// A crew of the agent `a` with these keys; `top` follows at the top of the file.
    pub fn crew(&self, server: &ModelServer, agent: &str, top: &str) -> Crew {
        let yaml = formatdoc! {"
            providers:
              mock: {{api: {}, base_url: '${{URL}}', api_key_env: MOCK_KEY}}
            tools:
              t:
                description: echoes n
                command: [echo, 'n={{{{ n }}}}']
                parameters: {{n: {{type: integer, default: 0}}}}
            agents:
              a: {{model: mock/m, {agent}}}
            {top}
        ", self.api.name()};
        Crew::new(&yaml).env("URL", &self.api.base_url(server)).env("MOCK_KEY", KEY)
    }

    /// What becomes of the agent `a`, and how crew ended.
    pub fn run(&self, server: &ModelServer, agent: &str) -> (Value, Ended) {
        let ended = self.crew(server, agent, "").run();
        assert!(!ended.stdout.contains(KEY) && !ended.stderr.contains(KEY), "{}", ended.stderr);
        (ended.json()["agents"]["a"].clone(), ended)
    }

    /// The agent `a` whose server sends these answers, the last one again and again.
    pub fn ask(&self, answers: impl IntoIterator<Item = Script>, agent: &str) -> Value {
        self.run(&ModelServer::sequence(answers), agent).0
    }

    /// The conversation in a request.
    pub fn conversation(&self, request: &Request) -> Vec<Value> {
        request.body.pointer(self.conversation).and_then(Value::as_array).unwrap().clone()
    }

    /// Whether a request carries the key in the header of the protocol only.
    pub fn has_key_in_its_place(&self, request: &Request) -> bool {
        let [own, others @ ..] = self.api.key_headers();
        request.header(own).is_some_and(|value| value.ends_with(KEY))
            && others.iter().all(|name| request.header(name).is_none())
            && !request.path.contains(KEY)
    }
}
