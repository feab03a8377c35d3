//! Structured answers and the arguments of tools: from the text of a model to a value that fits a
//! JSON Schema, or to an error message from which the model can correct it.
//!
//! The schema comes from a file or an MCP server, the value from a model. Both are bounded before
//! they are used. A schema may refer to itself, and then the validator's work can double with each
//! level of a value; [`meter`] counts that work beforehand.

mod arguments;
pub mod built_in;
mod extract;
mod faults;
mod meter;
mod parameters;
mod patterns;
mod schema;
mod shown;
#[cfg(test)]
mod tests;
mod types;

pub use faults::SchemaFault;
pub use parameters::Parameters;
pub use patterns::MAX_SERVER_PATTERNS;
pub use schema::Schema;
