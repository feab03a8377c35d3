//! Texts in files of their own: `prompt`, `system` and `instructions` as `{file: PATH}`.

use std::collections::HashMap;
use std::path::PathBuf;

use super::faults::FaultLog;
use super::include;
use super::node::Node;
use super::place::{FileId, Mark, Path, Place};

pub const OF_AGENTS: [&str; 3] = ["prompt", "system", "instructions"];
pub const OF_DEFAULTS: [&str; 2] = ["prompt", "instructions"];
const EXPECTED: &str = "expected a text or {file: PATH}";

/// Replaces each `{file: PATH}` by the text of the file. Faults in it then have their place there.
pub fn read(node: &mut Node, log: &mut FaultLog) {
    let mut reader = Reader { files: HashMap::new(), log };
    let defaults = Path::Root.key("defaults");
    if let Some(node) = node.get_mut("defaults") {
        reader.texts(node, &OF_DEFAULTS, &defaults);
    }
    let agents = Path::Root.key("agents");
    if let Some(Node::Map(entries)) = node.get_mut("agents") {
        for (name, agent) in entries {
            reader.texts(agent, &OF_AGENTS, &agents.key(name));
        }
    }
}

struct Reader<'a> {
    /// Each file is read once. `None` for a file that cannot be read.
    files: HashMap<PathBuf, Option<FileId>>,
    log: &'a mut FaultLog,
}

impl Reader<'_> {
    fn texts(&mut self, node: &mut Node, keys: &[&str], path: &Path<'_>) {
        for key in keys {
            if let Some(value @ Node::Map(_)) = node.get_mut(key) {
                let path = path.key(key);
                let text = self.text(value, &path);
                if text.is_none() {
                    self.log.mark_broken(&path);
                }
                *value = Node::Text { text: text.unwrap_or_default(), expanded: false };
            }
        }
    }

    fn text(&mut self, value: &Node, path: &Path<'_>) -> Option<String> {
        let Node::Map(entries) = value else { return None };
        if let Some((key, _)) = entries.iter().find(|(key, _)| key != "file") {
            self.log.key(&path.key(key), EXPECTED, None);
            return None;
        }
        let path_of_file = path.key("file");
        let Some(Node::Text { text, .. }) = value.get("file") else {
            self.log.value(path, EXPECTED, None);
            return None;
        };
        if self.log.is_broken(&path_of_file) {
            return None;
        }
        let file = include::resolve(self.log.sources.folder(path), text)
            .map_err(|(message, hint)| self.log.value(&path_of_file, message, Some(hint.into())))
            .ok()?;
        let id = match self.files.get(&file) {
            Some(known) => (*known)?,
            None => {
                let text = include::read_text(&file, "a prompt", &path_of_file, self.log);
                let id = text.map(|text| self.log.sources.add(file.clone(), text));
                self.files.insert(file, id);
                id?
            }
        };
        let text = self.log.sources.text(id).to_owned();
        let bytes = Some(0..text.len());
        let mark = Mark::new(Place { file: id, line: 1, column: 1 });
        self.log.sources.set_mark(path, Mark { bytes, first_line: Some(1), ..mark });
        Some(text)
    }
}
