//! The crew file of a case, written as JSON, which is YAML that needs no quoting.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::case::{Caller, Calls, Case, Role, Tool};

/// The folder in which the processes of a tool record their pids.
pub fn pid_dir(dir: &Path, tool: &Tool) -> PathBuf {
    dir.join(tool.fixture.name())
}

/// The parts of a crew file that a case adds to.
#[derive(Default)]
struct CrewFile {
    agents: Map<String, Value>,
    tools: Map<String, Value>,
    servers: Map<String, Value>,
}

/// The file of a case, and the names of its agents in order. `program` is crew itself, `base_url`
/// the address of the case's server.
pub fn crew_file(
    case: &Case,
    dir: &Path,
    program: &Path,
    base_url: Option<&str>,
) -> (Value, Vec<String>) {
    let mut file = CrewFile::default();
    for tool in case.tools() {
        file.add_tool(case, tool, dir, program);
    }
    if let Some(calls) = &case.calls {
        file.add_calls(case, calls, base_url.unwrap_or_default());
    }
    let names = file.agents.keys().cloned().collect();
    let grace = format!("{}ms", case.grace.as_millis());
    let provider = |base_url| json!({"mock": {"api": "openai", "base_url": base_url}});
    let file = json!({
        "name": "selftest",
        "limits": {"grace": grace, "timeout": case.timeout, "on_failure": "continue"},
        "providers": base_url.map_or(json!({}), provider),
        "tools": file.tools,
        "mcp_servers": file.servers,
        "agents": file.agents,
    });
    (file, names)
}

impl CrewFile {
    /// Adds an agent with a fixture in its role.
    fn add_tool(&mut self, case: &Case, tool: &Tool, dir: &Path, program: &Path) {
        let name = tool.fixture.name();
        let (program, pid_dir) = (program.to_string_lossy(), pid_dir(dir, tool));
        let args = ["selftest", "--fixture", &name, &*pid_dir.to_string_lossy()];
        let command = [&[&*program][..], &args].concat();
        let timeout = tool.timeout;
        let agent = match tool.role {
            Role::Tool => {
                let tool =
                    json!({"description": case.title, "command": command, "timeout": timeout});
                self.tools.insert(name.clone(), tool);
                json!({"model": "offline", "tools": [name]})
            }
            Role::Server => {
                let server = json!({"command": program, "args": args, "start_timeout": timeout});
                self.servers.insert(name.clone(), server);
                json!({"model": "offline", "tools": [name]})
            }
            Role::Step => json!({"command": command, "timeout": timeout}),
            Role::Instance => json!({"command": command, "timeout": timeout, "for_each": [0]}),
            Role::Check => {
                let check = json!({"command": command, "timeout": timeout, "attempts": 1});
                json!({"model": "offline", "check": check})
            }
        };
        self.agents.insert(name, agent);
    }

    /// Adds agents that send one request each to the server at `url`.
    fn add_calls(&mut self, case: &Case, calls: &Calls, url: &str) {
        let target = json!({"url": url});
        for number in 1..=calls.agents {
            let mut agent: Map<String, Value> =
                serde_json::from_str(calls.settings).unwrap_or_default();
            let name = format!("call-{number}");
            let (model, tools) = match calls.caller {
                Caller::Model => ("mock/any", json!([])),
                Caller::HttpTool => {
                    let tool = json!({"description": case.title, "http": target});
                    self.tools.insert("request".to_owned(), tool);
                    ("offline", json!(["request"]))
                }
                Caller::McpServer => {
                    self.servers.insert(name.clone(), target.clone());
                    ("offline", json!([name]))
                }
            };
            agent.insert("model".to_owned(), model.into());
            agent.insert("tools".to_owned(), tools);
            agent.insert("retries".to_owned(), 0.into());
            self.agents.insert(name, Value::Object(agent));
        }
    }
}
