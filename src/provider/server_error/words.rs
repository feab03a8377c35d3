//! The codes and words of servers for the errors that matter, in lower case.

/// Messages about a wrong key with status 400.
pub const WRONG_KEY: [&str; 4] =
    ["api key not valid", "api key expired", "invalid api key", "incorrect api key"];

/// Codes of a mistake in what the model wrote, which the server rejects as if it were the
/// request's: the next attempt usually works.
pub const MODEL_MISTAKES: [&str; 4] =
    ["tool_use_failed", "json_validate_failed", "output_parse_failed", "malformed_function_call"];

/// Codes of a used-up credit or quota: OpenAI and many others, and those of Moonshot, gateways and
/// Alibaba.
pub const USED_UP_CODES: [&str; 6] = [
    "insufficient_quota",
    "model_quota",
    "billing",
    "exceeded_current_quota",
    "insufficient_funds",
    "arrearage",
];

/// Messages about it, of servers without a code for it: Anthropic, Gemini, OpenRouter, DeepSeek,
/// xAI. Their status is 400, 402, 403 or 429.
pub const USED_UP: [&str; 9] = [
    "credit balance is too low",
    "reached your specified api usage limits",
    "prepayment credits are depleted",
    "insufficient credits",
    "requires more credits",
    "key limit exceeded",
    FREE_MODELS,
    "insufficient balance",
    "used all available credits",
];

/// OpenRouter's free requests of a day. Its other models still answer.
pub const FREE_MODELS: &str = "free-models-per-day";

/// Codes of a conversation that is longer than the model's context: OpenAI and many others,
/// llama.cpp, gateways, GitHub.
pub const TOO_LONG_CODES: [&str; 5] = [
    "context_length_exceeded",
    "exceed_context_size",
    "context_window",
    "max_prompt_tokens_exceeded",
    "tokens_limit_reached",
];

/// Messages about it, of servers without a code for it. Those with numbers in their middle are
/// known by the part before or after.
pub const TOO_LONG: [&str; 26] = [
    // OpenAI, vLLM, SGLang, Mistral, DeepSeek, OpenRouter, Ollama, LM Studio.
    "context length",
    "exceeds the context",
    "exceed the context",
    // MiniMax, OpenAI's Responses API, LiteLLM, llama.cpp, Anthropic, LM Studio.
    "context window",
    "contextwindowexceeded",
    "context size",
    "context limit",
    ">= n_ctx",
    // Anthropic, Fireworks, Bedrock, Ollama.
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "too many input tokens",
    // Gemini, Vertex, GitHub, OpenAI.
    "exceeds the maximum number of tokens",
    "input token count",
    "prompt token count",
    "input tokens exceed",
    // xAI, vLLM, Groq and Cerebras, OpenRouter, Cohere, Kimi, Alibaba, Zhipu, TGI.
    "maximum prompt length",
    "maximum model length",
    "reduce the length of the messages",
    "maximum allowed input length",
    "tokens in the prompt cannot exceed",
    "exceeded model token limit",
    "range of input length",
    "prompt exceeds max length",
    "`inputs` must have less than",
    "`inputs` tokens",
];
