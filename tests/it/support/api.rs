//! The protocols as their vendors document them: responses, and the parts of requests.

use serde_json::{Value, json};

use super::mock_model::{ModelServer, Request};
use super::script::{self, Script, json_body, stream};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    OpenAi,
    Responses,
    Anthropic,
    Gemini,
}

/// The token counts of a stream: input, cached input, output, reasoning within the output.
pub type Tokens = [u64; 4];

pub const TOKENS: Tokens = [10, 0, 5, 0];

/// The image of the tests, and its bytes in Base64.
pub const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0";
pub const PNG_DATA: &str = "iVBORw0KGgoA";

impl Api {
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Responses, Self::Anthropic, Self::Gemini];

    /// Its name in a crew's file.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Responses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// The base URL as the vendor's SDK expects it.
    pub fn base_url(self, server: &ModelServer) -> String {
        let version = if matches!(self, Self::OpenAi | Self::Responses) { "/v1" } else { "" };
        format!("http://{}{version}", server.address())
    }

    /// The path of a call of model `m`.
    pub fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Anthropic => "/v1/messages",
            Self::Gemini => "/v1beta/models/m:streamGenerateContent?alt=sse",
        }
    }

    /// The headers that could carry a key; the one of this protocol comes first.
    pub fn key_headers(self) -> [&'static str; 3] {
        match self {
            Self::OpenAi | Self::Responses => ["authorization", "x-api-key", "x-goog-api-key"],
            Self::Anthropic => ["x-api-key", "authorization", "x-goog-api-key"],
            Self::Gemini => ["x-goog-api-key", "authorization", "x-api-key"],
        }
    }

    /// A whole answer.
    pub fn text(self, text: &str) -> Script {
        self.end(self.begin(text), "stop", TOKENS)
    }

    /// The start of an answer, with this text unless it is empty.
    pub fn begin(self, text: &str) -> Script {
        let script = match self {
            Self::OpenAi => stream().delta(json!({"role": "assistant", "content": ""})),
            Self::Responses => stream().named(&json!({"type": "response.created",
                "response": {"object": "response", "status": "in_progress", "error": null}})),
            Self::Anthropic => stream()
                .named(&json!({"type": "message_start", "message": {"id": "msg_1",
                    "type": "message", "role": "assistant", "content": [], "model": "m",
                    "usage": {"input_tokens": TOKENS[0], "output_tokens": 1}}}))
                .named(&json!({"type": "ping"})),
            Self::Gemini => stream(),
        };
        if text.is_empty() { script } else { self.more(script, text) }
    }

    /// More text.
    pub fn more(self, script: Script, text: &str) -> Script {
        match self {
            Self::OpenAi => script.text(text),
            Self::Responses => {
                let message = json!({"type": "message", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": text}]});
                script
                    .named(&json!({"type": "response.output_text.delta", "output_index": 1,
                        "delta": text}))
                    .named(&json!({"type": "response.output_item.done", "output_index": 1,
                        "item": message}))
            }
            Self::Anthropic => script
                .named(&json!({"type": "content_block_start", "index": 0,
                    "content_block": {"type": "text", "text": ""}}))
                .named(&json!({"type": "content_block_delta", "index": 0,
                    "delta": {"type": "text_delta", "text": text}}))
                .named(&json!({"type": "content_block_stop", "index": 0})),
            Self::Gemini => script.event(&parts(&json!([{"text": text}]))),
        }
    }

    /// Separate reasoning, with the signature that the server expects back.
    pub fn reasoning(self, script: Script, text: &str) -> Script {
        match self {
            Self::OpenAi => script.delta(json!({"reasoning_content": text})),
            Self::Responses => script
                .named(&json!({"type": "response.reasoning_summary_text.delta",
                    "output_index": 0, "delta": text}))
                .named(&json!({"type": "response.output_item.done", "output_index": 0,
                    "item": {"type": "reasoning", "summary": [],
                        "encrypted_content": "c2lnbmVk"}})),
            Self::Anthropic => script
                .named(&json!({"type": "content_block_start", "index": 7,
                    "content_block": {"type": "thinking", "thinking": "", "signature": ""}}))
                .named(&json!({"type": "content_block_delta", "index": 7,
                    "delta": {"type": "thinking_delta", "thinking": text}}))
                .named(&json!({"type": "content_block_delta", "index": 7,
                    "delta": {"type": "signature_delta", "signature": "c2lnbmVk"}}))
                .named(&json!({"type": "content_block_stop", "index": 7})),
            Self::Gemini => script.event(&parts(&json!([{"text": text, "thought": true}]))),
        }
    }

    /// Several calls.
    pub fn calls(self, mut script: Script, calls: &[(&str, &Value)]) -> Script {
        for (at, (name, arguments)) in calls.iter().enumerate() {
            let id = format!("call_{at}");
            script = match self {
                Self::OpenAi => script.call(json!({"index": at, "id": id, "type": "function",
                    "function": {"name": name, "arguments": arguments.to_string()}})),
                Self::Responses => {
                    let call = |arguments: &str| {
                        json!({"type": "function_call", "call_id": id, "name": name,
                            "arguments": arguments})
                    };
                    let index = at + 2;
                    script
                        .named(&json!({"type": "response.output_item.added",
                            "output_index": index, "item": call("")}))
                        .named(&json!({"type": "response.function_call_arguments.delta",
                            "output_index": index, "delta": arguments.to_string()}))
                        .named(&json!({"type": "response.output_item.done",
                            "output_index": index, "item": call(&arguments.to_string())}))
                }
                Self::Anthropic => {
                    let text = arguments.to_string();
                    let (head, tail) = text.split_at(text.len() / 2);
                    let piece = |json: &str| {
                        json!({"type": "content_block_delta", "index": at + 1,
                            "delta": {"type": "input_json_delta", "partial_json": json}})
                    };
                    script
                        .named(&json!({"type": "content_block_start", "index": at + 1,
                            "content_block": {"type": "tool_use", "id": id, "name": name,
                                "input": {}}}))
                        .named(&piece(""))
                        .named(&piece(head))
                        .named(&piece(tail))
                        .named(&json!({"type": "content_block_stop", "index": at + 1}))
                }
                Self::Gemini => {
                    let mut part = json!({"functionCall": {"name": name, "args": arguments}});
                    if at == 0 {
                        part["thoughtSignature"] = "c2lnbmVk".into();
                    }
                    script.event(&parts(&json!([part])))
                }
            };
        }
        script
    }

    /// A whole answer with several calls.
    pub fn tool_calls(self, calls: &[(&str, &Value)]) -> Script {
        self.end(self.calls(self.begin(""), calls), "tool_calls", TOKENS)
    }

    /// The end of an answer; `reason` is its name in the report.
    pub fn end(self, script: Script, reason: &str, tokens: Tokens) -> Script {
        let [read, cached, written, reasoning] = tokens;
        match self {
            Self::OpenAi => script
                .finish(reason)
                .event(&json!({"choices": [], "usage": {
                    "prompt_tokens": read, "completion_tokens": written,
                    "prompt_tokens_details": {"cached_tokens": cached},
                    "completion_tokens_details": {"reasoning_tokens": reasoning}}}))
                .done(),
            Self::Responses => {
                let (status, details) = match reason {
                    "length" => ("incomplete", json!({"reason": "max_output_tokens"})),
                    _ => ("completed", Value::Null),
                };
                script.named(&json!({"type": format!("response.{status}"),
                    "response": {"object": "response", "status": status, "error": null,
                        "incomplete_details": details, "usage": {
                            "input_tokens": read, "output_tokens": written,
                            "input_tokens_details": {"cached_tokens": cached},
                            "output_tokens_details": {"reasoning_tokens": reasoning}}}}))
            }
            Self::Anthropic => {
                let reason = match reason {
                    "stop" => "end_turn",
                    "length" => "max_tokens",
                    "tool_calls" => "tool_use",
                    other => other,
                };
                script
                    .named(&json!({"type": "message_delta",
                        "delta": {"stop_reason": reason, "stop_sequence": null},
                        "usage": {"input_tokens": read - cached,
                            "cache_creation_input_tokens": 0, "cache_read_input_tokens": cached,
                            "output_tokens": written,
                            "output_tokens_details": {"thinking_tokens": reasoning}}}))
                    .named(&json!({"type": "message_stop"}))
            }
            Self::Gemini => {
                let reason = match reason {
                    "length" => "MAX_TOKENS",
                    "stop" | "tool_calls" => "STOP",
                    other => other,
                };
                script.event(&json!({
                    "candidates": [{"content": {"parts": [{"text": ""}], "role": "model"},
                        "finishReason": reason, "index": 0}],
                    "usageMetadata": {"promptTokenCount": read, "cachedContentTokenCount": cached,
                        "candidatesTokenCount": written - reasoning,
                        "thoughtsTokenCount": reasoning}}))
            }
        }
    }

    /// The vendor's error object with its error code.
    pub fn error_body(self, status: u16, word: &str, message: &str) -> Value {
        match self {
            Self::OpenAi | Self::Responses => {
                json!({"error": {"message": message, "type": word, "code": word}})
            }
            Self::Anthropic => json!({"type": "error", "request_id": "req_1",
                "error": {"type": word, "message": message}}),
            Self::Gemini => json!({"error": {"code": status, "message": message, "status": word}}),
        }
    }

    pub fn error(self, status: u16, word: &str, message: &str) -> Script {
        json_body(status, &self.error_body(status, word, message))
    }

    /// The schemas of the tools in a request.
    pub fn tools(self, request: &Request) -> Vec<Value> {
        let (list, schema) = match self {
            Self::OpenAi => ("/tools", "/function/parameters"),
            Self::Responses => ("/tools", "/parameters"),
            Self::Anthropic => ("/tools", "/input_schema"),
            Self::Gemini => ("/tools/0/functionDeclarations", "/parametersJsonSchema"),
        };
        let tools = request.body.pointer(list).and_then(Value::as_array).into_iter().flatten();
        tools.map(|tool| tool.pointer(schema).cloned().unwrap_or_default()).collect()
    }

    /// The tool results in a request, with the names or ids of their calls. Only those in the right
    /// place count: together, after the turn with the calls.
    pub fn results(self, request: &Request) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let last = |key: &str, inner: &str| {
            let list = request.body[key].as_array().cloned().unwrap_or_default();
            let last = list.last().cloned().unwrap_or_default();
            last[inner].as_array().cloned().unwrap_or_default()
        };
        match self {
            Self::OpenAi => request
                .messages()
                .iter()
                .filter(|message| message["role"] == "tool")
                .map(|message| (text(&message["tool_call_id"]), text(&message["content"])))
                .collect(),
            Self::Responses => request.body["input"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|item| item["type"] == "function_call_output")
                .map(|item| (text(&item["call_id"]), text(&item["output"])))
                .collect(),
            Self::Anthropic => last("messages", "content")
                .iter()
                .filter(|block| block["type"] == "tool_result")
                .map(|block| (text(&block["tool_use_id"]), text(&block["content"])))
                .collect(),
            Self::Gemini => last("contents", "parts")
                .iter()
                .map(|part| &part["functionResponse"])
                .map(|answer| (text(&answer["name"]), text(&answer["response"]["output"])))
                .collect(),
        }
    }

    /// The model's own last turn in a request.
    pub fn own_turn(self, request: &Request) -> Value {
        let list = |key: &str| request.body[key].as_array().cloned().unwrap_or_default();
        let last = |key: &str, role: &str| {
            let own = list(key).into_iter().rfind(|turn| turn["role"] == role);
            own.unwrap_or_default()
        };
        match self {
            Self::OpenAi | Self::Anthropic => last("messages", "assistant"),
            Self::Gemini => last("contents", "model"),
            // Items of their own, after the prompt.
            Self::Responses => list("input").into_iter().skip(1).collect(),
        }
    }
}

fn parts(parts: &Value) -> Value {
    json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}],
        "modelVersion": "m"})
}

impl Script {
    /// An event with the name of its type.
    pub fn named(self, data: &Value) -> Self {
        let name = data["type"].as_str().unwrap_or_default();
        self.raw(format!("event: {name}\ndata: {data}\n\n"))
    }
}

/// The vendor's error object with a `Retry-After` header.
pub fn retry_after(api: Api, status: u16, word: &str, wait: &str) -> Script {
    let body = api.error_body(status, word, "come back later").to_string();
    script::whole(status, &[("content-type", "application/json"), ("retry-after", wait)], body)
}
