//! Steps and checks: programs and requests that agents run besides tools.

use super::agent_keys;
use super::check;
use super::sandbox::SandboxChecker;
use super::scope::Scope;
use super::step_plan::{CheckPlan, Parse, StepKind, StepPlan};
use super::tool_plan::{ProcessPlan, ToolCommand};
use super::tools::{self, ToolChecker};
use crate::config::expand::is_variable_name;
use crate::config::faults::FaultLog;
use crate::config::file::{AgentConfig, CheckConfig, SandboxConfig};
use crate::config::flow::{EnvConfig, ParseConfig};
use crate::config::place::Path;
use crate::template::Template;
use crate::text::quoted;

const DEFAULT_ATTEMPTS: u32 = 3;
const ONE: &str = "give it exactly one: command: [program, argument], or shell: a line for sh -c";

/// The context in which steps and checks are checked.
pub struct StepChecker<'a> {
    pub tools: &'a ToolChecker<'a>,
}

/// The keys that describe a program.
struct Program<'a> {
    command: Option<&'a [String]>,
    shell: Option<&'a str>,
    cwd: Option<&'a str>,
    env: Option<&'a EnvConfig>,
    sandbox: Option<&'a SandboxConfig>,
}

/// Whether an agent is a step.
pub fn is_step(config: &AgentConfig) -> bool {
    config.command.is_some() || config.shell.is_some() || config.http.is_some()
}

impl StepChecker<'_> {
    /// The step. `None` if it has faults, which are logged.
    pub fn step(
        &self,
        name: &str,
        config: &AgentConfig,
        scope: &Scope<'_>,
        path: &Path<'_>,
    ) -> Option<StepPlan> {
        let log = self.tools.log;
        agent_keys::check_step(name, config, path, log);
        let kind = self.kind(name, config, scope, path);
        let stdin = config.stdin.as_ref();
        let stdin = stdin.map(|text| scope.template(text, &path.key("stdin"), log));
        let codes = config.ok_exit_codes.as_deref().unwrap_or_default().iter().enumerate();
        let codes_path = path.key("ok_exit_codes");
        let codes = codes
            .filter_map(|(at, code)| check::whole(code, 0..=255_i32, &codes_path.index(at), log));
        let codes: Vec<i32> = codes.collect();
        let max_output = tools::max_output(config.max_output.as_ref(), path, log);
        let parse = match config.parse {
            Some(ParseConfig::Lines) => Parse::Lines,
            Some(ParseConfig::Json) => Parse::Json,
            None if config.output_schema.is_some() => Parse::Json,
            Some(ParseConfig::Text) | None => Parse::Text,
        };
        if config.output_schema.is_some() && parse != Parse::Json {
            let message = "an output_schema needs parse: json";
            log.value(&path.key("parse"), message, Some("remove it".to_owned()));
        }
        Some(StepPlan {
            kind: kind?,
            stdin,
            parse,
            ok_exit_codes: if config.ok_exit_codes.is_some() { codes } else { vec![0] },
            max_output,
            confirm: config.confirm.unwrap_or(false),
        })
    }

    fn kind(
        &self,
        name: &str,
        config: &AgentConfig,
        scope: &Scope<'_>,
        path: &Path<'_>,
    ) -> Option<StepKind> {
        let log = self.tools.log;
        let (command, shell) = (config.command.is_some(), config.shell.is_some());
        let given = tools::given_kinds(command, shell, config.http.is_some());
        if let [first, second, ..] = given[..] {
            let message = format!("agent {name:?} has both {first} and {second}");
            log.key(path, message, Some("keep one of them".to_owned()));
            return None;
        }
        if let Some(request) = &config.http {
            let keys = [
                ("stdin", config.stdin.is_some()),
                ("cwd", config.cwd.is_some()),
                ("env", config.env.is_some()),
                ("sandbox", config.sandbox.is_some()),
                ("ok_exit_codes", config.ok_exit_codes.is_some()),
            ];
            return self.tools.request(request, "steps", &keys, scope, path).map(StepKind::Http);
        }
        let program = Program {
            command: config.command.as_deref(),
            shell: config.shell.as_deref(),
            cwd: config.cwd.as_deref(),
            env: config.env.as_ref(),
            sandbox: config.sandbox.as_ref(),
        };
        self.process(&program, scope, path).map(StepKind::Process)
    }

    /// The check. `None` if it has faults, which are logged.
    pub fn check(
        &self,
        config: &CheckConfig,
        scope: &Scope<'_>,
        path: &Path<'_>,
    ) -> Option<CheckPlan> {
        let log = self.tools.log;
        if config.command.is_some() == config.shell.is_some() {
            log.key(path, "a check has either a command or a shell line", Some(ONE.to_owned()));
            return None;
        }
        let timeout = config.timeout.as_ref();
        let timeout = timeout.and_then(|text| check::timeout(text, &path.key("timeout"), log));
        let max_output = tools::max_output(config.max_output.as_ref(), path, log);
        let attempts = config.attempts.as_ref();
        let attempts = attempts
            .and_then(|number| check::whole(number, 1..=100_u32, &path.key("attempts"), log));
        let program = Program {
            command: config.command.as_deref(),
            shell: config.shell.as_deref(),
            cwd: config.cwd.as_deref(),
            env: config.env.as_ref(),
            sandbox: config.sandbox.as_ref(),
        };
        Some(CheckPlan {
            process: self.process(&program, scope, path)?,
            timeout,
            max_output,
            attempts: attempts.unwrap_or(DEFAULT_ATTEMPTS),
        })
    }

    fn process(
        &self,
        program: &Program<'_>,
        scope: &Scope<'_>,
        path: &Path<'_>,
    ) -> Option<ProcessPlan> {
        let base_dir = check::base_dir(path, self.tools.log);
        let cwd = program.cwd;
        let cwd = cwd.map(|text| self.tools.cwd(text, &base_dir, scope, &path.key("cwd")));
        let (env, set_env) = match program.env {
            Some(env) => self.env(env, scope, &path.key("env")),
            None => Default::default(),
        };
        let checker = SandboxChecker { base_dir: &base_dir, log: self.tools.log };
        let sandbox = program.sandbox.map(|sandbox| checker.sandbox(sandbox, &path.key("sandbox")));
        let hint = "give the value a name under env: and write \"$name\"";
        let command = self.tools.command(program.command, program.shell, hint, scope, path)?;
        Some(ProcessPlan { command, cwd, base_dir, env, set_env, sandbox })
    }

    /// The variables that are passed on, and those with values. A key is the author's decision.
    fn env(
        &self,
        config: &EnvConfig,
        scope: &Scope<'_>,
        path: &Path<'_>,
    ) -> (Vec<String>, Vec<(String, Template)>) {
        let log = self.tools.log;
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for (at, (name, value)) in config.variables.iter().enumerate() {
            let path = if config.is_list { path.index(at) } else { path.key(name) };
            if !is_variable_name(name) {
                let message =
                    format!("{} is not the name of an environment variable", quoted(name));
                let hint = "env: takes names to pass on, or a mapping from name to value";
                let note = if config.is_list { FaultLog::value } else { FaultLog::key };
                note(log, &path, message, Some(hint.to_owned()));
            } else if names.contains(name) {
                log.value(&path, format!("{name} is listed twice"), None);
            } else {
                match value {
                    None => names.push(name.clone()),
                    Some(text) => values.push((name.clone(), scope.template(text, &path, log))),
                }
            }
        }
        (names, values)
    }
}

impl ProcessPlan {
    /// The program as it is called in events: `sh` for a shell line.
    pub fn name(&self) -> String {
        match &self.command {
            ToolCommand::Argv(argv) => {
                argv.first().map(Template::source).unwrap_or_default().into()
            }
            ToolCommand::Shell(_) => "sh".to_owned(),
        }
    }
}
