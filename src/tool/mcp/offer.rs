//! The tools that a server offers: listed page by page, with bounds, and their schemas checked.

use std::collections::HashSet;
use std::sync::Arc;

use rmcp::ServiceError;
use rmcp::model::{ClientRequest, ListToolsRequest, PaginatedRequestParams, ServerResult, Tool};
use rmcp::service::{Peer, RoleClient};
use serde_json::{Map, Value, json};
use tokio::task::yield_now;

use super::failure::{Phase, ServerFailure};
use crate::structured::{MAX_SERVER_PATTERNS, Parameters, Schema, SchemaFault};

/// Tools of one server. No model could choose among more.
const MAX_TOOLS: usize = 1000;
/// Pages of a list: enough for a server that sends one tool a page.
const MAX_PAGES: usize = 1000;
/// Bytes of all tools of a server together, as they would be sent to a model.
const MAX_BYTES: usize = 4 << 20;
/// Bytes of a tool's name. The protocol recommends fewer.
const MAX_NAME: usize = 256;
/// Drafts that allow what later ones reject.
const OLD_DRAFTS: [&str; 2] =
    ["http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-04/schema#"];
/// Bytes of a tool's description.
const MAX_DESCRIPTION: usize = 16 << 10;

/// The result of `crew check --tools` for one server.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The server's name in the crew file.
    pub server: String,
    /// All of its tools, whether an agent may use them or not.
    pub tools: Vec<OfferedTool>,
    /// Why the server does not start, or which granted tools are missing.
    pub faults: Vec<String>,
}

/// One tool of a server.
#[derive(Debug, Clone)]
pub struct OfferedTool {
    /// The name that the server uses.
    pub name: String,
    /// The server's description, at most 16 KiB.
    pub description: String,
    /// The server's hint that the tool changes nothing. Not verified.
    pub read_only: Option<bool>,
    /// The server's hint that the tool may destroy something. Not verified.
    pub destructive: Option<bool>,
    /// The parameters, or why the tool cannot be used.
    pub parameters: Result<Arc<Parameters>, String>,
}

/// The tools as a recording holds them: as their server lists them.
pub fn to_recorded(tools: &[OfferedTool]) -> Value {
    let tool = |tool: &OfferedTool| {
        let hints = json!({"readOnlyHint": tool.read_only, "destructiveHint": tool.destructive});
        let mut listed = json!({"name": tool.name, "description": tool.description,
            "annotations": hints});
        match &tool.parameters {
            Ok(parameters) => listed["inputSchema"] = parameters.schema().clone(),
            Err(fault) => listed["fault"] = fault.as_str().into(),
        }
        listed
    };
    tools.iter().map(tool).collect()
}

/// The tools in a recording.
///
/// # Errors
/// They exceed a limit.
pub fn from_recorded(recorded: &Value) -> Result<Vec<OfferedTool>, String> {
    let mut listing = Listing::default();
    for tool in recorded.as_array().into_iter().flatten() {
        let Some(mut listed) = listed(tool) else { continue };
        if let (ListedTool::Invalid(invalid), Some(fault)) = (&mut listed, tool["fault"].as_str()) {
            invalid.parameters = Err(fault.to_owned());
        }
        listing.add(listed)?;
    }
    Ok(listing.tools)
}

/// Lists all tools of a server.
///
/// # Errors
/// The server does not respond properly, or exceeds a limit.
pub async fn list(peer: &Peer<RoleClient>) -> Result<Vec<OfferedTool>, ServerFailure> {
    let mut listing = Listing::default();
    let mut cursor = None;
    let mut cursors = HashSet::new();
    for _ in 0..MAX_PAGES {
        let page = page(peer, cursor).await?;
        for tool in page.tools {
            listing.add(tool)?;
            // Checking schemas takes time, and the run may be stopped meanwhile.
            yield_now().await;
        }
        // With the last page, some servers send an empty cursor, and others one that they have sent
        // before.
        cursor = page.next.filter(|next| !next.is_empty() && cursors.insert(next.clone()));
        if cursor.is_none() {
            return Ok(listing.tools);
        }
    }
    Err(format!("listed its tools on more than {MAX_PAGES} pages").into())
}

struct Listing {
    tools: Vec<OfferedTool>,
    names: HashSet<String>,
    bytes: usize,
    patterns_left: usize,
}

impl Default for Listing {
    fn default() -> Self {
        Self {
            tools: Vec::new(),
            names: HashSet::new(),
            bytes: 0,
            patterns_left: MAX_SERVER_PATTERNS,
        }
    }
}

impl Listing {
    fn add(&mut self, tool: ListedTool) -> Result<(), String> {
        let mut tool = match tool {
            ListedTool::Valid(tool) => offered(*tool, &mut self.patterns_left),
            ListedTool::Invalid(tool) => tool,
        };
        let parameters = tool.parameters.as_ref().ok();
        self.bytes += tool.name.len() + tool.description.len();
        self.bytes += parameters.map_or(0, |it| it.shown().to_string().len());
        if tool.name.len() > MAX_NAME {
            tool.name.truncate(tool.name.floor_char_boundary(MAX_NAME));
            tool.parameters = Err(format!("its name is longer than {MAX_NAME} bytes"));
        }
        // A second tool of the same name could not be called.
        if self.names.insert(tool.name.clone()) {
            self.tools.push(tool);
        }
        if self.tools.len() > MAX_TOOLS || self.bytes > MAX_BYTES {
            let size = MAX_BYTES >> 20;
            return Err(format!("listed more than {MAX_TOOLS} tools or {size} MiB of tools"));
        }
        Ok(())
    }
}

const NO_LIST: &str = "did not list its tools: the response contains no list";

struct Page {
    tools: Vec<ListedTool>,
    next: Option<String>,
}

/// A tool of a page, its schema not checked yet.
enum ListedTool {
    Valid(Box<Tool>),
    /// A tool that could not be deserialized.
    Invalid(OfferedTool),
}

async fn page(peer: &Peer<RoleClient>, cursor: Option<String>) -> Result<Page, ServerFailure> {
    let params = PaginatedRequestParams::default().with_cursor(cursor);
    let request = ClientRequest::ListToolsRequest(ListToolsRequest::with_param(params));
    let result = peer.send_request(request).await.map_err(|error| match error {
        ServiceError::TransportClosed => ServerFailure::closed(Phase::Starting),
        ServiceError::McpError(error) => {
            format!("did not list its tools: {} ({})", error.message, error.code.0).into()
        }
        error => format!("did not list its tools: {error}").into(),
    })?;
    match result {
        ServerResult::ListToolsResult(page) => {
            let tools = page.tools.into_iter().map(|tool| ListedTool::Valid(tool.into())).collect();
            Ok(Page { tools, next: page.next_cursor })
        }
        // One invalid tool must not cost the others.
        ServerResult::CustomResult(page) => {
            let tools = page.0.get("tools").and_then(Value::as_array);
            let tools = tools.ok_or_else(|| NO_LIST.to_owned())?;
            let next = page.0.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
            Ok(Page { tools: tools.iter().filter_map(listed).collect(), next })
        }
        _ => Err(NO_LIST.to_owned().into()),
    }
}

/// A tool of a page that may be invalid. `None` if it has no name.
fn listed(tool: &Value) -> Option<ListedTool> {
    let name = tool.get("name")?.as_str()?.to_owned();
    if let Ok(tool) = serde_json::from_value(tool.clone()) {
        return Some(ListedTool::Valid(tool));
    }
    let fault = match tool.get("inputSchema") {
        None => "it has no inputSchema",
        Some(Value::Object(_)) => "its definition is invalid",
        Some(_) => "its inputSchema is not a JSON Schema",
    };
    Some(ListedTool::Invalid(OfferedTool {
        name,
        description: String::new(),
        read_only: None,
        destructive: None,
        parameters: Err(fault.to_owned()),
    }))
}

fn offered(tool: Tool, patterns_left: &mut usize) -> OfferedTool {
    let mut description = tool.description.unwrap_or_default().into_owned();
    description.truncate(description.floor_char_boundary(MAX_DESCRIPTION));
    let hints = tool.annotations.unwrap_or_default();
    OfferedTool {
        name: tool.name.into_owned(),
        description,
        read_only: hints.read_only_hint,
        destructive: hints.destructive_hint,
        parameters: checked(object_schema((*tool.input_schema).clone()), patterns_left),
    }
}

/// Adds the keys that model servers require and MCP servers omit for tools without arguments.
fn object_schema(mut schema: Map<String, Value>) -> Value {
    schema.entry("type").or_insert_with(|| "object".into());
    schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    Value::Object(schema)
}

fn checked(schema: Value, patterns_left: &mut usize) -> Result<Arc<Parameters>, String> {
    let is_object = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        kind => kind.is_some_and(|kind| kind == "object"),
    };
    if !is_object {
        return Err("its inputSchema does not describe an object".to_owned());
    }
    let checked = in_some_draft(schema, patterns_left);
    checked.map(|schema| Arc::new(Parameters::new(schema))).map_err(|faults| {
        let fault = faults.into_iter().next().map(|fault| fault.message).unwrap_or_default();
        format!("its inputSchema cannot be used: {fault}")
    })
}

/// Checks a schema. Servers do not say which draft they mean, so invalid schemas are tried as one
/// of an old draft.
fn in_some_draft(schema: Value, patterns_left: &mut usize) -> Result<Schema, Vec<SchemaFault>> {
    let names_draft = schema.get("$schema").is_some();
    let faults = match Schema::from_server(schema.clone(), patterns_left) {
        Err(faults) if !names_draft => faults,
        checked => return checked,
    };
    for draft in OLD_DRAFTS {
        let mut schema = schema.clone();
        schema["$schema"] = draft.into();
        if let Ok(schema) = Schema::from_server(schema, patterns_left) {
            return Ok(schema);
        }
    }
    Err(faults)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn list_one(tool: Value) -> Vec<OfferedTool> {
        let mut listing = Listing::default();
        listed(&tool).into_iter().for_each(|tool| listing.add(tool).unwrap());
        listing.tools
    }

    fn usable(schema: Value) -> Result<Value, String> {
        let tool = list_one(json!({"name": "t", "inputSchema": schema})).pop().unwrap();
        tool.parameters.map(|it| it.schema().clone())
    }

    #[test]
    fn schemas_are_completed_and_invalid_ones_are_explained() {
        let empty = json!({"type": "object", "properties": {}});
        assert_eq!(usable(json!({})), Ok(empty.clone()));
        assert_eq!(usable(json!({"type": "object"})), Ok(empty));
        for (schema, fault) in [
            (json!("no"), "not a JSON Schema"),
            (json!({"type": "array"}), "does not describe an object"),
            (json!({"properties": {"a": {"type": 7}}}), "not a valid JSON Schema"),
            (
                json!({"properties": {"a": {"$ref": "http://example.com/x"}}}),
                "only to its own parts",
            ),
            (json!({"$ref": "#"}), "refers to itself"),
            (json!({"allOf": [{"$ref": "#"}]}), "refers to itself"),
        ] {
            let error = usable(schema).unwrap_err();
            assert!(error.contains(fault), "{error}");
        }
        assert!(list_one(json!({"description": "nameless"})).is_empty());
        assert!(usable(json!({"properties": {"a": {"$ref": "#"}}})).is_ok());
    }

    #[test]
    fn no_pattern_makes_a_tool_unusable() {
        let pattern = |of: &str| json!({"properties": {"a": {"type": "string", "pattern": of}}});
        let date = r"^(?:\d{4})-(?:0[1-9]|1[0-2])-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z$";
        let (ahead, behind) = (r"(?=x((\w{50}){50}){50}x)", r"(?<!((\w{50}){50}){50}y)");
        for of in [
            date,
            r"^((\w{60}){60}){60}$",
            &format!("^{}$", ahead.repeat(2000)),
            &format!("^(?=x){}$", behind.repeat(2000)),
            r"^\p{L}[\p{L}\p{N} '-]*$",
            r"^[^/]{1,255}/[^/]{1,255}$",
        ] {
            assert!(usable(pattern(of)).is_ok(), "{of:.60}");
        }
        let mut listing = Listing::default();
        for number in 0..500 {
            let schema = pattern(&format!("^x{number}.{{300}}$"));
            let tool = json!({"name": format!("a{number}"), "inputSchema": schema});
            listing.add(listed(&tool).unwrap()).unwrap();
        }
        assert!(listing.tools.iter().all(|tool| tool.parameters.is_ok()));
    }
}
