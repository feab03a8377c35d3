//! The crew's file of a case. It is JSON, which is YAML: nothing in it needs quoting.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::case::{Caller, Case, Tool};

/// The folder in which the processes of a tool write their pids.
pub fn den(dir: &Path, tool: &Tool) -> PathBuf {
    dir.join(tool.animal.name())
}

/// The file, and the names of its agents in their order. `base_url` is the model server's, if there
/// is one.
pub fn crew_file(case: &Case, dir: &Path, base_url: Option<&str>) -> (Value, Vec<String>) {
    let (mut agents, mut tools, mut servers) = (Map::new(), Map::new(), Map::new());
    for tool in case.tools() {
        let name = tool.animal.name();
        let (program, den) = (super::executable(), den(dir, tool));
        let program = program.to_string_lossy();
        let args = ["selftest", "--as", &name, &*den.to_string_lossy()];
        if tool.server {
            let server = json!({"command": program, "args": args, "start_timeout": tool.timeout});
            servers.insert(name.clone(), server);
        } else {
            let command = [&[&*program][..], &args].concat();
            let timeout = tool.timeout;
            tools.insert(
                name.clone(),
                json!({"description": case.title, "command": command, "timeout": timeout}),
            );
        }
        agents.insert(name.clone(), json!({"model": "offline", "tools": [name]}));
    }
    for (calls, number) in
        case.calls.iter().flat_map(|calls| (1..=calls.agents).map(move |n| (calls, n)))
    {
        let mut agent: Map<String, Value> =
            serde_json::from_str(calls.settings).unwrap_or_default();
        let name = format!("call-{number}");
        let at = json!({"url": base_url.unwrap_or_default()});
        let (model, given) = match calls.caller {
            Caller::Agent => ("zoo/any", json!([])),
            Caller::Tool => {
                let tool = json!({"description": case.title, "http": at});
                tools.insert("request".to_owned(), tool);
                ("offline", json!(["request"]))
            }
            Caller::Server => {
                servers.insert(name.clone(), at);
                ("offline", json!([name]))
            }
        };
        agent.insert("model".to_owned(), model.into());
        agent.insert("tools".to_owned(), given);
        agent.insert("retries".to_owned(), 0.into());
        agents.insert(name, Value::Object(agent));
    }
    let names = agents.keys().cloned().collect();
    let grace = format!("{}ms", case.grace.as_millis());
    let provider = |base_url| json!({"zoo": {"api": "openai", "base_url": base_url}});
    let file = json!({
        "name": "zoo",
        "limits": {"grace": grace, "timeout": case.timeout, "on_failure": "continue"},
        "providers": base_url.map_or(json!({}), provider),
        "tools": tools,
        "mcp_servers": servers,
        "agents": agents,
    });
    (file, names)
}
