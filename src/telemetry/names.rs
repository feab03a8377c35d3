//! Every name that crew's spans use, in one table: the GenAI conventions still change.
//!
//! Those of OpenTelemetry are from version 1.41, the last one before the GenAI conventions moved to
//! a repository of their own; the rest begin with `crew.`.

pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.41.0";
pub const SCOPE: &str = "crew";

pub const SERVICE_NAME: &str = "service.name";
pub const SERVICE_VERSION: &str = "service.version";

pub const OPERATION: &str = "gen_ai.operation.name";
pub const INVOKE_WORKFLOW: &str = "invoke_workflow";
pub const INVOKE_AGENT: &str = "invoke_agent";
pub const CHAT: &str = "chat";
pub const EXECUTE_TOOL: &str = "execute_tool";

pub const WORKFLOW_NAME: &str = "gen_ai.workflow.name";
pub const AGENT_NAME: &str = "gen_ai.agent.name";
pub const TOOL_NAME: &str = "gen_ai.tool.name";
pub const PROVIDER: &str = "gen_ai.provider.name";
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
pub const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
pub const CACHE_CREATION_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
pub const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
pub const SERVER_ADDRESS: &str = "server.address";
pub const SERVER_PORT: &str = "server.port";
pub const ERROR_TYPE: &str = "error.type";
pub const PROCESS_EXIT_CODE: &str = "process.exit.code";
pub const HTTP_STATUS: &str = "http.response.status_code";

pub const RUN_ID: &str = "crew.run.id";
/// The status of a run, an agent, a model call, a tool call or a check, as in the report.
pub const STATUS: &str = "crew.status";
pub const EXIT_CODE: &str = "crew.exit_code";
pub const AGENT_KEY: &str = "crew.agent.key";
pub const AGENT_KIND: &str = "crew.agent.kind";
pub const MODEL_CALLS: &str = "crew.model_calls";
pub const MODEL_CALLS_OMITTED: &str = "crew.model_calls_omitted";
pub const TURN: &str = "crew.turn";
pub const RETRIES: &str = "crew.retries";
pub const QUEUED_MS: &str = "crew.queued_ms";
pub const COST: &str = "crew.cost";
/// Numbers of inputs of a batch.
pub const SUCCEEDED: &str = "crew.batch.succeeded";
pub const FAILED: &str = "crew.batch.failed";
pub const CANCELLED: &str = "crew.batch.cancelled";

/// The providers that the conventions name differently than crew's users do.
const PROVIDERS: [(&str, &str); 7] = [
    ("azure", "azure.ai.openai"),
    ("bedrock", "aws.bedrock"),
    ("gemini", "gcp.gemini"),
    ("mistral", "mistral_ai"),
    ("moonshot", "moonshot_ai"),
    ("vertex", "gcp.vertex_ai"),
    ("xai", "x_ai"),
];

/// The value of [`PROVIDER`] for a provider of the crew file.
pub fn provider(name: &str) -> &str {
    PROVIDERS
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(name, |(_, conventional)| conventional)
}
