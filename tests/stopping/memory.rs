//! Memory depends on what crew keeps, not on what servers send, and crew keeps it once.

use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script::{Script, stream};
use indoc::formatdoc;
use serde_json::json;

const AGENTS: usize = 8;
/// Bytes of text in one event.
const EVENT: usize = 20_000;
/// Bytes of one answer.
const ANSWER: usize = 5_000_000;
/// The memory of crew itself and of the HTTP library's buffers: less than half a MiB for each
/// connection that receives faster than crew reads.
const BASE: u64 = 40 << 20;

fn answers() -> Script {
    let delta = json!({"choices": [{"delta": {"content": "x".repeat(EVENT)}}]});
    let event = format!("data: {delta}\n\n");
    // The server repeats it in blocks of at most 64 KiB.
    let bytes = event.len() * (ANSWER / EVENT);
    stream().flood(event, bytes as u64).finish("stop").done()
}

#[test]
fn answers_are_stored_once() {
    let server = ModelServer::always(answers());
    let agents: String = (0..AGENTS).map(|n| format!("  a{n}: {{model: mock/m}}\n")).collect();
    let yaml = formatdoc! {"
        defaults: {{max_answer: 8MiB}}
        providers:
          mock: {{api: openai, base_url: '{}'}}
        agents:
        {agents}", server.base_url()};
    let ended = Crew::new(&yaml).args(&["-q", "--output-file", "r.json"]).run();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let kept = ended.path().join("r.json").metadata().unwrap().len();
    assert!(kept > (AGENTS * ANSWER) as u64, "{kept}");
    let limit = BASE + kept * 13 / 10;
    assert!(ended.peak_memory < limit, "{} of {} MiB", ended.peak_memory >> 20, limit >> 20);
}
