//! Systems without sandboxes.

use std::io;
use std::path::Path;

use super::policy::Sandbox;

impl Sandbox {
    /// The part of the policy that this system cannot enforce, as a message.
    pub fn unsupported(&self) -> Option<String> {
        Some("sandboxes need Linux".to_owned())
    }
}

/// A sandbox that does nothing.
#[derive(Debug)]
pub struct Confinement;

impl Confinement {
    /// # Errors
    /// The sandbox is required.
    pub fn new(sandbox: &Sandbox, _program: Option<&Path>) -> io::Result<Self> {
        if sandbox.required { Err(io::ErrorKind::Unsupported.into()) } else { Ok(Self) }
    }

    /// # Errors
    /// None.
    pub fn enter(self) -> io::Result<()> {
        Ok(())
    }
}
