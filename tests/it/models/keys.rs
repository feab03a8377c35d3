//! API keys that a command prints.

use std::os::unix::fs::PermissionsExt;

use crate::support::api::Api;
use crate::support::crew::Crew;
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script;
use indoc::formatdoc;

/// A crew of three agents, one after another, whose key comes from a script beside its file. The
/// script appends a line to `runs`.
fn crew(api: Api, server: &ModelServer, script: &str) -> Crew {
    let yaml = formatdoc! {"
        providers:
          mock: {{api: {}, base_url: '${{URL}}', api_key_command: [./key, 'an argument']}}
        defaults: {{model: mock/m, retries: 0}}
        agents: {{a: {{}}, b: {{needs: [a]}}, c: {{needs: [b]}}}}
    ", api.name()};
    let crew = Crew::new(&yaml).env("URL", &api.base_url(server)).env("TOKEN_SOURCE", "vault");
    let path = crew.path("key");
    let runs = crew.path("runs");
    let script = format!("#!/bin/sh\necho \"$1\" >> '{}'\n{script}\n", runs.display());
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    crew
}

fn runs(ended: &crate::support::crew::Ended) -> usize {
    std::fs::read_to_string(ended.path().join("runs")).unwrap_or_default().lines().count()
}

fn key_of(api: Api, request: &Request) -> String {
    request.header(api.key_headers()[0]).unwrap_or_default().to_owned()
}

#[test]
fn a_command_prints_the_key_once_for_all_agents() {
    for api in Api::ALL {
        let server = ModelServer::always(api.text("the key is vault-0123456789"));
        let script = "echo 'a warning' >&2; echo \"$TOKEN_SOURCE-0123456789\"";
        let ended = crew(api, &server, script).run();
        let report = ended.report(0);
        assert_eq!(report["agents"]["c"]["output"], "the key is [redacted]", "{api:?}");
        assert!(!ended.stderr.contains("vault-"), "{}", ended.stderr);
        let keys: Vec<String> = server.requests().iter().map(|r| key_of(api, r)).collect();
        assert!(keys.len() == 3 && keys.iter().all(|key| key.ends_with("vault-0123456789")));
        assert_eq!(runs(&ended), 1, "{api:?}");
    }
}

#[test]
fn a_rejected_key_is_replaced_once() {
    let api = Api::OpenAi;
    for (good, code, expected) in [("fresh-key-2", 0, 4), ("never-key-0", 1, 2)] {
        let server =
            ModelServer::start(move |request| match key_of(api, request).ends_with(good) {
                true => api.text("fine"),
                false => api.error(401, "invalid_api_key", "the token has expired"),
            });
        let ended = crew(api, &server, "echo \"fresh-key-$(wc -l < runs | tr -d ' ')\"").run();
        let report = ended.report(code);
        assert_eq!(server.requests().len(), expected, "{report:#}");
        assert_eq!(runs(&ended), 2);
        if code == 1 {
            assert_eq!(report["agents"]["a"]["error"]["kind"], "auth");
            assert!(ended.stderr.contains("api_key_command"), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_key_that_is_about_to_expire_is_replaced() {
    let api = Api::Anthropic;
    let server = ModelServer::always(api.text("fine"));
    // The claims are {"exp":5}.
    let ended = crew(api, &server, "echo eyJhbGciOiJub25lIn0.eyJleHAiOjV9.c2ln").run();
    ended.report(0);
    assert_eq!(runs(&ended), 3);
}

#[test]
fn a_command_that_fails_says_why() {
    let api = Api::OpenAi;
    let server = ModelServer::always(script::text("fine"));
    for (script, words) in [
        ("echo 'please log in' >&2; exit 3", "please log in"),
        ("true", "printed no key"),
        ("echo one; echo two", "printed no key, or more than a key"),
    ] {
        let report = crew(api, &server, script).run().report(1);
        let error = &report["agents"]["a"]["error"];
        assert_eq!(error["kind"], "auth", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words) && message.contains("./key"), "{message}");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_command_ends_with_its_run() {
    let server = ModelServer::always(script::text("fine"));
    let crew = crew(Api::OpenAi, &server, "sleep 600");
    let ended = crew.args(&["-t", "500ms"]).run();
    assert_eq!(ended.report(124)["status"], "timed_out");
    assert!(ended.took.as_secs() < 10, "{:?}", ended.took);
}
