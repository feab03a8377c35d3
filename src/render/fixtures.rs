//! Reports for the tests of the formats.

use serde_json::json;

use crate::report::{
    AgentError, AgentKind, AgentReport, AgentStatus, CancelReason, Cleanup, ErrorKind, Report,
    RunStatus, SCHEMA_VERSION, Scope, ToolCallReport, ToolStatus, Usage,
};

pub fn report(agents: Vec<AgentReport>) -> Report {
    let mut usage = Usage::default();
    for agent in &agents {
        usage += agent.usage;
    }
    let failed = agents.iter().any(|agent| agent.status != AgentStatus::Succeeded);
    Report {
        schema_version: SCHEMA_VERSION,
        run_id: "0199".into(),
        crew: "it-support".into(),
        status: if failed { RunStatus::Failed } else { RunStatus::Succeeded },
        exit_code: failed.into(),
        reason: None,
        started_at: "2026-11-23T07:00:00.123Z".into(),
        duration_ms: 2140,
        input: "my laptop is slow".into(),
        answer: None,
        answer_of: None,
        fail_if: None,
        usage,
        agents,
        cleanup: Cleanup::default(),
        rerun_of: None,
        invocation: None,
        fingerprint: None,
    }
}

pub fn answered(name: &str, answer: &str) -> AgentReport {
    AgentReport {
        status: AgentStatus::Succeeded,
        output: Some(answer.into()),
        finish_reason: Some("stop".into()),
        started_ms: Some(1),
        duration_ms: 1893,
        turns: 2,
        usage: Usage { model_calls: 2, input_tokens: 300, output_tokens: 90, ..Usage::default() },
        ..AgentReport::new(name.into(), AgentKind::Model, "openai/gpt-4o-mini".into())
    }
}

pub fn timed_out(name: &str) -> AgentReport {
    AgentReport {
        status: AgentStatus::TimedOut,
        output: Some("text streamed so far".into()),
        partial: true,
        error: Some(AgentError {
            kind: ErrorKind::Timeout,
            scope: Some(Scope::Agent),
            message: "no answer within 30s".into(),
            used_up: false,
        }),
        finish_reason: None,
        duration_ms: 30_000,
        usage: Usage::default(),
        ..answered(name, "")
    }
}

pub fn failed(name: &str, kind: ErrorKind, message: &str) -> AgentReport {
    AgentReport {
        status: AgentStatus::Failed,
        output: None,
        error: Some(AgentError { kind, scope: None, message: message.into(), used_up: false }),
        finish_reason: None,
        duration_ms: 210,
        turns: 1,
        usage: Usage::default(),
        ..answered(name, "")
    }
}

pub fn ended_by(name: &str, status: AgentStatus, reason: CancelReason) -> AgentReport {
    AgentReport {
        status,
        output: None,
        reason: Some(reason),
        finish_reason: None,
        started_ms: None,
        duration_ms: 0,
        turns: 0,
        usage: Usage::default(),
        ..answered(name, "")
    }
}

pub fn tool_call() -> ToolCallReport {
    ToolCallReport {
        tool: "disk_usage".into(),
        arguments: json!({"path": "/"}),
        status: ToolStatus::Succeeded,
        exit_code: Some(0),
        signal: None,
        http_status: None,
        started_ms: 610,
        duration_ms: 12,
        output: "Filesystem  Size\n/dev/sda1   20G\n".into(),
        truncated: false,
        leaked: false,
        stopped_by: None,
    }
}

pub fn with_calls(mut agent: AgentReport, calls: Vec<ToolCallReport>) -> AgentReport {
    agent.usage.tool_calls = calls.len() as u64;
    agent.tool_calls = calls;
    agent
}
