//! The engines that start crew as one task of many, and what their environment says of a task.

use super::part::Part;
use crate::config::expand::Env;

/// An engine and its variables.
#[derive(Debug, PartialEq, Eq)]
pub struct Engine {
    /// As in `run.json`.
    pub name: &'static str,
    pub title: &'static str,
    /// The number of the task.
    pub index: &'static str,
    /// How many tasks there are.
    pub count: Option<&'static str>,
    numbers: Numbers,
}

/// How an engine numbers its tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbers {
    From(u64),
    /// As the user says, with gaps where a job is submitted again in part.
    Free,
}

/// GitLab and Heroku CI use the same names.
const GITLAB_INDEX: &str = "CI_NODE_INDEX";
const GITLAB_COUNT: &str = "CI_NODE_TOTAL";
/// Set by Heroku CI only.
const HEROKU: &str = "HEROKU_TEST_RUN_ID";

const ENGINES: [Engine; 8] = [
    Engine::new("slurm", "Slurm", "SLURM_ARRAY_TASK_ID", Numbers::Free)
        .counted("SLURM_ARRAY_TASK_COUNT"),
    Engine::new("kubernetes", "Kubernetes", "JOB_COMPLETION_INDEX", Numbers::From(0)),
    Engine::new("aws_batch", "AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", Numbers::From(0))
        .counted("AWS_BATCH_JOB_ARRAY_SIZE"),
    Engine::new("cloud_run", "Cloud Run", "CLOUD_RUN_TASK_INDEX", Numbers::From(0))
        .counted("CLOUD_RUN_TASK_COUNT"),
    Engine::new("buildkite", "Buildkite", "BUILDKITE_PARALLEL_JOB", Numbers::From(0))
        .counted("BUILDKITE_PARALLEL_JOB_COUNT"),
    Engine::new("circleci", "CircleCI", "CIRCLE_NODE_INDEX", Numbers::From(0))
        .counted("CIRCLE_NODE_TOTAL"),
    Engine::new("gitlab", "GitLab", GITLAB_INDEX, Numbers::From(1)).counted(GITLAB_COUNT),
    Engine::new("heroku", "Heroku CI", GITLAB_INDEX, Numbers::From(0)).counted(GITLAB_COUNT),
];

impl Engine {
    const fn new(
        name: &'static str,
        title: &'static str,
        index: &'static str,
        numbers: Numbers,
    ) -> Self {
        Self { name, title, index, count: None, numbers }
    }

    const fn counted(mut self, count: &'static str) -> Self {
        self.count = Some(count);
        self
    }

    fn is_here(&self, env: Env<'_>) -> bool {
        let is_other = match self.name {
            "gitlab" => value(HEROKU, env).is_some(),
            "heroku" => value(HEROKU, env).is_none(),
            _ => false,
        };
        !is_other && value(self.index, env).is_some()
    }
}

/// Why the environment does not say which task this is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    #[error("--partition auto: none of the variables {known} is set; use --partition K/N")]
    None { known: String },
    #[error("--partition auto: {all} are set; unset the wrong ones, or use --partition K/N")]
    Several { all: String },
    #[error("{variable} is {value:?}: expected {expected}")]
    Value { variable: &'static str, value: String, expected: &'static str },
}

/// This process as a task of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub engine: &'static Engine,
    pub index: u64,
    /// As the engine says; `None` if it does not.
    pub count: Option<u64>,
    /// How the numbers of the tasks map to parts; `None` if the engine does not say.
    pub numbering: Option<Numbering>,
    /// The number of the first task, should this be one of some tasks of a larger job.
    pub first: u64,
}

/// The numbers of the tasks of a job: part K is task `first + (K - 1) * step`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbering {
    pub first: u64,
    /// At least 1.
    pub step: u64,
}

impl Numbering {
    /// The part of a task; `None` if none of the parts has this number.
    pub fn part(self, index: u64, of: u32) -> Option<Part> {
        let offset = index.checked_sub(self.first)?;
        (offset % self.step.max(1) == 0)
            .then(|| Part::new(offset / self.step.max(1) + 1, u64::from(of)))?
    }

    /// The number of the last task.
    pub fn last(self, of: u32) -> u64 {
        let others = u64::from(of.saturating_sub(1));
        self.first.saturating_add(others.saturating_mul(self.step))
    }
}

impl Task {
    /// # Errors
    /// No engine, several of them, or a variable with a wrong value.
    pub fn detect(env: Env<'_>) -> Result<Self, EngineError> {
        let here: Vec<&'static Engine> =
            ENGINES.iter().filter(|engine| engine.is_here(env)).collect();
        match *here {
            [engine] => Self::of(engine, env),
            [] => {
                let mut known: Vec<&str> = ENGINES.iter().map(|engine| engine.index).collect();
                known.dedup();
                Err(EngineError::None { known: known.join(", ") })
            }
            _ => {
                let named =
                    here.iter().map(|engine| format!("{} ({})", engine.index, engine.title));
                Err(EngineError::Several { all: named.collect::<Vec<_>>().join(" and ") })
            }
        }
    }

    fn of(engine: &'static Engine, env: Env<'_>) -> Result<Self, EngineError> {
        let index = number(engine.index, env, 0)?.unwrap_or_default();
        let count = engine.count.map(|count| number(count, env, 1)).transpose()?.flatten();
        let (numbering, first) = match engine.numbers {
            Numbers::From(first) if index < first => {
                let (variable, value) = (engine.index, index.to_string());
                return Err(EngineError::Value { variable, value, expected: "a number from 1" });
            }
            Numbers::From(first) => (Some(Numbering { first, step: 1 }), first),
            Numbers::Free => {
                let min = number("SLURM_ARRAY_TASK_MIN", env, 0)?.unwrap_or(index);
                (slurm_numbering(count, min, env)?, min.min(1))
            }
        };
        Ok(Self { engine, index, count, numbering, first })
    }

    /// Where this is one of several tasks, what happens if each runs all inputs.
    pub fn warning(env: Env<'_>) -> Option<String> {
        let task =
            Self::detect(env).ok().filter(|task| task.count.is_none_or(|count| count > 1))?;
        let (title, index) = (task.engine.title, task.index);
        Some(format!(
            "this is task {index} of several on {title}, and it runs all inputs: with \
             --partition auto each task runs a part"
        ))
    }
}

/// `None` for an array with gaps. Slurm reports a step of 1 for a list such as `3,7`.
fn slurm_numbering(
    count: Option<u64>,
    first: u64,
    env: Env<'_>,
) -> Result<Option<Numbering>, EngineError> {
    let max = number("SLURM_ARRAY_TASK_MAX", env, 0)?;
    let step = number("SLURM_ARRAY_TASK_STEP", env, 1)?;
    let (Some(count), Some(max), Some(step)) = (count, max, step) else { return Ok(None) };
    let tasks = max.checked_sub(first).map(|range| range / step + 1);
    Ok((tasks == Some(count)).then_some(Numbering { first, step }))
}

/// A variable that is not empty.
fn value(variable: &str, env: Env<'_>) -> Option<String> {
    env(variable).filter(|value| !value.is_empty())
}

fn number(variable: &'static str, env: Env<'_>, min: u64) -> Result<Option<u64>, EngineError> {
    let Some(value) = value(variable, env) else { return Ok(None) };
    // `parse` also takes a sign.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| value.parse().ok()).flatten().filter(|number| *number >= min);
    let expected = if min == 0 { "a whole number" } else { "a whole number of 1 or more" };
    number.map(Some).ok_or(EngineError::Value { variable, value, expected })
}
