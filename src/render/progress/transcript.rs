//! What agents and their models send each other, as Markdown: for `--trace` and `-vv`.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Instant;

use serde_json::Value;

use super::board::{Board, Crew, MAX_DETAIL};
use super::lines;
use crate::render::words;
use crate::report::{
    AgentReport, AgentRunId, Event, LiveAnswer, MessageReport, Piece, RequestReport, RequestTerms,
    Role, TranscriptEntry,
};
use crate::text::{HeadTail, inline, sanitize};

/// Bytes of one text on a terminal, and half of those of an entry.
const MAX_ON_SCREEN: usize = 32 << 10;

/// The events of a run as entries of Markdown, for a file of each agent.
#[derive(Debug)]
pub struct Trace {
    board: Board,
    names: Vec<String>,
}

impl Trace {
    pub fn new(crew: Crew) -> Self {
        let names = crew.agents.iter().map(|agent| agent.name.clone()).collect();
        Self { board: Board::new(crew, true), names }
    }

    /// The name of an agent or instance.
    pub fn name(&self, agent: AgentRunId) -> &str {
        self.names.get(agent.0).map_or("", String::as_str)
    }

    /// The entry of an event at this time and the agent it belongs to; `None` for all agents. No
    /// text in it is longer than `max` bytes.
    pub fn entry(
        &mut self,
        event: &Event,
        now: Instant,
        max: usize,
    ) -> Option<(Option<AgentRunId>, String)> {
        if let Event::InstanceAdded { agent, key, .. } = event {
            let name = AgentReport::instance_name(self.name(*agent), &inline(key));
            self.names.push(name);
        }
        let text = match event {
            // The request has its own entry.
            Event::ModelCallStarted { .. } => None,
            Event::Transcript { agent, entry } => {
                Some(transcript(entry, &self.title(*agent, now), max))
            }
            event => lines::line(event, &self.board, now, true).map(|line| format!("{line}\n")),
        };
        let text = text.map(|text| match whole(event) {
            Some(message) => format!("{text}\n{}", fenced(message, "", max)),
            None => text,
        });
        self.board.apply(event, now);
        Some((event.agent(), text?))
    }

    /// The heading above an answer that is being written at this time.
    pub fn heading(&self, agent: AgentRunId, now: Instant) -> String {
        let model = self.board.agents.get(agent.0).map_or("", |agent| agent.model.as_str());
        format!("## {}: answer ({model}), in progress\n", self.title(agent, now))
    }

    /// More of such an answer. Its lines are indented: that is Markdown for text as it stands, and
    /// needs no mark at its end, which a run that is killed would not write.
    pub fn unfinished(&self, answer: &LiveAnswer) -> Option<Piece> {
        let Piece { text, end } = answer.take(&self.board.secrets)?;
        let indented = |text: &str| sanitize(text).replace('\n', "\n    ");
        Some(Piece { text: indented(&text), end: indented(&end) })
    }

    fn title(&self, agent: AgentRunId, now: Instant) -> String {
        let time = now.saturating_duration_since(self.board.started);
        format!("[{}] {}", words::clock(time), self.name(agent))
    }
}

/// A message of an event, of which a line shows the beginning only.
fn whole(event: &Event) -> Option<&str> {
    let message = match event {
        Event::Retrying { error, .. } | Event::FellBack { error, .. } => error,
        Event::AgentFinished { message: Some(message), .. } => message,
        _ => return None,
    };
    (message.len() > MAX_DETAIL).then_some(message)
}

/// An entry for a terminal.
pub fn on_screen(
    entry: &TranscriptEntry,
    agent: AgentRunId,
    board: &Board,
    now: Instant,
) -> String {
    let time = words::clock(now.saturating_duration_since(board.started));
    let name = board.agents.get(agent.0).map_or("", |agent| agent.name.as_str());
    cut(&transcript(entry, &format!("[{time}] {name}"), MAX_ON_SCREEN), 2 * MAX_ON_SCREEN)
        .into_owned()
}

/// An entry below a heading that begins with `title`.
fn transcript(entry: &TranscriptEntry, title: &str, max: usize) -> String {
    match entry {
        TranscriptEntry::Request(request) => self::request(request, title, max),
        TranscriptEntry::Message(message) => self::message(message, title, max),
        TranscriptEntry::Output { source, text } => {
            format!("## {title}: {source}\n\n{}", fenced(text, "", max))
        }
    }
}

fn request(request: &RequestReport, title: &str, max: usize) -> String {
    let RequestReport { model, turn, terms } = request;
    let mut text = format!("## {title}: request, turn {turn} ({})\n", inline(model));
    let Some(RequestTerms { settings, tools, output_schema }) = terms else { return text };
    if settings.as_object().is_some_and(|settings| !settings.is_empty()) {
        text.push_str(&format!("\nsettings:\n\n{}", fenced_json(settings, max)));
    }
    for tool in tools {
        let description = sanitize(tool.description.trim()).into_owned();
        let _ = write!(text, "\ntool {}:\n\n", inline(&tool.name));
        text.push_str(&fenced(&description, "", max));
        text.push('\n');
        text.push_str(&fenced_json(&tool.parameters, max));
    }
    if let Some(schema) = output_schema {
        text.push_str(&format!("\noutput_schema:\n\n{}", fenced_json(schema, max)));
    }
    text
}

fn message(message: &MessageReport, title: &str, max: usize) -> String {
    let who = match (message.role, &message.tool, &message.model) {
        (Role::System, ..) => "system".to_owned(),
        (Role::User, ..) => "user".to_owned(),
        (Role::Assistant, _, Some(model)) => format!("answer ({})", inline(model)),
        (Role::Assistant, _, None) => "answer".to_owned(),
        (Role::Tool, Some(tool), _) => format!("result of {}", inline(tool)),
        (Role::Tool, None, _) => "result".to_owned(),
    };
    let call = message.tool_call_id.iter().map(|id| format!(" ({})", inline(id)));
    let cut = if message.partial { ", cut off" } else { "" };
    let mut text = format!("## {title}: {who}{}{cut}\n", call.collect::<String>());
    if !message.content.is_empty() {
        text.push_str(&format!("\n{}", fenced(&message.content, "", max)));
    }
    for file in &message.files {
        text.push_str(&format!("\nfile {}\n", inline(file)));
    }
    for call in &message.tool_calls {
        let _ = write!(text, "\ncalls {} ({}):\n\n", inline(&call.name), inline(&call.id));
        let parsed: Result<Value, _> = serde_json::from_str(&call.arguments);
        text.push_str(&match parsed {
            Ok(arguments) => fenced_json(&arguments, max),
            Err(_) => fenced(&call.arguments, "", max),
        });
    }
    text
}

/// The text, or its beginning and its end if it has more than `max` bytes.
fn cut(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return text.into();
    }
    let mut kept = HeadTail::new(max);
    kept.push(text.as_bytes());
    kept.finish().text.into()
}

fn fenced_json(value: &Value, max: usize) -> String {
    fenced(&format!("{value:#}"), "json", max)
}

/// The text between fences that it cannot end, without what controls a terminal. The middle of a
/// longer one is left out.
fn fenced(text: &str, language: &str, max: usize) -> String {
    let text = cut(text, max);
    let text = sanitize(&text);
    let mut longest = 0;
    let mut run = 0;
    for character in text.chars() {
        run = if character == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}{language}\n{}\n{fence}\n", text.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_end_its_fence() {
        let forged = "```\n## [00:00.0] a: system\n````\u{1b}[2J";
        let text = fenced(forged, "", 1000);
        assert_eq!(text, "`````\n```\n## [00:00.0] a: system\n````\n`````\n");
    }

    #[test]
    fn of_a_long_text_the_middle_is_left_out() {
        let text = fenced(&format!("begin{}end", "x".repeat(10_000)), "", 100);
        assert!(text.len() < 200 && text.contains("bytes left out"), "{text}");
        assert!(text.contains("begin") && text.contains("end\n```"), "{text}");
    }
}
