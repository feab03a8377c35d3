//! Which part of a batch a process runs: as the command line, the engine and the folder say.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::engines::{EngineError, Numbering, Task};
use super::part::Part;
use crate::config::expand::Env;

/// The value of `--partition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionChoice {
    Given(Part),
    /// As the engine says.
    Auto,
}

impl FromStr for PartitionChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            text => text.parse().map(Self::Given).map_err(|error| format!("{error}, or auto")),
        }
    }
}

/// What `run.json` says of the parts of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PinnedParts {
    pub partitions: u32,
    /// The numbers of the engine's tasks, where `auto` took them from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<PinnedTasks>,
}

/// Part K is the task `first + (K - 1) * step` of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PinnedTasks {
    pub engine: String,
    pub first: u64,
    pub step: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(
        "{variable} counts the tasks, and it is not set: give their number with --partitions N"
    )]
    Uncounted { variable: &'static str },
    #[error(
        "{engine} does not say how many tasks there are: give their number with --partitions N"
    )]
    Countless { engine: &'static str },
    #[error(
        "the numbers of the Slurm array do not say which part task {index} is: give the number of \
         parts with --partitions N, of which task 1 (or 0 in an array that begins with it) is the \
         first"
    )]
    Sparse { index: u64 },
    #[error(
        "{variable} is {index}, but the {of} parts are the tasks {first} to {last}{}",
        in_steps(*.step)
    )]
    Outside { variable: &'static str, index: u64, of: u32, first: u64, last: u64, step: u64 },
    #[error("too many parts: {count}")]
    TooMany { count: u64 },
    #[error("the folder holds the results of {pinned}, not of {asked}: {advice}")]
    OtherCount { pinned: String, asked: String, advice: String },
}

fn in_steps(step: u64) -> String {
    if step == 1 { String::new() } else { format!(" in steps of {step}") }
}

/// The part to run, and what to pin of it in a new `run.json`.
///
/// `count` is the value of `--partitions`, `pinned` what the folder's `run.json` says. It wins over
/// what the engine says, so that some tasks of an array that are submitted again, with another
/// count, are the same parts.
///
/// # Errors
/// The engine does not say which part it is, or the folder is divided in another way.
pub fn choose(
    choice: Option<PartitionChoice>,
    count: Option<u32>,
    pinned: Option<&PinnedParts>,
    env: Env<'_>,
) -> Result<(Part, PinnedParts), PartsError> {
    let (part, tasks) = match choice {
        None => (Part::WHOLE, None),
        Some(PartitionChoice::Given(part)) => (part, None),
        Some(PartitionChoice::Auto) => automatic(count, pinned, env)?,
    };
    let asked = count.unwrap_or(part.of);
    match pinned {
        Some(pinned) if pinned.partitions != asked => Err(other_count(pinned.partitions, asked)),
        _ if asked != part.of => Err(other_count(part.of, asked)),
        Some(pinned) => Ok((part, pinned.clone())),
        None => Ok((part, PinnedParts { partitions: part.of, tasks })),
    }
}

fn automatic(
    count: Option<u32>,
    pinned: Option<&PinnedParts>,
    env: Env<'_>,
) -> Result<(Part, Option<PinnedTasks>), PartsError> {
    let task = Task::detect(env)?;
    let known = pinned.and_then(|pinned| pinned.tasks.as_ref());
    let known = known.filter(|known| known.engine == task.engine.name);
    let of = match (known.and(pinned), count, task.count) {
        (Some(pinned), ..) => pinned.partitions,
        (None, Some(count), _) => count,
        (None, None, Some(count)) => {
            u32::try_from(count).map_err(|_| PartsError::TooMany { count })?
        }
        (None, None, None) => match (pinned, task.engine.count) {
            (Some(pinned), _) => pinned.partitions,
            (None, Some(variable)) => return Err(PartsError::Uncounted { variable }),
            (None, None) => return Err(PartsError::Countless { engine: task.engine.title }),
        },
    };
    let numbering = match (known, task.numbering) {
        (Some(known), _) => Numbering { first: known.first, step: known.step.max(1) },
        (None, Some(numbering)) if task.count.is_none_or(|count| count == u64::from(of)) => {
            numbering
        }
        // Some tasks of a larger job.
        _ if count.is_some() => Numbering { first: task.first, step: 1 },
        _ => return Err(PartsError::Sparse { index: task.index }),
    };
    let Numbering { first, step } = numbering;
    let outside = || PartsError::Outside {
        variable: task.engine.index,
        index: task.index,
        of,
        first,
        last: numbering.last(of),
        step,
    };
    let part = numbering.part(task.index, of).ok_or_else(outside)?;
    Ok((part, Some(PinnedTasks { engine: task.engine.name.to_owned(), first, step })))
}

fn other_count(pinned: u32, asked: u32) -> PartsError {
    let parts = |of: u32| match of {
        1 => "all inputs in one part".to_owned(),
        of => format!("{of} parts"),
    };
    let advice = match pinned {
        1 => "leave --partition out, or use a new folder for --out".to_owned(),
        of => format!("use --partition K/{of} or auto, or a new folder for --out"),
    };
    PartsError::OtherCount { pinned: parts(pinned), asked: parts(asked), advice }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What `--partition auto` does with these variables (`NAME=VALUE`, separated by spaces).
    fn auto(
        variables: &str,
        count: Option<u32>,
        pinned: Option<&PinnedParts>,
    ) -> Result<(String, PinnedParts), String> {
        let env = |name: &str| {
            let mut all = variables.split_whitespace().filter_map(|text| text.split_once('='));
            all.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
        };
        choose(Some(PartitionChoice::Auto), count, pinned, &env)
            .map(|(part, pins)| (part.to_string(), pins))
            .map_err(|error| error.to_string())
    }

    fn slurm(task: u64, min: u64, max: u64, step: u64, count: u64) -> String {
        format!(
            "SLURM_ARRAY_TASK_ID={task} SLURM_ARRAY_TASK_MIN={min} SLURM_ARRAY_TASK_MAX={max} \
             SLURM_ARRAY_TASK_STEP={step} SLURM_ARRAY_TASK_COUNT={count}"
        )
    }

    fn part(variables: &str, count: Option<u32>) -> String {
        auto(variables, count, None).map_or_else(|error| error, |(part, _)| part)
    }

    #[test]
    fn every_engine_says_which_part_a_task_is() {
        for (variables, count, expected) in [
            ("JOB_COMPLETION_INDEX=2", Some(8), "3/8"),
            ("AWS_BATCH_JOB_ARRAY_INDEX=2 AWS_BATCH_JOB_ARRAY_SIZE=8", None, "3/8"),
            ("CLOUD_RUN_TASK_INDEX=2 CLOUD_RUN_TASK_COUNT=8", None, "3/8"),
            ("BUILDKITE_PARALLEL_JOB=2 BUILDKITE_PARALLEL_JOB_COUNT=8", None, "3/8"),
            ("CIRCLE_NODE_INDEX=2 CIRCLE_NODE_TOTAL=8", None, "3/8"),
            ("CI_NODE_INDEX=3 CI_NODE_TOTAL=8", None, "3/8"),
            ("CI_NODE_INDEX=3 CI_NODE_TOTAL=8 GITLAB_CI=true", None, "3/8"),
            ("CI_NODE_INDEX=2 CI_NODE_TOTAL=8 HEROKU_TEST_RUN_ID=x", None, "3/8"),
            // The job of another engine, which is not parallel.
            ("CI_NODE_INDEX= CI_NODE_TOTAL=1 CIRCLE_NODE_INDEX=0 CIRCLE_NODE_TOTAL=1", None, "1/1"),
            (&slurm(3, 1, 8, 1, 8), None, "3/8"),
            (&slurm(2, 0, 7, 1, 8), None, "3/8"),
            (&slurm(20, 0, 70, 10, 8), None, "3/8"),
            (&slurm(13, 11, 18, 1, 8), None, "3/8"),
            // Some tasks of a larger job.
            (&slurm(3, 3, 7, 1, 2), Some(8), "3/8"),
            (&slurm(3, 0, 3, 1, 2), Some(8), "4/8"),
            ("CIRCLE_NODE_INDEX=2 CIRCLE_NODE_TOTAL=4", Some(8), "3/8"),
        ] {
            assert_eq!(part(variables, count), expected, "{variables}");
        }
    }

    #[test]
    fn what_the_engine_does_not_say_is_an_error_that_names_the_variable() {
        for (variables, count, expected) in [
            ("", None, "none of the variables SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX, AWS_"),
            ("JOB_COMPLETION_INDEX=2", None, "Kubernetes does not say how many tasks"),
            ("JOB_COMPLETION_INDEX=8", Some(8), "JOB_COMPLETION_INDEX is 8, but the 8 parts are"),
            ("JOB_COMPLETION_INDEX=x", Some(8), "JOB_COMPLETION_INDEX is \"x\": expected"),
            ("JOB_COMPLETION_INDEX=-1", Some(8), "JOB_COMPLETION_INDEX is \"-1\": expected"),
            ("JOB_COMPLETION_INDEX=+1", Some(8), "JOB_COMPLETION_INDEX is \"+1\": expected"),
            ("CLOUD_RUN_TASK_INDEX=2", None, "CLOUD_RUN_TASK_COUNT counts the tasks"),
            (
                "CLOUD_RUN_TASK_INDEX=2 CLOUD_RUN_TASK_COUNT=0",
                None,
                "CLOUD_RUN_TASK_COUNT is \"0\"",
            ),
            ("CLOUD_RUN_TASK_INDEX=2 CLOUD_RUN_TASK_COUNT=2", None, "are the tasks 0 to 1"),
            ("CIRCLE_NODE_INDEX=0 CIRCLE_NODE_TOTAL=5000000000", None, "too many parts"),
            ("CI_NODE_INDEX=0 CI_NODE_TOTAL=8", None, "CI_NODE_INDEX is \"0\""),
            (
                "CI_NODE_INDEX=1 CI_NODE_TOTAL=8 JOB_COMPLETION_INDEX=0",
                None,
                "JOB_COMPLETION_INDEX (Kubernetes) and CI_NODE_INDEX (GitLab) are set",
            ),
            (&slurm(3, 3, 7, 1, 2), None, "--partitions N"),
            ("SLURM_ARRAY_TASK_ID=3", None, "SLURM_ARRAY_TASK_COUNT counts the tasks"),
            (&slurm(3, 1, 8, 0, 8), None, "SLURM_ARRAY_TASK_STEP is \"0\""),
            (&slurm(9, 3, 9, 6, 8), Some(8), "SLURM_ARRAY_TASK_ID is 9, but the 8 parts"),
        ] {
            let found = part(variables, count);
            assert!(found.contains(expected), "{variables}: {found}");
        }
    }

    #[test]
    fn pinned_parts_win_over_what_the_engine_says_later() {
        let (_, pins) = auto(&slurm(20, 0, 70, 10, 8), None, None).unwrap();
        assert_eq!(pins.tasks, Some(PinnedTasks { engine: "slurm".into(), first: 0, step: 10 }));
        let again = auto(&slurm(70, 20, 70, 1, 2), None, Some(&pins)).unwrap();
        assert_eq!(again, ("8/8".to_owned(), pins.clone()));
        for (variables, expected) in [
            (slurm(80, 0, 80, 10, 9), "80, but the 8 parts are the tasks 0 to 70 in steps of 10"),
            (slurm(25, 25, 25, 1, 1), "25, but the 8 parts"),
        ] {
            let found = auto(&variables, None, Some(&pins)).unwrap_err();
            assert!(found.contains(expected), "{found}");
        }
        // Another engine has numbers of its own.
        let (part, _) = auto("JOB_COMPLETION_INDEX=7", None, Some(&pins)).unwrap();
        assert_eq!(part, "8/8");
        let found = auto(&slurm(20, 0, 70, 10, 8), Some(4), Some(&pins)).unwrap_err();
        assert!(found.contains("8 parts, not of 4 parts"), "{found}");
    }

    #[test]
    fn a_folder_keeps_its_number_of_parts() {
        let env = |_: &str| None;
        let chosen = |choice: &str, count, partitions| {
            let choice = Some(choice).filter(|choice| !choice.is_empty());
            let choice = choice.map(|choice| choice.parse().unwrap());
            let pinned = PinnedParts { partitions, tasks: None };
            choose(choice, count, Some(&pinned), &env).map_err(|error| error.to_string())
        };
        assert!(chosen("3/8", None, 8).is_ok() && chosen("3/8", Some(8), 8).is_ok());
        assert!(chosen("", None, 1).is_ok());
        for (choice, count, partitions, expected) in [
            ("3/8", None, 4, "use --partition K/4"),
            ("3/8", None, 1, "leave --partition out"),
            ("", None, 8, "the results of 8 parts, not of all inputs in one part"),
            ("3/8", Some(4), 8, "8 parts, not of 4 parts"),
        ] {
            let found = chosen(choice, count, partitions).unwrap_err();
            assert!(found.contains(expected), "{found}");
        }
    }
}
