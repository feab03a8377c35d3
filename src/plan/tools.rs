//! Checks tools: their commands, their parameters and their descriptions for the model.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::Path as FilePath;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::http::{HttpPlan, RequestChecker};
use super::sandbox::SandboxChecker;
use super::scope::{Scope, ToolScope};
use super::tool_plan::{ProcessPlan, ToolCommand, ToolKind, ToolPlan};
use super::{check, output_schema};
use crate::chat::ToolSpec;
use crate::config::expand::is_variable_name;
use crate::config::faults::FaultLog;
use crate::config::file::{HttpConfig, SizeText, ToolConfig};
use crate::config::place::Path;
use crate::structured::{Parameters, Schema, SchemaFault};
use crate::template::{Template, Vars};
use crate::text::quoted;

/// Bytes of a tool's output that the model gets.
const DEFAULT_MAX_OUTPUT: usize = 64 << 10;
/// The range of `max_output`, in bytes.
const OUTPUT_BOUNDS: RangeInclusive<usize> = 1 << 10..=64 << 20;

const HINT: &str = "give it exactly one: command: [program, argument], shell: a line for sh -c, \
                   or http: {url: https://…}";

/// What a tool or step has to do, as messages name it: it must be one thing.
pub fn given_kinds(command: bool, shell: bool, http: bool) -> Vec<&'static str> {
    let kinds = [(command, "a command"), (shell, "a shell line"), (http, "an http request")];
    kinds.into_iter().filter_map(|(is_given, kind)| is_given.then_some(kind)).collect()
}

/// The bytes of output that are kept.
pub fn max_output(given: Option<&SizeText>, path: &Path<'_>, log: &FaultLog) -> usize {
    let path = path.key("max_output");
    let bytes = given.and_then(|text| check::size(text, OUTPUT_BOUNDS, &path, log));
    bytes.unwrap_or(DEFAULT_MAX_OUTPUT)
}

/// The context in which tools are checked.
pub struct ToolChecker<'a> {
    pub vars: &'a Vars,
    /// The variables that hold API keys.
    pub keys: &'a HashSet<String>,
    /// Whether `--offline` is given.
    pub offline: bool,
    pub log: &'a FaultLog,
}

impl ToolChecker<'_> {
    /// The tool. `None` if it has faults, which are logged.
    pub fn tool(&self, name: &str, config: &ToolConfig, path: &Path<'_>) -> Option<ToolPlan> {
        let log = self.log;
        check::name(name, "a tool", path, log);
        let parameters = config.parameters.as_ref().map(|p| p.0.as_slice()).unwrap_or_default();
        let names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
        let scope = ToolScope::new(self.vars, &names);
        let scope = Scope::Tool(&scope);
        let kind = self.kind(name, config, &scope, path);
        self.parameter_names(&names, config, &path.key("parameters"));
        let schema = object_schema(parameters, &path.key("parameters"), log);
        let timeout = config.timeout.as_ref();
        let timeout = timeout.and_then(|text| check::timeout(text, &path.key("timeout"), log));
        let max_output = max_output(config.max_output.as_ref(), path, log);
        let parameters = Parameters::new(schema?);
        Some(ToolPlan {
            spec: ToolSpec {
                name: name.to_owned(),
                description: config.description.clone().unwrap_or_default(),
                parameters: parameters.shown(),
            },
            parameters: Arc::new(parameters),
            timeout,
            max_output,
            confirm: config.confirm.unwrap_or(false),
            kind: kind?,
        })
    }

    fn kind(
        &self,
        name: &str,
        config: &ToolConfig,
        scope: &Scope<'_>,
        path: &Path<'_>,
    ) -> Option<ToolKind> {
        let log = self.log;
        let given =
            given_kinds(config.command.is_some(), config.shell.is_some(), config.http.is_some());
        let message = match &given[..] {
            [_] => None,
            [] => Some(format!("tool {name:?} has nothing to run")),
            [first, second, ..] => Some(format!("tool {name:?} has both {first} and {second}")),
        };
        if let Some(message) = message {
            log.key(path, message, Some(HINT.to_owned()));
            return None;
        }
        if let Some(http) = &config.http {
            let keys = [
                ("cwd", config.cwd.is_some()),
                ("env", config.env.is_some()),
                ("sandbox", config.sandbox.is_some()),
            ];
            return self.request(http, "tools", &keys, scope, path).map(ToolKind::Http);
        }
        let base_dir = check::base_dir(path, log);
        let cwd = config.cwd.as_deref();
        let cwd = cwd.map(|text| self.cwd(text, &base_dir, scope, &path.key("cwd")));
        let env = self.env(config.env.as_deref().unwrap_or_default(), &path.key("env"));
        let checker = SandboxChecker { base_dir: &base_dir, log };
        let sandbox = config.sandbox.as_ref();
        let sandbox = sandbox.map(|sandbox| checker.sandbox(sandbox, &path.key("sandbox")));
        let hint = "arguments are environment variables: write \"$name\"";
        let (command, shell) = (config.command.as_deref(), config.shell.as_deref());
        let command = self.command(command, shell, hint, scope, path)?;
        let set_env = Vec::new();
        Some(ToolKind::Process(ProcessPlan { command, cwd, base_dir, env, set_env, sandbox }))
    }

    /// The request of one of the `owners`, tools or steps. `keys` are those that only programs have,
    /// each with whether it is given.
    pub fn request(
        &self,
        http: &HttpConfig,
        owners: &str,
        keys: &[(&str, bool)],
        scope: &Scope<'_>,
        path: &Path<'_>,
    ) -> Option<Box<HttpPlan>> {
        check::misplaced(keys, &format!("{owners} that start a program"), path, self.log);
        let checker = RequestChecker { scope, offline: self.offline, log: self.log };
        checker.request(http, &path.key("http")).map(Box::new)
    }

    /// The command or the shell line; `hint` says how values reach the latter.
    pub fn command(
        &self,
        command: Option<&[String]>,
        shell: Option<&str>,
        hint: &str,
        scope: &Scope<'_>,
        path: &Path<'_>,
    ) -> Option<ToolCommand> {
        let log = self.log;
        match (command, shell) {
            (Some(command), _) => {
                let path = path.key("command");
                if command.is_empty() {
                    log.value(&path, "the command is empty", Some(HINT.to_owned()));
                }
                if command.first().is_some_and(|program| program.trim().is_empty()) {
                    log.value(&path.index(0), "the command has no program", None);
                }
                let argument = |(at, text): (usize, &String)| {
                    let path = path.index(at);
                    check::no_nul(text, &path, log);
                    scope.template(text, &path, log)
                };
                Some(ToolCommand::Argv(command.iter().enumerate().map(argument).collect()))
            }
            (None, Some(shell)) => {
                let path = path.key("shell");
                if shell.trim().is_empty() {
                    log.value(&path, "the shell line is empty", Some(HINT.to_owned()));
                }
                if shell.contains("{{") {
                    let message = "templates do not work in a shell line";
                    log.value(&path, message, Some(hint.to_owned()));
                }
                check::no_nul(shell, &path, log);
                Some(ToolCommand::Shell(shell.to_owned()))
            }
            (None, None) => None,
        }
    }

    fn parameter_names(&self, names: &[&str], config: &ToolConfig, path: &Path<'_>) {
        let passed_on = config.env.as_deref().unwrap_or_default();
        for &name in names {
            let (path, shown) = (path.key(name), quoted(name));
            if !is_variable_name(name) {
                let hint = "a letter or _, then letters, digits or _".to_owned();
                let message = format!("{shown} cannot be the name of a parameter");
                self.log.key(&path, message, Some(hint));
            } else if config.shell.is_some() && is_reserved(name, passed_on) {
                let message = format!("{name} has a meaning for the shell or the system");
                self.log.key(&path, message, Some("give the parameter another name".to_owned()));
            } else if config.shell.is_none() && matches!(name, "input" | "vars") {
                let message = format!("{name} has another meaning in templates");
                self.log.key(&path, message, Some("give the parameter another name".to_owned()));
            }
        }
    }

    pub fn cwd(
        &self,
        text: &str,
        base_dir: &FilePath,
        scope: &Scope<'_>,
        path: &Path<'_>,
    ) -> Template {
        check::no_nul(text, path, self.log);
        let template = scope.template(text, path, self.log);
        // The result of a template is known only when the tool is called.
        if template.is_literal() && !base_dir.join(text).is_dir() {
            let message = format!("there is no directory {}", quoted(text));
            let hint = "a relative path starts at the crew's file".to_owned();
            self.log.value(path, message, Some(hint));
        }
        template
    }

    fn env(&self, names: &[String], path: &Path<'_>) -> Vec<String> {
        let mut seen = HashSet::new();
        for (at, name) in names.iter().enumerate() {
            let path = path.index(at);
            if !is_variable_name(name) {
                let message =
                    format!("{} is not the name of an environment variable", quoted(name));
                let hint = "env: lists the variables to pass on, without values".to_owned();
                self.log.value(&path, message, Some(hint));
            } else if self.keys.contains(name) {
                let message = format!("{name} holds an API key, which tools do not get");
                self.log.value(&path, message, Some("remove it".to_owned()));
            } else if !seen.insert(name) {
                self.log.value(&path, format!("{name} is listed twice"), None);
            }
        }
        names.to_vec()
    }
}

/// Whether the variable affects the shell, the loader or crew itself, or is passed on anyway. A
/// model's argument must not replace it.
fn is_reserved(name: &str, passed_on: &[String]) -> bool {
    const NAMES: [&str; 32] = [
        "PATH",
        "HOME",
        "USER",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "TERM",
        "IFS",
        "ENV",
        "CDPATH",
        "SHELL",
        "SHELLOPTS",
        "BASHOPTS",
        "BASH_ENV",
        "PWD",
        "OLDPWD",
        "PPID",
        "UID",
        "EUID",
        "PS1",
        "PS2",
        "PS4",
        "OPTIND",
        "OPTARG",
        "PROMPT_COMMAND",
        "GLOBIGNORE",
        "HOSTALIASES",
        "LOCALDOMAIN",
        "RES_OPTIONS",
        "NLSPATH",
        "POSIXLY_CORRECT",
    ];
    const PREFIXES: [&str; 8] =
        ["LC_", "LD_", "DYLD_", "BASH_FUNC_", "CREW_", "MALLOC_", "GLIBC_", "GCONV_"];
    NAMES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || passed_on.iter().any(|passed| passed == name)
}

/// The schema of all arguments together.
fn object_schema(
    parameters: &[(String, Value)],
    path: &Path<'_>,
    log: &FaultLog,
) -> Option<Schema> {
    if parameters.iter().any(|(name, schema)| name == "type" && schema == "object") {
        let hint =
            "write parameters: {path: {type: string}}, without `type: object` and `properties:`";
        log.key(
            &path.key("type"),
            "the parameters stand here by their names",
            Some(hint.to_owned()),
        );
        return None;
    }
    let mut sound = true;
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, schema) in parameters {
        sound &= parameter(schema, &path.key(name), log);
        if schema.get("default").is_none() {
            required.push(name.as_str());
        }
        properties.insert(name.clone(), schema.clone());
    }
    if !sound {
        return None;
    }
    let schema = json!({
        "type": "object", "properties": properties, "required": required,
        "additionalProperties": false,
    });
    let faults = match Schema::new(schema) {
        Ok(schema) => return Some(schema),
        Err(faults) => faults,
    };
    for SchemaFault { message, hint, .. } in faults {
        log.key(path, format!("all parameters together: {message}"), hint);
    }
    None
}

fn parameter(schema: &Value, path: &Path<'_>, log: &FaultLog) -> bool {
    if log.is_broken(path) {
        return false;
    }
    if !schema.is_object() {
        let hint = "such as {type: string, description: The path of the file}".to_owned();
        log.value(path, "expected a JSON Schema", Some(hint));
        return false;
    }
    let checked = match Schema::new(schema.clone()) {
        Ok(checked) => checked,
        Err(faults) => {
            output_schema::log_all(schema, faults, path, log);
            return false;
        }
    };
    if let Some(default) = schema.get("default")
        && let Err(why) = checked.fit(default)
    {
        let message = format!("the default does not fit its own schema: {why}");
        log.value(&path.key("default"), message, None);
        return false;
    }
    true
}
