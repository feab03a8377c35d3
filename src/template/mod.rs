//! `{{ }}` templates.
//!
//! A template comes from the file. The values that fill it come from users, models and tools; they
//! are only ever text, so braces in them have no meaning.

mod answers;
mod called;
mod context;
mod engine;
mod expression;
mod filters;
mod input;
mod places;
mod scan;
mod source;
#[cfg(test)]
mod tests;
mod tokens;

pub use called::{Callee, unknown_callees};
pub use context::{AnswerContext, Vars, agent_context, extended, tool_context};
pub use engine::{MAX_OUTPUT, TemplateError, Wait, ready};
pub use expression::{ConditionError, Expression};
pub use input::RunInput;
pub use scan::{Piece, PieceKind, live, pieces};
pub use source::{INPUT, Template};
pub use tokens::{NamePath, Token, after_bracket, attributes, name_at, tokens, unquoted};
