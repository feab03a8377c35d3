//! A crew of four providers with four protocols, to its end and stopped at random moments: whatever
//! the server knows that an agent has finished stands in the report.
//!
//! A failure names its seed; `CREW_RANDOM_SEED` makes it the first one.
#![expect(clippy::print_stdout, reason = "a failed round must be repeatable")]

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::random::Random;
use crate::support::api::{Api, PNG, PNG_DATA, TOKENS};
use crate::support::crew::Crew;
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::Script;
use indoc::formatdoc;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const ROUNDS: u64 = 20;
/// The maximum time from the first request to the signal, in milliseconds. A whole run takes
/// longer.
const LATEST: u64 = 600;
const PAUSE: Duration = Duration::from_millis(40);

/// For each protocol an agent with a list of models, a tool and an image, and one that needs it;
/// and one that needs them all.
fn yaml(server: &ModelServer) -> String {
    let mut providers = String::new();
    let mut agents = String::new();
    for (at, api) in Api::ALL.into_iter().enumerate() {
        let (name, next) = (api.name(), Api::ALL[(at + 1) % Api::ALL.len()].name());
        let _ = writeln!(
            providers,
            "  by-{name}: {{api: {name}, base_url: '{}'}}",
            api.base_url(server)
        );
        agents += &formatdoc! {"
            \x20 first-{name}:
                model: [by-{name}/gone, by-{next}/m]
                tools: [look]
                attach: [shot.png]
                prompt: 'agent=first-{name}; look'
              second-{name}:
                model: by-{name}/m
                needs: [first-{name}]
                prompt: 'agent=second-{name}; {{{{ agents[\"first-{name}\"].output }}}}'
        "};
    }
    let seconds = Api::ALL.map(|api| format!("second-{}", api.name()));
    let outputs = seconds.clone().map(|name| format!("{{{{ agents[\"{name}\"].output }}}}"));
    formatdoc! {"
        limits: {{grace: 200ms}}
        defaults: {{retries: 0}}
        providers:
        {providers}tools:
          look: {{description: looks, shell: 'sleep 0.03; echo a clue'}}
        agents:
        {agents}  last:
            model: by-gemini/m
            needs: [{}]
            prompt: 'agent=last; {}'
    ", seconds.join(", "), outputs.join(", ")}
}

fn api_of(request: &Request) -> Api {
    match request.path.as_str() {
        path if path.ends_with("/chat/completions") => Api::OpenAi,
        path if path.ends_with("/responses") => Api::Responses,
        path if path.ends_with("/messages") => Api::Anthropic,
        _ => Api::Gemini,
    }
}

/// The agent that a request comes from, as its prompt says.
fn agent_of(request: &Request) -> String {
    let body = request.body.to_string();
    let (_, name) = body.split_once("agent=").unwrap();
    name.split_once(';').unwrap().0.to_owned()
}

fn answer_of(agent: &str) -> String {
    format!("answer of {agent}.")
}

fn reply(request: &Request) -> Script {
    let (api, agent, body) = (api_of(request), agent_of(request), request.body.to_string());
    if request.model() == "gone" || request.path.contains("/gone:") {
        return api.error(404, "not_found", "gone");
    }
    if agent.starts_with("first") && !body.contains("a clue") {
        let calls = [("look", &json!({})), ("look", &json!({}))];
        return Script::default().delay(PAUSE).then(api.tool_calls(&calls));
    }
    let answer = answer_of(&agent);
    let (head, tail) = answer.split_at(7);
    let begun = api.begin(head).delay(PAUSE);
    api.end(api.more(begun, tail), "stop", TOKENS)
}

fn crew(server: &ModelServer) -> Crew {
    let crew = Crew::new(yaml(server));
    std::fs::write(crew.path("shot.png"), PNG).unwrap();
    crew
}

#[test]
fn a_crew_of_four_protocols_runs_to_its_end() {
    let server = ModelServer::start(reply);
    let report = crew(&server).run().report(0);
    let agents = report["agents"].as_object().unwrap();
    assert_eq!(agents.len(), 9);
    for (name, agent) in agents {
        assert_eq!(agent["output"], answer_of(name), "{agent:#}");
        if name.starts_with("first") {
            assert_eq!(agent["fallbacks"].as_array().unwrap().len(), 1, "{agent:#}");
            assert_eq!(agent["tool_calls"].as_array().unwrap().len(), 2, "{agent:#}");
        }
    }
    assert_eq!(report["answer"], answer_of("last"));
    // Each first agent asks three times: with the image, whatever the protocol.
    let requests = server.requests();
    let with_image = requests.iter().filter(|one| one.body.to_string().contains(PNG_DATA));
    assert_eq!((with_image.count(), requests.len()), (12, 17));
    assert_evidence(&server, &report);
}

/// What the requests at the server prove must stand in the report.
fn assert_evidence(server: &ModelServer, report: &Value) {
    let agents = report["agents"].as_object().unwrap();
    let requests = server.requests();
    for request in &requests {
        let (asker, body) = (agent_of(request), request.body.to_string());
        // An answer that another agent got was finished.
        for (name, agent) in agents.iter().filter(|(name, _)| body.contains(&answer_of(name))) {
            assert_eq!(agent["status"], "succeeded", "{asker} got the answer: {agent:#}");
            assert_eq!(agent["output"], answer_of(name), "{agent:#}");
            assert_eq!(agent.get("partial"), None, "{agent:#}");
        }
        if body.contains("a clue") {
            let calls = agents[&asker]["tool_calls"].as_array().unwrap();
            let is_kept =
                |call: &Value| call["output"] == "a clue\n" && call["status"] == "succeeded";
            assert!(calls.len() == 2 && calls.iter().all(is_kept), "{calls:#?}");
        }
    }
    for (name, agent) in agents {
        let asked = requests.iter().filter(|request| agent_of(request) == *name).count() as u64;
        assert!(agent["usage"]["model_calls"].as_u64() >= Some(asked), "{asked}: {agent:#}");
        // What is kept of an answer is its beginning, or all of it.
        let output = agent["output"].as_str().unwrap_or_default();
        assert!(answer_of(name).starts_with(output), "{agent:#}");
        assert!(agent["status"] != "succeeded" || output == answer_of(name), "{agent:#}");
    }
}

#[test]
fn a_crew_of_four_protocols_loses_no_finished_answer_when_it_is_stopped() {
    let given = std::env::var("CREW_RANDOM_SEED").ok();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let first = given.map_or(now, |seed| seed.parse().unwrap());
    let mut finished = 0;
    for seed in (0..ROUNDS).map(|round| first.wrapping_add(round)) {
        println!("CREW_RANDOM_SEED={seed}");
        let mut random = Random(seed);
        let signal = *random.pick(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        let pause = Duration::from_millis(random.below(LATEST));
        let server = ModelServer::start(reply);
        let running = crew(&server).start();
        server.wait_for("the first request", |state| !state.requests.is_empty());
        thread::sleep(pause);
        running.signal(signal);
        let ended = running.wait();
        let report = ended.json();
        let is_stopped = ended.status.signal() == Some(signal as i32);
        assert_eq!(report["status"] == "cancelled", is_stopped, "{report:#}");
        assert_evidence(&server, &report);
        let agents = report["agents"].as_object().unwrap().values();
        finished += agents.filter(|agent| agent["status"] == "succeeded").count();
    }
    assert!(finished > 0, "no agent of {ROUNDS} runs had finished");
}
