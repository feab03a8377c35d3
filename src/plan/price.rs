//! What a model charges.

/// The price of a million tokens of each kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    pub input: f64,
    pub output: f64,
    pub cached_input: f64,
    pub cache_write: f64,
}

impl Price {
    pub const FREE: Self = Self { input: 0.0, output: 0.0, cached_input: 0.0, cache_write: 0.0 };
}
