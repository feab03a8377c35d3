//! Child processes of crew, contained: started, heard, stopped and proven gone with everything
//! they start.

mod family;
pub mod guardian;
pub mod line;
pub mod own;
pub mod processes;
pub mod protocol;
mod reaper;
pub mod run_processes;
pub mod sandbox;
mod sys;
