//! The protocol of each API.

use super::anthropic::ANTHROPIC;
use super::gemini::GEMINI;
use super::openai::OPENAI;
use super::protocol::Protocol;
use super::responses::RESPONSES;
use crate::vendor::Api;

pub fn protocol_for(api: Api) -> &'static Protocol {
    match api {
        Api::OpenAi => &OPENAI,
        Api::OpenAiResponses => &RESPONSES,
        Api::Anthropic => &ANTHROPIC,
        Api::Gemini => &GEMINI,
    }
}
