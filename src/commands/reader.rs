//! The reader of stdout. Without it the report is lost, and every further model call is paid for in
//! vain.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::cancel::Cancellation;
use crate::report::CancelKind;

/// Cancels the run as soon as the reader closes stdout. Must be called within a tokio runtime. Only
/// pipes and sockets have a reader.
///
/// # Errors
/// stdout cannot be watched.
pub fn watch(cancel: &Cancellation) -> io::Result<()> {
    // A duplicate that no other code closes. It stays blocking: O_NONBLOCK would change the pipe
    // for every process that shares it.
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let kind = stdout.metadata()?.file_type();
    if !kind.is_fifo() && !kind.is_socket() {
        return Ok(());
    }
    // Not every system reports a hangup from before the registration.
    if has_hung_up(&stdout)? {
        cancel.cancel(CancelKind::OutputClosed);
        return Ok(());
    }
    let stdout = register(stdout)?;
    let cancel = cancel.clone();
    tokio::spawn(async move {
        while let Ok(mut ready) = stdout.writable().await {
            if ready.ready().is_write_closed() {
                return cancel.cancel(CancelKind::OutputClosed);
            }
            // Wait for the next change of state.
            ready.clear_ready();
        }
    });
    Ok(())
}

#[expect(unsafe_code, reason = "every safe registration makes the descriptor non-blocking")]
fn register(stdout: File) -> io::Result<AsyncFd<File>> {
    // For writing: a socket peer that only stops sending still reads.
    // SAFETY: a `File` keeps its one descriptor open until it is dropped, here with the `AsyncFd`.
    Ok(unsafe { AsyncFd::register_with_interest(stdout, Interest::WRITABLE)? })
}

fn has_hung_up(stdout: &File) -> nix::Result<bool> {
    let mut asked = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
    poll(&mut asked, PollTimeout::ZERO)?;
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
    Ok(asked[0].revents().is_some_and(|found| found.intersects(gone)))
}
