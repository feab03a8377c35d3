//! Proxies that the environment names, as desktops and company networks set them.

use crate::support::crew::{Crew, Ended};
use crate::support::mock_model::ModelServer;
use crate::support::script::{text, whole};
use indoc::indoc;

/// Not listening.
const SOCKS: &str = "socks5://127.0.0.1:9";

fn run(scheme: &str, variables: &[(&str, &str)]) -> Ended {
    let yaml = indoc! {"
        providers: {p: {base_url: '${SCHEME}://models.invalid/v1'}}
        agents: {a: {model: p/m, retries: 0}}
    "};
    Crew::new(yaml).env("SCHEME", scheme).envs(variables).run()
}

#[test]
fn all_proxy_does_not_matter_beside_the_proxy_of_the_scheme() {
    let proxy = ModelServer::always(text("through the proxy"));
    let address = proxy.origin();
    for name in ["http_proxy", "HTTP_PROXY"] {
        let report = run("http", &[(name, &address), ("all_proxy", SOCKS)]).report(0);
        assert_eq!(report["agents"]["a"]["output"], "through the proxy", "{name}");
    }
    assert_eq!(proxy.requests()[0].path, "http://models.invalid/v1/chat/completions");

    run("https", &[("https_proxy", &address), ("all_proxy", SOCKS)]).report(1);
    let request = proxy.requests().pop().unwrap();
    assert_eq!((&*request.method, &*request.path), ("CONNECT", "models.invalid:443"));
}

#[test]
fn an_unsupported_proxy_is_an_error_only_where_it_applies() {
    let ended = run("http", &[("ALL_PROXY", SOCKS)]);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    for word in ["ALL_PROXY", "NO_PROXY", "models.invalid"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
    // The name does not exist, so the call fails, but not because of the proxy.
    for exception in ["*", ".invalid", "*.invalid", "models.invalid:80"] {
        let report = run("http", &[("ALL_PROXY", SOCKS), ("NO_PROXY", exception)]).report(1);
        assert_eq!(report["agents"]["a"]["error"]["kind"], "network", "{exception}");
    }
}

#[test]
fn a_proxy_that_refuses_is_named() {
    for scheme in ["http", "https"] {
        let refusal = whole(407, &[("proxy-authenticate", "Basic realm=\"proxy\"")], "");
        let proxy = ModelServer::always(refusal);
        let name = format!("{scheme}_proxy");
        let ended = run(scheme, &[(&name, &proxy.origin())]);
        let error = ended.report(1)["agents"]["a"]["error"].clone();
        assert_eq!(error["kind"], "network", "{error}");
        let message = error["message"].as_str().unwrap();
        for words in ["roxy", &proxy.address().to_string(), &name, "NO_PROXY"] {
            assert!(message.contains(words), "{words}: {message}");
        }
        assert!(!ended.stderr.contains("check the model name"), "{}", ended.stderr);
    }
}

#[test]
fn a_dead_proxy_is_named() {
    for scheme in ["http", "https"] {
        let name = format!("{scheme}_proxy");
        let report = run(scheme, &[(&name, "http://u:hunter2@127.0.0.1:9")]).report(1);
        let message = report["agents"]["a"]["error"]["message"].as_str().unwrap();
        for words in ["models.invalid", "connection refused", "127.0.0.1:9", &name, "NO_PROXY"] {
            assert!(message.contains(words), "{words}: {message}");
        }
        assert!(!message.contains("hunter2"), "{message}");
    }
}
