//! A terminal with the test as its user.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;

use nix::libc;
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::setsid;

use super::crew::{Crew, wait_for};

pub struct Pty {
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    /// The side of the programs.
    line: OwnedFd,
}

impl Pty {
    pub fn open() -> Self {
        Self::sized(24, 80)
    }

    pub fn with_columns(columns: u16) -> Self {
        Self::sized(24, columns)
    }

    pub fn sized(rows: u16, columns: u16) -> Self {
        let size = winsize(rows, columns);
        let pty = openpty(Some(&size), None).unwrap();
        let mut master = File::from(pty.master);
        let keyboard = master.try_clone().unwrap();
        let screen = Arc::new(Mutex::new(Vec::new()));
        let shown = screen.clone();
        // Until the last program has closed the terminal.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = master.read(&mut buffer) {
                shown.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        Self { keyboard, screen, line: pty.slave }
    }

    /// Makes this terminal the controlling one of crew, independent of its input and output.
    pub fn start(&self, crew: Crew) -> Crew {
        let line = self.line.try_clone().unwrap();
        crew.prepare(move || {
            setsid()?;
            control(&line)
        })
    }

    /// The terminal as stdout or stderr.
    pub fn as_stderr(&self) -> Stdio {
        self.line.try_clone().unwrap().into()
    }

    pub fn type_in(&self, keys: &str) {
        (&self.keyboard).write_all(keys.as_bytes()).unwrap();
    }

    /// Output of another program.
    pub fn print(&self, text: &str) {
        File::from(self.line.try_clone().unwrap()).write_all(text.as_bytes()).unwrap();
    }

    /// All output so far, including escape sequences.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    /// Resizes the window.
    #[expect(unsafe_code, reason = "no safe wrapper does this")]
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = winsize(rows, columns);
        // SAFETY: the descriptor is open, and the call only reads the size.
        let done = unsafe { libc::ioctl(self.line.as_raw_fd(), libc::TIOCSWINSZ as _, &size) };
        assert_eq!(done, 0);
    }

    /// What a screen of this size shows of the output so far.
    pub fn screen(&self, rows: u16, columns: u16) -> String {
        let mut screen = vt100::Parser::new(rows, columns, 0);
        screen.process(&self.screen.lock().unwrap());
        screen.screen().contents()
    }

    /// Waits until a screen of this size shows the text.
    #[track_caller]
    pub fn wait_for_screen(&self, (rows, columns): (u16, u16), text: &str) -> String {
        wait_for(&format!("{text:?} on the screen"), || {
            Some(self.screen(rows, columns)).filter(|screen| screen.contains(text))
        })
    }

    /// Waits until the output contains the text this many times.
    #[track_caller]
    pub fn wait_for(&self, text: &str, times: usize) {
        wait_for(&format!("{text:?} on the terminal, {times} times"), || {
            (self.shown().matches(text).count() >= times).then_some(())
        });
    }

    pub fn settings(&self) -> Termios {
        tcgetattr(&self.line).unwrap()
    }
}

fn winsize(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

#[expect(unsafe_code, reason = "no safe wrapper does this")]
fn control(line: &OwnedFd) -> std::io::Result<()> {
    // SAFETY: the descriptor is open, and the call takes no pointer.
    match unsafe { libc::ioctl(line.as_raw_fd(), libc::TIOCSCTTY as _, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
