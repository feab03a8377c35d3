//! Places in the file: the path of a key, and from it line and column.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

/// The path of a value, such as `agents.disk.tools[0]`. Each link borrows the one before, so a path
/// costs nothing until it is shown.
#[derive(Debug, Clone, Copy)]
pub enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    pub fn key<'b>(&'b self, name: &'b str) -> Path<'b> {
        Path::Key(self, name)
    }

    pub fn index(&self, index: usize) -> Path<'_> {
        Path::Index(self, index)
    }

    /// The segments from the root on. The depth of the file bounds their number.
    pub fn segments(&self) -> Vec<Segment<'_>> {
        let mut segments = Vec::new();
        let mut rest = self;
        loop {
            rest = match rest {
                Path::Root => break,
                Path::Key(parent, name) => {
                    segments.push(Segment::Key(name));
                    parent
                }
                Path::Index(parent, index) => {
                    segments.push(Segment::Index(*index));
                    parent
                }
            };
        }
        segments.reverse();
        segments
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments().iter().enumerate().try_for_each(|(at, segment)| segment.write(at == 0, f))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'a> {
    Key(&'a str),
    Index(usize),
}

impl Segment<'_> {
    /// Writes the segment. An ambiguous key is quoted and a long one cut: it can be as long as the
    /// file.
    pub fn write(&self, first: bool, out: &mut dyn fmt::Write) -> fmt::Result {
        const MAX_SHOWN: usize = 64;
        match self {
            Self::Index(index) => write!(out, "[{index}]"),
            Self::Key(key) => {
                let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
                let cut: String = key.chars().take(MAX_SHOWN).collect();
                let more = if cut.len() < key.len() { "…" } else { "" };
                if !cut.is_empty() && cut.chars().all(plain) {
                    write!(out, "{}{cut}{more}", if first { "" } else { "." })
                } else {
                    write!(out, "[{:?}]", cut + more)
                }
            }
        }
    }
}

/// One of the files of a crew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(pub usize);

impl FileId {
    /// The file that includes the others.
    pub const MAIN: Self = Self(0);
}

/// A position in a file. Both numbers count from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: FileId,
    pub line: usize,
    pub column: usize,
}

/// The places of a value and of the values inside it.
#[derive(Debug)]
pub struct Mark {
    /// `None` for an item of a list and for the file as a whole.
    pub key: Option<Place>,
    pub value: Place,
    /// Whether faults of the value are shown at its key: it is missing, or a block that starts a
    /// line below.
    pub prefer_key: bool,
    /// The bytes of a scalar.
    pub bytes: Option<Range<usize>>,
    /// The line of a text's first line, if its lines are lines of the file.
    pub first_line: Option<usize>,
    pub inside: Inside,
}

#[derive(Debug)]
pub enum Inside {
    Nothing,
    Map(HashMap<String, Mark>),
    List(Vec<Mark>),
}

impl Mark {
    /// A value at this place that is no scalar of the file.
    pub fn new(place: Place) -> Self {
        Self {
            key: None,
            value: place,
            prefer_key: false,
            bytes: None,
            first_line: None,
            inside: Inside::Nothing,
        }
    }

    /// The mark at the path or the nearest one above it, and whether it is the exact one. A value
    /// from an alias or a merge has no mark of its own.
    pub fn find(&self, path: &Path<'_>) -> (&Mark, bool) {
        let mut mark = self;
        for segment in path.segments() {
            let next = match (&mark.inside, segment) {
                (Inside::Map(entries), Segment::Key(key)) => entries.get(key),
                (Inside::List(items), Segment::Index(index)) => items.get(index),
                _ => None,
            };
            match next {
                Some(next) => mark = next,
                None => return (mark, false),
            }
        }
        (mark, true)
    }

    /// The mark at the path. Missing ones are added, with the place of the nearest one above.
    pub fn at(&mut self, path: &Path<'_>) -> &mut Mark {
        let (parent, key) = match path {
            Path::Root => return self,
            Path::Index(parent, _) => return self.at(parent),
            Path::Key(parent, key) => (self.at(parent), *key),
        };
        let place = parent.key_place();
        parent.entries().entry(key.to_owned()).or_insert_with(|| Mark::new(place))
    }

    /// Takes the mark of a key out of a mapping. A missing one has the mapping's place.
    pub fn remove(&mut self, key: &str) -> Mark {
        let place = self.key_place();
        self.entries().remove(key).unwrap_or_else(|| Mark::new(place))
    }

    /// The marks inside, which become those of a mapping.
    fn entries(&mut self) -> &mut HashMap<String, Mark> {
        loop {
            match self.inside {
                Inside::Map(ref mut entries) => return entries,
                _ => self.inside = Inside::Map(HashMap::new()),
            }
        }
    }

    pub fn key_place(&self) -> Place {
        self.key.unwrap_or(self.value)
    }

    pub fn value_place(&self) -> Place {
        if self.prefer_key { self.key_place() } else { self.value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_as_in_a_programming_language() {
        let agents = Path::Root.key("agents");
        let agent = agents.key("my-disk");
        let tools = agent.key("tools");
        assert_eq!(tools.index(0).to_string(), "agents.my-disk.tools[0]");
        assert_eq!(agents.key("a.b").to_string(), r#"agents["a.b"]"#);
        assert_eq!(Path::Root.key("").to_string(), r#"[""]"#);
        assert_eq!(Path::Root.key("\u{1b}[2J").to_string(), r#"["\u{1b}[2J"]"#);
        assert_eq!(Path::Root.key(&"x".repeat(100)).to_string(), "x".repeat(64) + "…");
    }
}
