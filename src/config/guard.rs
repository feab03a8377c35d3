//! The first look at a file: that it is YAML of reasonable depth and size, with every key once.
//!
//! It comes before the parser that makes values of it, which takes time and memory without bound
//! for a few bytes of the wrong kind, and it remembers where everything stands.

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StructureStyle};

use super::faults::FaultLog;
use super::place::{Inside, Mark, Place, Segment};

const DEEPEST: usize = 32;
/// Values of the file, those repeated by aliases counted each time.
const MOST_VALUES: usize = 100_000;
/// Bytes of all single values, those repeated by aliases counted each time.
const MOST_BYTES: usize = 4 << 20;

/// The whole file is of no use: what is wrong with it has been noted.
#[derive(Debug)]
pub struct Unusable;

/// Looks through the file. Duplicate keys are noted and passed over.
pub fn inspect(source: &str, log: &mut FaultLog) -> Result<(), Unusable> {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        flow_nesting_limit: 4 * DEEPEST,
        block_nesting_limit: 4 * DEEPEST,
        simple_key_max_lookahead: 1024,
    };
    let mut walk = Walk::default();
    for next in Parser::new_from_str_with_options(source, options) {
        match next {
            Ok((event, span)) => walk.event(&event, &span, log)?,
            Err(error) => return walk.syntax(&error, source, log),
        }
    }
    match walk.root {
        Some(root) => {
            log.set_marks(root, source);
            Ok(())
        }
        None => {
            let hint = "a crew needs `agents:` with at least one agent below it".to_owned();
            log.unplaced("the file is empty", Some(hint));
            Err(Unusable)
        }
    }
}

/// A list or mapping that has not ended yet.
struct Open {
    mark: Mark,
    /// The key whose value comes next.
    key: Option<(String, Place)>,
    anchor: usize,
    values_before: usize,
    bytes_before: usize,
}

#[derive(Default)]
struct Walk {
    documents: usize,
    open: Vec<Open>,
    root: Option<Mark>,
    values: usize,
    bytes: usize,
    /// Values and bytes of each anchored value that has ended.
    anchors: HashMap<usize, (usize, usize)>,
}

impl Walk {
    fn event(&mut self, event: &Event<'_>, span: &Span, log: &FaultLog) -> Result<(), Unusable> {
        let place = Place { line: span.start.line().max(1), column: span.start.col() + 1 };
        if let Some(tag) = event.tag()
            && !["str", "int", "float", "bool", "null", "seq", "map"]
                .iter()
                .any(|core| tag.is_yaml_core_schema_tag(core))
        {
            let message = format!("the tag {} means nothing here", tag.original());
            return self.stop(log, place, message, Some("remove it".to_owned()));
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let hint = "remove everything from the second `---` on".to_owned();
                    let message = "a second document begins here: a crew is one".to_owned();
                    return self.stop(log, place, message, Some(hint));
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                self.count(1, text.len(), place, log)?;
                if *anchor != 0 {
                    self.anchors.insert(*anchor, (1, text.len()));
                }
                if self.wants_key() {
                    return self.key(text, place, log);
                }
                let prefer_key = match style {
                    // Nothing at all, rather than `~`.
                    ScalarStyle::Plain => span.is_empty(),
                    // Its text begins a line below.
                    ScalarStyle::Literal | ScalarStyle::Folded => true,
                    _ => false,
                };
                self.value(Mark { prefer_key, bytes: span.byte_range(), ..leaf(place) });
            }
            Event::Alias(id) => self.alias(*id, place, log)?,
            Event::UnresolvedAlias(name) => {
                let message = format!("*{name} stands for nothing: no &{name} comes before it");
                return self.stop(log, place, message, None);
            }
            Event::SequenceStart(style, anchor, _) => {
                self.open(*style, *anchor, place, Inside::List(Vec::new()), log)?;
            }
            Event::MappingStart(style, anchor, _) => {
                self.open(*style, *anchor, place, Inside::Map(HashMap::new()), log)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            _ => {}
        }
        Ok(())
    }

    fn wants_key(&self) -> bool {
        self.open
            .last()
            .is_some_and(|open| matches!(open.mark.inside, Inside::Map(_)) && open.key.is_none())
    }

    fn key(&mut self, name: &str, place: Place, log: &FaultLog) -> Result<(), Unusable> {
        if let Some(first) = self.given_before(name) {
            let line = first.key_place().line;
            let hint = format!("it is first given in line {line}; remove or rename one");
            let path = Some(self.path(Some(name)));
            log.at(path, place, "this key is given twice".to_owned(), Some(hint));
        }
        if let Some(open) = self.open.last_mut() {
            open.key = Some((name.to_owned(), place));
        }
        Ok(())
    }

    fn given_before(&self, name: &str) -> Option<&Mark> {
        match &self.open.last()?.mark.inside {
            Inside::Map(entries) => entries.get(name),
            _ => None,
        }
    }

    fn value(&mut self, mut mark: Mark) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(mark);
            return;
        };
        match &mut open.mark.inside {
            Inside::List(items) => items.push(mark),
            Inside::Map(entries) => {
                if let Some((name, place)) = open.key.take() {
                    mark.key = Some(place);
                    entries.entry(name).or_insert(mark);
                }
            }
            Inside::Nothing => {}
        }
    }

    fn alias(&mut self, id: usize, place: Place, log: &FaultLog) -> Result<(), Unusable> {
        let Some((values, bytes)) = self.anchors.get(&id).copied() else {
            let message = "this alias is inside the very value it stands for".to_owned();
            return self.stop(log, place, message, None);
        };
        if self.wants_key() {
            let message = "a key is plain text, not an alias".to_owned();
            return self.stop(log, place, message, None);
        }
        self.count(values, bytes, place, log)?;
        self.value(leaf(place));
        Ok(())
    }

    fn open(
        &mut self,
        style: StructureStyle,
        anchor: usize,
        place: Place,
        inside: Inside,
        log: &FaultLog,
    ) -> Result<(), Unusable> {
        if self.wants_key() {
            let message = "a key is plain text, not a list or mapping".to_owned();
            let hint = "text that begins with {, such as a template, goes in quotes".to_owned();
            return self.stop(log, place, message, Some(hint));
        }
        if self.open.len() >= DEEPEST {
            return self.too_deep(log, place);
        }
        let (values_before, bytes_before) = (self.values, self.bytes);
        self.count(1, 0, place, log)?;
        let prefer_key = style == StructureStyle::Block;
        let mark = Mark { prefer_key, inside, ..leaf(place) };
        self.open.push(Open { mark, key: None, anchor, values_before, bytes_before });
        Ok(())
    }

    fn close(&mut self) {
        if let Some(open) = self.open.pop() {
            if open.anchor != 0 {
                let size = (self.values - open.values_before, self.bytes - open.bytes_before);
                self.anchors.insert(open.anchor, size);
            }
            self.value(open.mark);
        }
    }

    fn count(
        &mut self,
        values: usize,
        bytes: usize,
        place: Place,
        log: &FaultLog,
    ) -> Result<(), Unusable> {
        self.values = self.values.saturating_add(values);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.values > MOST_VALUES || self.bytes > MOST_BYTES {
            let hint = "aliases (*name) count as what they stand for".to_owned();
            return self.stop(log, place, "the file grows too large here".to_owned(), Some(hint));
        }
        Ok(())
    }

    fn syntax(&self, error: &ScanError, source: &str, log: &FaultLog) -> Result<(), Unusable> {
        let marker = error.marker();
        let place = Place { line: marker.line().max(1), column: marker.col() + 1 };
        if *error.kind() == ErrorKind::RecursionLimitExceeded {
            return self.too_deep(log, place);
        }
        let line = source.lines().nth(place.line - 1).unwrap_or_default();
        let hint = ["${", "{{"].iter().any(|open| line.contains(open)).then(|| {
            "a text with ${…} or {{ … }} goes in quotes where braces have a meaning".to_owned()
        });
        self.stop(log, place, format!("this is not valid YAML: {}", error.info()), hint)
    }

    fn too_deep(&self, log: &FaultLog, place: Place) -> Result<(), Unusable> {
        self.stop(log, place, format!("this is nested more than {DEEPEST} levels deep"), None)
    }

    fn stop(
        &self,
        log: &FaultLog,
        place: Place,
        message: String,
        hint: Option<String>,
    ) -> Result<(), Unusable> {
        let path = Some(self.path(None)).filter(|path| !path.is_empty());
        log.at(path, place, message, hint);
        Err(Unusable)
    }

    /// The path of what is being read, or of a key of the innermost mapping.
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

fn leaf(place: Place) -> Mark {
    Mark { key: None, value: place, prefer_key: false, bytes: None, inside: Inside::Nothing }
}
