//! What a server offers: its tools, listed page by page within bounds, their schemas checked.

use std::collections::HashSet;
use std::sync::Arc;

use rmcp::ServiceError;
use rmcp::model::{ClientRequest, ListToolsRequest, PaginatedRequestParams, ServerResult, Tool};
use rmcp::service::{Peer, RoleClient};
use serde_json::{Map, Value};

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
/// Characters of a schema's fault, which repeats what it was given.
const LONGEST_FAULT: usize = 200;

/// One tool of a server.
#[derive(Debug)]
pub struct Offered {
    pub name: String,
    pub description: String,
    /// The server says that it changes nothing, or that what it does cannot be undone.
    pub read_only: Option<bool>,
    pub destructive: Option<bool>,
    /// What a model is told of its arguments, and what checks them; or why it cannot be used.
    pub usable: Result<(Arc<Value>, jsonschema::Validator), String>,
}

/// Asks a server for all its tools.
///
/// # Errors
/// It does not answer properly, or without end.
pub async fn list(peer: &Peer<RoleClient>) -> Result<Vec<Offered>, String> {
    let mut offered = Vec::new();
    let mut known = HashSet::new();
    let (mut bytes, mut cursor) = (0, None);
    for _ in 0..MOST_PAGES {
        let page = page(peer, cursor).await?;
        for mut tool in page.tools {
            bytes += tool.bytes;
            if tool.offered.name.len() > LONGEST_NAME {
                let end = tool.offered.name.floor_char_boundary(LONGEST_NAME);
                tool.offered.name.truncate(end);
                tool.offered.usable = Err("its name is too long".to_owned());
            }
            // Of two with one name only one could be called.
            if known.insert(tool.offered.name.clone()) {
                offered.push(tool.offered);
            }
            if offered.len() > MOST_TOOLS || bytes > MOST_BYTES {
                let most = MOST_BYTES >> 20;
                return Err(format!("listed more than {MOST_TOOLS} tools or {most} MiB of them"));
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(offered);
        }
    }
    Err(format!("listed its tools on more than {MOST_PAGES} pages"))
}

struct Page {
    tools: Vec<Listed>,
    next: Option<String>,
}

struct Listed {
    offered: Offered,
    bytes: usize,
}

async fn page(peer: &Peer<RoleClient>, cursor: Option<String>) -> Result<Page, String> {
    let params = PaginatedRequestParams::default().with_cursor(cursor);
    let request = ClientRequest::ListToolsRequest(ListToolsRequest::with_param(params));
    let result = peer.send_request(request).await.map_err(|error| match error {
        ServiceError::TransportClosed => "ended while it listed its tools".to_owned(),
        error => format!("did not list its tools: {error}"),
    })?;
    match result {
        ServerResult::ListToolsResult(page) => {
            let tools = page.tools.into_iter().map(listed).collect();
            Ok(Page { tools, next: page.next_cursor })
        }
        // Something of it is not as it should be: that need not cost the others.
        ServerResult::CustomResult(page) => {
            let tools = page.0.get("tools").and_then(Value::as_array);
            let tools = tools.ok_or("did not list its tools: the answer holds none")?;
            let next = page.0.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
            Ok(Page { tools: tools.iter().filter_map(misshapen).collect(), next })
        }
        _ => Err("did not list its tools: the answer holds none".to_owned()),
    }
}

/// A tool of a page that cannot be read as a whole. One without a name is none.
fn misshapen(tool: &Value) -> Option<Listed> {
    let name = tool.get("name")?.as_str()?.to_owned();
    if let Ok(tool) = serde_json::from_value(tool.clone()) {
        return Some(listed(tool));
    }
    let fault = match tool.get("inputSchema") {
        None => "it has no inputSchema",
        Some(Value::Object(_)) => "what the server says of it cannot be read",
        Some(_) => "its inputSchema is no JSON Schema",
    };
    let bytes = name.len();
    let usable = Err(fault.to_owned());
    let (description, read_only, destructive) = (String::new(), None, None);
    Some(Listed { offered: Offered { name, description, read_only, destructive, usable }, bytes })
}

fn listed(tool: Tool) -> Listed {
    let mut description = tool.description.unwrap_or_default().into_owned();
    description.truncate(description.floor_char_boundary(LONGEST_DESCRIPTION));
    let hints = tool.annotations.unwrap_or_default();
    let schema = object_schema((*tool.input_schema).clone());
    let bytes = tool.name.len() + description.len() + schema.to_string().len();
    let offered = Offered {
        name: tool.name.into_owned(),
        description,
        read_only: hints.read_only_hint,
        destructive: hints.destructive_hint,
        usable: checked(schema),
    };
    Listed { offered, bytes }
}

/// Model servers want both keys, and servers leave them out for tools without arguments.
fn object_schema(mut schema: Map<String, Value>) -> Value {
    schema.entry("type").or_insert_with(|| "object".into());
    schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    Value::Object(schema)
}

fn checked(schema: Value) -> Result<(Arc<Value>, jsonschema::Validator), String> {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err("its inputSchema does not describe an object".to_owned());
    }
    match jsonschema::validator_for(&schema) {
        Ok(validator) => Ok((Arc::new(schema), validator)),
        Err(error) => {
            let fault: String = error.to_string().chars().take(LONGEST_FAULT).collect();
            Err(format!("its inputSchema is no valid JSON Schema: {fault}"))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn usable(schema: Value) -> Result<Value, String> {
        let tool = json!({"name": "t", "inputSchema": schema});
        misshapen(&tool).unwrap().offered.usable.map(|(schema, _)| (*schema).clone())
    }

    #[test]
    fn what_a_schema_lacks_is_added_and_what_is_wrong_is_said() {
        let empty = json!({"type": "object", "properties": {}});
        assert_eq!(usable(json!({})), Ok(empty.clone()));
        assert_eq!(usable(json!({"type": "object"})), Ok(empty));
        for (schema, fault) in [
            (json!("no"), "no JSON Schema"),
            (json!({"type": "array"}), "does not describe an object"),
            (json!({"properties": {"a": {"type": 7}}}), "no valid JSON Schema"),
            (
                json!({"properties": {"a": {"$ref": "http://example.com/x"}}}),
                "no valid JSON Schema",
            ),
        ] {
            let error = usable(schema).unwrap_err();
            assert!(error.contains(fault), "{error}");
        }
        assert!(misshapen(&json!({"description": "nameless"})).is_none());
    }

    #[test]
    fn a_schema_that_refers_to_itself_can_be_used() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"properties": {"a": {"$ref": "#"}}}),
        ] {
            let tool = json!({"name": "t", "inputSchema": schema});
            if let Ok((_, validator)) = misshapen(&tool).unwrap().offered.usable {
                let _ = validator.is_valid(&json!({"a": {"a": {}}}));
                validator.iter_errors(&json!({"a": {"a": 7}})).count();
            }
        }
    }
}
