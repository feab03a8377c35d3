//! What a process and all it starts may touch of files and of the network. The kernel keeps it,
//! through Landlock; elsewhere than on Linux nothing does.

#[cfg(target_os = "linux")]
mod landlock;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
pub use crate::process::sandbox::landlock::Confinement;

/// What a program needs to start at all: read and run, whether listed or not.
#[cfg(target_os = "linux")]
const SYSTEM: [&str; 13] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/etc",
    // May lead out of /etc, and without it no name is found.
    "/etc/resolv.conf",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
];
/// Written too.
#[cfg(target_os = "linux")]
const SINK: &str = "/dev/null";

/// What is allowed. All else is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Files, and folders with all below them, that may be read and run. Absolute.
    pub read: Vec<PathBuf>,
    /// Those that may be written, created and removed as well.
    pub write: Vec<PathBuf>,
    pub network: bool,
    /// Start nothing rather than leave a part of this to the process's goodwill.
    pub required: bool,
}

impl Sandbox {
    /// What this system cannot keep of it.
    pub fn lacking(&self) -> Option<String> {
        #[cfg(target_os = "linux")]
        return self::landlock::lacking(self);
        #[cfg(not(target_os = "linux"))]
        Some("only Linux can keep a program from files and the network".to_owned())
    }
}

/// Elsewhere nothing is kept from a process.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub struct Confinement;

#[cfg(not(target_os = "linux"))]
impl Confinement {
    /// # Errors
    /// The sandbox is required.
    pub fn new(sandbox: &Sandbox, _program: Option<&std::path::Path>) -> std::io::Result<Self> {
        match sandbox.required {
            true => Err(std::io::ErrorKind::Unsupported.into()),
            false => Ok(Self),
        }
    }

    /// # Errors
    /// None.
    pub fn enter(self) -> std::io::Result<()> {
        Ok(())
    }
}
