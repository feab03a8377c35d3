//! `crew render`: what each model would be asked, without a call.

use std::io;
use std::path::Path;

use serde_json::Value;

use super::env_file;
use super::input::{Input, Source};
use super::invalid::{fault, invalid};
use super::runtime::runtime;
use crate::agent::Opening;
use crate::cancel::Cancellation;
use crate::cli::{InputArgs, RenderArgs};
use crate::config::faults::Faults;
use crate::config::find;
use crate::exit::{self, ExitStatus};
use crate::plan::{self, AgentPlan, CrewPlan, ModelWork, Overrides};
use crate::provider::offline;
use crate::render::{self, Format, RenderReport, RenderedAgent, Screens};
use crate::secret;
use crate::template::{AnswerContext, agent_context, extended};

/// Bytes of a report that is read.
const MAX_REPORT: u64 = 256 << 20;
/// Takes the place of an input that is not given.
const NO_INPUT: &str = "[input]";

pub fn render(args: &RenderArgs) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    let format: Format = args.output.into();
    let cancel = Cancellation::new();
    let rendered = match rendered(args, &cancel) {
        Ok(rendered) => rendered,
        Err(faults) => return invalid(&faults, screens, format),
    };
    if let Some(signal) = cancel.reason().and_then(|reason| exit::signal_of(reason.kind)) {
        return ExitStatus::Signalled(signal);
    }
    let mut out = io::stdout().lock();
    // The prompts do not depend on the reader of stdout.
    let _ = match format {
        Format::Json => render::json(&rendered, &mut out),
        Format::Text | Format::Answer => {
            render::rendered(&rendered, screens.stdout.look(false), &mut out)
        }
    };
    rendered.status()
}

fn rendered(args: &RenderArgs, cancel: &Cancellation) -> Result<RenderReport, Faults> {
    env_file::load(&args.file.env_files)?;
    let overrides =
        Overrides { agents: args.agents.clone(), vars: args.vars.clone(), ..Overrides::default() };
    let plan = plan::load(args.file.config.as_deref(), &overrides, &env)?;
    let report = args.from.as_deref().map(read_report).transpose()?;
    let input = match input(&args.input, cancel)? {
        Some(input) => input.text,
        None => {
            let earlier = report.as_ref().and_then(|report| report["input"].as_str());
            earlier.unwrap_or(NO_INPUT).to_owned()
        }
    };
    let renderer = Renderer { plan: &plan, input: &input, report: report.as_ref() };
    let is_wanted =
        |agent: &&AgentPlan| args.agents.is_empty() || args.agents.contains(&agent.name);
    // A step asks no model.
    let agents = plan.agents.iter().filter(is_wanted);
    let agents = agents.filter_map(|agent| Some(renderer.agent(agent, agent.model_work()?)));
    Ok(RenderReport::new(&plan, &input, agents.collect()))
}

/// The environment. Variables for secrets need not be set, as nothing is sent.
fn env(name: &str) -> Option<String> {
    let unset = || secret::names_a_secret(name).then(|| format!("({name} is not set)"));
    std::env::var(name).ok().filter(|value| !value.is_empty()).or_else(unset)
}

/// The input, if one is given.
fn input(args: &InputArgs, cancel: &Cancellation) -> Result<Option<Input>, Faults> {
    if args.argument.is_none() && args.input.is_none() && args.input_file.is_none() {
        return Ok(None);
    }
    let source = Source::choose(args, true)?;
    let runtime = runtime(cancel).map_err(|error| fault(&error))?;
    let read = runtime.block_on(async {
        tokio::select! {
            biased;
            input = source.read(true) => input,
            () = cancel.cancelled() => Ok(Input::default()),
        }
    });
    // A read of standard input cannot be cancelled.
    runtime.shutdown_background();
    read.map(Some)
}

/// # Errors
/// The file is not a report.
fn read_report(file: &Path) -> Result<Value, Faults> {
    let text =
        find::read_up_to(file, MAX_REPORT, "a report").map_err(|error| error.into_faults(file))?;
    let report: Option<Value> = serde_json::from_str(&text).ok();
    report.filter(|report| report["agents"].is_object()).ok_or_else(|| {
        let message = format!("{} is not a report of crew", file.display());
        let hint = Some("crew run -o json --output-file PATH writes one".to_owned());
        Faults::unplaced(Some(file.to_owned()), message, hint)
    })
}

struct Renderer<'a> {
    plan: &'a CrewPlan,
    input: &'a str,
    report: Option<&'a Value>,
}

impl Renderer<'_> {
    fn agent(&self, agent: &AgentPlan, work: &ModelWork) -> RenderedAgent {
        let needed = agent.needs.iter().map(|need| &self.plan.agents[need.agent]);
        let answers = needed.map(|needed| self.answer(needed));
        let values = || {
            let values = agent_context(self.input, &self.plan.vars, answers);
            // An item is known only during a run.
            let item =
                agent.for_each.as_ref().map(|_| [("item", "[item]".into()), ("index", 0.into())]);
            extended(&values, item.into_iter().flatten())
        };
        let opening = Opening::of(agent, work, self.input, values);
        RenderedAgent::new(self.plan, agent, opening)
    }

    /// The answer of an agent: from the report, or a placeholder.
    fn answer<'p>(&self, agent: &'p AgentPlan) -> (&'p str, AnswerContext) {
        let earlier = self.report.and_then(|report| report["agents"].get(&agent.name));
        let output = earlier.and_then(|earlier| earlier["output"].as_str()).map(str::to_owned);
        let output = output.unwrap_or_else(|| format!("[answer of {}]", agent.name));
        let data = agent.output_schema.as_ref().map(|schema| {
            let earlier = earlier.and_then(|earlier| earlier.get("data")).cloned();
            earlier.unwrap_or_else(|| offline::sample(schema.schema()))
        });
        (&agent.name, AnswerContext::new(&output, data.as_ref()))
    }
}
