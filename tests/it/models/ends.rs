//! Ends of answers, beside those in the table of protocols.

use crate::support::api::Api;
use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script::stream;
use indoc::formatdoc;
use nix::sys::signal::Signal;
use serde_json::Value;

fn crew(api: Api, server: &ModelServer) -> Crew {
    let yaml = formatdoc! {"
        providers:
          mock: {{api: {}, base_url: '${{URL}}'}}
        agents:
          a: {{model: mock/m}}
    ", api.name()};
    Crew::new(&yaml).env("URL", &api.base_url(server))
}

fn agent(report: &Value) -> &Value {
    &report["agents"]["a"]
}

#[test]
fn reasons_of_another_vendor_are_understood() {
    for (reason, expected) in [("end_turn", "stop"), ("MAX_TOKENS", "length"), ("STOP", "stop")] {
        let answer = stream().text("fine").finish(reason).done();
        let report = crew(Api::OpenAi, &ModelServer::always(answer)).run().report(0);
        assert_eq!(agent(&report)["finish_reason"], expected);
        assert_eq!(agent(&report).get("notes"), None, "{reason}");
    }
}

#[test]
fn an_interrupt_during_a_retry_keeps_the_text() {
    for api in Api::ALL {
        let cut = api.begin("so far").cut();
        let server = ModelServer::sequence([cut, api.begin("").stall()]);
        let running = crew(api, &server).start();
        server.wait_for("the second attempt", |state| state.requests.len() == 2);
        running.signal(Signal::SIGINT);
        let report = running.wait().json();
        assert_eq!(agent(&report)["output"], "so far", "{api:?}");
        assert_eq!(agent(&report)["partial"], true, "{api:?}");
    }
}
