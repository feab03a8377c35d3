//! Responses of the mock model server, step by step: [`Script`].

use std::time::Duration;

use serde_json::{Value, json};

/// One response. Each event of a stream is one write and one chunk of the chunked coding.
#[derive(Debug, Clone, Default)]
pub struct Script {
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// The head of a response whose body comes in chunks.
    Head {
        status: u16,
        headers: Vec<(String, String)>,
    },
    /// One chunk of the body.
    Chunk(Vec<u8>),
    /// The same chunk repeatedly.
    Flood {
        piece: Vec<u8>,
        bytes: u64,
    },
    Delay(Duration),
    /// Until the client hangs up.
    Stall,
    /// A whole response with a content length.
    Whole {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// Bytes as they are, outside of any framing.
    Raw(Vec<u8>),
    /// Closes the connection in the middle of the response.
    Cut,
    /// As `Cut`, by a TCP reset.
    Reset,
}

/// The head of a streamed answer.
pub fn stream() -> Script {
    head(200, &[("content-type", "text/event-stream")])
}

/// A streamed answer of this text, whole and well-formed.
pub fn text(text: &str) -> Script {
    stream().text(text).finish("stop").usage(10, 5).done()
}

/// A streamed answer that calls this tool, whole and well-formed.
pub fn tool_call(name: &str, arguments: &Value) -> Script {
    tool_calls(&[(name, arguments)])
}

/// As [`tool_call`], with several calls.
pub fn tool_calls(calls: &[(&str, &Value)]) -> Script {
    let mut script = stream();
    for (index, (name, arguments)) in calls.iter().enumerate() {
        let id = format!("call_{index}");
        script = script
            .delta(json!({"tool_calls": [{"index": index, "id": id, "type": "function",
                "function": {"name": name, "arguments": ""}}]}))
            .delta(json!({"tool_calls": [{"index": index,
                "function": {"arguments": arguments.to_string()}}]}));
    }
    script.finish("tool_calls").usage(10, 5).done()
}

/// A JSON response that is not streamed.
pub fn json_body(status: u16, body: &Value) -> Script {
    whole(status, &[("content-type", "application/json")], body.to_string())
}

/// The protocol's error object with this message.
pub fn error(status: u16, message: &str) -> Script {
    json_body(status, &json!({"error": {"message": message}}))
}

/// A redirect to this location.
pub fn redirect(status: u16, location: &str) -> Script {
    whole(status, &[("location", location)], "moved")
}

/// As [`error`], with a `Retry-After`.
pub fn retry_after(status: u16, wait: &str) -> Script {
    let body = json!({"error": {"message": "come back later"}}).to_string();
    whole(status, &[("content-type", "application/json"), ("retry-after", wait)], body)
}

pub fn whole(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Script {
    Script::default().step(Step::Whole { status, headers: owned(headers), body: body.into() })
}

pub fn head(status: u16, headers: &[(&str, &str)]) -> Script {
    Script::default().step(Step::Head { status, headers: owned(headers) })
}

/// No response, not even a head, until the client hangs up.
pub fn hang() -> Script {
    Script::default().stall()
}

/// Bytes that need not be HTTP.
pub fn garbage(bytes: impl Into<Vec<u8>>) -> Script {
    Script::default().bytes(bytes).cut()
}

/// A stream of these bytes; each piece is one chunk.
pub fn pieces<P: AsRef<[u8]>>(pieces: &[P]) -> Script {
    pieces.iter().fold(stream(), |script, piece| script.raw(piece.as_ref()))
}

impl Script {
    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// A chunk of the stream with this delta.
    pub fn delta(self, delta: Value) -> Self {
        self.event(&json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
    }

    pub fn text(self, text: &str) -> Self {
        self.delta(json!({"content": text}))
    }

    /// A fragment of a tool call, as written.
    pub fn call(self, fragment: Value) -> Self {
        self.delta(json!({"tool_calls": [fragment]}))
    }

    pub fn finish(self, reason: &str) -> Self {
        self.event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
    }

    pub fn usage(self, input: u64, output: u64) -> Self {
        let usage = json!({"prompt_tokens": input, "completion_tokens": output});
        self.event(&json!({"choices": [], "usage": usage}))
    }

    pub fn done(self) -> Self {
        self.raw("data: [DONE]\n\n")
    }

    /// Any JSON as an event.
    pub fn event(self, data: &Value) -> Self {
        self.raw(format!("data: {data}\n\n"))
    }

    /// Any bytes of the body, as one piece.
    pub fn raw(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Chunk(bytes.as_ref().to_vec()))
    }

    /// Bytes as they are, outside of any framing.
    pub fn bytes(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Raw(bytes.into()))
    }

    /// Repeats this piece up to this number of bytes or until the client hangs up.
    pub fn flood(self, piece: impl AsRef<[u8]>, bytes: u64) -> Self {
        self.step(Step::Flood { piece: piece.as_ref().to_vec(), bytes })
    }

    /// One byte at a time, with a pause after each.
    pub fn drip(self, bytes: impl AsRef<[u8]>, pause: Duration) -> Self {
        bytes.as_ref().iter().fold(self, |script, byte| script.raw([*byte]).delay(pause))
    }

    /// The body so far as one piece, for [`Script::flood`].
    pub fn sent(&self) -> Vec<u8> {
        let chunks = self.steps.iter().filter_map(|step| match step {
            Step::Chunk(bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        chunks.flatten().copied().collect()
    }

    pub fn delay(self, pause: Duration) -> Self {
        self.step(Step::Delay(pause))
    }

    /// Continues with another script.
    pub fn then(mut self, next: Self) -> Self {
        self.steps.extend(next.steps);
        self
    }

    pub fn stall(self) -> Self {
        self.step(Step::Stall)
    }

    pub fn cut(self) -> Self {
        self.step(Step::Cut)
    }

    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }
}

/// A whole answer after a pause before its head.
pub fn delayed(pause: Duration, script: Script) -> Script {
    Script::default().delay(pause).then(script)
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
