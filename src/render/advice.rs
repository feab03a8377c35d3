//! Advice about the error of an agent.

use crate::report::{AgentError, AgentKind, AgentReport, ErrorKind, Scope, StepReport};
use crate::text::inline;
use crate::vendor::Vendor;

/// One sentence of advice for an error of an agent. A rejected key has none: the error itself names
/// the key.
pub fn advice(error: &AgentError, agent: &AgentReport) -> Option<String> {
    let model = agent.model.as_str();
    let provider = model.split_once('/').map_or(model, |(provider, _)| provider);
    Some(match (error.kind, error.scope) {
        (ErrorKind::Auth, _) => return None,
        (ErrorKind::Timeout, Some(Scope::Agent) | None) if agent.kind == AgentKind::Step => {
            "raise the step's `timeout`, or give it less to do".to_owned()
        }
        (ErrorKind::Timeout, scope) => timeout(scope).to_owned(),
        (ErrorKind::Step, _) => step(&error.message, agent.step.as_ref()).to_owned(),
        (ErrorKind::ForEach, _) => for_each(&error.message).to_owned(),
        (ErrorKind::Network, _) => network(provider),
        _ if error.used_up => used_up(provider),
        (kind, _) => other(kind).to_owned(),
    })
}

fn timeout(scope: Option<Scope>) -> &'static str {
    match scope {
        Some(Scope::Run) => "raise `limits.timeout` (or -t), or give the agents less to do",
        Some(Scope::Agent) | None => "raise the agent's `timeout`, or use a faster model",
        Some(Scope::Model) => {
            "check that the server can be reached, raise the agent's `idle_timeout`, or use a \
             faster model"
        }
        Some(Scope::Tool) => "raise the tool's `timeout` (or `tool_timeout`)",
    }
}

fn network(provider: &str) -> String {
    let Some(vendor) = Vendor::named(provider) else {
        return format!(
            "check the network and `base_url` of provider `{}`, or run again later",
            inline(provider)
        );
    };
    match (vendor.base_url_variable, vendor.listen_port) {
        (Some(variable), Some(_)) => {
            format!("check that {provider} is running where ${variable} says")
        }
        (Some(variable), None) => format!("check the network, and ${variable} if you set it"),
        (None, _) => "check the network and run again".to_owned(),
    }
}

fn used_up(provider: &str) -> String {
    let place = match Vendor::named(provider).and_then(|vendor| vendor.credit_url) {
        Some(url) => format!("at {url}"),
        None => format!("with provider `{}`", inline(provider)),
    };
    format!("retrying does not help: add credit {place}, or list another model under `model`")
}

fn step(message: &str, report: Option<&StepReport>) -> &'static str {
    if message.starts_with("the output is longer than max_answer") {
        return "raise `max_answer`, or let the step print less";
    }
    if message.starts_with("the output ") {
        return "make the step print what `parse` and `output_schema` ask for";
    }
    if message.contains("Argument list too long") {
        return "give the program long texts with `stdin`, or in a file";
    }
    match report {
        Some(StepReport { http_status: Some(_), .. }) => {
            "check the step's `http`: its address, headers and body"
        }
        Some(StepReport { exit_code: Some(0), .. }) => {
            "add 0 to the step's `ok_exit_codes` if it is no failure"
        }
        Some(StepReport { exit_code: Some(_), .. } | StepReport { signal: Some(_), .. }) => {
            "run the step's command by hand to see what it lacks"
        }
        _ => "change in the step what the message names",
    }
}

fn for_each(message: &str) -> &'static str {
    if message.contains("instances failed") {
        "see the errors of the instances"
    } else if message.contains("max_items") {
        "raise `max_items`, or give for_each a shorter list"
    } else {
        "change what `for_each` yields, as the message says"
    }
}

fn other(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::RateLimited => {
            "run again later, raise `retries`, or lower `max_parallel` or `max_concurrency`"
        }
        ErrorKind::Overloaded => "run again later, raise `retries`, or use another model (-m)",
        ErrorKind::BadRequest => "check the model name, `base_url` and the agent's settings",
        ErrorKind::ContextLength => {
            "shorten the prompt, lower the tools' `max_output`, or use a model with more context"
        }
        ErrorKind::InvalidResponse => {
            "use another model or a list of models; raise `max_answer` if the answer was too long, \
             or `retries` if it does not match the `output_schema`"
        }
        ErrorKind::MaxTurns => "raise the agent's `max_turns`, or instruct it when to stop",
        ErrorKind::Budget => "raise the limit named in the message",
        ErrorKind::Tool => "run the tool's command by hand to find the cause",
        ErrorKind::Template => "fix the template named in the message",
        ErrorKind::Check => "run the check by hand with an answer on its standard input",
        ErrorKind::Unverified => {
            "read what the check printed, then change the prompt, the check, or its `attempts`"
        }
        ErrorKind::NotRecorded => {
            "record the run again with --record, or add to the recording with --replay-or-record"
        }
        ErrorKind::Internal => "this is a bug in crew; please report it",
        // Handled by `advice`.
        ErrorKind::Auth
        | ErrorKind::Network
        | ErrorKind::Timeout
        | ErrorKind::Step
        | ErrorKind::ForEach => "run again",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn advise(kind: ErrorKind, scope: Option<Scope>, model: &str) -> String {
        let agent = AgentReport::new("a".into(), AgentKind::Model, model.into());
        advice(&AgentError { kind, scope, message: String::new(), used_up: false }, &agent).unwrap()
    }

    #[test]
    fn advice_about_a_step_speaks_of_what_it_has() {
        let say = |kind, step, message: &str| {
            let scope = Some(Scope::Agent).filter(|_| kind == ErrorKind::Timeout);
            let error = AgentError { kind, scope, message: message.to_owned(), used_up: false };
            let step = AgentReport {
                step: Some(step),
                ..AgentReport::new("a".into(), AgentKind::Step, String::new())
            };
            advice(&error, &step).unwrap()
        };
        let advise = |kind, step| say(kind, step, "");
        let none = StepReport::default();
        let exited = |code| StepReport { exit_code: Some(code), ..StepReport::default() };
        let answered = StepReport { http_status: Some(404), ..StepReport::default() };
        assert!(!advise(ErrorKind::Timeout, none.clone()).contains("model"));
        assert!(advise(ErrorKind::Step, exited(3)).contains("command by hand"));
        assert!(advise(ErrorKind::Step, exited(0)).contains("`ok_exit_codes`"));
        for step in [exited(0), exited(1), answered.clone()] {
            let said = say(ErrorKind::Step, step, "the output is not valid JSON");
            assert!(said.contains("`parse`"));
        }
        assert!(advise(ErrorKind::Step, answered).contains("`http`"));
        assert!(!advise(ErrorKind::Step, none).contains("command"));
    }

    #[test]
    fn advice_about_a_timeout_names_the_limit() {
        let timeout = |scope| advise(ErrorKind::Timeout, scope, "offline");
        assert!(timeout(Some(Scope::Run)).contains("`limits.timeout`"));
        assert!(timeout(Some(Scope::Agent)).contains("agent's `timeout`"));
        assert!(timeout(Some(Scope::Model)).contains("`idle_timeout`"));
        assert!(timeout(Some(Scope::Tool)).contains("`tool_timeout`"));
    }

    #[test]
    fn advice_about_the_network_names_the_address() {
        assert!(advise(ErrorKind::Network, None, "ollama/x").contains("$OLLAMA_HOST"));
        assert!(advise(ErrorKind::Network, None, "local/x").contains("`base_url`"));
    }
}
