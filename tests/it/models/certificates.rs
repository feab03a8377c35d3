//! A server whose certificate is not among those of the system.

use indoc::formatdoc;
use serde_json::{Value, json};

use crate::support::crew::{Crew, Ended};
use crate::support::mock_model::ModelServer;
use crate::support::script;
use crate::support::tls::{CERTIFICATE, response, serve};

/// A crew whose model is behind TLS, at this host.
fn crew(host: &str) -> Crew {
    let chunk = json!({"choices": [{"index": 0, "delta": {"content": "over TLS"},
        "finish_reason": "stop"}]});
    let body = format!("data: {chunk}\n\ndata: [DONE]\n\n");
    let port = serve(response("200 OK", "text/event-stream", &body)).port();
    Crew::new(formatdoc! {"
        providers: {{mock: {{base_url: 'https://{host}:{port}/v1'}}}}
        agents: {{a: {{model: mock/m, retries: 2}}}}
    "})
}

/// Runs the crew with a file of certificates.
fn with_bundle(crew: Crew, bundle: &str) -> Ended {
    let file = crew.path("bundle.pem");
    std::fs::write(&file, bundle).unwrap();
    crew.env("SSL_CERT_FILE", file.to_str().unwrap()).run()
}

fn assert_named(message: &str) {
    for words in ["certificate", "if you trust the server", "SSL_CERT_FILE"] {
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_named_and_not_retried() {
    // Signed by nobody known, and made for other names.
    for ended in [crew("127.0.0.1").run(), with_bundle(crew("localhost"), CERTIFICATE)] {
        let agent = ended.report(1)["agents"]["a"].clone();
        let error = &agent["error"];
        assert_eq!((&error["kind"], &agent["retries"]), (&json!("network"), &json!(0)), "{error}");
        assert_named(error["message"].as_str().unwrap());
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_named_by_tools_and_mcp_servers() {
    let port = serve(response("200 OK", "text/plain", "hello")).port();
    let model = ModelServer::sequence([
        script::tool_call("web", &Value::Object(serde_json::Map::new())),
        script::text("done"),
    ]);
    let report = Crew::new(formatdoc! {"
        providers: {{mock: {{base_url: '{}'}}}}
        limits: {{on_failure: continue}}
        tools: {{web: {{description: x, http: {{url: 'https://127.0.0.1:{port}/x'}}}}}}
        mcp_servers: {{files: {{url: 'https://127.0.0.1:{port}/mcp'}}}}
        agents:
          a: {{model: mock/m, tools: [web]}}
          b: {{model: offline, tools: [files], needs: {{a: done}}}}
    ", model.base_url()})
    .run()
    .report(1);
    assert_named(report["agents"]["a"]["tool_calls"][0]["output"].as_str().unwrap());
    assert_named(report["agents"]["b"]["error"]["message"].as_str().unwrap());
}

#[test]
fn a_bundle_in_the_environment_makes_a_certificate_trusted() {
    let report = with_bundle(crew("127.0.0.1"), CERTIFICATE).report(0);
    assert_eq!(report["agents"]["a"]["output"], "over TLS");
}

#[test]
fn a_bundle_without_certificates_is_named() {
    let missing = crew("127.0.0.1").env("SSL_CERT_FILE", "/no/such/bundle.pem").run();
    let empty = with_bundle(crew("127.0.0.1"), "");
    for (ended, name) in [(missing, "/no/such/bundle.pem"), (empty, "bundle.pem")] {
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        let words = "correct or unset SSL_CERT_FILE";
        assert!(ended.stderr.contains(words) && ended.stderr.contains(name), "{}", ended.stderr);
    }
}
