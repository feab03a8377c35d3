//! Containment: child processes that cannot outlive crew, whatever they do to get away.
//!
//! A process can leave its process group and session, clear its environment and orphan itself with
//! a double fork. It cannot leave the tree below a Linux child subreaper, which adopts every
//! orphan below it. Containment therefore depends only on the position in the tree:
//!
//! ```text
//! crew ── guardian ─┬─ reaper ── tool ── its children
//!                   │     └───── its orphans
//!                   └─ reaper ── tool
//! ```
//!
//! - The **guardian** ([`run_as_guardian`]) is one process for all runs, started with the first
//!   tool. It forks a reaper for each tool. A socket tells it when crew has gone, even after
//!   SIGKILL; it then kills every process below it. It adopts the orphans of a reaper that was
//!   killed, and kills those as well.
//! - A **reaper** runs one tool. crew sends it orders through a socket of its own: start, stop,
//!   kill. It reports when the tool has ended and when no process of it is left. If the socket
//!   closes, it kills everything.
//! - **crew** is a subreaper too. If the guardian is killed, crew starts another one for the next
//!   tool, adopts what the first one left, and kills it in [`Processes::close`].
//!
//! | promise | kept by |
//! |---|---|
//! | no tool starts after a stop | [`ToolProcess`] and the reaper |
//! | SIGTERM at once, SIGKILL after the grace | [`RunProcesses`], carried out by the reaper |
//! | a finished tool leaves nothing behind | [`RunProcesses`] |
//! | nothing outlives a run | [`RunProcesses::ended`], then [`Processes::close`] |
//! | nothing outlives crew, even after SIGKILL | the guardian and the reapers |
//! | a tool touches only what its [`Sandbox`] allows | the kernel, through Landlock |
//!
//! A process that runs as another user cannot be signalled; [`Processes::close`] returns it as a
//! [`Survivor`]. Only Linux has subreapers and Landlock. Elsewhere the same code signals the tool's
//! process group, and a process that leaves the group escapes.

mod guardian;
mod kill_loop;
mod live_pids;
mod own_process;
mod process_table;
mod process_tree;
mod processes;
mod protocol;
mod reaper;
mod run_processes;
mod sandbox;
mod sys;
mod tool_process;

pub use guardian::run_as_guardian;
pub use kill_loop::kill_children_until_gone;
pub use own_process::{executable, forbid_inspection, raise_open_files};
pub use process_table::{children, is_alive, parent};
pub use process_tree::{Survivor, descendants, survivors};
pub use processes::{CleanupOutcome, Processes};
pub use protocol::Invocation;
pub use run_processes::{Finished, RunProcesses, ServerProcess, Streams, signal_name};
pub use sandbox::Sandbox;
pub use sys::adopt_orphans;
pub use tool_process::ToolProcess;
