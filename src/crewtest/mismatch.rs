//! What does not hold in a test.

/// Something that does not hold.
#[derive(Debug)]
pub struct Mismatch {
    pub message: String,
    /// What was seen in its place, a line each.
    pub seen: Vec<String>,
}

impl Mismatch {
    pub fn new(message: String) -> Self {
        Self { message, seen: Vec::new() }
    }
}
