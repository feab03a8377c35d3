//! What a call will do, for the person who is asked to approve it.

use std::sync::Arc;

use serde_json::Map;

use super::check::CheckedCall;
use super::context::{CallInput, ToolContext};
use super::http;
use crate::approval::Detail;
use crate::plan::{
    HttpPlan, McpAccess, McpServerPlan, ProcessPlan, SandboxPlan, ToolCommand, ToolKind,
};
use crate::template::Template;

/// The rows about a checked call. They may hold secrets.
pub fn preview(
    call: &CheckedCall,
    context: &ToolContext<'_>,
    servers: &[Arc<McpServerPlan>],
) -> Vec<Detail> {
    let none = Map::new();
    let arguments = call.arguments.as_object().unwrap_or(&none);
    let input = CallInput { arguments, max_output: call.tool.max_output, context };
    match &call.tool.kind {
        ToolKind::Process(plan) => preview_program(plan, &input.template_values()),
        ToolKind::Http(plan) => preview_request(plan, &input.template_values()),
        ToolKind::Mcp(tool) => preview_server(&servers[tool.server]),
    }
}

/// The whole command line or shell script, the directory and the sandbox.
pub fn preview_program(plan: &ProcessPlan, values: &minijinja::Value) -> Vec<Detail> {
    let fill = |template: &Template| match template.render(values.clone()) {
        Ok(text) => text,
        // The call itself fails in the same way.
        Err(error) => format!("({error})"),
    };
    let mut details = vec![match &plan.command {
        ToolCommand::Argv(arguments) => {
            let words: Vec<_> = arguments.iter().map(|argument| quoted(fill(argument))).collect();
            Detail::line("command", words.join(" "))
        }
        ToolCommand::Shell(script) => {
            let lines = script.trim().lines().map(str::to_owned).collect();
            Detail { label: "shell", lines }
        }
    }];
    let cwd = plan.cwd.iter().map(|cwd| Detail::line("cwd", fill(cwd)));
    details.extend(cwd);
    details.push(sandbox(plan.sandbox.as_ref()));
    details
}

/// Method, URL and body. Headers are not shown: they hold credentials.
pub fn preview_request(plan: &HttpPlan, values: &minijinja::Value) -> Vec<Detail> {
    let request = match http::fill(plan, values) {
        Ok(request) => request,
        Err(why) => return vec![Detail::line("http", format!("({why})"))],
    };
    let text = format!("{} {}", request.method, request.url);
    let mut details = vec![Detail::line("http", text)];
    let body = request.body.map(|body| String::from_utf8_lossy(&body).into_owned());
    details.extend(body.map(|text| Detail::line("body", text)));
    details
}

/// The server, without arguments and path: a variable may have put a key into them.
fn preview_server(server: &McpServerPlan) -> Vec<Detail> {
    let name = &server.name;
    match &server.access {
        McpAccess::Process { program, sandbox: confined, .. } => {
            let text = format!("{name} ({})", program.display());
            vec![Detail::line("MCP server", text), sandbox(confined.as_ref())]
        }
        McpAccess::Http { url, .. } => {
            let text = format!("{name} ({})", url.origin().ascii_serialization());
            vec![Detail::line("MCP server", text)]
        }
    }
}

fn sandbox(plan: Option<&SandboxPlan>) -> Detail {
    let text = plan.map_or_else(|| "none".to_owned(), SandboxPlan::permissions);
    Detail::line("sandbox", text)
}

/// An argument as a shell would need it.
fn quoted(argument: String) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@%+,-".contains(c);
    match !argument.is_empty() && argument.chars().all(is_plain) {
        true => argument,
        false => format!("'{}'", argument.replace('\'', r"'\''")),
    }
}
