//! The layers of the source: a module uses only modules below it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The modules of `src/` from the ground up: one total order, without exceptions.
const ORDER: [&str; 35] = [
    // Ground: vocabulary and helpers.
    "text",
    "units",
    "secret",
    "untrusted",
    "recording",
    "chat",
    "attachment",
    "net",
    "vendor",
    "report",
    "telemetry",
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
    "budget",
    "services",
    "agent",
    "engine",
    "batch",
    "crewtest",
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

/// The names that a file takes from its own folder, by `super::` or by the folder's full path.
fn siblings_used_by(text: &str, folder: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    let code = code.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let prefixes = ["super::".to_owned(), format!("crate::{folder}::")];
    let mut found = BTreeSet::new();
    for prefix in prefixes {
        for rest in code.split(prefix.as_str()).skip(1) {
            match rest.strip_prefix('{') {
                None => _ = found.insert(name(rest)),
                Some(list) => found.extend(top_level(list).into_iter().map(name)),
            }
        }
    }
    found
}

#[test]
fn the_files_of_a_folder_form_no_circle() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut circles = Vec::new();
    for folder in folders(&source) {
        let path = folder.strip_prefix(&source).unwrap().to_str().unwrap().replace('/', "::");
        let files: Vec<(String, String)> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
            .filter(|file| !file.ends_with("tests.rs") && !file.ends_with("mod.rs"))
            .map(|file| {
                let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
                (name, std::fs::read_to_string(&file).unwrap())
            })
            .collect();
        let uses = |name: &str| -> Vec<String> {
            let text = &files.iter().find(|(file, _)| file == name).unwrap().1;
            let used = siblings_used_by(text, &path);
            let known = |used: &String| files.iter().any(|(file, _)| file == used);
            used.into_iter().filter(|used| used != name && known(used)).collect()
        };
        for (file, _) in &files {
            let (mut open, mut seen) = (uses(file), BTreeSet::new());
            while let Some(next) = open.pop() {
                if next == *file {
                    circles.push(format!("{path}::{file}"));
                    break;
                }
                if seen.insert(next.clone()) {
                    open.extend(uses(&next));
                }
            }
        }
    }
    assert!(circles.is_empty(), "files that use each other: {circles:#?}");
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let inner = entries.filter(|path| path.is_dir()).flat_map(|path| folders(&path));
    std::iter::once(folder.to_owned()).chain(inner).collect()
}
