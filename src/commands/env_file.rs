//! `--env-file`: variables from files, set for this process unless the environment has them.

use std::path::{Path, PathBuf};

use crate::config::env_file;
use crate::config::faults::Faults;
use crate::config::find;

/// Sets the variables of these files that the environment does not set; a later file takes
/// precedence over an earlier one. Call it while the process has a single thread.
///
/// # Errors
/// A file cannot be read or understood. Nothing is set then.
pub fn load(files: &[PathBuf]) -> Result<(), Faults> {
    let mut all: Vec<(String, String)> = Vec::new();
    for file in files {
        let text = find::read_up_to(file, find::MAX_FILE, "a file of variables")
            .map_err(|error| error.into_faults(file))?;
        let env = |name: &str| {
            let set = || all.iter().rev().find(|(known, _)| known == name);
            std::env::var(name).ok().or_else(|| set().map(|(_, value)| value.clone()))
        };
        let variables = env_file::parse(&text, &env).map_err(|error| {
            let shown = file.display();
            let message = format!("{shown}:{}: {}", error.line, error.message);
            Faults::unplaced(None, message, None)
        })?;
        if let Some((name, _)) = variables.iter().find(|(_, value)| value.contains('\0')) {
            return Err(without_nul(file, name));
        }
        all.extend(variables);
    }
    let unset: Vec<_> =
        all.into_iter().filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    for (name, value) in unset {
        set(&name, &value);
    }
    Ok(())
}

fn without_nul(file: &Path, name: &str) -> Faults {
    let message = format!("{}: the value of {name} contains a NUL byte", file.display());
    Faults::unplaced(None, message, None)
}

#[expect(unsafe_code, reason = "the environment of a process has no other way to be changed")]
fn set(name: &str, value: &str) {
    // SAFETY: no other thread runs yet, so none reads the environment at the same time.
    unsafe { std::env::set_var(name, value) }
}
