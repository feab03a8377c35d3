//! The names that a model sees for the tools of servers.

use std::collections::HashSet;

/// Characters that every model server accepts in a name.
const MAX_NAME: usize = 64;

/// Returns `server__tool` as a valid name that is not among `taken`, and adds it there. Invalid
/// characters become `_`, and names that collide are numbered.
pub fn unique(server: &str, tool: &str, taken: &mut HashSet<String>) -> String {
    let valid = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = format!("{server}__{tool}").chars().map(valid).take(MAX_NAME).collect();
    let numbered = (2..).map(|number| {
        let number = format!("_{number}");
        format!("{}{number}", &name[..name.len().min(MAX_NAME - number.len())])
    });
    let mut candidates = std::iter::once(name.clone()).chain(numbered);
    let free = candidates.find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(free.clone());
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_and_unique() {
        let mut taken = HashSet::from(["fs__list".to_owned()]);
        let long = "x".repeat(100);
        for (tool, name) in [
            ("read.file", "fs__read_file"),
            ("read file", "fs__read_file_2"),
            ("read/file", "fs__read_file_3"),
            ("list", "fs__list_2"),
            ("über", "fs___ber"),
            (&*long, &*format!("fs__{}", "x".repeat(60))),
            (&*long, &*format!("fs__{}_2", "x".repeat(58))),
        ] {
            assert_eq!(unique("fs", tool, &mut taken), name);
        }
    }
}
