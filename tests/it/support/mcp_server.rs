//! An MCP server on standard input and output, well-behaved or not. It is the test's own program:
//! crew starts it with [`ROLE`], which lists its behaviors. The output of the test harness precedes
//! its messages, like the banner of other servers.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program of its own")]
#![expect(clippy::exit, reason = "it has to end before the harness goes on")]

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use indoc::formatdoc;
use serde_json::{Value, json};

use super::{indented, mcp_faults};

/// The environment variable that makes the test's program a server. It contains the behaviors,
/// separated by spaces. An `unhurried` server ignores SIGTERM and exits at the end of its input, so
/// it has read all messages.
pub const ROLE: &str = "FIXTURE_ROLE";

/// The arguments that make the test's program serve, as a list in YAML.
pub const ARGS: &str = "[--exact, support::mcp_server::serve, --nocapture]";

/// `mcp_servers:` with this server as `fx`; `more` are further keys of the server.
pub fn yaml(role: &str, more: &str) -> String {
    format!("mcp_servers:\n{}", server("fx", role, more))
}

/// One entry of `mcp_servers:`.
pub fn server(name: &str, role: &str, more: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let program = program.to_str().unwrap();
    let entry = formatdoc! {"
        {name}:
          command: {program:?}
          args: {ARGS}
          env: {{{ROLE}: {role:?}, DIR: '${{DIR}}'}}
    "};
    indented(&entry) + more
}

/// Serves if crew started this process; as a test it passes without doing anything.
#[test]
fn serve() {
    if let Ok(role) = std::env::var(ROLE) {
        Fixture::new(role).serve();
        std::process::exit(0);
    }
}

#[derive(Clone)]
struct Fixture {
    role: Arc<str>,
    next_id: Arc<AtomicU64>,
    /// The receivers of responses to its own requests.
    waiting: Arc<Mutex<HashMap<String, Sender<Value>>>>,
}

impl Fixture {
    fn new(role: String) -> Self {
        Self { role: role.into(), next_id: Arc::default(), waiting: Arc::default() }
    }

    fn is(&self, behavior: &str) -> bool {
        self.role.split(' ').any(|word| word == behavior)
    }

    fn serve(&self) {
        note("starts", &std::process::id().to_string());
        if self.is("stubborn") || self.is("unhurried") {
            ignore_sigterm();
        }
        if self.is("refuses") {
            eprintln!("first line\nno database at /var/db");
            std::process::exit(3);
        }
        if self.is("prints") {
            println!("Usage: fixture --root DIR\nerror: --root is missing");
            std::process::exit(2);
        }
        for line in std::io::stdin().lock().lines() {
            let Ok(message) = serde_json::from_str::<Value>(&line.unwrap()) else { continue };
            let this = self.clone();
            // Each call has its own thread, so that a waiting one does not block the others.
            match message["method"].as_str() {
                Some("tools/call") => drop(thread::spawn(move || this.call(&message))),
                Some(method) => self.handle(method, &message),
                None => self.resolve(&message),
            }
        }
        note("ends", "input closed");
        if self.is("stubborn") {
            loop {
                thread::sleep(Duration::from_secs(1000));
            }
        }
    }

    fn handle(&self, method: &str, message: &Value) {
        let id = &message["id"];
        match method {
            "initialize" if self.is("mute") => {}
            "initialize" => {
                note("client", &message["params"].to_string());
                let version = &message["params"]["protocolVersion"];
                answer(
                    id,
                    json!({"protocolVersion": version, "capabilities": {"tools": {}},
                    "serverInfo": {"name": "fixture", "version": "1"}}),
                );
            }
            "tools/list" => self.list(id, message["params"]["cursor"].as_str()),
            "notifications/cancelled" => note("cancelled", &message["params"].to_string()),
            _ => {}
        }
    }

    /// A page of three tools, or endless empty pages.
    fn list(&self, id: &Value, cursor: Option<&str>) {
        let from: usize = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        if self.is("endless") {
            return answer(id, json!({"tools": [], "nextCursor": (from + 1).to_string()}));
        }
        let mut tools = tools(self.is("misshapen"));
        if self.is("odd") {
            tools.push(odd());
        }
        let page: Vec<&Value> = tools.iter().skip(from).take(3).collect();
        let mut result = json!({"tools": page});
        if from + 3 < tools.len() {
            result["nextCursor"] = (from + 3).to_string().into();
        } else if self.is("repeats") {
            result["nextCursor"] = "3".into();
        } else if self.is("circles") {
            result["nextCursor"] = "0".into();
        } else if self.is("blank") {
            result["nextCursor"] = "".into();
        }
        answer(id, result);
    }

    fn call(&self, message: &Value) {
        let (id, params) = (&message["id"], &message["params"]);
        let text = |text: &str| say(id, text);
        note("calls", params["name"].as_str().unwrap());
        note("meta", &params["_meta"].to_string());
        match params["name"].as_str().unwrap() {
            "echo" => text(params["arguments"]["text"].as_str().unwrap()),
            "read.file" | "read.bytes" => text("read"),
            "env" => {
                let names: Vec<String> =
                    std::env::vars().map(|(n, v)| format!("{n}={v}")).collect();
                text(&names.join("\n"));
            }
            "peek" => text(match std::fs::read("/proc/self/status") {
                Ok(_) => "seen",
                Err(_) => "denied",
            }),
            "media" => answer(id, media()),
            "shot" => answer(id, json!({"content": [shot()]})),
            "long" => text(&format!("first{}last", "x".repeat(300_000))),
            "fail" => answer(
                id,
                json!({"isError": true,
                "content": [{"type": "text", "text": "disk on fire"}]}),
            ),
            "never" => {}
            "progress" => self.progress(params),
            "grandchild" => {
                start_grandchild();
                text("born");
            }
            "ask" => text(&self.ask_everything().to_string()),
            "odd" => text(&params["arguments"].to_string()),
            other => mcp_faults::misbehave(other, id),
        }
    }

    fn progress(&self, params: &Value) {
        let token = &params["_meta"]["progressToken"];
        loop {
            send(&json!({"jsonrpc": "2.0", "method": "notifications/progress",
                "params": {"progressToken": token, "progress": 1}}));
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The client's responses to all requests that a server may send.
    fn ask_everything(&self) -> Value {
        let sampling = json!({"messages": [], "maxTokens": 1});
        let form =
            json!({"message": "name?", "requestedSchema": {"type": "object", "properties": {}}});
        json!({
            "ping": self.ask("ping", Value::Null),
            "roots": self.ask("roots/list", Value::Null),
            "sampling": self.ask("sampling/createMessage", sampling),
            "elicitation": self.ask("elicitation/create", form),
            "unknown": self.ask("no/such/thing", json!({})),
        })
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        let id = format!("s{}", self.next_id.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = channel();
        self.waiting.lock().unwrap().insert(id.clone(), sender);
        let mut request = json!({"jsonrpc": "2.0", "id": id, "method": method});
        if !params.is_null() {
            request["params"] = params;
        }
        send(&request);
        receiver.recv_timeout(Duration::from_secs(10)).unwrap_or(Value::Null)
    }

    fn resolve(&self, message: &Value) {
        let id = message["id"].as_str().unwrap_or_default();
        if let Some(sender) = self.waiting.lock().unwrap().remove(id) {
            let _ = sender.send(message.clone());
        }
    }
}

/// Starts a process that outlives its parent and ignores SIGTERM.
fn start_grandchild() {
    let script = "sh -c 'trap \"\" TERM; echo $$ >\"$DIR/grandchild\"; \
                  while :; do sleep 1000; done' </dev/null >/dev/null 2>&1 &";
    Command::new("sh").args(["-c", script]).process_group(0).status().unwrap();
    let written = Path::new(&std::env::var_os("DIR").unwrap()).join("grandchild");
    while std::fs::read_to_string(&written).unwrap_or_default().is_empty() {
        thread::sleep(Duration::from_millis(2));
    }
}

fn tools(misshapen: bool) -> Vec<Value> {
    let none = json!({"type": "object"});
    let names = [
        "read.file",
        "read.bytes",
        "env",
        "peek",
        "media",
        "shot",
        "garbled",
        "abyss",
        "long",
        "fail",
        "never",
        "progress",
        "die",
        "flood",
        "nag",
        "huge",
        "wide",
        "vast",
        "slow",
        "vast_first",
        "halves",
        "not_numbers",
        "equal",
        "lists",
        "grandchild",
        "ask",
    ];
    let echo = json!({"name": "echo", "description": "Says it again",
        "annotations": {"readOnlyHint": true, "destructiveHint": false},
        "inputSchema": {"type": "object", "required": ["text"],
            "properties": {"text": {"type": "string", "examples": ["hello"]}}}});
    let plain = names.map(|name| {
        json!({"name": name, "inputSchema": none,
        "annotations": {"destructiveHint": name == "die"}})
    });
    let mut tools: Vec<Value> = std::iter::once(echo).chain(plain).collect();
    if misshapen {
        tools.insert(
            1,
            json!({"name": "bad_type",
            "inputSchema": {"type": "object", "properties": {"a": {"type": 7}}}}),
        );
        tools.insert(2, json!({"name": "bad_schema", "inputSchema": "none"}));
        tools.insert(3, json!({"name": "bad_maze", "inputSchema": maze()}));
        tools.insert(4, json!({"name": "hall", "inputSchema": hall()}));
        tools.insert(5, json!({"name": "huge_pattern", "inputSchema": many_in_one()}));
    }
    tools
}

/// A tool with a name of a property that model servers reject, described in an old draft.
fn odd() -> Value {
    json!({"name": "odd", "inputSchema": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object", "required": ["größe"], "properties": {
            "größe": {"type": "integer", "minimum": 0, "exclusiveMinimum": true}}}})
}

/// A schema that takes 2^60 steps to check.
fn maze() -> Value {
    let fork = |to: usize| {
        let way = format!("#/$defs/{to}");
        (format!("{}", to - 1), json!({"allOf": [{"$ref": way}, {"$ref": way}]}))
    };
    let mut rooms: serde_json::Map<String, Value> = (1..60).map(fork).collect();
    rooms.insert("59".to_owned(), json!({}));
    json!({"type": "object", "$ref": "#/$defs/0", "$defs": rooms})
}

/// A schema with one pattern that is too large, although none of its parts is.
fn many_in_one() -> Value {
    let part = |at| format!(r"(?=x{at}((\w{{50}}){{50}}){{5}})");
    let parts: String = (0..200).map(part).collect();
    json!({"properties": {"a": {"type": "string", "pattern": format!("^{parts}")}}})
}

/// A schema whose steps double with each level of a value.
fn hall() -> Value {
    let door = |name: &str| {
        let inside = json!({"next": {"$ref": "#/$defs/hall"}});
        json!({"type": "object", "required": [name], "properties": inside})
    };
    json!({"type": "object", "properties": {"next": {"$ref": "#/$defs/hall"}},
        "$defs": {"hall": {"anyOf": [door("left"), door("right")]}}})
}

/// The start of a PNG image, with a wrong type.
fn shot() -> Value {
    json!({"type": "image", "mimeType": "image/x", "data": "iVBORw0KGgoA"})
}

fn media() -> Value {
    json!({"structuredContent": {"count": 2}, "content": [
        {"type": "image", "mimeType": "image/png", "data": "AAECAw=="},
        {"type": "resource_link", "uri": "file:///log", "name": "log"},
    ]})
}

pub fn say(id: &Value, text: &str) {
    answer(id, json!({"content": [{"type": "text", "text": text}]}));
}

pub fn answer(id: &Value, result: Value) {
    send(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
}

pub fn send(message: &Value) {
    let mut stdout = std::io::stdout().lock();
    if writeln!(stdout, "{message}").and_then(|()| stdout.flush()).is_err() {
        std::process::exit(9);
    }
}

/// Appends a line to a file in the folder of the run.
fn note(file: &str, line: &str) {
    let path = Path::new(&std::env::var_os("DIR").unwrap()).join(file);
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    // In one piece: calls have threads of their own.
    file.unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[expect(unsafe_code, reason = "nothing safe makes a process ignore a signal")]
fn ignore_sigterm() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: ignoring a signal runs no code.
    unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) }.unwrap();
}
