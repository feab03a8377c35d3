//! The misbehavior of the tests' MCP server: invalid messages, far too many or too large ones.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a part of that program")]
#![expect(clippy::exit, reason = "it is a part of that program")]

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::mcp_server::{answer, say, send};

/// Bytes of a message that no client should read.
const HUGE: usize = 1 << 30;
/// Bytes of a result that is too large, in a message that is not.
const VAST: usize = 5 << 20;
/// The number of messages of a flood.
const FLOOD: usize = 50_000;

/// Does what this tool does wrong.
pub fn misbehave(tool: &str, id: &Value) {
    match tool {
        "garbled" => {
            let mut line =
                json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text",
                "text": "gr?n"}]}})
                .to_string()
                .into_bytes();
            line.iter_mut().filter(|byte| **byte == b'?').for_each(|byte| *byte = 0xfc);
            line.push(b'\n');
            std::io::stdout().write_all(&line).unwrap();
        }
        "abyss" => {
            let (down, up) = ("[".repeat(500), "]".repeat(500));
            println!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{down}{up}}}");
        }
        "die" => {
            eprintln!("out of cheese");
            std::process::exit(7);
        }
        "flood" => {
            let logged = json!({"jsonrpc": "2.0", "method": "notifications/message",
                "params": {"level": "info", "data": "x"}});
            (0..FLOOD).for_each(|_| send(&logged));
            say(id, "dry again");
        }
        "nag" => {
            for id in 0..FLOOD {
                send(&json!({"jsonrpc": "2.0", "id": format!("n{id}"), "method": "ping"}));
            }
            say(id, "done nagging");
        }
        "huge" => {
            let mut stdout = std::io::stdout().lock();
            let piece = [b'x'; 1 << 16];
            (0..HUGE / piece.len()).try_for_each(|_| stdout.write_all(&piece)).unwrap_or_default();
        }
        "wide" => {
            eprintln!("the last one ended well");
            let zeros = "0,".repeat(1 << 20);
            println!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":[{zeros}0]}}");
        }
        "vast" => {
            let text = "x".repeat(VAST);
            let result = format!(r#"{{"content":[{{"type":"text","text":"{text}"}}]}}"#);
            println!(r#"{{"jsonrpc":"2.0","result":{result},"id":{id}}}"#);
        }
        "vast_first" => say(id, &"\"x\\".repeat(VAST / 3)),
        "slow" => {
            std::thread::sleep(Duration::from_secs(1));
            say(id, "slow");
        }
        "halves" => {
            let content = "[{\"type\":\"text\",\"text\":\"a\\udcfcb \\ud83d\\ude00\ttab\"}]";
            println!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":{content}}}}}"#);
        }
        "not_numbers" => {
            let data = r#"{"mean":NaN,"max":-Infinity}"#;
            let result = format!(r#"{{"content":[],"structuredContent":{data}}}"#);
            println!(r#"{{"jsonrpc":"2.0","id":0,"id":{id},"result":{result}}}"#);
        }
        "equal" => answer(
            id,
            json!({"structuredContent": {"result": [1.0, 2.5]},
            "content": [{"type": "text", "text": "1"}, {"type": "text", "text": "2.50"}]}),
        ),
        "lists" => answer(
            id,
            json!({"structuredContent": {"rows": [{"n": 7.0}]},
            "content": [{"type": "text", "text": "{\n  \"rows\": [{\"n\": 7}]\n}"}]}),
        ),
        _ => {}
    }
}
