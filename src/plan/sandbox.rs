//! Sandboxes of programs: what the file allows them, and whether this system can keep it.

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
    /// What this system cannot keep of it, which the file takes for a warning.
    pub lacking: Option<String>,
}

/// What all sandboxes are checked against.
pub struct Surroundings<'a> {
    /// The folder of the crew's file.
    pub base_dir: &'a path::Path,
    pub log: &'a FaultLog,
}

impl Surroundings<'_> {
    /// The sandbox; what is wrong has been noted, also that this system cannot keep it.
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
            let hint = "if_unsupported: warn runs it all the same, with what can be kept";
            self.log.key(path, format!("it cannot be kept: {lacking}"), Some(hint.to_owned()));
        }
        SandboxPlan { sandbox, lacking }
    }

    /// Those that are there, as absolute paths.
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
            ("the path is empty".to_owned(), "the folder of the crew's file is `.`")
        } else if text.contains("{{") {
            ("it is the same for every call: this is no template".to_owned(), "use ${NAME}")
        } else if text == "~" || text.starts_with("~/") {
            (format!("{shown} begins with a ~, which only a shell knows"), "write ${HOME}")
        } else {
            match path::absolute(self.base_dir.join(text)) {
                // Also what may not be looked at: the process could not open it either.
                Ok(absolute) if absolute.exists() => return Some(absolute),
                _ => (
                    format!("there is no file or folder {shown}"),
                    "it must be there before the run; a relative path starts at the crew's file",
                ),
            }
        };
        self.log.value(path, message, Some(hint.to_owned()));
        None
    }
}
