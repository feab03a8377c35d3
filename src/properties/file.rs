//! A crew's file is a plan within its limits, or faults that can be shown.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::template;
use crate::config::faults::{Faults, InvalidReport};
use crate::config::find;
use crate::plan::{self, CrewPlan, HttpPlan, Overrides, ToolCommand, ToolKind};
use crate::render::{self, Look};
use crate::template::AnswerContext;

/// Bytes of the file.
const MAX_SIZE: usize = 1 << 20;
const MAX_FAULTS: usize = 201;
/// Bytes of the texts of one fault, with paths of 32 keys and characters of four bytes.
const MAX_FAULT: usize = 32 << 10;
const MAX_TIME: Duration = Duration::from_secs(30 * 24 * 3600);

const KEY: &str = "sk-5d1c0fe2a9b84e7f";
const LOOK: Look = Look { width: 80, verbose: true, ..Look::PLAIN };

fn environment(name: &str) -> Option<String> {
    match name {
        "OPENAI_API_KEY" | "LOCAL_KEY" => Some(KEY.to_owned()),
        "TURNS" => Some("7".to_owned()),
        "NAME" => Some("a {{ input }} ${TURNS}: [x]".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

/// The bytes of a file yield a plan or a bounded list of faults, each with a place in the file.
pub fn file(bytes: &[u8]) {
    if bytes.len() > MAX_SIZE {
        return;
    }
    let name = Path::new("agents.yaml");
    let source = match find::text(bytes.to_vec()) {
        Ok(source) => source,
        Err(error) => return check_faults(&error.into_faults(name)),
    };
    if source.contains(KEY) {
        // A fuzzer finds the key in the program.
        return;
    }
    match plan::read(PathBuf::from(name), source, &Overrides::default(), &environment) {
        Ok(plan) => check_plan(&plan),
        Err(faults) => {
            check_faults(&faults);
            assert!(!format!("{faults:?}").contains(KEY), "the key is shown");
        }
    }
}

fn check_faults(faults: &Faults) {
    let number = faults.faults.len();
    assert!((1..=MAX_FAULTS).contains(&number), "{number} faults");
    // In YAML, a CR alone ends a line as well.
    let source = faults.sources.first().map(|source| source.text.as_str()).unwrap_or_default();
    let lines = source.replace("\r\n", "\n").replace('\r', "\n").lines().count();
    for fault in &faults.faults {
        let texts = [fault.path.as_ref(), Some(&fault.message), fault.hint.as_ref()];
        let length: usize = texts.into_iter().flatten().map(String::len).sum();
        assert!(length <= MAX_FAULT, "{length} bytes of one fault");
        // The end of the file may be on a line of its own.
        assert!(fault.line.is_none_or(|line| (1..=lines + 1).contains(&line)), "{fault:?}");
        assert!(fault.column.is_none_or(|column| column >= 1), "{fault:?}");
    }
    serde_json::to_string(&InvalidReport::from(faults)).expect("plain data");
    let mut shown = Vec::new();
    render::faults(faults, LOOK, &mut shown).expect("written to memory");
    check_shown(&shown);
}

fn check_plan(plan: &CrewPlan) {
    let mut waiting: Vec<usize> = plan.waves().concat();
    waiting.sort_unstable();
    assert_eq!(waiting, (0..plan.agents.len()).collect::<Vec<_>>(), "an agent never starts");
    assert!(!plan.agents.is_empty());
    assert!((Duration::from_nanos(1)..=MAX_TIME).contains(&plan.limits.timeout));
    assert!(plan.limits.grace <= MAX_TIME);
    for agent in &plan.agents {
        for time in
            [agent.settings.timeout, agent.settings.idle_timeout, agent.settings.tool_timeout]
        {
            assert!((Duration::from_nanos(1)..=MAX_TIME).contains(&time));
        }
        assert!((1 << 10..=256 << 20).contains(&agent.settings.max_answer));
        let outputs = agent
            .needs
            .iter()
            .map(|need| (plan.agents[need.agent].name.as_str(), AnswerContext::new("92%", None)));
        let context = crate::template::agent_context(&"slow".into(), &plan.vars, outputs);
        if let Some(work) = agent.model_work() {
            for template in work.system.iter().chain([&work.prompt]) {
                template::rendered(template, context.clone());
            }
        }
        if let Some(when) = &agent.when {
            let _ = when.holds(context.clone());
        }
        for tool in agent.tools() {
            assert!((1 << 10..=64 << 20).contains(&tool.max_output));
            let arguments = serde_json::Map::new();
            let context = crate::template::tool_context(&"slow".into(), &plan.vars, &arguments);
            match &tool.kind {
                ToolKind::Process(process) => {
                    let argv = match &process.command {
                        ToolCommand::Argv(argv) => argv.as_slice(),
                        ToolCommand::Shell(_) => &[],
                    };
                    for template in argv.iter().chain(&process.cwd) {
                        template::rendered(template, context.clone());
                    }
                }
                ToolKind::Http(http) => requested(http, &context),
                ToolKind::Mcp(tool) => panic!("{tool:?} before its server runs"),
            }
        }
    }
    let mut shown = Vec::new();
    render::plan(plan, LOOK, &mut shown).expect("written to memory");
    check_shown(&shown);
}

/// A value stays within its segment of the URL.
fn requested(http: &HttpPlan, context: &minijinja::Value) {
    for template in &http.path {
        let segment = template.render_encoded(context.clone()).unwrap_or_default();
        assert!(!segment.contains(['/', '?', '#', '\\']), "{segment:?}");
    }
    let headers = http.headers.iter().map(|header| &header.value);
    for template in http.query.iter().map(|(_, value)| value).chain(headers) {
        template::rendered(template, context.clone());
    }
}

fn check_shown(shown: &[u8]) {
    let shown = std::str::from_utf8(shown).expect("text");
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    assert!(!shown.contains(KEY), "the key is shown");
}
