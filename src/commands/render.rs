//! `crew render`: what each model would be asked, without a call.

use std::io;

use minijinja::Value;
use minijinja::value::Serde;

use super::env_file;
use super::input::{Input, Source};
use super::invalid::{fault, invalid};
use super::rehearsal::env_without_keys;
use super::report_file;
use super::runtime::runtime;
use crate::agent::Opening;
use crate::cancel::Cancellation;
use crate::cli::{InputArgs, RenderArgs};
use crate::config::faults::Faults;
use crate::exit::ExitStatus;
use crate::plan::{self, AgentPlan, CrewPlan, ModelWork, Need, Overrides, selection};
use crate::provider::offline;
use crate::render::{self, Format, RenderReport, RenderedAgent, Screens};
use crate::report::{AgentReport, AgentStatus, Report};
use crate::template::{self, AnswerContext, RunInput, Wait, agent_context, extended};

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
    if let Some(signal) = cancel.signal() {
        return ExitStatus::Signalled(signal);
    }
    let mut out = io::stdout().lock();
    // The prompts do not depend on the reader of stdout.
    let _ = match format {
        Format::Json => render::json(&rendered, &mut out),
        Format::Text | Format::Answer | Format::Jsonl => {
            render::rendered(&rendered, screens.stdout.look(false), &mut out)
        }
    };
    rendered.status()
}

fn rendered(args: &RenderArgs, cancel: &Cancellation) -> Result<RenderReport, Faults> {
    env_file::load(&args.file.env_files)?;
    let overrides =
        Overrides { agents: args.agents.clone(), vars: args.vars.clone(), ..Overrides::default() };
    let plan = plan::load(args.file.config.as_deref(), &overrides, &env_without_keys)?;
    let report = args.from.as_deref().map(report_file::saved).transpose()?;
    let input = match input(&args.input, cancel)? {
        Some(input) => input.text,
        None => report.as_ref().map_or(NO_INPUT, |report| report.input.as_str()).to_owned(),
    };
    let input = match plan.uses_input_parts() {
        true => RunInput::parsed(input),
        false => input.into(),
    };
    let renderer = Renderer { plan: &plan, input: &input, report: report.as_ref() };
    let is_wanted = |agent: &&AgentPlan| selection::is_selected(&args.agents, &agent.name);
    // A step asks no model.
    let agents = plan.agents.iter().filter(is_wanted);
    let agents = agents.filter_map(|agent| Some((agent, agent.model_work()?)));
    let agents = agents.flat_map(|(agent, work)| renderer.all(agent, work));
    Ok(RenderReport::new(&plan, input.text(), agents.collect()))
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

struct Renderer<'a> {
    plan: &'a CrewPlan,
    input: &'a RunInput,
    report: Option<&'a Report>,
}

impl Renderer<'_> {
    /// The agent, or its instances in the report.
    fn all(&self, agent: &AgentPlan, work: &ModelWork) -> Vec<RenderedAgent> {
        if agent.for_each.is_none() {
            return vec![self.agent(agent, work, agent.name.clone(), None)];
        }
        let instances = self.earlier(agent).and_then(|earlier| earlier.items.as_deref());
        let instance = |(index, instance): (usize, &AgentReport)| {
            let item = Value::from(Serde(&instance.item));
            self.agent(agent, work, instance.name.clone(), Some((item, index)))
        };
        match instances.unwrap_or_default() {
            // Items are known only during a run.
            [] => vec![self.agent(agent, work, agent.name.clone(), Some(("[item]".into(), 0)))],
            instances => instances.iter().enumerate().map(instance).collect(),
        }
    }

    fn agent(
        &self,
        agent: &AgentPlan,
        work: &ModelWork,
        name: String,
        item: Option<(Value, usize)>,
    ) -> RenderedAgent {
        let answers = agent.needs.iter().map(|need| self.answer(need));
        let values = || {
            let values = agent_context(self.input, &self.plan.vars, answers);
            let item = item.map(|(item, index)| [("item", item), ("index", index.into())]);
            extended(&values, item.into_iter().flatten())
        };
        let opening = template::ready(Opening::of(agent, work, self.input, values, Wait::Thread));
        RenderedAgent::new(self.plan, agent, name, opening)
    }

    /// An agent as the report has it.
    fn earlier(&self, agent: &AgentPlan) -> Option<&AgentReport> {
        self.report?.agents.iter().find(|earlier| earlier.name == agent.name)
    }

    /// The answer of an agent: from the report, or a placeholder.
    fn answer(&self, need: &Need) -> (&str, AnswerContext) {
        let agent = &self.plan.agents[need.agent];
        let earlier = self.earlier(agent);
        // One that did not succeed has nothing to show, unless it is needed however it ends.
        let ended = |earlier: &&AgentReport| need.done || earlier.status == AgentStatus::Succeeded;
        let context = earlier.filter(ended).map_or_else(
            || {
                let output = earlier.and_then(|earlier| earlier.output.clone());
                let output = output.unwrap_or_else(|| format!("[answer of {}]", agent.name));
                let data = agent.output_schema.as_ref();
                let data = data.map(|schema| offline::sample(schema.schema()));
                AnswerContext::new(&output, data.as_ref())
            },
            AnswerContext::of,
        );
        (&agent.name, context)
    }
}
