//! Checks sandboxes of programs, and whether this system can enforce them.

use std::path::{self, PathBuf};

use crate::config::faults::FaultLog;
use crate::config::file::{NetworkConfig, SandboxConfig, UnsupportedConfig};
use crate::config::place::Path;
use crate::process::Sandbox;
use crate::text::quoted;

/// A sandbox to start a program in.
#[derive(Debug)]
pub struct SandboxPlan {
    pub sandbox: Sandbox,
    /// The part that this system cannot enforce, with `if_unsupported: warn`.
    pub lacking: Option<String>,
}

impl SandboxPlan {
    /// `no network, reads /etc, writes /tmp`. The network comes first, as there can be many paths.
    pub fn permissions(&self) -> String {
        let list = |verb: &str, paths: &[PathBuf]| {
            let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
            (!paths.is_empty()).then(|| format!("{verb} {}", paths.join(" ")))
        };
        let network = if self.sandbox.network { "network" } else { "no network" };
        let paths = [list("reads", &self.sandbox.read), list("writes", &self.sandbox.write)];
        let parts: Vec<_> = [Some(network.to_owned())].into_iter().chain(paths).flatten().collect();
        parts.join(", ")
    }
}

/// The context in which sandboxes are checked.
pub struct SandboxChecker<'a> {
    /// The directory of the crew's file.
    pub base_dir: &'a path::Path,
    pub log: &'a FaultLog,
}

impl SandboxChecker<'_> {
    /// The sandbox. Logs its faults, and if this system cannot enforce it.
    pub fn sandbox(&self, config: &SandboxConfig, path: &Path<'_>) -> SandboxPlan {
        let warn = matches!(config.if_unsupported, Some(UnsupportedConfig::Warn));
        let sandbox = Sandbox {
            read: self.paths(config.read.as_deref(), &path.key("read")),
            write: self.paths(config.write.as_deref(), &path.key("write")),
            network: !matches!(config.network, Some(NetworkConfig::None)),
            required: !warn,
        };
        let lacking = sandbox.unsupported();
        if let (Some(lacking), false) = (&lacking, warn) {
            let hint = "if_unsupported: warn runs the program with what can be enforced";
            self.log.key(path, format!("it cannot be enforced: {lacking}"), Some(hint.to_owned()));
        }
        SandboxPlan { sandbox, lacking }
    }

    /// The paths that exist, as absolute paths.
    pub fn paths(&self, texts: Option<&[String]>, path: &Path<'_>) -> Vec<PathBuf> {
        let texts = texts.unwrap_or_default().iter().enumerate();
        texts.filter_map(|(at, text)| self.path(text, &path.index(at))).collect()
    }

    fn path(&self, text: &str, path: &Path<'_>) -> Option<PathBuf> {
        if self.log.is_broken(path) {
            return None;
        }
        let shown = quoted(text);
        let (message, hint) = if text.is_empty() {
            ("the path is empty".to_owned(), "the directory of the crew's file is `.`")
        } else if text.contains("{{") {
            ("templates do not work here".to_owned(), "use ${NAME}")
        } else if text == "~" || text.starts_with("~/") {
            (format!("{shown} begins with ~, which only a shell expands"), "write ${HOME}")
        } else {
            match path::absolute(self.base_dir.join(text)) {
                // An existing path without permission fails too: the program could not open it.
                Ok(absolute) if absolute.exists() => return Some(absolute),
                _ => (
                    format!("there is no file or directory {shown}"),
                    "it must exist before the run; a relative path starts at the crew's file",
                ),
            }
        };
        self.log.value(path, message, Some(hint.to_owned()));
        None
    }
}
