//! From a file's text to its values and their places, within bounds of depth and size.
//!
//! The values are built from the events of a parser. Parsers that build values themselves take
//! unbounded time and memory for a few hostile bytes.

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag};

use super::faults::FaultLog;
use super::node::Node;
use super::place::{FileId, Inside, Mark, Place, Segment};
use super::scalar;

const MAX_DEPTH: usize = 32;
/// Values of the file. A value that aliases repeat counts each time.
const MAX_VALUES: usize = 100_000;
/// Bytes of all single values. A value that aliases repeat counts each time.
const MAX_BYTES: usize = 4 << 20;

/// The file cannot be used at all. Its fault has been logged.
#[derive(Debug)]
pub struct Unusable;

/// Parses a file, whose text is in the log. Duplicate keys are logged and kept. A file without a
/// value is [`Node::Null`].
pub fn read(file: FileId, log: &FaultLog) -> Result<(Mark, Node), Unusable> {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        flow_nesting_limit: 4 * MAX_DEPTH,
        block_nesting_limit: 4 * MAX_DEPTH,
        simple_key_max_lookahead: 1024,
    };
    let source = log.sources.text(file);
    let mut walk = Walk { file, ..Walk::default() };
    for next in Parser::new_from_str_with_options(source, options) {
        match next {
            Ok((event, span)) => walk.event(&event, &span, log)?,
            Err(error) => return Err(walk.syntax(&error, source, log)),
        }
    }
    let nothing = || (Mark::new(Place { file, line: 1, column: 1 }), Node::Null);
    Ok(walk.root.unwrap_or_else(nothing))
}

/// Logs that the file is empty.
pub fn empty(log: &FaultLog) -> Unusable {
    let hint = "a crew needs `agents:` with at least one agent".to_owned();
    log.unplaced("the file is empty", Some(hint));
    Unusable
}

/// A list or mapping that has not ended yet.
struct Open {
    mark: Mark,
    node: Node,
    /// The key of the next value.
    key: Option<(String, Place)>,
    anchor: usize,
    before: Size,
}

#[derive(Clone, Copy, Default)]
struct Size {
    values: usize,
    bytes: usize,
}

impl Size {
    fn add(&mut self, more: Self) {
        self.values = self.values.saturating_add(more.values);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }

    fn is_too_large(self) -> bool {
        self.values > MAX_VALUES || self.bytes > MAX_BYTES
    }
}

#[derive(Default)]
struct Walk {
    file: FileId,
    documents: usize,
    open: Vec<Open>,
    root: Option<(Mark, Node)>,
    size: Size,
    /// The anchored values that have ended.
    anchors: HashMap<usize, (Node, Size)>,
    /// The size of all anchored values. One can be inside another.
    anchored: Size,
}

impl Walk {
    fn event(&mut self, event: &Event<'_>, span: &Span, log: &FaultLog) -> Result<(), Unusable> {
        let place = self.place(span.start.line(), span.start.col());
        if let Some(tag) = event.tag().filter(|tag| !tag.is_yaml_core_schema()) {
            self.unknown_tag(tag, place, log);
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let hint = "a file holds one crew; remove everything from the second `---` on"
                        .to_owned();
                    let message = "a second document begins here".to_owned();
                    return Err(self.stop(log, place, message, Some(hint)));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let size = Size { values: 1, bytes: text.len() };
                self.count(size, place, log)?;
                let node = self.scalar(text, *style, tag.as_deref(), place, log)?;
                self.keep(*anchor, &node, size, place, log)?;
                if self.wants_key() {
                    self.key(text, place, log);
                    return Ok(());
                }
                let prefer_key = match style {
                    // Nothing at all, unlike `~`.
                    ScalarStyle::Plain => span.is_empty(),
                    // The text begins a line below.
                    ScalarStyle::Literal | ScalarStyle::Folded => true,
                    _ => false,
                };
                // Folding joins lines. The parser's place is after lines without text.
                let blank = text.bytes().take_while(|byte| *byte == b'\n').count();
                let first_line =
                    (*style == ScalarStyle::Literal).then(|| place.line.saturating_sub(blank));
                let bytes = span.byte_range();
                let mark = Mark { prefer_key, bytes, first_line, ..Mark::new(place) };
                self.value(mark, node);
            }
            Event::Alias(id) => self.alias(*id, place, log)?,
            Event::UnresolvedAlias(name) => {
                let message = format!("*{name} has no value: no &{name} comes before it");
                return Err(self.stop(log, place, message, None));
            }
            Event::SequenceStart(style, anchor, _) => {
                let empty = (Inside::List(Vec::new()), Node::List(Vec::new()));
                self.open(*style, *anchor, place, empty, log)?;
            }
            Event::MappingStart(style, anchor, _) => {
                let empty = (Inside::Map(HashMap::new()), Node::Map(Vec::new()));
                self.open(*style, *anchor, place, empty, log)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(place, log)?,
            _ => {}
        }
        Ok(())
    }

    /// The parser counts lines from 1 and columns from 0.
    fn place(&self, line: usize, column: usize) -> Place {
        Place { file: self.file, line: line.max(1), column: column + 1 }
    }

    /// The value of a scalar. A key is always a text.
    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        place: Place,
        log: &FaultLog,
    ) -> Result<Node, Unusable> {
        match tag.and_then(Tag::core_suffix) {
            None if style == ScalarStyle::Plain => Ok(scalar::plain(text)),
            None => Ok(scalar::text(text)),
            Some(tag) => scalar::tagged(tag, text).ok_or_else(|| {
                let found = scalar::text(text).describe();
                self.stop(
                    log,
                    place,
                    format!("expected a value of the type !!{tag}, found {found}"),
                    None,
                )
            }),
        }
    }

    /// Keeps an anchored value for its aliases. Anchor 0 means no anchor.
    fn keep(
        &mut self,
        anchor: usize,
        node: &Node,
        size: Size,
        place: Place,
        log: &FaultLog,
    ) -> Result<(), Unusable> {
        if anchor != 0 {
            self.anchored.add(size);
            self.check_size(place, log)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(())
    }

    fn wants_key(&self) -> bool {
        self.open
            .last()
            .is_some_and(|open| matches!(open.mark.inside, Inside::Map(_)) && open.key.is_none())
    }

    fn key(&mut self, name: &str, place: Place, log: &FaultLog) {
        if let Some(first) = self.given_before(name) {
            let line = first.key_place().line;
            let hint = format!("the first one is in line {line}; remove or rename one of them");
            let path = Some(self.path(Some(name)));
            log.at(path, place, "duplicate key".to_owned(), Some(hint));
        }
        if let Some(open) = self.open.last_mut() {
            open.key = Some((name.to_owned(), place));
        }
    }

    fn given_before(&self, name: &str) -> Option<&Mark> {
        match &self.open.last()?.mark.inside {
            Inside::Map(entries) => entries.get(name),
            _ => None,
        }
    }

    fn value(&mut self, mut mark: Mark, node: Node) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some((mark, node));
            return;
        };
        match (&mut open.mark.inside, &mut open.node) {
            (Inside::List(marks), Node::List(nodes)) => {
                marks.push(mark);
                nodes.push(node);
            }
            (Inside::Map(marks), Node::Map(nodes)) => {
                if let Some((name, place)) = open.key.take() {
                    mark.key = Some(place);
                    nodes.push((name.clone(), node));
                    marks.entry(name).or_insert(mark);
                }
            }
            _ => {}
        }
    }

    fn alias(&mut self, id: usize, place: Place, log: &FaultLog) -> Result<(), Unusable> {
        let Some(&(_, size)) = self.anchors.get(&id) else {
            let message = "this alias is inside the value it refers to".to_owned();
            return Err(self.stop(log, place, message, None));
        };
        if self.wants_key() {
            let message = "a key must be plain text, not an alias".to_owned();
            return Err(self.stop(log, place, message, None));
        }
        // Counted before it is copied.
        self.count(size, place, log)?;
        if let Some((node, _)) = self.anchors.get(&id) {
            self.value(Mark::new(place), node.clone());
        }
        Ok(())
    }

    fn open(
        &mut self,
        style: StructureStyle,
        anchor: usize,
        place: Place,
        (inside, node): (Inside, Node),
        log: &FaultLog,
    ) -> Result<(), Unusable> {
        if self.wants_key() {
            let message = "a key must be plain text, not a list or mapping".to_owned();
            let hint = "put text that begins with {, such as a template, in quotes".to_owned();
            return Err(self.stop(log, place, message, Some(hint)));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(self.too_deep(log, place));
        }
        let before = self.size;
        self.count(Size { values: 1, bytes: 0 }, place, log)?;
        let prefer_key = style == StructureStyle::Block;
        let mark = Mark { prefer_key, inside, ..Mark::new(place) };
        self.open.push(Open { mark, node, key: None, anchor, before });
        Ok(())
    }

    fn close(&mut self, place: Place, log: &FaultLog) -> Result<(), Unusable> {
        if let Some(Open { mark, node, anchor, before, .. }) = self.open.pop() {
            let Size { values, bytes } = self.size;
            let size = Size { values: values - before.values, bytes: bytes - before.bytes };
            self.keep(anchor, &node, size, place, log)?;
            self.value(mark, node);
        }
        Ok(())
    }

    fn count(&mut self, size: Size, place: Place, log: &FaultLog) -> Result<(), Unusable> {
        self.size.add(size);
        self.check_size(place, log)
    }

    fn check_size(&self, place: Place, log: &FaultLog) -> Result<(), Unusable> {
        if self.size.is_too_large() || self.anchored.is_too_large() {
            let hint = "an alias (*name) counts as much as its value".to_owned();
            let message = "the file is too large from here on".to_owned();
            return Err(self.stop(log, place, message, Some(hint)));
        }
        Ok(())
    }

    fn syntax(&self, error: &ScanError, source: &str, log: &FaultLog) -> Unusable {
        let marker = error.marker();
        let place = self.place(marker.line(), marker.col());
        if *error.kind() == ErrorKind::RecursionLimitExceeded {
            return self.too_deep(log, place);
        }
        let line = source.lines().nth(place.line - 1).unwrap_or_default();
        let found = error.info();
        let (message, hint) = explain(&found, line);
        // Without a path: where the parser gives up says little about where the mistake is.
        log.at(None, place, format!("invalid YAML: {message}"), hint.map(str::to_owned));
        Unusable
    }

    /// Logs a tag that is not one of YAML's own. The value is read as if it had none.
    fn unknown_tag(&self, tag: &Tag, place: Place, log: &FaultLog) {
        let name = tag.original();
        let hint = match &*name {
            "!include" => "write include: [PATH] at the top of the file, or prompt: {file: PATH}",
            _ => "remove it",
        };
        let path = Some(self.path(None)).filter(|path| !path.is_empty());
        log.at(path, place, format!("the tag {name} is not supported"), Some(hint.to_owned()));
    }

    fn too_deep(&self, log: &FaultLog, place: Place) -> Unusable {
        self.stop(log, place, format!("nested more than {MAX_DEPTH} levels deep"), None)
    }

    fn stop(
        &self,
        log: &FaultLog,
        place: Place,
        message: String,
        hint: Option<String>,
    ) -> Unusable {
        let path = Some(self.path(None)).filter(|path| !path.is_empty());
        log.at(path, place, message, hint);
        Unusable
    }

    /// The path of the value being read, or of a key of the innermost mapping.
    fn path(&self, key: Option<&str>) -> String {
        let mut path = String::new();
        let inner = self.open.iter().filter_map(|open| match (&open.mark.inside, &open.key) {
            (Inside::List(items), _) => Some(Segment::Index(items.len())),
            (_, Some((key, _))) => Some(Segment::Key(key)),
            _ => None,
        });
        for segment in inner.chain(key.map(Segment::Key)) {
            // Writing to a String cannot fail.
            let _ = segment.write(path.is_empty(), &mut path);
        }
        path
    }
}

/// What the parser found in a line, and what to do about it.
fn explain<'a>(found: &'a str, line: &str) -> (&'a str, Option<&'static str>) {
    let indent = &line[..line.len() - line.trim_start().len()];
    let is_mapping = found.contains("mapping values are not allowed");
    if indent.contains('\t') {
        ("a tab in the indentation", Some("indent with spaces: YAML allows no tabs there"))
    } else if ["${", "{{"].iter().any(|open| line.contains(open)) {
        (found, Some("put a text with ${…} or {{ … }} in quotes"))
    } else if is_mapping && line.matches(": ").count() > 1 {
        ("a second `: ` in one line", Some("put a text with `: ` in quotes, or below `key: |-`"))
    } else if found.contains("simple key expect") {
        ("a line without `: `", Some("write key: value, and check the indentation"))
    } else if is_mapping {
        (found, Some("check the indentation, and that the line above is complete"))
    } else {
        (found, None)
    }
}
