//! Helpers for text, each kind once: cutting, one line, head and tail, text made safe for a
//! terminal, and JSON from models and servers.

mod cut;
pub mod digest;
mod head_tail;
pub mod json;
mod terminal;

pub use cut::{either, one_line, quoted, truncate};
pub use head_tail::{Excerpt, HeadTail, LEFT_OUT};
pub use terminal::{inline, is_bidi_control, sanitize, without_commands, without_symbols};
