//! Helpers for text.

/// In a tool's output, what stands before and after the number of bytes that were left out.
pub const LEFT_OUT: (&str, &str) = ("\n[… ", " bytes left out …]\n");
