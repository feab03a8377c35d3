//! stub
use super::*;
pub struct Offline;
impl Provider for Offline {
    fn chat<'a>(
        &'a self,
        _: ChatRequest<'a>,
        _: &'a mut (dyn FnMut(ChatDelta<'_>) + Send),
    ) -> BoxFuture<'a, Result<ChatReply, ProviderError>> {
        Box::pin(async { Ok(ChatReply::default()) })
    }
}
