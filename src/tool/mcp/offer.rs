//! What a server offers: its tools, listed page by page within bounds, their schemas checked.

use std::collections::HashSet;
use std::sync::Arc;

use rmcp::ServiceError;
use rmcp::model::{ClientRequest, ListToolsRequest, PaginatedRequestParams, ServerResult, Tool};
use rmcp::service::{Peer, RoleClient};
use serde_json::{Map, Value};
use tokio::task::yield_now;

use super::failure::Trouble;
use crate::structured::{MAX_SERVER_PATTERNS, Schema};

/// No server has anywhere near as many, and no model could choose among them.
const MOST_TOOLS: usize = 1000;
/// A server that gives one tool a page.
const MOST_PAGES: usize = 1000;
/// Bytes of all tools together, as they would be sent to a model.
const MOST_BYTES: usize = 4 << 20;
/// Bytes of a name; those that the protocol allows are shorter.
const LONGEST_NAME: usize = 256;
/// Bytes of a description.
const LONGEST_DESCRIPTION: usize = 16 << 10;

/// One tool of a server.
#[derive(Debug)]
pub struct Offered {
    pub name: String,
    pub description: String,
    /// The server says that it changes nothing, or that what it does cannot be undone.
    pub read_only: Option<bool>,
    pub destructive: Option<bool>,
    /// What a model is told of its arguments, and what checks them; or why it cannot be used.
    pub usable: Result<Arc<Schema>, String>,
}

/// Asks a server for all its tools.
///
/// # Errors
/// It does not answer properly, or without end.
pub async fn list(peer: &Peer<RoleClient>) -> Result<Vec<Offered>, Trouble> {
    let mut listing = Listing::default();
    let mut cursor = None;
    for _ in 0..MOST_PAGES {
        let page = page(peer, cursor).await?;
        for tool in page.tools {
            listing.add(tool)?;
            // Checking schemas takes its time: meanwhile the run may be stopped.
            yield_now().await;
        }
        // Some servers write an empty one where there is none.
        cursor = page.next.filter(|next| !next.is_empty());
        if cursor.is_none() {
            return Ok(listing.offered);
        }
    }
    Err(format!("listed its tools on more than {MOST_PAGES} pages").into())
}

struct Listing {
    offered: Vec<Offered>,
    known: HashSet<String>,
    bytes: usize,
    patterns_left: usize,
}

impl Default for Listing {
    fn default() -> Self {
        let (offered, known) = (Vec::new(), HashSet::new());
        Self { offered, known, bytes: 0, patterns_left: MAX_SERVER_PATTERNS }
    }
}

impl Listing {
    fn add(&mut self, tool: Listed) -> Result<(), String> {
        let mut tool = match tool {
            Listed::Whole(tool) => whole(*tool, &mut self.patterns_left),
            Listed::Misshapen(tool) => tool,
        };
        let schema = tool.usable.as_ref().ok();
        self.bytes += tool.name.len() + tool.description.len();
        self.bytes += schema.map_or(0, |schema| schema.schema().to_string().len());
        if tool.name.len() > LONGEST_NAME {
            tool.name.truncate(tool.name.floor_char_boundary(LONGEST_NAME));
            tool.usable = Err("its name is too long".to_owned());
        }
        // Of two with one name only one could be called.
        if self.known.insert(tool.name.clone()) {
            self.offered.push(tool);
        }
        if self.offered.len() > MOST_TOOLS || self.bytes > MOST_BYTES {
            let most = MOST_BYTES >> 20;
            return Err(format!("listed more than {MOST_TOOLS} tools or {most} MiB of them"));
        }
        Ok(())
    }
}

const NO_TOOLS: &str = "did not list its tools: the answer holds none";

struct Page {
    tools: Vec<Listed>,
    next: Option<String>,
}

/// A tool of a page, its schema not checked yet.
enum Listed {
    Whole(Box<Tool>),
    Misshapen(Offered),
}

async fn page(peer: &Peer<RoleClient>, cursor: Option<String>) -> Result<Page, Trouble> {
    let params = PaginatedRequestParams::default().with_cursor(cursor);
    let request = ClientRequest::ListToolsRequest(ListToolsRequest::with_param(params));
    let result = peer.send_request(request).await.map_err(|error| match error {
        ServiceError::TransportClosed => {
            Trouble::Ended(" while it listed its tools", String::new())
        }
        ServiceError::McpError(error) => {
            format!("did not list its tools: {} ({})", error.message, error.code.0).into()
        }
        error => format!("did not list its tools: {error}").into(),
    })?;
    match result {
        ServerResult::ListToolsResult(page) => {
            let tools = page.tools.into_iter().map(|tool| Listed::Whole(tool.into())).collect();
            Ok(Page { tools, next: page.next_cursor })
        }
        // Something of it is not as it should be: that need not cost the others.
        ServerResult::CustomResult(page) => {
            let tools = page.0.get("tools").and_then(Value::as_array);
            let tools = tools.ok_or_else(|| NO_TOOLS.to_owned())?;
            let next = page.0.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
            Ok(Page { tools: tools.iter().filter_map(misshapen).collect(), next })
        }
        _ => Err(NO_TOOLS.to_owned().into()),
    }
}

/// A tool of a page that perhaps cannot be read as a whole. One without a name is none.
fn misshapen(tool: &Value) -> Option<Listed> {
    let name = tool.get("name")?.as_str()?.to_owned();
    if let Ok(tool) = serde_json::from_value(tool.clone()) {
        return Some(Listed::Whole(tool));
    }
    let fault = match tool.get("inputSchema") {
        None => "it has no inputSchema",
        Some(Value::Object(_)) => "what the server says of it cannot be read",
        Some(_) => "its inputSchema is no JSON Schema",
    };
    let usable = Err(fault.to_owned());
    let (description, read_only, destructive) = (String::new(), None, None);
    Some(Listed::Misshapen(Offered { name, description, read_only, destructive, usable }))
}

fn whole(tool: Tool, patterns_left: &mut usize) -> Offered {
    let mut description = tool.description.unwrap_or_default().into_owned();
    description.truncate(description.floor_char_boundary(LONGEST_DESCRIPTION));
    let hints = tool.annotations.unwrap_or_default();
    Offered {
        name: tool.name.into_owned(),
        description,
        read_only: hints.read_only_hint,
        destructive: hints.destructive_hint,
        usable: checked(object_schema((*tool.input_schema).clone()), patterns_left),
    }
}

/// Model servers want both keys, and servers leave them out for tools without arguments.
fn object_schema(mut schema: Map<String, Value>) -> Value {
    schema.entry("type").or_insert_with(|| "object".into());
    schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    Value::Object(schema)
}

/// A schema as strange as its server: it is checked, and so is what will be checked with it.
fn checked(schema: Value, patterns_left: &mut usize) -> Result<Arc<Schema>, String> {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err("its inputSchema does not describe an object".to_owned());
    }
    Schema::from_server(schema, patterns_left).map(Arc::new).map_err(|faults| {
        let fault = faults.into_iter().next().map(|fault| fault.message).unwrap_or_default();
        format!("its inputSchema cannot be used: {fault}")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn offered(tool: Value) -> Vec<Offered> {
        let mut listing = Listing::default();
        misshapen(&tool).into_iter().for_each(|tool| listing.add(tool).unwrap());
        listing.offered
    }

    fn usable(schema: Value) -> Result<Value, String> {
        let tool = offered(json!({"name": "t", "inputSchema": schema})).pop().unwrap();
        tool.usable.map(|schema| schema.schema().clone())
    }

    #[test]
    fn what_a_schema_lacks_is_added_and_what_is_wrong_is_said() {
        let empty = json!({"type": "object", "properties": {}});
        assert_eq!(usable(json!({})), Ok(empty.clone()));
        assert_eq!(usable(json!({"type": "object"})), Ok(empty));
        for (schema, fault) in [
            (json!("no"), "no JSON Schema"),
            (json!({"type": "array"}), "does not describe an object"),
            (json!({"properties": {"a": {"type": 7}}}), "not a valid JSON Schema"),
            (json!({"properties": {"a": {"$ref": "http://example.com/x"}}}), "own parts only"),
            (json!({"$ref": "#"}), "refers to itself"),
            (json!({"allOf": [{"$ref": "#"}]}), "refers to itself"),
        ] {
            let error = usable(schema).unwrap_err();
            assert!(error.contains(fault), "{error}");
        }
        assert!(offered(json!({"description": "nameless"})).is_empty());
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
            listing.add(misshapen(&tool).unwrap()).unwrap();
        }
        assert!(listing.offered.iter().all(|tool| tool.usable.is_ok()));
    }
}
