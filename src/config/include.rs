//! `include`: makes one file of the files that a crew consists of.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs;
use std::path::{Path as FilePath, PathBuf};

use super::expand::{Env, Expansion};
use super::faults::FaultLog;
use super::find::{self, ReadError};
use super::node::Node;
use super::place::{FileId, Mark, Path, Place};
use super::yaml::{self, Unusable};
use crate::text::quoted;

/// The keys of an included file, besides `include`.
const SECTIONS: [&str; 6] = ["agents", "mcp_servers", "prices", "providers", "tools", "vars"];
/// Files of one crew. Each has a limit of its own.
const MAX_FILES: usize = 256;

/// Reads a file and all that it includes. The places of the result become those of the log.
///
/// # Errors
/// A file cannot be used at all.
pub fn read(
    file: &FilePath,
    text: String,
    env: Env<'_>,
    keys: &HashSet<String>,
    log: &mut FaultLog,
) -> Result<Node, Unusable> {
    let main = Found { file: file.to_owned(), identity: identity(file), text };
    let mut reader = Reader { env, keys, log, seen: HashSet::new(), open: vec![], read: vec![] };
    reader.seen.insert(main.identity.clone());
    let is_usable = reader.read(main);
    let Reader { read, log, .. } = reader;
    let mut files = read.into_iter();
    let Some(mut main) = files.next().filter(|_| is_usable) else { return Err(Unusable) };
    files.for_each(|file| main.add(file, log));
    log.sources.replace_root(main.mark);
    Ok(main.node)
}

/// A relative path of a file as a path from the working directory.
///
/// # Errors
/// A message and a hint.
pub fn resolve(folder: &FilePath, text: &str) -> Result<PathBuf, (String, &'static str)> {
    let shown = quoted(text);
    if text.trim().is_empty() || text.contains('\0') {
        Err((format!("{shown} is not the path of a file"), "write a path such as common.yaml"))
    } else if text.starts_with("~/") {
        Err((format!("{shown} begins with a ~, which only a shell expands"), "write ${HOME}"))
    } else {
        Ok(folder.join(text))
    }
}

/// What two paths of the same file have in common.
fn identity(file: &FilePath) -> PathBuf {
    fs::canonicalize(file).unwrap_or_else(|_| file.to_owned())
}

/// A file that is named by another one.
struct Found {
    file: PathBuf,
    identity: PathBuf,
    text: String,
}

struct Reader<'a> {
    env: Env<'a>,
    keys: &'a HashSet<String>,
    log: &'a mut FaultLog,
    seen: HashSet<PathBuf>,
    /// Identity and name of the files being read: each includes the next.
    open: Vec<(PathBuf, PathBuf)>,
    /// The main file comes first.
    read: Vec<Part>,
}

impl Reader<'_> {
    /// Reads the file and those that it includes. Returns whether all of them can be used.
    fn read(&mut self, Found { file, identity, text }: Found) -> bool {
        let id = self.log.sources.add(file.clone(), text);
        let Ok((mark, mut node)) = yaml::read(id, self.log) else { return false };
        // While it is read, its places are those of the log.
        self.log.sources.replace_root(mark);
        node.merge(&Path::Root, self.log);
        if let Node::Map(entries) = &mut node {
            // A home for anchors.
            entries.retain(|(key, _)| !key.starts_with("x-"));
        }
        let include = node.take("include");
        if id != FileId::MAIN {
            check_sections(&node, self.log);
        }
        self.open.push((identity, file));
        let found = include.map(|include| self.find(include)).unwrap_or_default();
        let mark =
            self.log.sources.replace_root(Mark::new(self.log.sources.key_place(&Path::Root)));
        self.read.push(Part { mark, node });
        let mut is_usable = true;
        for file in found {
            // One of the others may have included it as well.
            if self.seen.insert(file.identity.clone()) {
                is_usable &= self.read(file);
            }
        }
        self.open.pop();
        is_usable
    }

    /// The named files that have not been read, each once.
    fn find(&mut self, mut include: Node) -> Vec<Found> {
        let (env, keys, log) = (self.env, self.keys, &*self.log);
        let path = Path::Root.key("include");
        let expansion = Expansion { env, keys, log, secrets: RefCell::default() };
        expansion.apply(&mut include, &path);
        let mut found = Vec::new();
        let hint = || Some("write include: common.yaml, or a list of paths".to_owned());
        match include {
            Node::Text { text, .. } => self.find_one(&text, &path, &mut found),
            Node::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    let path = path.index(at);
                    if let Node::Text { text, .. } = item {
                        self.find_one(text, &path, &mut found);
                    } else {
                        let message = format!("expected a path, found {}", item.describe());
                        self.log.value(&path, message, hint());
                    }
                }
            }
            Node::Null => {}
            other => {
                let message = format!("expected a path or a list, found {}", other.describe());
                self.log.value(&path, message, hint());
            }
        }
        found
    }

    fn find_one(&mut self, text: &str, path: &Path<'_>, found: &mut Vec<Found>) {
        if self.log.is_broken(path) {
            return;
        }
        let including = self.open.last().map(|(_, file)| file.clone()).unwrap_or_default();
        let folder = including.parent().unwrap_or(FilePath::new(""));
        let file = match resolve(folder, text) {
            Ok(file) => file,
            Err((message, hint)) => return self.log.value(path, message, Some(hint.to_owned())),
        };
        let identity = identity(&file);
        if let Some(at) = self.open.iter().position(|(open, _)| *open == identity) {
            self.log.value(path, self.circle(at), Some("remove one of them".to_owned()));
        } else if self.seen.contains(&identity) || found.iter().any(|f| f.identity == identity) {
            // Read once.
        } else if self.seen.len() + found.len() >= MAX_FILES {
            self.log.value(path, format!("a crew has at most {MAX_FILES} files"), None);
        } else if let Some(text) = read_text(&file, "an included file", path, self.log) {
            found.push(Found { file, identity, text });
        }
    }

    /// The files from `at` on include each other.
    fn circle(&self, at: usize) -> String {
        let names: Vec<_> =
            self.open[at..].iter().map(|(_, file)| file.display().to_string()).collect();
        match &names[..] {
            [first, _, ..] => {
                format!("these files include each other: {} -> {first}", names.join(" -> "))
            }
            only => format!("{} includes itself", only.concat()),
        }
    }
}

/// Reads a file that the value at `path` names. Its faults are logged.
pub fn read_text(
    file: &FilePath,
    what: &str,
    path: &Path<'_>,
    log: &mut FaultLog,
) -> Option<String> {
    match find::read_up_to(file, find::MAX_FILE, what) {
        Ok(text) => Some(text),
        Err(ReadError::Unreadable { message, hint }) => {
            log.value(path, message, Some(hint.to_owned()));
            None
        }
        Err(ReadError::NotUtf8 { text, line, column }) => {
            let id = log.sources.add(file.to_owned(), text);
            let (message, hint) = ReadError::NOT_UTF8;
            let place = Place { file: id, line, column };
            log.at(None, place, message.to_owned(), Some(hint.to_owned()));
            None
        }
    }
}

/// Logs what an included file cannot hold.
fn check_sections(node: &Node, log: &FaultLog) {
    let hint = format!("it can hold include, {}", SECTIONS.join(", "));
    let entries = match node {
        Node::Map(entries) => entries,
        Node::Null => return,
        other => {
            let message = format!("expected a mapping, found {}", other.describe());
            return log.value(&Path::Root, message, Some(hint));
        }
    };
    for (section, value) in entries {
        let path = Path::Root.key(section);
        if !SECTIONS.contains(&section.as_str()) {
            let message = format!("an included file cannot hold {}", quoted(section));
            let nearest = log.nearest(section, SECTIONS);
            log.key(&path, message, nearest.or_else(|| Some(hint.clone())));
        } else if !matches!(value, Node::Map(_) | Node::Null) {
            log.value(&path, format!("expected a mapping, found {}", value.describe()), None);
        }
    }
}

/// The values of a file and their places.
struct Part {
    mark: Mark,
    node: Node,
}

impl Part {
    /// Adds what an included file defines.
    fn add(&mut self, mut included: Part, log: &FaultLog) {
        let (Node::Map(sections), Node::Map(entries)) = (&mut self.node, included.node) else {
            return;
        };
        for (section, value) in entries {
            let Node::Map(values) = value else { continue };
            if !SECTIONS.contains(&section.as_str()) {
                continue;
            }
            let mut mark = included.mark.remove(&section);
            let at = sections.iter().position(|(name, _)| *name == section);
            let at = at.unwrap_or_else(|| {
                sections.push((section.clone(), Node::Null));
                sections.len() - 1
            });
            let known = &mut sections[at].1;
            if *known == Node::Null {
                *known = Node::Map(Vec::new());
            }
            // Anything else is a fault of the main file, found by the decoder.
            let Node::Map(known) = known else { continue };
            let names: HashSet<String> = known.iter().map(|(name, _)| name.clone()).collect();
            let mut own_names = HashSet::new();
            for (name, value) in values {
                if !own_names.insert(name.clone()) {
                    // A duplicate key, which has been logged.
                    continue;
                }
                let own = mark.remove(&name);
                let path = Path::Root.key(&section);
                let path = path.key(&name);
                if !names.contains(&name) {
                    known.push((name.clone(), value));
                    *self.mark.at(&path) = own;
                    continue;
                }
                let first = self.mark.find(&path).0.key_place();
                if section != "vars" || first.file != FileId::MAIN {
                    let message =
                        format!("{} is also defined in {}", quoted(&name), log.show(first));
                    let hint = Some("remove or rename one of them".to_owned());
                    log.at(Some(path.to_string()), own.key_place(), message, hint);
                }
            }
        }
    }
}
