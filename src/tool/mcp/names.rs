//! The names under which a model knows the tools of servers.

use std::collections::HashSet;

/// What every model server takes.
const LONGEST: usize = 64;

/// `server__tool`, made of letters, digits, `_` and `-` only, short enough, and none of those taken.
/// Whose tool it is stays readable; two that become alike are numbered.
pub fn unique(server: &str, tool: &str, taken: &mut HashSet<String>) -> String {
    let valid = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = format!("{server}__{tool}").chars().map(valid).take(LONGEST).collect();
    let numbered = (2..).map(|number| {
        let number = format!("_{number}");
        format!("{}{number}", &name[..name.len().min(LONGEST - number.len())])
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
