//! Counts all inputs while the first of them run already.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::{JoinHandle, spawn_blocking};

use super::folder::Folder;
use super::read;
use super::state::PartState;

/// A thread that counts.
#[derive(Debug)]
pub struct Counting {
    stop: Arc<AtomicBool>,
    counted: JoinHandle<Option<u64>>,
}

impl Counting {
    /// Starts to count. The number goes into the state of the part, for `crew batch status`. Call
    /// it within a runtime.
    pub fn start(inputs: &Path, folder: &Folder) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (inputs, is_stopped) = (inputs.to_owned(), stop.clone());
        let (state, path) = (folder.state.clone(), folder.part.state(&folder.path));
        let counted = spawn_blocking(move || {
            let inputs = read::count(&inputs, &is_stopped)?;
            // Only `crew batch status` misses it if it cannot be written.
            let _ = PartState { inputs: Some(inputs), ..state }.replace(&path);
            Some(inputs)
        });
        Self { stop, counted }
    }

    /// Waits for the number until `end` completes. `None`: it is not known. Afterwards nothing
    /// changes the state any more.
    pub async fn finish(mut self, end: impl Future<Output = ()>) -> Option<u64> {
        let counted = tokio::select! {
            biased;
            counted = &mut self.counted => counted,
            () = end => {
                self.stop.store(true, Ordering::Relaxed);
                self.counted.await
            }
        };
        counted.ok().flatten()
    }
}
