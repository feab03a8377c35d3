//! Prices from a list of LiteLLM.

use crate::support::crew::Crew;
use crate::support::faults::expect_in;
use crate::support::mock_model::ModelServer;
use crate::support::script::stream;
use indoc::indoc;
use serde_json::json;

#[test]
fn prices_of_a_list_and_of_the_file() {
    // Entries in the form of the published list.
    let list = json!({
        "sample_spec": {"input_cost_per_token": "input", "litellm_provider": "one of …"},
        "gpt-x": {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6,
            "cache_read_input_token_cost": 1e-7, "litellm_provider": "openai", "mode": "chat"},
        "mock/m": {"input_cost_per_token": 3e-6, "output_cost_per_token": 4e-6},
        "dall-e": {"output_cost_per_image": 0.04, "litellm_provider": "openai"},
    });
    let server =
        ModelServer::always(stream().text("x").finish("stop").usage(1_000_000, 1_000_000).done());
    let run = |prices: &str, model: &str| {
        let yaml = format!(
            "providers: {{mock: {{base_url: '${{URL}}'}}}}\nprices: {prices}\n\
             agents: {{a: {{model: {model}}}}}\n"
        );
        let crew = Crew::new(&yaml).env("URL", &server.base_url());
        let crew = crew.env("OPENAI_BASE_URL", &server.base_url()).env("OPENAI_API_KEY", "k-1234");
        std::fs::write(crew.path("prices.json"), list.to_string()).unwrap();
        crew.run().report(0)["usage"]["cost"].clone()
    };
    for (prices, model, expected) in [
        ("{file: prices.json}", "mock/m", json!(7.0)),
        ("{file: prices.json}", "openai/gpt-x", json!(3.0)),
        ("{file: prices.json, 'mock/*': {input: 1, output: 0}}", "mock/m", json!(1.0)),
        ("{file: prices.json}", "mock/gpt-x", json!(null)),
    ] {
        let cost = run(prices, model);
        let close = cost.as_f64().zip(expected.as_f64()).is_some_and(|(a, b)| (a - b).abs() < 1e-9);
        assert!(close || cost == expected, "{prices} {model}: {cost}");
    }
}

#[test]
fn lists_that_cannot_be_used() {
    expect_in(
        indoc! {"
            prices: {file: missing.json}
            agents: {a: {}}
        "},
        &["prices.file 2:16 .. No such file"],
    );
    expect_in(
        indoc! {"
            prices: {file: agents.yaml, x: {inpt: 1}}
            agents: {a: {}}
        "},
        &[
            "prices.file 2:16 .. LiteLLM's price list",
            "prices.x 2:29 .. incomplete",
            "prices.x.inpt 2:33 .. unknown key",
        ],
    );
}
