//! The runtime that a subcommand works in.

use std::thread;

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::cancel::Cancellation;
use crate::signal;

/// A runtime with one thread: model servers and tools do the work, crew only waits for them.
/// Signals that arrive from now on cancel the run.
///
/// # Errors
/// The system denies what the runtime needs.
pub fn runtime(cancel: &Cancellation) -> anyhow::Result<Runtime> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let entered = runtime.enter();
    signal::listen(cancel).context("cannot listen to signals")?;
    drop(entered);
    Ok(runtime)
}

/// Runs work to its end, in a task: otherwise each wake-up of the future that the runtime waits for
/// is a system call.
pub fn run_task<T: Send + 'static>(
    runtime: &Runtime,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    match runtime.block_on(async { tokio::spawn(work).await }) {
        Ok(done) => done,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

/// Does work that blocks, within the runtime. A thread notices signals meanwhile.
pub fn prepare<T>(runtime: &Runtime, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let (end, ended) = oneshot::channel::<()>();
        let listening = move || drop(runtime.block_on(ended));
        // Without the thread, signals are noticed after the work.
        let _ = thread::Builder::new().name("signals".to_owned()).spawn_scoped(scope, listening);
        let _entered = runtime.enter();
        let done = work();
        drop(end);
        done
    })
}
