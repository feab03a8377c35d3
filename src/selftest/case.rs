//! What a case of the self-test consists of.

use std::fmt;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::server::Manners;
use super::zoo::Animal;

const IS_LINUX: bool = cfg!(target_os = "linux");

/// One run of crew: what is in its file, what happens to it, and how it has to end.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// To run it by itself: `crew selftest NAME`.
    pub name: &'static str,
    /// What is tried, in at most 46 columns.
    pub title: &'static str,
    pub promise: Promise,
    /// Each is the tool of an agent that has no model.
    pub tools: &'static [Tool],
    pub calls: Option<Calls>,
    pub grace: Duration,
    /// Of the run; as in the file.
    pub timeout: &'static str,
    /// What happens once every tool and every call is there.
    pub steps: &'static [Step],
    pub ends: Ends,
    /// What else has to hold afterwards.
    pub expect: &'static [Expect],
    /// Promised on Linux only as a whole. Elsewhere the tools that leave their group are left out.
    pub linux_only: bool,
    /// About milliseconds: nothing else runs meanwhile.
    pub alone: bool,
}

impl Case {
    /// Those whose end is promised on the system that crew was built for.
    pub fn tools(&self) -> impl Iterator<Item = &'static Tool> {
        let is_promised = |tool: &&Tool| IS_LINUX || !tool.animal.escapes_its_group();
        self.tools.iter().filter(is_promised)
    }

    /// Whether there is anything to try on the system that crew was built for.
    pub fn is_promised_here(&self) -> bool {
        IS_LINUX || !self.linux_only && (self.calls.is_some() || self.tools().next().is_some())
    }
}

/// What crew promises, and by when: counted from the last thing that happened to it.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    pub text: &'static str,
    pub limit: Duration,
}

#[derive(Debug, Clone, Copy)]
pub struct Tool {
    pub animal: Animal,
    /// Of the tool; as in the file.
    pub timeout: &'static str,
    /// It is an MCP server. An animal that does not speak is being started for ever.
    pub server: bool,
}

/// Agents that ask a server, each once.
#[derive(Debug, Clone, Copy)]
pub struct Calls {
    pub caller: Caller,
    pub manners: Manners,
    pub agents: usize,
    /// Keys of each agent; a JSON object.
    pub settings: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The agent itself: the server is a model's.
    Agent,
    /// An HTTP tool of the agent, which has no model.
    Tool,
    /// An MCP server of the agent, which has no model either: it is being started.
    Server,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Waits until nothing of this tool is alive, which must happen while the run goes on.
    Gone(Animal),
    /// Everything of this tool must be alive.
    Alive(Animal),
    /// Waits until crew has said this on stderr.
    Says(&'static str),
    Signal(Signal),
    /// Twenty signals, from four threads.
    Volley,
    KillCrew,
    /// The one process that crew has for itself.
    KillGuardian,
    /// Whoever reads crew's output goes away.
    CloseOutput,
}

/// How crew's process has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    Exit(u8),
    /// By this signal.
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
    /// What the report has at this JSON pointer.
    Is(&'static str, Fact),
    /// The number that the report has there is not above this.
    AtMost(&'static str, u64),
    /// So many lines of stderr speak of this.
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
