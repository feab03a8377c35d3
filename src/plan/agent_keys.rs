//! Which keys of an agent are for models, and which for steps.

use crate::config::faults::FaultLog;
use crate::config::file::{AgentConfig, SettingsConfig};
use crate::config::place::Path;

/// The kind of agents for which a key has a meaning.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Model,
    Step,
    Both,
}

/// Lists every key of an agent with what it is for, and whether it is given. The patterns name all
/// fields, so a new key does not compile until it stands here.
macro_rules! keys {
    (
        $agent:ident { $($use:ident: $($key:ident)*;)* }
        settings { $($settings_use:ident: $($setting:ident)*;)* }
    ) => {{
        let AgentConfig { $($($key,)*)* settings } = $agent;
        let SettingsConfig { $($($setting,)*)* } = settings;
        [
            $($((stringify!($key), For::$use, $key.is_some()),)*)*
            $($((stringify!($setting), For::$settings_use, $setting.is_some()),)*)*
        ]
    }};
}

/// The keys that the agent has and that are for this.
fn given(agent: &AgentConfig, for_what: For) -> impl Iterator<Item = &'static str> {
    let keys = keys! {
        agent {
            Model: role goal backstory instructions system prompt attach tools check;
            Step: command shell http stdin cwd env parse ok_exit_codes max_output sandbox confirm;
            Both: needs when for_each key max_items max_parallel on_failure output_schema;
        }
        settings {
            Model: model idle_timeout tool_timeout max_turns retries temperature top_p stop seed
                effort cache extra_body max_output_tokens limits;
            Both: timeout max_answer;
        }
    };
    let is_given = move |(key, of, is_given)| (is_given && of == for_what).then_some(key);
    keys.into_iter().filter_map(is_given)
}

/// Logs the keys of a step that are about a model, which it does not have.
pub fn check_step(name: &str, config: &AgentConfig, path: &Path<'_>, log: &FaultLog) {
    let hint = "remove it, or the command, shell or http that makes this a step";
    for key in given(config, For::Model) {
        let message = format!("{key} is for agents with a model, and {name} is a step");
        log.key(&path.key(key), message, Some(hint.to_owned()));
    }
}

/// Logs the keys of an agent with a model that are about a program or a request of its own.
pub fn check_model(config: &AgentConfig, path: &Path<'_>, log: &FaultLog) {
    let hint = "remove it, or give the agent a command, shell or http in place of its model";
    for key in given(config, For::Step) {
        let message = format!("{key} is for steps, and this agent has a model");
        log.key(&path.key(key), message, Some(hint.to_owned()));
    }
}
