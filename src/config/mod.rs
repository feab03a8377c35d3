//! The file as written: found, read, parsed, expanded and decoded.
//!
//! This module only ensures that every value has the right type, and that every fault is logged
//! with its place. The plan checks what the values mean.

pub mod decode;
pub mod env_file;
pub mod expand;
mod expected;
pub mod faults;
pub mod file;
mod file_docs;
pub mod find;
pub mod flow;
pub mod forms;
pub mod include;
pub mod node;
pub mod parse;
pub mod place;
mod prompt_file;
mod scalar;
pub mod schema;
mod slips;
pub mod sources;
pub mod test_file;
#[cfg(test)]
mod tests;
pub mod value;
pub mod yaml;
