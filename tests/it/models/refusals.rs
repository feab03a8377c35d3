//! The scope of a rejection: one call, one model, or the whole endpoint, in every protocol.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::api::{self, Api};
use crate::support::crew::Crew;
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::{self, Script};
use crate::support::tls;
use indoc::formatdoc;
use serde_json::{Value, json};

/// A crew of these agents that goes on if one of them fails.
fn crew(api: Api, server: &ModelServer, agents: &str) -> Crew {
    let yaml = formatdoc! {"
        providers:
          mock: {{api: {}, base_url: '${{URL}}'}}
        limits: {{on_failure: continue}}
        tools:
          wait: {{description: x, shell: sleep 0.2}}
        agents:
        {agents}
    ", api.name()};
    Crew::new(&yaml).env("URL", &api.base_url(server))
}

/// The model that a request is for; Gemini's protocol names it in the path.
fn model(request: &Request) -> String {
    let in_path = request.path.split("/models/").nth(1).and_then(|rest| rest.split(':').next());
    in_path.unwrap_or_else(|| request.model()).to_owned()
}

fn asked(server: &ModelServer) -> Vec<String> {
    server.requests().iter().map(model).collect()
}

/// Rejects these models and answers for all others.
fn rejecting(api: Api, models: &'static [&'static str], rejection: Script) -> ModelServer {
    ModelServer::start(move |request| match models.contains(&&*model(request)) {
        true => rejection.clone(),
        false => api.text("answered"),
    })
}

fn message(report: &Value, agent: &str) -> String {
    report["agents"][agent]["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_denied_model_leaves_the_others_alone() {
    for api in Api::ALL {
        for rejection in [
            api.error(401, "no_access", "this key has no access to denied"),
            api.error(402, "no_credit", "not enough credit for so many tokens"),
            api.error(403, "no_access", "no"),
        ] {
            let server = rejecting(api, &["denied"], rejection);
            let agents = [
                "  a: {model: mock/denied}",
                "  b: {model: mock/denied, needs: [c]}",
                "  c: {model: [mock/denied, mock/other]}",
                "  d: {model: mock/third, needs: [c]}",
            ];
            let report = crew(api, &server, &agents.join("\n")).run().report(1);
            assert_eq!(report["agents"]["c"]["output"], "answered", "{api:?}");
            assert_eq!(report["agents"]["d"]["output"], "answered", "{api:?}");
            for agent in ["a", "b"] {
                assert!(message(&report, agent).contains("denied"), "{report:#}");
            }
            assert!(message(&report, "b").starts_with("skipped: an earlier call failed with"));
            assert_eq!(report["agents"]["b"]["usage"]["model_calls"], 0);
        }
    }
}

#[test]
fn a_second_denied_model_stops_the_endpoint_but_no_list() {
    for api in Api::ALL {
        let server = rejecting(api, &["one", "two"], api.error(403, "no_access", "no"));
        let agents = [
            "  a: {model: mock/one}",
            "  b: {model: mock/two, needs: []}",
            "  listed: {model: [mock/one, mock/two, mock/three]}",
            "  c: {model: mock/four, needs: [listed]}",
        ];
        let report = crew(api, &server, &agents.join("\n")).run().report(1);
        assert_eq!(report["agents"]["listed"]["output"], "answered", "{api:?}: {report:#}");
        assert!(message(&report, "c").starts_with("skipped: "), "{report:#}");
        assert!(!asked(&server).contains(&"four".to_owned()), "{api:?}");
    }
}

#[test]
fn a_rejected_key_stops_the_endpoint_but_no_list() {
    for api in Api::ALL {
        let server = rejecting(api, &["one"], api.error(401, "invalid_api_key", "invalid key"));
        let agents = "  a: {model: mock/one}\n  b: {model: [mock/one, mock/two]}\n  \
                      c: {model: mock/three, needs: [b]}";
        let report = crew(api, &server, agents).run().report(1);
        assert_eq!(report["agents"]["b"]["output"], "answered", "{api:?}");
        assert!(message(&report, "c").contains("(model one)"), "{report:#}");
        assert!(!asked(&server).contains(&"three".to_owned()), "{api:?}");
    }
}

/// Rejects the first call of each model in the list with this script.
fn rejecting_once(api: Api, models: &'static [&'static str], rejection: Script) -> ModelServer {
    let seen: Vec<AtomicBool> = models.iter().map(|_| AtomicBool::new(false)).collect();
    ModelServer::start(move |request| {
        let at = models.iter().position(|one| *one == model(request));
        match at.is_some_and(|at| !seen[at].swap(true, Ordering::Relaxed)) {
            true => rejection.clone(),
            false => api.text("answered"),
        }
    })
}

/// How long after the first request the last one for this model arrived.
fn wait_of(server: &ModelServer, name: &str) -> Duration {
    let requests = server.requests();
    let last = requests.iter().rev().find(|request| model(request) == name).unwrap();
    last.arrived - requests[0].arrived
}

const PAUSE: Duration = Duration::from_secs(2);

#[test]
fn a_rate_limit_of_one_model_pauses_that_model() {
    for api in Api::ALL {
        let server =
            rejecting_once(api, &["busy"], api::retry_after(api, 429, "rate_limit_error", "2"));
        let agents = "  a: {model: mock/busy}\n  b: {model: offline, tools: [wait]}\n  \
                      c: {model: mock/calm, needs: [b]}\n  d: {model: mock/busy, needs: [b]}";
        crew(api, &server, agents).run().report(0);
        assert!(wait_of(&server, "busy") >= PAUSE, "{api:?}");
        assert!(wait_of(&server, "calm") < PAUSE, "{api:?}");
        assert_eq!(server.requests().len(), 4, "{api:?}: d waits as well");
    }
}

#[test]
fn a_second_limited_model_or_a_limit_of_the_account_pauses_the_endpoint() {
    let headers = [("retry-after", "2"), ("x-ratelimit-scope", "organization")];
    let said = json!({"error": {"message": "limit of your organization, try again in 2s"}});
    for (name, models, rejection) in [
        ("two models", &["busy", "other"][..], script::retry_after(429, "2")),
        ("words", &["busy"], script::json_body(429, &said)),
        ("headers", &["busy"], script::whole(429, &headers, "")),
    ] {
        let server = rejecting_once(Api::OpenAi, models, rejection);
        let agents = "  a: {model: mock/busy}\n  b: {model: offline, tools: [wait]}\n  \
                      x: {model: mock/other}\n  c: {model: mock/calm, needs: [b]}";
        crew(Api::OpenAi, &server, agents).run().report(0);
        assert!(wait_of(&server, "calm") >= PAUSE, "{name}");
    }
}

/// The words of vendors about credit or quota that is used up, from public reports:
/// <https://platform.openai.com/docs/guides/error-codes>,
/// <https://platform.claude.com/docs/en/api/errors>,
/// <https://github.com/dyad-sh/dyad/issues/3626> (Gemini),
/// <https://ai.google.dev/gemini-api/docs/rate-limits>,
/// <https://github.com/QwenLM/qwen-code/issues/73>,
/// <https://github.com/RooCodeInc/Roo-Code/issues/515> and
/// <https://github.com/cline/cline/issues/5301> (OpenRouter),
/// <https://api-docs.deepseek.com/quick_start/error_codes>.
fn used_up() -> Vec<(Api, u16, Value)> {
    let error = |message: &str, code: Value| json!({"error": {"message": message, "code": code}});
    let claude = |message: &str, kind: &str| {
        json!({"type": "error", "error":
        {"type": kind, "message": message}})
    };
    let google = |message: &str, details: Value| {
        json!({"error": {"code": 429,
        "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}})
    };
    let a_day = json!([{"@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]);
    let quota = "You exceeded your current quota, please check your plan and billing details.";
    vec![
        (Api::OpenAi, 429, error(quota, "insufficient_quota".into())),
        (Api::Responses, 429, error(quota, "insufficient_quota".into())),
        (Api::OpenAi, 400, error("Billing hard limit", "billing_hard_limit_reached".into())),
        (
            Api::Anthropic,
            400,
            claude("Your credit balance is too low to access the API.", "invalid_request_error"),
        ),
        (Api::Anthropic, 402, claude("no", "billing_error")),
        (Api::Gemini, 429, google("Your prepayment credits are depleted.", json!([]))),
        (Api::Gemini, 429, google(quota, a_day)),
        (Api::OpenAi, 402, error("This request requires more credits", 402.into())),
        (Api::OpenAi, 403, error("Key limit exceeded. Manage it using …", 403.into())),
        (
            Api::OpenAi,
            429,
            error("Rate limit exceeded: free-models-per-day. Add 10 credits", 429.into()),
        ),
        (Api::OpenAi, 402, error("Insufficient Balance", "invalid_request_error".into())),
    ]
}

#[test]
fn used_up_credit_is_not_retried_and_the_advice_says_what_helps() {
    for (api, status, body) in used_up() {
        let server = rejecting(api, &["paid"], script::json_body(status, &body));
        let agents = "  a: {model: mock/paid}\n  b: {model: [mock/paid, mock/free]}";
        let ended = crew(api, &server, agents).run();
        let report = ended.report(1);
        assert!(asked(&server).iter().filter(|model| *model == "paid").count() <= 2, "{body}");
        assert_eq!(report["agents"]["b"]["output"], "answered", "{body}");
        let [own, other] =
            [&report["agents"]["a"]["error"], &report["agents"]["b"]["fallbacks"][0]["error"]];
        for error in [own, other] {
            assert_eq!((&error["kind"], &error["used_up"]), (&"rate_limited".into(), &true.into()));
        }
        let advice = "retrying does not help: add credit with provider `mock`, or list another \
                      model under `model`";
        let words = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(advice), "{body}: {words}");
    }
    // The same inside a stream, and at a vendor whose address crew knows.
    let error = json!({"error": {"message": "Insufficient credits", "code": 402}});
    let server = ModelServer::always(Api::OpenAi.begin("so far").event(&error));
    let crew = Crew::new("agents: {a: {model: openai/m}}").env("OPENAI_API_KEY", "k-0123456789");
    let ended = crew.env("OPENAI_BASE_URL", &server.base_url()).run();
    let agent = &ended.report(1)["agents"]["a"];
    assert_eq!((&agent["error"]["used_up"], &agent["output"]), (&true.into(), &"so far".into()));
    assert_eq!(server.requests().len(), 1);
    assert!(ended.stderr.contains("https://platform.openai.com/"), "{}", ended.stderr);
    // A limit that time lifts is none of these.
    let server = ModelServer::always(api::retry_after(Api::OpenAi, 429, "rate_limit", "0"));
    let report = self::crew(Api::OpenAi, &server, "  a: {model: mock/m, retries: 1}").run();
    assert_eq!(report.report(1)["agents"]["a"]["error"].get("used_up"), None);
}

/// Of the vendors whose address a variable can replace.
#[test]
fn the_advice_on_credit_names_the_page_of_the_vendor() {
    let openai = ("openai", "OPENAI_API_KEY", "OPENAI_BASE_URL");
    let openai_page = "https://platform.openai.com/settings/organization/billing";
    for (api, (vendor, key, address), page) in [
        (Api::OpenAi, openai, openai_page),
        (Api::Responses, openai, openai_page),
        (
            Api::Anthropic,
            ("anthropic", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
            "https://platform.claude.com/settings/billing",
        ),
        (
            Api::Gemini,
            ("gemini", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"),
            "https://ai.studio/projects",
        ),
    ] {
        let server = ModelServer::always(api.error(402, "billing_error", "no credit"));
        let yaml = formatdoc! {"
            providers: {{{vendor}: {{api: {}}}}}
            agents: {{a: {{model: {vendor}/m}}}}
        ", api.name()};
        let crew = Crew::new(yaml).env(key, "k-0123456789").env(address, &api.base_url(&server));
        let ended = crew.run();
        assert_eq!(ended.report(1)["agents"]["a"]["error"]["used_up"], true, "{vendor}");
        let words = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&format!("add credit at {page}, or")), "{vendor}: {words}");
    }
}

/// Its address is fixed, so the run reaches it through a proxy that answers in its place. The words:
/// <https://github.com/Gitlawb/openclaude/issues/1125>.
#[test]
fn the_advice_on_credit_names_the_page_of_openrouter() {
    let message = "This request requires more credits, or fewer max_tokens. You requested up to \
                   32000 tokens, but can only afford 27342. To increase, visit \
                   https://openrouter.ai/settings/credits and upgrade to a paid account";
    let body = json!({"error": {"message": message, "code": 402,
        "metadata": {"provider_name": null}}, "user_id": "user_1"});
    let refusal = tls::response("402 Payment Required", "application/json", &body.to_string());
    let proxy = format!("http://{}", tls::serve(refusal));
    let crew = Crew::new("agents: {a: {model: openrouter/vendor/big}}");
    let bundle = crew.path("bundle.pem");
    std::fs::write(&bundle, tls::CERTIFICATE).unwrap();
    let ended = crew
        .env("OPENROUTER_API_KEY", "k-0123456789")
        .env("https_proxy", &proxy)
        .env("SSL_CERT_FILE", bundle.to_str().unwrap())
        .run();
    let error = ended.report(1)["agents"]["a"]["error"].clone();
    assert_eq!((&error["kind"], &error["used_up"]), (&"rate_limited".into(), &true.into()));
    assert!(error["message"].as_str().unwrap().contains("HTTP 402"), "{error}");
    let words = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let advice = "retrying does not help: add credit at https://openrouter.ai/settings/credits, \
                  or list another model under `model`";
    assert!(words.contains(advice), "{words}");
}

#[test]
fn the_next_model_of_a_list_does_not_wait_for_the_first() {
    for api in Api::ALL {
        let rejection = api::retry_after(api, 429, "rate_limit_error", "3000");
        let server = rejecting(api, &["busy"], rejection);
        let report = crew(api, &server, "  a: {model: [mock/busy, mock/calm]}").run().report(0);
        assert_eq!(report["agents"]["a"]["output"], "answered", "{api:?}");
        assert_eq!(asked(&server), ["busy", "calm"], "{api:?}");
        let error = report["agents"]["a"]["fallbacks"][0]["error"]["message"].as_str().unwrap();
        assert!(error.contains("(model busy)") && error.contains("not tried again"), "{error}");
    }
}
