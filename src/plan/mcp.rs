//! Checks MCP servers: the access to each, and the tools that agents get.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderMap;
use secrecy::SecretString;

use super::sandbox::{SandboxChecker, SandboxPlan};
use super::tools;
use super::{check, declared, glob};
use crate::config::expand::is_variable_name;
use crate::config::faults::FaultLog;
use crate::config::file::McpServerConfig;
use crate::config::flow::ConfirmText;
use crate::config::forms::Entries;
use crate::config::place::Path;
use crate::net;
use crate::text::quoted;

/// The time for the process, the handshake and the list of tools.
const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(30);
/// Headers that the protocol sets.
const RESERVED: [&str; 5] =
    ["accept", "content-type", "mcp-session-id", "mcp-protocol-version", "last-event-id"];
const HINT: &str = "give it exactly one: command: npx (with args:), or url: https://…/mcp";

#[derive(Debug)]
pub struct McpServerPlan {
    pub name: String,
    pub access: McpAccess,
    /// Whether the server is on another machine and `--offline` is given.
    pub out_of_reach: bool,
    /// The directories that crew lists if the server asks for roots.
    pub roots: Vec<PathBuf>,
    pub start_timeout: Duration,
    /// The limit of one call. `None`: the agent's `tool_timeout`.
    pub timeout: Option<Duration>,
    /// Bytes of one result that the model gets.
    pub max_output: usize,
    /// The calls of its tools that need approval.
    pub confirm: Confirm,
}

/// The calls of a server's tools that need approval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Confirm {
    #[default]
    Never,
    Always,
    /// Those of tools that the server does not call harmless.
    Destructive,
}

impl Confirm {
    /// Whether a tool with these hints of its server needs approval. The protocol's default is that
    /// a tool is destructive.
    pub fn covers(self, read_only: Option<bool>, destructive: Option<bool>) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Destructive => read_only != Some(true) && destructive != Some(false),
        }
    }
}

#[derive(Debug)]
pub enum McpAccess {
    /// A process, through its standard input and output.
    Process {
        /// A name without a slash is looked up in PATH.
        program: PathBuf,
        args: Vec<String>,
        /// Variables in addition to those that every tool gets.
        env: Vec<(String, SecretString)>,
        /// `None`: the directory in which crew was started.
        cwd: Option<PathBuf>,
        /// `None`: the program has the rights of its user.
        sandbox: Option<SandboxPlan>,
    },
    /// Streamable HTTP.
    Http { url: Url, headers: HeaderMap },
}

impl McpAccess {
    /// Whether the server is on another machine.
    fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Http { url, .. } if !net::is_loopback(url))
    }
}

/// The tools of a server that an agent gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpGrant {
    /// Index into [`super::CrewPlan::mcp_servers`].
    pub server: usize,
    /// A pattern for the names of tools, with `*` and `?`.
    pub pattern: String,
}

impl McpGrant {
    pub fn covers(&self, tool: &str) -> bool {
        glob::matches(&self.pattern, tool)
    }

    /// Whether the pattern is the name of one tool.
    pub fn is_exact(&self) -> bool {
        !self.pattern.contains(['*', '?'])
    }
}

/// The context in which servers are checked.
pub struct McpChecker<'a> {
    /// The names of the file's tools.
    pub tools: &'a HashSet<&'a str>,
    /// Whether `--offline` is given.
    pub offline: bool,
    pub log: &'a FaultLog,
}

impl McpChecker<'_> {
    /// All servers, in the order of the file. A server with faults stays in the list, so that the
    /// agents that name it do not cause more faults.
    pub fn servers(&self, servers: Option<&Entries<McpServerConfig>>) -> Vec<Arc<McpServerPlan>> {
        let root = Path::Root.key("mcp_servers");
        Entries::of(servers)
            .iter()
            .map(|(name, config)| Arc::new(self.server(name, config, &root.key(name))))
            .collect()
    }

    fn server(&self, name: &str, config: &McpServerConfig, path: &Path<'_>) -> McpServerPlan {
        let log = self.log;
        check::name(name, "an MCP server", path, log);
        if self.tools.contains(name) {
            let message = format!("{name:?} is also the name of a tool");
            log.key(path, message, Some("give one of them another name".to_owned()));
        }
        let start_timeout = config
            .start_timeout
            .as_ref()
            .and_then(|text| check::timeout(text, &path.key("start_timeout"), log));
        let timeout = config.timeout.as_ref();
        let timeout = timeout.and_then(|text| check::timeout(text, &path.key("timeout"), log));
        let max_output = tools::max_output(config.max_output.as_ref(), path, log);
        let base_dir = check::base_dir(path, log);
        let checker = SandboxChecker { base_dir: &base_dir, log };
        let access = self.access(name, config, path);
        McpServerPlan {
            name: name.to_owned(),
            out_of_reach: self.offline && access.is_elsewhere(),
            access,
            roots: checker.paths(config.roots.as_deref(), &path.key("roots")),
            start_timeout: start_timeout.unwrap_or(DEFAULT_START_TIMEOUT),
            timeout,
            confirm: self.confirm(config.confirm.as_ref(), &path.key("confirm")),
            max_output,
        }
    }

    fn confirm(&self, config: Option<&ConfirmText>, path: &Path<'_>) -> Confirm {
        match config.map(|text| text.0.as_str()) {
            None | Some("false") => Confirm::Never,
            Some("true") => Confirm::Always,
            Some("destructive") => Confirm::Destructive,
            Some(_) => {
                self.log.value(path, "expected true, false or destructive", None);
                Confirm::Always
            }
        }
    }

    fn access(&self, name: &str, config: &McpServerConfig, path: &Path<'_>) -> McpAccess {
        let fault = |message: String| self.log.key(path, message, Some(HINT.to_owned()));
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
        let (keys, owners): (&[_], _) = match &config.url {
            Some(_) => (&process_only, "servers started by a command"),
            None => (&http_only, "servers reached by a url"),
        };
        check::misplaced(keys, owners, path, self.log);
        let Some(text) = &config.url else { return self.process(config, path) };
        let url = self.url(text, &path.key("url"));
        let headers = self.headers(config, &path.key("headers"));
        match url {
            Some(url) => McpAccess::Http { url, headers },
            None => self.process(config, path),
        }
    }

    fn process(&self, config: &McpServerConfig, path: &Path<'_>) -> McpAccess {
        let log = self.log;
        let command = config.command.clone().unwrap_or_default();
        if config.command.is_some() && command.trim().is_empty() {
            log.value(&path.key("command"), "the command has no program", None);
        } else if command.contains(char::is_whitespace) && !command.contains('/') {
            let hint = "write arguments in args:, such as [-y, a-server]".to_owned();
            let message = "the command must be one program, not a shell line";
            log.value(&path.key("command"), message, Some(hint));
        }
        let args = config.args.clone().unwrap_or_default();
        for (at, text) in args.iter().enumerate() {
            check::no_nul(text, &path.key("args").index(at), log);
        }
        check::no_nul(&command, &path.key("command"), log);
        let base_dir = check::base_dir(path, log);
        // A relative path starts at the file. A name without a slash is looked up in PATH.
        let program = if command.contains('/') { base_dir.join(command) } else { command.into() };
        let cwd = config.cwd.as_ref().map(|text| {
            let folder = base_dir.join(text);
            if !folder.is_dir() {
                let message = format!("there is no directory {}", quoted(text));
                let hint = "a relative path starts at the crew's file".to_owned();
                log.value(&path.key("cwd"), message, Some(hint));
            }
            folder
        });
        let checker = SandboxChecker { base_dir: &base_dir, log };
        let sandbox = config.sandbox.as_ref();
        let sandbox = sandbox.map(|sandbox| checker.sandbox(sandbox, &path.key("sandbox")));
        let env = self.env(config, &path.key("env"));
        McpAccess::Process { program, args, env, cwd, sandbox }
    }

    fn env(&self, config: &McpServerConfig, path: &Path<'_>) -> Vec<(String, SecretString)> {
        let entries = Entries::of(config.env.as_ref());
        for (name, value) in entries {
            let path = path.key(name);
            self.log.hide(&path);
            if !is_variable_name(name) {
                let message =
                    format!("{} is not the name of an environment variable", quoted(name));
                self.log.key(&path, message, None);
            }
            check::no_nul(value, &path, self.log);
        }
        entries.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect()
    }

    fn headers(&self, config: &McpServerConfig, path: &Path<'_>) -> HeaderMap {
        let headers = declared::headers(config.headers.as_ref(), path, self.log);
        for (name, _) in &headers {
            if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
                let message = format!("the protocol sets the header {name} itself");
                self.log.key(&path.key(name), message, None);
            }
        }
        declared::sensitive(headers)
    }

    fn url(&self, text: &str, path: &Path<'_>) -> Option<Url> {
        let fault = match Url::parse(text) {
            Err(_) => "expected a URL such as https://example.com/mcp",
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                "only http and https are supported"
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                "put credentials in headers, from a variable"
            }
            Ok(url) if url.fragment().is_some() => "expected a URL without #",
            Ok(url) => return Some(url),
        };
        self.log.value(path, fault, None);
        None
    }
}

/// The tools of a server that a name in an agent's `tools:` means: all of them, or those that fit
/// the pattern after the dot.
pub fn grant(name: &str, servers: &[Arc<McpServerPlan>]) -> Option<McpGrant> {
    let (server, pattern) = name.split_once('.').unwrap_or((name, "*"));
    let server = servers.iter().position(|known| known.name == server)?;
    (!pattern.is_empty()).then(|| McpGrant { server, pattern: pattern.to_owned() })
}
