//! One run of a program, for a tool, a step or a check.

use std::ffi::OsString;
use std::io::ErrorKind;

use minijinja::Value;

use super::launch::{inherited_environment, missing, start_error};
use crate::plan::{ProcessPlan, ToolCommand};
use crate::process::{Finished, Invocation, RunProcesses, Streams};
use crate::report::CancelKind;
use crate::telemetry::SpanContext;
use crate::template::Template;

/// A program with the values that fill its templates.
pub struct Program<'a> {
    pub plan: &'a ProcessPlan,
    pub values: Value,
    /// Environment variables of a shell line.
    pub variables: Vec<(String, String)>,
    pub streams: Streams,
    /// Its place in the trace.
    pub span: SpanContext<'a>,
}

/// Why a program did not run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// A template cannot be rendered, or its text cannot be passed to a program.
    #[error("{0}")]
    Template(String),
    #[error("{0}")]
    Start(String),
}

impl Program<'_> {
    /// Runs the program until it exits, `stop` completes with the reason to stop it, or its output
    /// exceeds a strict limit.
    ///
    /// # Errors
    /// The program did not start. The message is for the model.
    pub async fn run(
        self,
        processes: &RunProcesses,
        stop: impl Future<Output = CancelKind>,
    ) -> Result<Finished<CancelKind>, ProgramError> {
        let invocation = self.invocation().await.map_err(ProgramError::Template)?;
        let program = invocation.program.to_string_lossy().into_owned();
        let (sandboxed, cwd) = (invocation.sandbox.is_some(), invocation.cwd.clone());
        let finished = processes.run(invocation, self.streams, stop).await;
        finished.map_err(|error| {
            ProgramError::Start(match error.kind() {
                ErrorKind::NotFound => missing(&program, cwd.as_deref()),
                _ => start_error(&program, sandboxed, &error),
            })
        })
    }

    async fn invocation(&self) -> Result<Invocation, String> {
        let plan = self.plan;
        let mut environment = inherited_environment(&plan.env, self.span);
        for (name, template) in &plan.set_env {
            environment.retain(|(known, _)| known != name.as_str());
            environment.push((name.into(), self.fill(template).await?.into()));
        }
        let (program, arguments) = match &plan.command {
            ToolCommand::Argv(templates) => {
                let mut argv = Vec::with_capacity(templates.len());
                for template in templates {
                    argv.push(self.fill(template).await?);
                }
                let mut argv = argv.into_iter();
                (argv.next().unwrap_or_default(), argv.map(OsString::from).collect())
            }
            ToolCommand::Shell(script) => {
                for (name, value) in &self.variables {
                    environment.push((name.into(), no_nul(value.clone())?.into()));
                }
                ("sh".to_owned(), vec!["-c".into(), script.into()])
            }
        };
        let cwd = match &plan.cwd {
            Some(template) => Some(plan.base_dir.join(self.fill(template).await?)),
            None => None,
        };
        // A path is relative to the crew file; a bare name is looked up in PATH.
        let program = if program.contains('/') {
            plan.base_dir.join(program).into_os_string()
        } else {
            program.into()
        };
        let sandbox = plan.sandbox.as_ref().map(|plan| plan.sandbox.clone());
        Ok(Invocation { program, arguments, environment, cwd, sandbox })
    }

    async fn fill(&self, template: &Template) -> Result<String, String> {
        let text = template.render_in_task(self.values.clone()).await;
        no_nul(text.map_err(|error| error.to_string())?)
    }
}

fn no_nul(text: String) -> Result<String, String> {
    if text.contains('\0') {
        return Err(
            "an argument contains a NUL character, which cannot be passed to a program".into()
        );
    }
    Ok(text)
}
