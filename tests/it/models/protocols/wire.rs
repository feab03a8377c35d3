//! What a protocol puts on the wire: requests, the forms of answers, and what goes wrong in its
//! way.

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::script::{self, Script};

/// The forms of one protocol. Places in requests are JSON pointers.
pub struct Wire {
    pub api: Api,
    /// The body of a request with a system message, a prompt, settings and the tool `t`.
    pub request: Value,
    /// Where a request has its conversation.
    pub conversation: &'static str,
    /// What follows the prompt after two calls of `t` and one of an unknown tool.
    pub calls: Value,
    /// What follows the prompt after reasoning, a text and a call.
    pub reasoning: Value,
    /// A whole answer that counts tokens in the vendor's own terms.
    pub counted: Script,
    /// Input, of it read from and written to the cache, output, and of it reasoning.
    pub counts: [u64; 5],
    /// The places of cache marks in the request of the second turn.
    pub cache_marks: &'static [&'static str],
    pub efforts: Vec<EffortForm>,
    /// The start of the conversation with an image, a PDF, a text file and a prompt.
    pub attachments: Value,
    /// The end of the conversation after a tool has returned the text `shot` and an image.
    pub tool_image: Value,
    /// The place and the value of an output format for [`SCHEMA`].
    pub format: (&'static str, Value),
    /// The words of a server that does not know the format.
    pub format_rejection: &'static str,
    /// Ends of an answer whose text is `so far`.
    pub stops: Vec<(Script, Stop)>,
    /// The places of `temperature`, `top_p`, `stop` and `seed`; `None` if the API has none.
    pub settings: [Option<&'static str>; 4],
    /// Rejections that ask to wait one second.
    pub limits: Vec<Script>,
    /// Events that end the answer with an error, and the kind of the error.
    pub errors: Vec<(Value, &'static str)>,
    /// A stream that has begun a call of `t` and lacks its end.
    pub half_a_call: Script,
    /// A number in an event with text: its key and its value.
    pub index: (&'static str, u32),
    /// Rejections: status, code, message, and the kind of the error.
    pub rejections: &'static [(u16, &'static str, &'static str, &'static str)],
}

/// A model, the effort that an agent asks for, and what the request says.
pub struct EffortForm {
    pub model: &'static str,
    pub effort: &'static str,
    pub place: &'static str,
    pub sent: Value,
    /// The model takes another effort than the wanted one.
    pub is_clamped: bool,
}

pub fn effort(
    model: &'static str,
    effort: &'static str,
    place: &'static str,
    sent: Value,
) -> EffortForm {
    EffortForm { model, effort, place, sent, is_clamped: false }
}

impl EffortForm {
    pub fn clamped(self) -> Self {
        Self { is_clamped: true, ..self }
    }
}

/// The meaning of an answer's end.
#[derive(Clone, Copy)]
pub enum Stop {
    /// The answer succeeds, with this `finish_reason`.
    Meant(&'static str),
    /// It succeeds with a note that quotes the reason.
    Unknown(&'static str),
    /// It is not used, and the error quotes this.
    Withheld(&'static str),
    /// As `Withheld`, and another attempt is made.
    Aborted(&'static str),
}

pub const PDF: &[u8] = b"%PDF-1";
pub const PDF_DATA: &str = "JVBERi0x";
/// A text file and the prompt, as the model gets them.
pub const PROMPT_WITH_FILE: &str = "<file name=\"notes.txt\">\ngröße\n</file>\n\nlook: go";

pub fn data_url(kind: &str, data: &str) -> String {
    format!("data:{kind};base64,{data}")
}

/// The parameters of the tool `t`.
pub fn parameters() -> Value {
    json!({"type": "object", "properties": {"n": {"type": "integer", "default": 0}},
        "required": [], "additionalProperties": false})
}

/// What the model is told of a call of a tool that it does not have.
pub const NO_TOOL: &str = "[not run: there is no such tool; available tools: t]";

/// The schema of a structured answer.
pub fn schema() -> Value {
    json!({"type": "object", "additionalProperties": false, "required": ["severity"],
        "properties": {"severity": {"enum": ["low", "high"], "type": "string"}}})
}

/// A 429 with these headers.
pub fn limited(api: Api, headers: &[(&str, &str)]) -> Script {
    let body = api.error_body(429, "rate_limit_error", "come back later").to_string();
    let headers = [&[("content-type", "application/json")], headers].concat();
    script::whole(429, &headers, body)
}
