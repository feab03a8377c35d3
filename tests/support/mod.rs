//! What several test files share. Not every file uses all of it.

#![allow(dead_code)]
#![allow(clippy::unwrap_used)]

pub mod api;
pub mod crew;
pub mod faults;
pub mod http_tool;
pub mod mcp_server;
pub mod mock_model;
pub mod pty;
pub mod script;
