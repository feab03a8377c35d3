//! Who may use whom: the `use crate::` lines held against the table of `docs/design.md`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A module, and the modules of ours it may use besides itself.
const MAY_USE: [(&str, &[&str]); 31] = [
    ("report", &[]),
    // The durations it takes are the file's.
    ("cli", &["plan"]),
    ("config", &["report"]),
    ("plan", &["config", "provider", "report", "sandbox", "structured"]),
    ("sandbox", &[]),
    ("secret", &["plan", "report"]),
    ("cancel", &["report"]),
    ("signal", &["cancel", "report"]),
    ("reader", &["cancel", "report"]),
    ("exit", &["report"]),
    ("input", &[]),
    ("consent", &[]),
    ("open_files", &[]),
    ("output", &[]),
    ("fallback", &[]),
    ("structured", &[]),
    ("conversation", &["provider", "structured"]),
    ("provider", &["plan", "report", "secret", "structured"]),
    ("tool", &["cancel", "plan", "provider", "report", "sandbox", "structured"]),
    ("budget", &["plan", "provider"]),
    ("ledger", &["plan", "report"]),
    (
        "agent",
        &[
            "budget",
            "cancel",
            "consent",
            "conversation",
            "ledger",
            "plan",
            "provider",
            "report",
            "secret",
            "tool",
        ],
    ),
    (
        "engine",
        &[
            "agent", "budget", "cancel", "consent", "exit", "ledger", "plan", "provider", "report",
            "secret", "tool",
        ],
    ),
    // The plan and the file's faults only for `crew check`.
    ("render", &["config", "consent", "plan", "report", "secret", "selftest"]),
    // It knows crew from outside only, as a program.
    ("selftest", &["report"]),
    ("lib", &[]),
    // For tests and fuzzers only.
    ("properties", &["*"]),
    // The program itself, which is a crate of its own.
    ("main", &[]),
    ("check", &["*"]),
    ("run", &["*"]),
    ("delivery", &[]),
];

#[test]
fn every_module_uses_only_what_the_table_allows() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for file in rust_files(&source) {
        let module = module_of(file.strip_prefix(&source).unwrap());
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            faults.push(format!("{module} is not in the table"));
            continue;
        };
        for used in used_by(&std::fs::read_to_string(&file).unwrap()) {
            if used != module && !allowed.contains(&used.as_str()) && !allowed.contains(&"*") {
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

/// The top-level modules a text names as `crate::module`, outside comments.
fn used_by(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let names = code.flat_map(|line| {
        line.split("crate::").skip(1).map(|rest| {
            rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        })
    });
    names.filter(|name| !name.is_empty()).collect()
}
