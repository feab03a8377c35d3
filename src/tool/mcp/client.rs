//! crew's responses to requests from a server.

use std::path::PathBuf;

use reqwest::Url;
use rmcp::ClientHandler;
#[expect(deprecated, reason = "servers in use ask for roots")]
use rmcp::model::{
    ClientCapabilities, ClientConfig, Implementation, ListRootsResult, ProtocolVersion, Root,
    RootsCapabilities,
};
use rmcp::service::{RequestContext, RoleClient};

/// Answers pings and requests for roots. The SDK rejects everything that this client does not
/// declare, such as sampling and elicitation.
#[derive(Debug)]
pub struct Client {
    roots: Vec<String>,
}

impl Client {
    /// `folders` are absolute paths. Without any, the client does not declare support for roots:
    /// some servers use roots in place of the folders in their arguments.
    pub fn new(folders: &[PathBuf]) -> Self {
        let roots = folders.iter().filter_map(|folder| Url::from_file_path(folder).ok());
        Self { roots: roots.map(Into::into).collect() }
    }
}

#[expect(deprecated, reason = "servers in use ask for roots")]
impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.roots = (!self.roots.is_empty()).then(RootsCapabilities::default);
        let crew = Implementation::new("crew", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(capabilities, crew)
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn list_roots(
        &self,
        _context: RequestContext<RoleClient>,
    ) -> Result<ListRootsResult, rmcp::ErrorData> {
        Ok(ListRootsResult::new(self.roots.iter().cloned().map(Root::new).collect()))
    }
}
