//! The texts of a crew's files, and the places of its values in them.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};

use super::place::{FileId, Mark, Path, Place};

/// The text of a file.
#[derive(Debug, Clone)]
pub struct Source {
    pub file: PathBuf,
    pub text: String,
}

/// The files of a crew in the order of reading, and the marks of the values that they make up
/// together.
#[derive(Debug)]
pub struct Sources {
    files: Vec<Source>,
    root: Mark,
    secrets: RefCell<Vec<(FileId, Range<usize>)>>,
}

impl Default for Sources {
    fn default() -> Self {
        let root = Mark::new(Place { file: FileId::MAIN, line: 1, column: 1 });
        Self { files: Vec::new(), root, secrets: RefCell::default() }
    }
}

impl Sources {
    /// Adds a file. The first one is the main file.
    pub fn add(&mut self, file: PathBuf, text: String) -> FileId {
        self.files.push(Source { file, text });
        FileId(self.files.len() - 1)
    }

    /// Sets the places of the values, and returns those before.
    pub fn replace_root(&mut self, root: Mark) -> Mark {
        std::mem::replace(&mut self.root, root)
    }

    /// Sets the place of one value.
    pub fn set_mark(&mut self, path: &Path<'_>, mark: Mark) {
        *self.root.at(path) = mark;
    }

    pub fn files(&self) -> impl Iterator<Item = &FilePath> {
        self.files.iter().map(|source| source.file.as_path())
    }

    pub fn file(&self, id: FileId) -> Option<&FilePath> {
        self.files.get(id.0).map(|source| source.file.as_path())
    }

    pub fn text(&self, id: FileId) -> &str {
        self.files.get(id.0).map(|source| source.text.as_str()).unwrap_or_default()
    }

    /// The directory of the file that defines the value. Relative paths of the value start there.
    pub fn folder(&self, path: &Path<'_>) -> &FilePath {
        let (mark, _) = self.root.find(path);
        let file = self.file(mark.key_place().file);
        file.and_then(FilePath::parent).unwrap_or(FilePath::new(""))
    }

    pub fn key_place(&self, path: &Path<'_>) -> Place {
        self.root.find(path).0.key_place()
    }

    pub fn value_place(&self, path: &Path<'_>) -> Place {
        let (mark, exact) = self.root.find(path);
        if exact { mark.value_place() } else { mark.key_place() }
    }

    /// The place of a word in a text as written.
    pub fn word_place(&self, path: &Path<'_>, word: &str) -> Option<Place> {
        let (mark, _) = self.root.find(path);
        let (file, bytes) = (mark.value.file, mark.bytes.clone()?);
        let text = self.text(file);
        let value = text.get(bytes.clone())?;
        let in_word = |c: char| c.is_alphanumeric() || c == '_';
        let (at, _) = value.match_indices(word).find(|(at, _)| {
            let (before, after) = (&value[..*at], &value[at + word.len()..]);
            !before.ends_with(in_word) && !before.ends_with('.') && !after.starts_with(in_word)
        })?;
        let before = text.get(..bytes.start + at)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Some(Place { file, line, column: before[line_start..].chars().count() + 1 })
    }

    /// The place of a line of a text, from 1, if the text has lines of its own in the file.
    pub fn line_place(&self, path: &Path<'_>, line: usize) -> Option<Place> {
        let (mark, exact) = self.root.find(path);
        let first = mark.first_line.filter(|_| exact)?;
        Some(Place { file: mark.value.file, line: first + line - 1, column: 1 })
    }

    /// Never shows the value: it may be a secret.
    pub fn hide(&self, path: &Path<'_>) {
        if let (Mark { bytes: Some(bytes), value, .. }, true) = self.root.find(path) {
            self.secrets.borrow_mut().push((value.file, bytes.clone()));
        }
    }

    /// The texts for display, with asterisks in place of possible secrets.
    pub fn masked(self) -> Vec<Source> {
        let secrets = self.secrets.into_inner();
        let mask_file = |(at, source): (usize, Source)| {
            let own = secrets.iter().filter(|(file, _)| file.0 == at);
            let own: Vec<_> = own.map(|(_, range)| range.clone()).collect();
            Source { text: mask(source.text, own), ..source }
        };
        self.files.into_iter().enumerate().map(mask_file).collect()
    }
}

/// Replaces every character of a secret by an asterisk. Lines and columns stay the same.
fn mask(text: String, mut secrets: Vec<Range<usize>>) -> String {
    if secrets.is_empty() {
        return text;
    }
    secrets.sort_by_key(|range| range.start);
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    for range in secrets {
        let (Some(clear), Some(secret)) =
            (text.get(from..range.start), text.get(range.start..range.end))
        else {
            continue;
        };
        shown.push_str(clear);
        shown.extend(secret.chars().map(|c| if c.is_whitespace() { c } else { '*' }));
        from = range.end;
    }
    shown.push_str(text.get(from..).unwrap_or_default());
    shown
}
