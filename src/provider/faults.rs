//! `--fault`: model calls that fail on purpose, to see how a crew copes with it.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use parking_lot::Mutex;
use tokio::time::sleep;

use super::error::{Effect, ProviderError};
use super::request::{ChatDelta, ChatRequest, Foresight, OnDelta, Provider};
use crate::chat::ChatReply;
use crate::plan::{CrewPlan, glob};
use crate::report::{ErrorKind, Scope};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The server limits the rate.
    RateLimited,
    /// The server fails.
    ServerError,
    /// The answer begins, then nothing comes any more.
    Stall,
    /// The stream ends after the first words.
    Cut,
    /// The server never answers.
    Hang,
    /// The response cannot be read.
    Garbage,
    /// The connection is reset.
    Die,
}

impl FaultKind {
    pub const ALL: [Self; 7] = [
        Self::RateLimited,
        Self::ServerError,
        Self::Stall,
        Self::Cut,
        Self::Hang,
        Self::Garbage,
        Self::Die,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "429",
            Self::ServerError => "500",
            Self::Stall => "stall",
            Self::Cut => "cut",
            Self::Hang => "hang",
            Self::Garbage => "garbage",
            Self::Die => "die",
        }
    }
}

/// `PATTERN=KIND[:N]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    /// A glob over agents and instances.
    pattern: String,
    kind: FaultKind,
    /// How many calls of each agent fail; `None`: all.
    count: Option<u32>,
}

impl FromStr for FaultRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pattern, fault) = text
            .rsplit_once('=')
            .filter(|(pattern, _)| !pattern.is_empty())
            .ok_or("expected PATTERN=KIND or PATTERN=KIND:N, such as '*=429:2'")?;
        let (name, count) = match fault.split_once(':') {
            Some((name, count)) => (name, Some(count)),
            None => (fault, None),
        };
        let kind =
            FaultKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
                let names = FaultKind::ALL.map(FaultKind::name).join(", ");
                format!("there is no fault {name:?}; known: {names}")
            })?;
        let count = count.map(|count| match count.parse() {
            Ok(0) | Err(_) => Err("expected a number of calls of 1 or more after the colon"),
            Ok(count) => Ok(count),
        });
        Ok(Self { pattern: pattern.to_owned(), kind, count: count.transpose()? })
    }
}

impl fmt::Display for FaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.pattern, self.kind.name())?;
        self.count.map_or(Ok(()), |count| write!(f, ":{count}"))
    }
}

impl FaultRule {
    /// Whether it is about a run of an agent. A pattern without a key is about all instances.
    fn covers(&self, agent: &str) -> bool {
        let name = agent.split('[').next().unwrap_or_default();
        glob::matches(&self.pattern, agent)
            || !self.pattern.contains('[') && glob::matches(&self.pattern, name)
    }

    /// Checks that it is about an agent that has a model.
    ///
    /// # Errors
    /// A message and a hint.
    pub fn check(&self, plan: &CrewPlan) -> Result<(), (String, String)> {
        let name = self.pattern.split('[').next().unwrap_or_default();
        let agents = plan.agents.iter().filter(|agent| agent.model_work().is_some());
        let names: Vec<&str> = agents.clone().map(|agent| agent.name.as_str()).collect();
        let mut named = agents.filter(|agent| glob::matches(name, &agent.name)).peekable();
        let is_named = named.peek().is_some();
        if named.any(|agent| agent.for_each.is_some() || !self.pattern.contains('[')) {
            return Ok(());
        }
        if is_named {
            let hint = format!("without for_each an agent is named alone: {name}");
            return Err((format!("no agent that fits {self} has instances"), hint));
        }
        let hint = format!("agents with a model that run: {}", names.join(", "));
        Err((format!("no agent with a model fits {self}"), hint))
    }
}

/// The faults of a run.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<FaultRule>,
    /// The calls of each agent that a rule was about.
    calls: Mutex<HashMap<(usize, String), u32>>,
}

impl Faults {
    pub fn new(rules: Vec<FaultRule>) -> Self {
        Self { rules, calls: Mutex::default() }
    }

    /// The fault of an agent's next call: that of the first rule which is not used up.
    fn next(&self, agent: &str) -> Option<FaultKind> {
        let mut calls = self.calls.lock();
        let rules = self.rules.iter().enumerate();
        let mut rules = rules.filter(|(_, rule)| rule.covers(agent));
        let (_, rule) = rules.find(|(at, rule)| {
            let made = calls.entry((*at, agent.to_owned())).or_default();
            *made += 1;
            rule.count.is_none_or(|count| *made <= count)
        })?;
        Some(rule.kind)
    }
}

/// A provider whose calls may fail on purpose.
pub struct Faulty {
    pub inner: Arc<dyn Provider>,
    pub faults: Arc<Faults>,
}

impl Provider for Faulty {
    fn chat<'a>(
        &'a self,
        request: &'a ChatRequest<'a>,
        on_delta: OnDelta<'a>,
    ) -> BoxFuture<'a, Result<ChatReply, ProviderError>> {
        match self.faults.next(request.agent) {
            Some(kind) => fail(kind, request.settings.idle_timeout, on_delta).map(Err).boxed(),
            None => self.inner.chat(request, on_delta),
        }
    }

    fn foresee(&self, request: &ChatRequest<'_>) -> Foresight {
        self.inner.foresee(request)
    }

    fn not_made(&self, request: &ChatRequest<'_>, error: Option<&ProviderError>) {
        self.inner.not_made(request, error);
    }
}

/// Behaves as a server with the fault, until the call has failed.
async fn fail(kind: FaultKind, idle: Duration, on_delta: OnDelta<'_>) -> ProviderError {
    on_delta(ChatDelta::Sent);
    if matches!(kind, FaultKind::Stall | FaultKind::Cut) {
        on_delta(ChatDelta::Text("The first words"));
    }
    let error = |kind, message: &str| {
        let message = format!("{message} (--fault)");
        // A test need not wait.
        let retry_after = Some(Duration::ZERO);
        ProviderError { retryable: true, retry_after, ..ProviderError::new(kind, message) }
    };
    match kind {
        FaultKind::RateLimited => ProviderError {
            effect: Effect::PauseModel,
            ..error(ErrorKind::RateLimited, "HTTP 429 Too Many Requests")
        },
        FaultKind::ServerError => error(ErrorKind::Overloaded, "HTTP 500 Internal Server Error"),
        FaultKind::Stall | FaultKind::Hang => {
            sleep(idle).await;
            let message = format!("no data for {idle:?}");
            ProviderError {
                scope: Some(Scope::Model),
                retryable: false,
                ..error(ErrorKind::Timeout, &message)
            }
        }
        FaultKind::Cut => {
            error(ErrorKind::Network, "the stream ended before the answer was complete")
        }
        FaultKind::Garbage => ProviderError {
            retryable: false,
            ..error(ErrorKind::InvalidResponse, "the response does not follow the API")
        },
        FaultKind::Die => error(ErrorKind::Network, "the connection broke: connection reset"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_shown_alike() {
        for text in ["*=429:2", "review[*]=stall", "a=b=die:1"] {
            assert_eq!(text.parse::<FaultRule>().unwrap().to_string(), text);
        }
        for (text, why) in [
            ("*", "PATTERN=KIND"),
            ("=429", "PATTERN=KIND"),
            ("*=404", "no fault \"404\"; known: 429, 500, stall"),
            ("*=429:0", "1 or more"),
            ("*=429:x", "1 or more"),
        ] {
            let error = text.parse::<FaultRule>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn each_agent_has_its_own_count() {
        let rules = ["a=429:1", "r[x*]=die:1", "*=500:1"].map(|text| text.parse().unwrap());
        let faults = Faults::new(rules.into());
        for (agent, expected) in [
            ("a", Some(FaultKind::RateLimited)),
            ("a", Some(FaultKind::ServerError)),
            ("a", None),
            ("r[xy]", Some(FaultKind::Die)),
            ("r[y]", Some(FaultKind::ServerError)),
            ("r[y]", None),
        ] {
            assert_eq!(faults.next(agent), expected, "{agent}");
        }
    }
}
