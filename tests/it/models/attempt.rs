//! One model call from the agent's side: retries, timeouts, cancellation and memory. The tests of
//! the report go through the program.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::mock_model::{ModelServer, State};
use crate::support::script::{
    Script, error, hang, head, json_body, pieces, retry_after, stream, text, whole,
};
use crew::cancel::Cancellation;
use crew::chat::{ChatReply, Message, ToolSpec};
use crew::plan::{AgentSettings, ProviderPlan, RateLimits};
use crew::process::Processes;
use crew::provider::{ChatDelta, ChatRequest, Connector, KeyContext, Provider, ProviderError};
use crew::report::{ErrorKind, Scope};
use crew::secret::Secrets;
use crew::vendor::Api;
use futures::future::join_all;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

fn plan(base_url: &str) -> ProviderPlan {
    ProviderPlan {
        name: "mock".into(),
        vendor: None,
        api: Api::OpenAi,
        api_is_given: false,
        base_url: base_url.parse().unwrap(),
        headers: HeaderMap::new(),
        key_variable: None,
        key_command: None,
        limits: RateLimits::default(),
    }
}

fn headers(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    let headers = headers.iter();
    headers
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn provider(plan: ProviderPlan) -> Arc<dyn Provider> {
    let processes = Arc::new(Processes::new(None));
    let cancel = Cancellation::new();
    let processes = Arc::new(processes.for_run(cancel.clone(), SHORT));
    let keys = KeyContext { processes, secrets: Secrets::default() };
    let connector = Connector::new(&keys, None, Vec::new(), &cancel);
    connector.connect(&[plan]).unwrap().remove(0)
}

async fn ask(
    provider: &dyn Provider,
    idle_timeout: Duration,
    max_answer: usize,
) -> (Result<ChatReply, ProviderError>, String) {
    let messages = [Message::User("hi".into())];
    let settings = AgentSettings { max_answer, idle_timeout, ..AgentSettings::default() };
    let request = ChatRequest { settings, ..ChatRequest::new("m", &messages) };
    let mut output = String::new();
    let mut on_delta = |delta: ChatDelta<'_>| {
        if let ChatDelta::Text(text) = delta {
            output.push_str(text);
        }
    };
    let result = provider.chat(&request, &mut on_delta).await;
    (result, output)
}

async fn ask_server(server: &ModelServer, idle: Duration) -> Result<String, ProviderError> {
    let (result, output) = ask(&*provider(plan(&server.base_url())), idle, 1 << 20).await;
    result.map(|_| output)
}

/// Waits for a state of the server while the client continues: it runs on this thread, which
/// `ModelServer::wait_for` would block.
async fn until(server: &ModelServer, condition: impl Fn(&State) -> bool) {
    let seen = async {
        while !condition(&server.state()) {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(LONG, seen).await.is_ok(), "in vain: {:#?}", server.state());
}

#[tokio::test]
async fn retryable_failures() {
    use ErrorKind::{Auth, BadRequest, InvalidResponse, Network, Overloaded, RateLimited};
    let part = || stream().text("part");
    let failed = json!({"error": {"message": "no", "type": "server_error"}});
    let unexplained = json!({"error": {"message": "no"}});
    let quota = json!({"error": {"message": "no", "code": "insufficient_quota"}});
    let fragment = json!({"index": 0, "id": "a", "function": {"name": "df", "arguments": "{"}});
    let wait = |ms| Some(Duration::from_millis(ms));
    let in_ms = [("retry-after-ms", "1500"), ("retry-after", "9")];
    for (name, script, kind, retryable, after) in [
        ("401", error(401, "no"), Auth, false, None),
        ("404", error(404, "no"), BadRequest, false, None),
        ("408", error(408, "no"), Network, true, None),
        ("409", error(409, "no"), Overloaded, true, None),
        ("429", retry_after(429, "2"), RateLimited, true, wait(2000)),
        ("429 in fractions", retry_after(429, "0.5"), RateLimited, true, wait(500)),
        (
            "429 past date",
            retry_after(429, "Wed, 21 Oct 2015 07:28:00 GMT"),
            RateLimited,
            true,
            wait(0),
        ),
        ("429 in ms", whole(429, &in_ms, ""), RateLimited, true, wait(1500)),
        ("503", retry_after(503, "soon"), Overloaded, true, None),
        ("out of quota", json_body(429, &quota), RateLimited, false, None),
        ("redirect", whole(307, &[("location", "/x")], ""), BadRequest, false, None),
        ("closed before the head", Script::default().cut(), Network, true, None),
        ("cut before a delta", stream().cut(), Network, true, None),
        ("reset before a delta", stream().reset(), Network, true, None),
        (
            "cut after reasoning",
            stream().delta(json!({"reasoning": "so"})).cut(),
            Network,
            true,
            None,
        ),
        ("cut after text", part().cut(), Network, true, None),
        ("cut after a call's start", stream().call(fragment).cut(), Network, true, None),
        ("ended before a delta", stream(), Network, true, None),
        ("ended after text", part(), Network, true, None),
        ("error as the body", json_body(200, &failed), Overloaded, true, None),
        ("error event first", stream().event(&failed), Overloaded, true, None),
        ("error event after text", part().event(&failed), Overloaded, true, None),
        ("unexplained error after text", part().event(&unexplained), InvalidResponse, true, None),
        ("unexplained error first", stream().event(&unexplained), InvalidResponse, false, None),
        ("aborted", part().finish("abort").done(), InvalidResponse, true, None),
        ("garbage", stream().raw("data: {oops}\n\n"), InvalidResponse, false, None),
    ] {
        let server = ModelServer::always(script);
        let failure = ask_server(&server, LONG).await.expect_err(name);
        let found = (failure.kind, failure.scope, failure.retryable, failure.retry_after);
        assert_eq!(found, (kind, None, retryable, after), "{name}: {failure:?}");
        assert_eq!(server.requests().len(), 1, "{name}: the provider makes one attempt");
    }
}

#[tokio::test]
async fn each_byte_restarts_the_idle_timeout() {
    for (name, script) in [
        ("before the head", hang()),
        ("after the head", stream().stall()),
        ("after text", stream().text("part").stall()),
        ("in a plain answer", head(200, &[]).raw("{\"choices\":").stall()),
    ] {
        let server = ModelServer::always(script);
        let failure = ask_server(&server, SHORT).await.expect_err(name);
        let found = (failure.kind, failure.scope, failure.retryable);
        assert_eq!(found, (ErrorKind::Timeout, Some(Scope::Model), false), "{name}");
        assert!(failure.message.contains("200ms"), "{name}: {failure:?}");
        until(&server, |state| state.hang_ups.len() == 1).await;
    }
    // The body of an error gets the idle timeout in total, even if it drips.
    let server = ModelServer::always(head(500, &[]).drip("x".repeat(10_000), SHORT / 10));
    assert_eq!(ask_server(&server, SHORT).await.unwrap_err().kind, ErrorKind::Overloaded);

    let alive = (0..8).fold(stream(), |script, _| script.raw(": alive\n\n").delay(SHORT / 4));
    let server = ModelServer::always(alive.text("hi").done());
    assert_eq!(ask_server(&server, SHORT).await.unwrap(), "hi", "comments are no silence");
    // Only [DONE] is missing.
    let server = ModelServer::always(stream().text("hi").finish("stop").stall());
    assert_eq!(ask_server(&server, SHORT).await.unwrap(), "hi");
}

#[tokio::test]
async fn a_call_ends_before_its_connection() {
    let server = ModelServer::always(stream().text("hi").done().stall());
    let start = Instant::now();
    assert_eq!(ask_server(&server, LONG).await.unwrap(), "hi");
    assert!(start.elapsed() < LONG / 2);
}

#[tokio::test]
async fn a_dropped_call_closes_its_connection() {
    for script in [hang(), stream().text("part").stall()] {
        let server = ModelServer::always(script);
        let provider = provider(plan(&server.base_url()));
        let calls = tokio::spawn(async move {
            join_all((0..50).map(|_| ask(&*provider, LONG, 1024))).await.len()
        });
        until(&server, |state| state.open_calls == 50).await;
        calls.abort();
        assert!(calls.await.unwrap_err().is_cancelled());
        until(&server, |state| state.hang_ups.len() == 50).await;
    }
}

#[tokio::test]
async fn calls_share_their_connections() {
    let server = ModelServer::always(text("hi"));
    let provider = provider(plan(&server.base_url()));
    for _ in 0..50 {
        assert_eq!(ask(&*provider, LONG, 1024).await.1, "hi");
    }
    // One connection is enough, unless a call starts before the previous response has ended.
    let connections = server.state().connections;
    assert!(connections < 10, "{connections} connections");
}

#[tokio::test]
async fn a_request_contains_the_settings_of_the_plan() {
    let server = ModelServer::always(text("hi"));
    let plan = ProviderPlan {
        headers: headers(&[("authorization", "Bearer sk-key"), ("x-team", "support")]),
        ..plan(&format!("{}?version=7", server.base_url()))
    };
    ask(&*provider(plan), LONG, 1024).await.0.unwrap();
    let request = server.requests().remove(0);
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/v1/chat/completions?version=7")
    );
    let version = concat!("crew/", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("authorization", "Bearer sk-key"),
        ("x-team", "support"),
        ("user-agent", version),
        ("content-type", "application/json"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn errors_contain_no_secret() {
    let echo = "key sk-secret-key, header hunter22, pass pa55word";
    for (name, script) in [
        ("error", error(401, echo)),
        ("page", whole(500, &[], format!("<html>{echo}"))),
        (
            "redirect",
            whole(302, &[("location", "https://u:pa55word@x/sk-secret-key?k=hunter22")], ""),
        ),
        ("event", stream().event(&json!({"error": {"message": echo}}))),
        ("garbage", stream().raw(format!("{echo}\n\n"))),
        ("chunk", stream().raw(format!("data: {{{echo}\n\n"))),
        ("no choices", json_body(200, &json!({"echo": echo}))),
        ("404", error(404, echo)),
        ("cut", stream().cut()),
        ("closed", Script::default().cut()),
    ] {
        let server = ModelServer::always(script);
        let plan = ProviderPlan {
            headers: headers(&[
                ("authorization", "Bearer sk-secret-key"),
                ("x-token", "Token hunter22"),
            ]),
            ..plan(&server.base_url().replace("http://", "http://u:pa55word@"))
        };
        let failure = format!("{:?}", ask(&*provider(plan), LONG, 1024).await.0.expect_err(name));
        for secret in ["sk-secret", "hunter22", "pa55word"] {
            assert!(!failure.contains(secret), "{name}: {failure}");
        }
    }
}

#[tokio::test]
async fn an_unreachable_server_is_named() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let provider = provider(plan(&format!("http://127.0.0.1:{port}/v1")));
    let failure = ask(&*provider, LONG, 1024).await.0.unwrap_err();
    assert_eq!((failure.kind, failure.retryable), (ErrorKind::Network, true));
    let message = format!("mock: cannot connect to 127.0.0.1:{port}: connection refused");
    assert_eq!(failure.message.to_its_source(), message);
}

const GIB: u64 = 1 << 30;

#[tokio::test]
async fn max_answer_bounds_memory() {
    // In its own process: the memory of other tests must not count.
    if std::env::var_os("CREW_TEST_MEMORY").is_none() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "models::attempt::max_answer_bounds_memory", "--nocapture"])
            .env("CREW_TEST_MEMORY", "1")
            .output()
            .unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap());
        assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}{stderr}");
        return;
    }
    let calls = |n: usize| {
        (0..n).map(|i| json!({"index": i, "function": {"name": "t"}})).collect::<Vec<_>>()
    };
    let deep = format!("data: {{\"choices\": {}\n\n", "[".repeat(60_000));
    let endless = |delta: Value| {
        let data = json!({"choices": [{"delta": delta}]});
        stream().flood(format!("data: {data}\n\n"), GIB)
    };
    let call = json!({"function": {"name": "t", "arguments": "{}"}});
    for (name, script, words) in [
        ("a line without end", stream().flood("x", GIB), "max_answer"),
        ("a data line without end", stream().raw("data: ").flood("x", GIB), "max_answer"),
        ("an event without end", stream().flood("data: x\n", GIB), "max_answer"),
        ("text without end", endless(json!({"content": "x"})), "max_answer"),
        ("reasoning without end", endless(json!({"reasoning": "x"})), "max_answer"),
        ("a plain answer without end", stream().raw("{").flood(" ", GIB), "max_answer"),
        ("calls without end", endless(json!({"tool_calls": [call]})), ""),
        ("too many calls", stream().delta(json!({"tool_calls": calls(129)})).done(), "128"),
        ("an error without end", head(500, &[]).flood("x", GIB), "HTTP 500"),
        ("depth", stream().raw(deep).done(), "base_url"),
    ] {
        let server = ModelServer::always(script);
        let provider = provider(plan(&server.base_url()));
        let (result, output) = ask(&*provider, LONG, 10_000).await;
        let failure = result.expect_err(name);
        assert!(failure.message.contains(words), "{name}: {failure:?}");
        assert!(output.len() <= 10_000 && failure.message.to_its_source().len() < 1000, "{name}");
    }
    let peak = peak_memory();
    assert!(peak.is_none_or(|bytes| bytes < 200 << 20), "{peak:?} bytes");
}

/// The peak memory of this process so far; `None` if the system does not report it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

#[tokio::test]
async fn a_compressed_stream_is_read() {
    let stream =
        "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n";
    let server = ModelServer::always(whole(
        200,
        &[("content-encoding", "gzip"), ("content-type", "text/event-stream")],
        stored_gzip(stream.as_bytes()),
    ));
    assert_eq!(ask_server(&server, LONG).await.unwrap(), "hi");
}

/// Gzip with one stored (uncompressed) block.
fn stored_gzip(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    gzip.extend(length.to_le_bytes());
    gzip.extend((!length).to_le_bytes());
    gzip.extend(bytes);
    let crc = !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    });
    gzip.extend(crc.to_le_bytes());
    gzip.extend(u32::from(length).to_le_bytes());
    gzip
}

#[tokio::test]
async fn tools_are_declared_and_called() {
    let call = json!({"id": 7, "function": {"name": "df", "arguments": {"path": "/"}}});
    let server = ModelServer::always(stream().call(call).finish("stop").done());
    let tools = [ToolSpec {
        name: "df".into(),
        description: "Free space".into(),
        parameters: Arc::new(json!({"type": "object"})),
    }];
    let messages = [Message::User("hi".into())];
    let request = ChatRequest {
        tools: &tools,
        settings: AgentSettings {
            temperature: Some(0.5),
            max_output_tokens: Some(9),
            ..AgentSettings::default()
        },
        ..ChatRequest::new("m", &messages)
    };
    let reply = provider(plan(&server.base_url())).chat(&request, &mut |_| {}).await.unwrap();
    let call = reply.tool_calls[0].to_its_source();
    assert_eq!((&*call.id, &*call.name, &*call.arguments), ("7", "df", "{\"path\":\"/\"}"));
    let body = server.requests().remove(0).body;
    assert_eq!(body["tools"][0]["function"]["name"], "df");
    assert_eq!((&body["max_tokens"], &body["temperature"]), (&json!(9), &json!(0.5)));
}

#[tokio::test]
async fn chunk_boundaries_do_not_change_the_stream() {
    let bytes = "\u{feff}: hi\r\n\
                 data: {\"choices\":[{\"delta\":{\"content\":\"h\u{e9}\u{1f600}\"}}]}\r\n\r\n\
                 data: [DONE]\r\n\r\n";
    for size in [1, 2, 3, 7, 64] {
        let cut: Vec<&[u8]> = bytes.as_bytes().chunks(size).collect();
        let server = ModelServer::always(pieces(&cut));
        assert_eq!(ask_server(&server, LONG).await.unwrap(), "h\u{e9}\u{1f600}", "{size}");
    }
}
