//! What crew answers when a server asks it something.

use std::path::PathBuf;

use reqwest::Url;
use rmcp::ClientHandler;
#[expect(deprecated, reason = "servers in use ask for roots")]
use rmcp::model::{
    ClientCapabilities, ClientConfig, Implementation, ListRootsResult, ProtocolVersion, Root,
    RootsCapabilities,
};
use rmcp::service::{RequestContext, RoleClient};

/// It names the folders that the file gives this server and answers pings; what it has not offered
/// (sampling, elicitation) the SDK refuses.
#[derive(Debug)]
pub struct Client {
    roots: Vec<String>,
}

impl Client {
    /// `folders`: absolute paths. With none it does not say that it has any: there are servers that
    /// take what they are told in place of the folders in their arguments.
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
