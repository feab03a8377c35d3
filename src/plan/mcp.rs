//! MCP servers: how each is reached, and which of its tools an agent is given.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

use super::hosts::Host;
use super::tools::{DEFAULT_MAX_OUTPUT, OUTPUT_BOUNDS};
use super::{SandboxPlan, check, declared, sandbox};
use crate::config::expand::is_variable_name;
use crate::config::faults::FaultLog;
use crate::config::file::{Entries, McpServerConfig};
use crate::config::place::Path;
use crate::text::quoted;

/// What starting one may take: its process, the handshake and the list of its tools.
const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(30);
/// Headers that are the protocol's own.
const RESERVED: [&str; 5] =
    ["accept", "content-type", "mcp-session-id", "mcp-protocol-version", "last-event-id"];
const ONE: &str = "give it exactly one: command: npx (with args:), or url: https://…/mcp";

#[derive(Debug)]
pub struct McpServerPlan {
    pub name: String,
    pub access: McpAccess,
    /// With `--offline` only this machine is asked, and it is another.
    pub out_of_reach: bool,
    /// Folders that it is told of if it asks.
    pub roots: Vec<PathBuf>,
    pub start_timeout: Duration,
    /// Of one call; `None`: the agent's `tool_timeout`.
    pub timeout: Option<Duration>,
    /// Bytes of one result that the model gets.
    pub max_output: usize,
    /// Each call of its tools is asked about first.
    pub confirm: bool,
}

#[derive(Debug)]
pub enum McpAccess {
    /// A process that is talked to through its standard input and output.
    Process {
        /// A bare name is looked up in PATH.
        program: PathBuf,
        args: Vec<String>,
        /// Besides what every tool gets.
        env: Vec<(String, SecretString)>,
        /// `None`: where crew was started.
        cwd: Option<PathBuf>,
        /// `None`: it may do what its user may.
        sandbox: Option<SandboxPlan>,
    },
    /// Streamable HTTP.
    Http { url: String, headers: Vec<(String, SecretString)> },
}

/// The tools of a server that an agent is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpGrant {
    /// Index into [`super::CrewPlan::mcp_servers`].
    pub server: usize,
    /// The name of a tool, where `*` stands for any text and `?` for any character.
    pub pattern: String,
}

impl McpGrant {
    pub fn covers(&self, tool: &str) -> bool {
        let (pattern, tool): (Vec<char>, Vec<char>) =
            (self.pattern.chars().collect(), tool.chars().collect());
        let (mut p, mut t) = (0, 0);
        // Where the last `*` stands, and up to where it has been stretched.
        let mut star = None;
        while t < tool.len() {
            if pattern.get(p) == Some(&'*') {
                star = Some((p, t));
                p += 1;
            } else if pattern.get(p).is_some_and(|&c| c == '?' || c == tool[t]) {
                (p, t) = (p + 1, t + 1);
            } else if let Some((at, reached)) = star {
                star = Some((at, reached + 1));
                (p, t) = (at + 1, reached + 1);
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|&c| c == '*')
    }

    /// Whether it names one tool rather than any that fit.
    pub fn is_exact(&self) -> bool {
        !self.pattern.contains(['*', '?'])
    }
}

/// What all servers are checked against.
pub struct Surroundings<'a> {
    pub base_dir: &'a Arc<PathBuf>,
    /// Names of the tools of the file.
    pub tools: &'a HashSet<&'a str>,
    /// As `--offline` asks for.
    pub offline: bool,
    pub log: &'a FaultLog,
}

impl Surroundings<'_> {
    /// All servers, in the order of the file. One that no plan can be made of is replaced by one
    /// that does nothing, so that what names it is not found fault with again.
    pub fn servers(&self, servers: Option<&Entries<McpServerConfig>>) -> Vec<Arc<McpServerPlan>> {
        let root = Path::Root.key("mcp_servers");
        let entries = servers.map(|entries| entries.0.as_slice()).unwrap_or_default();
        entries
            .iter()
            .map(|(name, config)| Arc::new(self.server(name, config, &root.key(name))))
            .collect()
    }

    fn server(&self, name: &str, config: &McpServerConfig, path: &Path<'_>) -> McpServerPlan {
        let log = self.log;
        check::name(name, "an MCP server", path, log);
        if self.tools.contains(name) {
            let message = format!("{name:?} is the name of a tool as well");
            log.key(path, message, Some("give one of them another name".to_owned()));
        }
        let start_timeout = config
            .start_timeout
            .as_ref()
            .and_then(|text| check::timeout(text, &path.key("start_timeout"), log));
        let timeout = config.timeout.as_ref();
        let timeout = timeout.and_then(|text| check::timeout(text, &path.key("timeout"), log));
        let max_output = config.max_output.as_ref();
        let max_output = max_output
            .and_then(|text| check::size(text, OUTPUT_BOUNDS, &path.key("max_output"), log));
        let around = sandbox::Surroundings { base_dir: self.base_dir, log };
        McpServerPlan {
            name: name.to_owned(),
            access: self.access(name, config, path),
            roots: around.paths(config.roots.as_deref(), &path.key("roots")),
            out_of_reach: self.offline && config.url.as_deref().is_some_and(is_elsewhere),
            start_timeout: start_timeout.unwrap_or(DEFAULT_START_TIMEOUT),
            timeout,
            confirm: config.confirm.unwrap_or(false),
            max_output: max_output.unwrap_or(DEFAULT_MAX_OUTPUT),
        }
    }

    fn access(&self, name: &str, config: &McpServerConfig, path: &Path<'_>) -> McpAccess {
        let fault = |message: String| self.log.key(path, message, Some(ONE.to_owned()));
        match (&config.command, &config.url) {
            (Some(_), Some(_)) => {
                fault(format!("MCP server {name:?} has both a command and a url"))
            }
            (None, None) => fault(format!("MCP server {name:?} has neither a command nor a url")),
            _ => {}
        }
        let process_only = [
            ("args", config.args.is_some()),
            ("env", config.env.is_some()),
            ("cwd", config.cwd.is_some()),
            ("sandbox", config.sandbox.is_some()),
        ];
        let http_only = [("headers", config.headers.is_some())];
        let (misplaced, kind): (&[_], _) = match &config.url {
            Some(_) => (&process_only, "started by a command"),
            None => (&http_only, "reached by a url"),
        };
        for (key, _) in misplaced.iter().filter(|(_, given)| *given) {
            let message = format!("{key} is for servers {kind}");
            self.log.key(&path.key(key), message, Some("remove it".to_owned()));
        }
        match &config.url {
            Some(url) => McpAccess::Http {
                url: self.url(url, &path.key("url")),
                headers: self.headers(config, &path.key("headers")),
            },
            None => self.process(config, path),
        }
    }

    fn process(&self, config: &McpServerConfig, path: &Path<'_>) -> McpAccess {
        let log = self.log;
        let command = config.command.clone().unwrap_or_default();
        if config.command.is_some() && command.trim().is_empty() {
            log.value(&path.key("command"), "the command names no program", None);
        } else if command.contains(char::is_whitespace) && !command.contains('/') {
            let hint = "arguments stand in args: [-y, a-server]".to_owned();
            let message = "a command is one program, not a line for a shell";
            log.value(&path.key("command"), message, Some(hint));
        }
        let args = config.args.clone().unwrap_or_default();
        for (at, text) in args.iter().enumerate() {
            no_nul(text, &path.key("args").index(at), log);
        }
        no_nul(&command, &path.key("command"), log);
        // A path of the file's starts at the file; a bare name is looked up in PATH.
        let program = match command.contains('/') {
            true => self.base_dir.join(command),
            false => command.into(),
        };
        let cwd = config.cwd.as_ref().map(|text| {
            let folder = self.base_dir.join(text);
            if !folder.is_dir() {
                let message = format!("there is no folder {}", quoted(text));
                let hint = "a relative path starts at the crew's file".to_owned();
                log.value(&path.key("cwd"), message, Some(hint));
            }
            folder
        });
        let around = sandbox::Surroundings { base_dir: self.base_dir, log };
        let sandbox = config.sandbox.as_ref();
        let sandbox = sandbox.map(|sandbox| around.sandbox(sandbox, &path.key("sandbox")));
        let env = self.env(config, &path.key("env"));
        McpAccess::Process { program, args, env, cwd, sandbox }
    }

    fn env(&self, config: &McpServerConfig, path: &Path<'_>) -> Vec<(String, SecretString)> {
        let entries = config.env.as_ref().map(|env| env.0.as_slice()).unwrap_or_default();
        for (name, value) in entries {
            let path = path.key(name);
            self.log.hide(&path);
            if !is_variable_name(name) {
                let message =
                    format!("{} is not the name of an environment variable", quoted(name));
                self.log.key(&path, message, None);
            }
            no_nul(value, &path, self.log);
        }
        entries.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect()
    }

    fn headers(&self, config: &McpServerConfig, path: &Path<'_>) -> Vec<(String, SecretString)> {
        let headers = declared::headers(config.headers.as_ref(), path, self.log);
        for (name, _) in &headers {
            if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
                let message = format!("the header {name} is the protocol's own to set");
                self.log.key(&path.key(name), message, None);
            }
        }
        headers
    }

    fn url(&self, text: &str, path: &Path<'_>) -> String {
        let url = Url::parse(text);
        let fault = match &url {
            Err(_) => Some("expected a URL such as https://example.com/mcp"),
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                Some("only http and https are spoken")
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                Some("a password belongs into headers, from a variable")
            }
            Ok(url) if url.fragment().is_some() => Some("expected a URL without #"),
            Ok(_) => None,
        };
        if let Some(fault) = fault {
            self.log.value(path, fault, None);
        }
        text.to_owned()
    }
}

fn is_elsewhere(url: &str) -> bool {
    !Url::parse(url).is_ok_and(|url| Host::of(&url).is_loopback())
}

fn no_nul(text: &str, path: &Path<'_>, log: &FaultLog) {
    if text.contains('\0') {
        log.value(path, "a program cannot be given a text with a NUL in it", None);
    }
}

/// What an agent's `tools:` means by a name that is no tool's: a server, all of its tools or those
/// after the dot.
pub fn grant(name: &str, servers: &[Arc<McpServerPlan>]) -> Option<McpGrant> {
    let (server, pattern) = name.split_once('.').unwrap_or((name, "*"));
    let server = servers.iter().position(|known| known.name == server)?;
    (!pattern.is_empty()).then(|| McpGrant { server, pattern: pattern.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let covers = |pattern: &str, tool: &str| {
            McpGrant { server: 0, pattern: pattern.to_owned() }.covers(tool)
        };
        for (pattern, tool) in [
            ("*", "anything"),
            ("read_file", "read_file"),
            ("*_read", "file_read"),
            ("*_read", "_read_read"),
            ("file_*", "file_"),
            ("f?le*r*d", "file.read"),
            ("**", ""),
        ] {
            assert!(covers(pattern, tool), "{pattern} {tool}");
        }
        for (pattern, tool) in
            [("*_read", "file_reads"), ("read", "Read"), ("?", ""), ("a*b", "a"), ("", "a")]
        {
            assert!(!covers(pattern, tool), "{pattern} {tool}");
        }
        // However hostile, it takes no more than the product of the lengths.
        assert!(!covers(&"*a".repeat(200), &"a".repeat(199)));
    }
}
