//! MCP servers: their tools become tools of an agent when it starts, and each call of one goes to
//! the server's connection.
//!
//! A server is a task of its own, since it outlives the agent that needed it first. The task ends
//! with the server, or when the run is over or stopped.

mod call;
mod client;
mod failure;
mod grants;
mod http_client;
mod link;
mod message;
mod names;
mod offer;
mod outline;
mod pipes;
mod result;
mod server;
mod servers;
mod transport;

pub use call::call;
pub use offer::{Offer, OfferedTool};
pub use server::LEAVE;
pub use servers::Servers;
