//! Plans of whole files.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::config::faults::Faults;
use crate::template::agent_context;

fn env(name: &str) -> Option<String> {
    match name {
        "OPENAI_API_KEY" => Some("sk-test".to_owned()),
        "TURNS" => Some("7".to_owned()),
        "OLLAMA_HOST" => Some("0.0.0.0:9".to_owned()),
        _ => None,
    }
}

fn plan_with(source: &str, overrides: &Overrides) -> Result<CrewPlan, Faults> {
    read(PathBuf::from("agents.yaml"), source.to_owned(), overrides, &env)
}

fn plan(source: &str) -> CrewPlan {
    match plan_with(source, &Overrides::default()) {
        Ok(plan) => plan,
        Err(faults) => panic!("{:#?}", faults.faults),
    }
}

#[test]
fn every_setting_has_a_default() {
    let plan = plan("agents: {a: {model: offline}}");
    assert_eq!(plan.name, "agents");
    let limits = Limits {
        timeout: Duration::from_secs(600),
        grace: Duration::from_secs(2),
        max_parallel: None,
        on_failure: OnFailure::Cancel,
    };
    assert_eq!(plan.limits, limits);
    let agent = &plan.agents[0];
    assert_eq!(agent.settings.timeout, Duration::from_secs(120));
    assert_eq!(agent.settings.idle_timeout, Duration::from_secs(60));
    assert_eq!(agent.settings.tool_timeout, Duration::from_secs(30));
    assert_eq!(
        (agent.settings.max_turns, agent.settings.retries, agent.settings.max_answer),
        (10, 3, 1 << 20)
    );
    assert_eq!((agent.settings.temperature, agent.settings.max_output_tokens), (None, None));
    let work = agent.model_work().unwrap();
    assert_eq!(work.prompt.source(), "{{ input }}");
    assert!(work.system.is_empty() && plan.providers.is_empty());
}

#[test]
fn agents_override_defaults_and_options_override_both() {
    let source = "
limits: {timeout: 1m, max_parallel: 3, on_failure: continue}
defaults: {model: openai/a/b:c, timeout: 5s, max_turns: '${TURNS}', temperature: 1}
vars: {x: 1, y: {z: 2}}
agents:
  a: {timeout: 7s}
  b: {model: ollama/llama3.1:8b, role: 'Expert in {{ vars.x }}', goal: g}
";
    let file = plan(source);
    assert_eq!(file.agents[0].settings.timeout, Duration::from_secs(7));
    assert_eq!(file.agents[1].settings.timeout, Duration::from_secs(5));
    assert_eq!(
        (file.agents[0].settings.max_turns, file.agents[0].settings.temperature),
        (7, Some(1.0))
    );
    let ModelPlan::Remote { provider: 0, model, label } =
        &file.agents[0].model_work().unwrap().model
    else {
        panic!()
    };
    assert_eq!((model.as_str(), label.as_str()), ("a/b:c", "openai/a/b:c"));
    assert_eq!(file.providers[1].base_url.as_str(), "http://127.0.0.1:9/v1");
    assert_eq!(file.providers[0].headers["authorization"], "Bearer sk-test");
    let system: Vec<String> = file.agents[1]
        .model_work()
        .unwrap()
        .system
        .iter()
        .map(|part| part.render(agent_context(&"".into(), &file.vars, [])).unwrap())
        .collect();
    assert_eq!(system, ["Role: Expert in 1", "Goal: g"]);

    let overrides = Overrides {
        agents: vec!["b".to_owned()],
        vars: vec![("x".to_owned(), "{{ input }}".to_owned())],
        offline: true,
        timeout: Some(Duration::from_secs(9)),
        max_parallel: Some(1),
        on_failure: Some(OnFailure::Cancel),
        ..Overrides::default()
    };
    let plan = plan_with(source, &overrides).unwrap();
    assert_eq!(plan.agents.len(), 1);
    assert_eq!(plan.agents[0].model_work().unwrap().model, ModelPlan::Offline);
    assert_eq!(plan.vars.values()["x"], "{{ input }}");
    assert_eq!(plan.limits.timeout, Duration::from_secs(9));
    assert_eq!((plan.limits.max_parallel, plan.limits.on_failure), (Some(1), OnFailure::Cancel));
}

#[test]
fn a_selection_includes_the_agents_it_needs() {
    let source = "
defaults: {model: offline}
agents: {a: {}, b: {needs: [a]}, c: {}, d: {needs: [c, b]}}
";
    let overrides = Overrides { agents: vec!["b".to_owned()], ..Overrides::default() };
    let chosen = plan_with(source, &overrides).unwrap();
    let names: Vec<&str> = chosen.agents.iter().map(|agent| agent.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(chosen.agents[1].needs, [Need { agent: 0, done: false }]);
    assert_eq!(plan(source).waves(), [vec![0, 2], vec![1], vec![3]]);
}

#[test]
fn only_selected_agents_need_their_api_keys() {
    let source = "agents: {a: {model: offline}, b: {model: openrouter/x}}";
    assert!(plan_with(source, &Overrides::default()).is_err());
    let overrides = Overrides { agents: vec!["a".to_owned()], ..Overrides::default() };
    assert!(plan_with(source, &overrides).is_ok());
}

#[test]
fn a_tool_gets_the_schema_of_all_its_arguments() {
    let plan = plan(
        "
tools:
  t:
    command: [echo, '{{ a }}']
    parameters: {a: {type: string}, n: {type: integer, default: 3}}
    max_output: 2048
agents: {a: {model: offline, tools: [t]}}
",
    );
    let tool = &plan.agents[0].tools()[0];
    let schema = serde_json::json!({
        "type": "object",
        "properties": {"a": {"type": "string"}, "n": {"type": "integer", "default": 3}},
        "required": ["a"],
        "additionalProperties": false,
    });
    assert_eq!(*tool.spec.parameters, schema);
    assert!(tool.parameters.accept(&serde_json::json!({"a": ""})).is_ok());
    assert!(tool.parameters.accept(&serde_json::json!({"a": "", "b": 1})).is_err());
    assert_eq!(tool.max_output, 2048);
}

#[test]
fn merged_and_repeated_values_are_applied() {
    let plan = plan(
        "
defaults: &d {model: offline, timeout: 5s}
agents:
  a: {<<: *d, timeout: 6s}
  b: *d
",
    );
    assert_eq!(plan.agents[0].settings.timeout, Duration::from_secs(6));
    assert_eq!(plan.agents[1].settings.timeout, Duration::from_secs(5));
}

#[test]
fn no_fault_repeats_a_secret() {
    let faults = plan_with(
        "
providers:
  one: {api_key_env: sk-SECRET, base_url: 'http://u:SECRET@h', api_key: SECRET}
  two: {base_url: http://h, headers: {authorization: \"Bearer SECRET\\n\", x y: SECRET}}
agents: {a: {model: offline, needs: [nobody]}}
",
        &Overrides::default(),
    )
    .unwrap_err();
    assert_eq!(faults.faults.len(), 6, "{:#?}", faults.faults);
    assert!(!format!("{faults:?}").contains("SECRET"), "{}", faults.sources[0].text);
}
