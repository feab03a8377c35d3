//! The layers of the source: a module uses only modules below it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The modules of `src/` from the ground up: one total order, without exceptions.
const ORDER: [&str; 29] = [
    // Ground: vocabulary and helpers.
    "text",
    "units",
    "secret",
    "untrusted",
    "chat",
    "net",
    "vendor",
    "report",
    "exit",
    "cancel",
    "signal",
    "approval",
    // From the file to a plan.
    "structured",
    "template",
    "config",
    "process",
    "plan",
    // What agents work with, the agents, and the run.
    "provider",
    "tool",
    "services",
    "agent",
    "engine",
    // The program around the run.
    "selftest",
    "render",
    "cli",
    "commands",
    // Property tests see everything; the crates' roots name everything.
    "properties",
    "lib",
    "main",
];

#[test]
fn every_module_uses_only_modules_below_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let place = |name: &str| ORDER.iter().position(|known| *known == name);
    let mut faults = Vec::new();
    for file in rust_files(&source) {
        let module = module_of(file.strip_prefix(&source).unwrap());
        let Some(own) = place(&module) else {
            faults.push(format!("{module} is not in the order"));
            continue;
        };
        for used in used_by(&std::fs::read_to_string(&file).unwrap()) {
            if used != module && place(&used).is_none_or(|used| used >= own) {
                faults.push(format!("{}: {module} may not use {used}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The top-level module a file belongs to.
fn module_of(file: &Path) -> String {
    let first = file.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The top-level modules that a text names as `crate::module` or `crate::{module, …}`, outside
/// comments.
fn used_by(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    let name = |text: &str| {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let names = code.split("crate::").skip(1).flat_map(|rest| match rest.strip_prefix('{') {
        None => vec![name(rest)],
        Some(list) => top_level(list).into_iter().map(name).collect(),
    });
    names.filter(|name: &String| !name.is_empty()).collect()
}

/// The entries of a use list up to its closing brace, without those of inner lists.
fn top_level(list: &str) -> Vec<&str> {
    let (mut depth, mut from, mut entries) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                entries.push(&list[from..at]);
                return entries;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                entries.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    entries
}
