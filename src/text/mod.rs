//! Helpers for text, each kind once: cutting, one line, head and tail, and text made safe for a
//! terminal.

mod cut;
mod head_tail;
mod json;
mod terminal;

pub use cut::{one_line, quoted, truncate};
pub use head_tail::{Excerpt, HeadTail, LEFT_OUT};
pub use json::{MAX_JSON_VALUES, has_few_values};
pub use terminal::{inline, is_bidi_control, sanitize};
