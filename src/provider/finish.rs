//! The reasons that servers give for the end of an answer, of all APIs in one table: gateways pass
//! on the words of the API behind them.

use std::fmt;

use crate::report::ErrorKind;

/// What a reason says about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The answer is complete, or reached its limit. The reason in OpenAI's terms.
    Meant(&'static str),
    /// The answer is not to be used. The reason in OpenAI's terms, if it has one.
    Withheld(Cause, Option<&'static str>),
    Unknown,
}

/// Why an answer is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    PromptBlocked,
    AnswerBlocked,
    ModelRefused,
    /// The same request may be answered another time.
    Aborted,
    /// Another attempt would end the same way.
    AbortedForGood,
}

impl Cause {
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::PromptBlocked => ErrorKind::BadRequest,
            _ => ErrorKind::InvalidResponse,
        }
    }

    pub fn is_retryable(self) -> bool {
        self == Self::Aborted
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PromptBlocked => "the server blocked the prompt",
            Self::AnswerBlocked => "the server blocked the answer",
            Self::ModelRefused => "the model refused to answer",
            Self::Aborted | Self::AbortedForGood => "the server aborted the answer",
        })
    }
}

/// Parts of reasons for an end that neither the model nor the user has meant, such as vLLM's
/// `abort`, DeepSeek's `insufficient_system_resource`, Zhipu's `network_error` or Cohere's
/// `USER_CANCEL`.
const ABORTED: [&str; 12] = [
    "error",
    "abort",
    "cancel",
    "fail",
    "timeout",
    "time_out",
    "interrupt",
    "insufficient",
    "overload",
    "unavailable",
    "malformed",
    "preempt",
];

/// Judges a reason, which must be in lower case.
pub fn end_of(reason: &str) -> End {
    let blocked = End::Withheld(Cause::AnswerBlocked, Some("content_filter"));
    match reason {
        "stop" | "end_turn" | "stop_sequence" | "eos" | "eos_token" | "end" | "complete"
        | "completed" => End::Meant("stop"),
        "length"
        | "max_tokens"
        | "max_output_tokens"
        | "model_length"
        | "model_context_window_exceeded" => End::Meant("length"),
        "tool_calls" | "tool_call" | "tool_use" | "function_call" => End::Meant("tool_calls"),
        "refusal" => End::Withheld(Cause::ModelRefused, Some("content_filter")),
        "content_filter"
        | "content_filtered"
        | "guardrail_intervened"
        | "sensitive"
        | "safety"
        | "recitation"
        | "language"
        | "blocklist"
        | "prohibited_content"
        | "spii"
        | "image_safety"
        | "image_prohibited_content"
        | "image_recitation"
        | "model_armor"
        | "error_toxic" => blocked,
        "missing_thought_signature" => End::Withheld(Cause::AbortedForGood, None),
        // Mistakes of the model, which it may not repeat, and ends of the server's own.
        "unexpected_tool_call" | "too_many_tool_calls" | "other" | "pause_turn" | "incomplete" => {
            End::Withheld(Cause::Aborted, None)
        }
        _ if ABORTED.iter().any(|part| reason.contains(part)) => {
            End::Withheld(Cause::Aborted, None)
        }
        _ => End::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_all_apis() {
        let aborted = End::Withheld(Cause::Aborted, None);
        let blocked = End::Withheld(Cause::AnswerBlocked, Some("content_filter"));
        for (reason, end) in [
            ("stop", End::Meant("stop")),
            ("stop_sequence", End::Meant("stop")),
            ("max_tokens", End::Meant("length")),
            ("tool_use", End::Meant("tool_calls")),
            ("safety", blocked),
            ("sensitive", blocked),
            ("error", aborted),
            ("abort", aborted),
            ("aborted", aborted),
            ("insufficient_system_resource", aborted),
            ("network_error", aborted),
            ("pause_turn", aborted),
            ("user_cancel", aborted),
            ("error_toxic", blocked),
            ("malformed_model_output", aborted),
            ("repetition", End::Unknown),
            ("tired", End::Unknown),
        ] {
            assert_eq!(end_of(reason), end, "{reason}");
        }
    }
}
