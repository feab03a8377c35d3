//! Warnings about a file without faults: what it defines and does not use, and programs that this
//! machine lacks.
//!
//! Definitions of included files may be meant for other crews, so only unused ones of the main file
//! are worth a warning.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path as FilePath;

use crate::config::expand::Env;
use crate::config::faults::FaultLog;
use crate::config::file::CrewFile;
use crate::config::forms::Entries;
use crate::config::place::{FileId, Path};
use crate::text::quoted;

/// Logs the warnings about a crew.
pub fn warn(crew: &CrewFile, env: Env<'_>, log: &FaultLog) {
    let linter = Linter { crew, env, log };
    linter.unused_variables();
    linter.unused_tools();
    let tools = Path::Root.key("tools");
    for (name, tool) in Entries::of(crew.tools.as_ref()) {
        if let Some(program) = tool.command.iter().flatten().next() {
            linter.program(program, &tools.key(name).key("command").index(0));
        }
    }
    let agents = Path::Root.key("agents");
    for (name, agent) in Entries::of(crew.agents.as_ref()) {
        let path = agents.key(name);
        if let Some(program) = agent.command.iter().flatten().next() {
            linter.program(program, &path.key("command").index(0));
        }
        let check = agent.check.as_ref().and_then(|check| check.command.as_ref());
        if let Some(program) = check.into_iter().flatten().next() {
            linter.program(program, &path.key("check").key("command").index(0));
        }
    }
    let servers = Path::Root.key("mcp_servers");
    for (name, server) in Entries::of(crew.mcp_servers.as_ref()) {
        if let Some(command) = &server.command {
            linter.program(command, &servers.key(name).key("command"));
        }
    }
}

struct Linter<'a> {
    crew: &'a CrewFile,
    env: Env<'a>,
    log: &'a FaultLog,
}

impl Linter<'_> {
    fn unused_variables(&self) {
        let root = Path::Root.key("vars");
        for (name, _) in Entries::of(self.crew.vars.as_ref()) {
            if !self.log.is_variable_used(name) {
                self.unused(&root.key(name), format!("no template uses the variable {name}"));
            }
        }
    }

    fn unused_tools(&self) {
        let agents = Entries::of(self.crew.agents.as_ref());
        let own = agents.iter().filter_map(|(_, agent)| agent.tools.as_ref());
        let defaults = self.crew.defaults.iter().filter_map(|defaults| defaults.tools.as_ref());
        let listed: HashSet<&str> = own.chain(defaults).flatten().map(String::as_str).collect();
        let root = Path::Root.key("tools");
        for (name, _) in Entries::of(self.crew.tools.as_ref()) {
            if !listed.contains(name.as_str()) {
                self.unused(&root.key(name), format!("no agent uses the tool {name}"));
            }
        }
        let servers: HashSet<&str> =
            listed.iter().filter_map(|listed| listed.split('.').next()).collect();
        let root = Path::Root.key("mcp_servers");
        for (name, _) in Entries::of(self.crew.mcp_servers.as_ref()) {
            if !servers.contains(name.as_str()) {
                let message = format!("no agent uses a tool of the MCP server {name}");
                self.unused(&root.key(name), message);
            }
        }
    }

    fn unused(&self, path: &Path<'_>, message: String) {
        if self.log.sources.key_place(path).file == FileId::MAIN {
            self.log.warning(path, message, None);
        }
    }

    /// Warns if a program is missing. A path is relative to the file; a bare name is searched in
    /// PATH.
    fn program(&self, program: &str, path: &Path<'_>) {
        // A template is filled in only when the tool is called.
        if program.contains("{{") || program.contains("{%") {
            return;
        }
        let (exists, hint) = if program.contains('/') {
            let file = self.log.sources.folder(path).join(program);
            (is_executable(&file), "a relative path starts at the crew file")
        } else {
            let search = (self.env)("PATH").unwrap_or_default();
            let exists =
                std::env::split_paths(&search).any(|dir| is_executable(&dir.join(program)));
            (exists, "install it, or add its directory to PATH")
        };
        if !exists {
            let message = format!("there is no program {}", quoted(program));
            self.log.warning(path, message, Some(hint.to_owned()));
        }
    }
}

fn is_executable(file: &FilePath) -> bool {
    let executable = |metadata: std::fs::Metadata| metadata.permissions().mode() & 0o111 != 0;
    file.is_file() && file.metadata().is_ok_and(executable)
}
