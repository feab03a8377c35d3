//! Markdown on a terminal: headings, emphasis, lists, quotes, code and tables, wrapped between
//! words.

use anstyle::{AnsiColor, Style};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::fit;
use super::paint::{FAINT, PLAIN, STRONG, paint};
use super::prose::{MAX_WIDTH, Span, wrap};
use crate::text::{inline, sanitize};

/// Bytes. A longer text is shown as it is.
pub const MAX_MARKDOWN: usize = 256 * 1024;
/// Lists and quotes within each other that are indented.
const MAX_DEPTH: usize = 8;
/// Columns of a list's or a quote's text at least.
const MIN_WIDTH: usize = 20;
const MAX_RULE: usize = 40;
const CODE: Style = AnsiColor::Cyan.on_default();
const CODE_INDENT: &str = "    ";
const QUOTE: &str = "│ ";
/// Between the columns of a table.
const GAP: &str = "  ";

/// The text as lines for a terminal of `width` columns, each with its line end. Text that would act
/// on the terminal is left out, also where the Markdown spells it as an entity.
pub fn markdown(text: &str, width: usize, colour: bool) -> String {
    let clean = sanitize(text);
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut page = Page::new(width.min(MAX_WIDTH), width, colour);
    Parser::new_ext(&clean, options).for_each(|event| page.event(event));
    page.flush();
    page.out
}

/// The margin of a list's item or of a quote.
struct Margin {
    /// Before its first line, until that is written.
    first: Option<String>,
    rest: String,
}

struct Page {
    out: String,
    width: usize,
    /// Of the terminal: code and tables may use all of it.
    full_width: usize,
    colour: bool,
    margins: Vec<Margin>,
    /// Of lists, the number of the next item.
    lists: Vec<Option<u64>>,
    spans: Vec<Span>,
    strong: usize,
    emphasis: usize,
    heading: Option<usize>,
    links: Vec<(usize, String)>,
    code: Option<String>,
    rows: Vec<Vec<String>>,
    row: Vec<String>,
    /// An empty line comes before the next one.
    gap: bool,
}

impl Page {
    fn new(width: usize, full_width: usize, colour: bool) -> Self {
        Self {
            out: String::new(),
            width,
            full_width,
            colour,
            margins: vec![],
            lists: vec![],
            spans: vec![],
            strong: 0,
            emphasis: 0,
            heading: None,
            links: vec![],
            code: None,
            rows: vec![],
            row: vec![],
            gap: false,
        }
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.push(&text, self.style()),
            },
            Event::Code(text) => self.push(&text, CODE),
            // As chats show it: models break lines where they mean it.
            Event::SoftBreak | Event::HardBreak => self.push("\n", PLAIN),
            Event::Rule => {
                let rule = "─".repeat(MAX_RULE.min(self.width));
                self.block(&[paint(&rule, FAINT, self.colour)]);
                self.gap = true;
            }
            Event::TaskListMarker(done) => self.push(if done { "[x] " } else { "[ ] " }, PLAIN),
            Event::Html(text) => {
                self.push(text.trim_end(), PLAIN);
                self.push("\n", PLAIN);
            }
            Event::InlineHtml(text) => self.push(&text, PLAIN),
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.push(&text, PLAIN);
            }
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => self.heading = Some(level as usize),
            Tag::BlockQuote(_) => {
                self.flush();
                self.end_gap();
                let bar = paint(QUOTE, FAINT, self.colour);
                self.margins.push(Margin { first: None, rest: bar });
            }
            Tag::CodeBlock(_) => {
                self.flush();
                self.code = Some(String::new());
            }
            Tag::List(first) => {
                self.flush();
                self.lists.push(first);
            }
            Tag::Item => {
                self.flush();
                let marker = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number = number.saturating_add(1);
                        format!("{}. ", *number - 1)
                    }
                    _ => "- ".to_owned(),
                };
                let rest = " ".repeat(marker.len());
                self.margins.push(Margin { first: Some(marker), rest });
            }
            Tag::Emphasis => self.emphasis += 1,
            Tag::Strong => self.strong += 1,
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.links.push((self.spans.len(), inline(&dest_url).into_owned()));
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::HtmlBlock => {
                self.flush();
                self.heading = None;
                self.gap = true;
            }
            TagEnd::BlockQuote(_) => {
                self.flush();
                self.margins.pop();
                self.gap = true;
            }
            TagEnd::CodeBlock => self.end_code(),
            TagEnd::List(_) => {
                self.lists.pop();
                // A list in a list is part of an item, and items follow each other.
                self.gap |= self.lists.is_empty();
            }
            TagEnd::Item => {
                self.flush();
                // An item without any text has a marker all the same.
                if self.margins.last().is_some_and(|margin| margin.first.is_some()) {
                    self.block(&[String::new()]);
                }
                self.margins.pop();
            }
            TagEnd::Emphasis => self.emphasis = self.emphasis.saturating_sub(1),
            TagEnd::Strong => self.strong = self.strong.saturating_sub(1),
            TagEnd::Link | TagEnd::Image => self.end_link(),
            TagEnd::TableCell => {
                let cell: String = self.spans.drain(..).map(|span| span.text).collect();
                self.row.push(inline(&cell).into_owned());
            }
            TagEnd::TableHead | TagEnd::TableRow => {
                let row = std::mem::take(&mut self.row);
                self.rows.push(row);
            }
            TagEnd::Table => self.end_table(),
            _ => {}
        }
    }

    fn push(&mut self, text: &str, style: Style) {
        // An entity such as `&#27;` stands for any character.
        let text = sanitize(text).replace('\t', " ");
        self.spans.push(Span { text, style });
    }

    fn style(&self) -> Style {
        let mut style = if self.heading.is_some() || self.strong > 0 { STRONG } else { PLAIN };
        if self.emphasis > 0 {
            style = style.italic();
        }
        style
    }

    /// The address of a link follows its text, unless it is the text.
    fn end_link(&mut self) {
        let Some((start, url)) = self.links.pop() else { return };
        let spans = self.spans.get(start..).unwrap_or_default();
        let text: String = spans.iter().map(|span| span.text.as_str()).collect();
        if !url.is_empty() && text != url {
            self.push(&format!(" ({url})"), FAINT);
        }
    }

    /// Writes the text that has been collected.
    fn flush(&mut self) {
        let mut spans = std::mem::take(&mut self.spans);
        if spans.iter().all(|span| span.text.trim().is_empty()) {
            return;
        }
        if let Some(level) = self.heading.filter(|_| !self.colour) {
            // Nothing else would show that it is a heading.
            spans.insert(0, Span { text: "#".repeat(level) + " ", style: PLAIN });
        }
        let room = self.width.saturating_sub(self.margin_width()).max(MIN_WIDTH);
        let lines = wrap(&spans, room, self.colour);
        self.block(&lines);
    }

    fn end_code(&mut self) {
        let code = sanitize(&self.code.take().unwrap_or_default()).replace('\t', CODE_INDENT);
        let line = |line: &str| CODE_INDENT.to_owned() + &paint(line, CODE, self.colour);
        let lines: Vec<String> = code.trim_end_matches('\n').lines().map(line).collect();
        self.block(&lines);
        self.gap = true;
    }

    fn end_table(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| fit::width(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let total = widths.iter().sum::<usize>() + GAP.len() * columns.saturating_sub(1);
        let room = self.full_width.saturating_sub(self.margin_width());
        let lines = if total <= room { grid(&rows, &widths) } else { list(&rows, room) };
        let head = |(at, line): (usize, String)| {
            let style = if at == 0 && total <= room { STRONG } else { PLAIN };
            paint(&line, style, self.colour)
        };
        let lines: Vec<String> = lines.into_iter().enumerate().map(head).collect();
        self.block(&lines);
        self.gap = true;
    }

    fn margin_width(&self) -> usize {
        let width = |margin: &Margin| fit::width(&sanitize(&margin.rest));
        self.margins.iter().take(MAX_DEPTH).map(width).sum()
    }

    fn end_gap(&mut self) {
        if std::mem::take(&mut self.gap) && !self.out.is_empty() {
            self.line("", false);
        }
    }

    /// Writes lines behind the margins.
    fn block(&mut self, lines: &[String]) {
        self.end_gap();
        lines.iter().for_each(|line| self.line(line, true));
    }

    fn line(&mut self, text: &str, uses_marker: bool) {
        let start = self.out.len();
        for margin in self.margins.iter_mut().take(MAX_DEPTH) {
            let first = if uses_marker { margin.first.take() } else { None };
            self.out.push_str(first.as_ref().unwrap_or(&margin.rest));
        }
        self.out.push_str(text);
        let end = self.out[start..].trim_end().len();
        self.out.truncate(start + end);
        self.out.push('\n');
    }
}

/// The rows of a table side by side.
fn grid(rows: &[Vec<String>], widths: &[usize]) -> Vec<String> {
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(widths).map(|(cell, width)| fit::pad(cell, *width));
        cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The rows of a table one below the other, each cell with the title of its column.
fn list(rows: &[Vec<String>], room: usize) -> Vec<String> {
    let Some((titles, rows)) = rows.split_first() else { return vec![] };
    let mut lines = Vec::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let title = titles.get(column).map_or("", String::as_str);
            let mark = if column == 0 { "- " } else { "  " };
            let text = match title.is_empty() {
                true => cell.clone(),
                false => format!("{title}: {cell}"),
            };
            let wrapped =
                wrap(&[Span { text, style: PLAIN }], room.saturating_sub(2).max(1), false);
            let margins = std::iter::once(mark).chain(std::iter::repeat("    "));
            lines.extend(wrapped.iter().zip(margins).map(|(line, mark)| format!("{mark}{line}")));
        }
    }
    lines
}

#[cfg(test)]
mod tests;
