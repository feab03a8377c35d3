//! The description of one case of the self-test.

use std::fmt;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::fixture::Fixture;
use super::server::ServerBehaviour;

const IS_LINUX: bool = cfg!(target_os = "linux");

/// One run of crew: its file, what happens to it, and how it has to end.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// For `crew selftest NAME`.
    pub name: &'static str,
    /// At most 46 columns.
    pub title: &'static str,
    pub promise: Promise,
    /// Each one belongs to an agent of its own that has no model.
    pub tools: &'static [Tool],
    pub calls: Option<Calls>,
    /// `crew batch run` with so many inputs, all at once, instead of `crew run`.
    pub inputs: Option<usize>,
    pub grace: Duration,
    /// The timeout of the run, as written in the file.
    pub timeout: &'static str,
    /// What happens once every tool and every call has started.
    pub steps: &'static [Step],
    pub ends: Ends,
    /// What else has to be true afterwards.
    pub expect: &'static [Expect],
    /// The whole case needs Linux. Otherwise other systems leave out only the tools that escape
    /// their process group.
    pub linux_only: bool,
    /// Its limit is a few milliseconds, so no other case may run at the same time.
    pub alone: bool,
}

impl Case {
    /// How often each tool and each call starts.
    pub fn times(&self) -> usize {
        self.inputs.unwrap_or(1)
    }

    /// The tools that crew can stop on this system.
    pub fn tools(&self) -> impl Iterator<Item = &'static Tool> {
        let is_supported = |tool: &&Tool| IS_LINUX || !tool.fixture.escapes_its_group();
        self.tools.iter().filter(is_supported)
    }

    /// Whether the case can run on this system.
    pub fn is_supported(&self) -> bool {
        IS_LINUX || !self.linux_only && (self.calls.is_some() || self.tools().next().is_some())
    }
}

/// A promise of crew's, and the time it allows after the last event of the case.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    pub text: &'static str,
    pub limit: Duration,
}

#[derive(Debug, Clone, Copy)]
pub struct Tool {
    pub fixture: Fixture,
    /// Its timeout, as written in the file.
    pub timeout: &'static str,
    pub role: Role,
}

/// What a misbehaving program is to its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Tool,
    /// An MCP server. A fixture that does not speak MCP never finishes its handshake.
    Server,
    /// The agent itself.
    Step,
    /// The only instance of the agent.
    Instance,
    /// The check of the agent's answer.
    Check,
}

/// Agents that send one request each to the same server.
#[derive(Debug, Clone, Copy)]
pub struct Calls {
    pub caller: Caller,
    pub behaviour: ServerBehaviour,
    pub agents: usize,
    /// Further keys of each agent, as a JSON object.
    pub settings: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The agent's model call: the server is a model server.
    Model,
    /// An HTTP tool of an agent without a model.
    HttpTool,
    /// The handshake with an MCP server over HTTP, of an agent without a model.
    McpServer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Waits until this tool has ended completely while the run goes on.
    Gone(Fixture),
    /// Checks that every process of this tool is alive.
    Alive(Fixture),
    /// Waits until crew has written this to stderr.
    Prints(&'static str),
    Signal(Signal),
    /// Sends twenty signals from four threads.
    Volley,
    KillCrew,
    KillGuardian,
    /// Closes the pipe that reads crew's stdout.
    CloseOutput,
}

/// How crew's process has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    Exit(u8),
    By(Signal),
    /// By any of the three signals that stop a run.
    ByAny,
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit status: {code}"),
            Self::By(signal) => write!(f, "signal: {} ({signal})", *signal as i32),
            Self::ByAny => f.write_str("SIGINT, SIGTERM or SIGHUP"),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Expect {
    /// The value at this JSON pointer in the report.
    Is(&'static str, Fact),
    /// The maximum of the number at this JSON pointer in the report.
    AtMost(&'static str, u64),
    /// The number of lines on stderr that contain this.
    Lines(usize, &'static str),
}

#[derive(Debug, Clone, Copy)]
pub enum Fact {
    Word(&'static str),
    Number(u64),
    True,
}

impl Fact {
    pub fn json(self) -> Value {
        match self {
            Self::Word(word) => word.into(),
            Self::Number(number) => number.into(),
            Self::True => true.into(),
        }
    }
}
