//! What crew answers when a server asks it something.

use std::path::Path;

use reqwest::Url;
use rmcp::ClientHandler;
#[expect(deprecated, reason = "servers in use ask for roots")]
use rmcp::model::{
    ClientCapabilities, ClientConfig, Implementation, ListRootsResult, ProtocolVersion, Root,
    RootsCapabilities,
};
use rmcp::service::{RequestContext, RoleClient};

/// It names the working folder as its only root and answers pings; what it has not offered
/// (sampling, elicitation) the SDK refuses.
#[derive(Debug)]
pub struct Client {
    root: Option<String>,
}

impl Client {
    /// `folder`: an absolute path.
    pub fn new(folder: &Path) -> Self {
        Self { root: Url::from_file_path(folder).ok().map(Into::into) }
    }
}

#[expect(deprecated, reason = "servers in use ask for roots")]
impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.roots = Some(RootsCapabilities::default());
        let crew = Implementation::new("crew", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(capabilities, crew)
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn list_roots(
        &self,
        _context: RequestContext<RoleClient>,
    ) -> Result<ListRootsResult, rmcp::ErrorData> {
        Ok(ListRootsResult::new(self.root.iter().cloned().map(Root::new).collect()))
    }
}
