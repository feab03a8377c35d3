//! The echo of a terminal: what is typed while something is drawn would spoil the drawing.

use std::io;

use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

/// Turns the echo of stderr's terminal off and on. Dropping it turns it on again.
#[derive(Debug)]
pub struct Echo {
    is_hidden: bool,
}

impl Echo {
    /// `None` if the terminal does not echo, so there is nothing to restore.
    pub fn of_stderr() -> Option<Self> {
        let settings = tcgetattr(io::stderr()).ok()?;
        settings.local_flags.contains(LocalFlags::ECHO).then_some(Self { is_hidden: false })
    }

    pub fn hide(&mut self, hidden: bool) {
        if self.is_hidden != hidden && set(!hidden).is_ok() {
            self.is_hidden = hidden;
        }
    }

    /// The shell has used the terminal and may have turned the echo on.
    pub fn forget(&mut self) {
        self.is_hidden = false;
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.hide(false);
    }
}

/// Changes nothing but the echo: what else others have set since stays.
fn set(echo: bool) -> nix::Result<()> {
    let terminal = io::stderr();
    // In the background the terminal belongs to another program, and the system would stop crew.
    if tcgetpgrp(&terminal)? != getpgrp() {
        return Err(nix::Error::EPERM);
    }
    let mut settings = tcgetattr(&terminal)?;
    settings.local_flags.set(LocalFlags::ECHO, echo);
    tcsetattr(&terminal, SetArg::TCSANOW, &settings)
}
