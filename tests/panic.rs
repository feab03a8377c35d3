//! A fault of crew's own is one agent's failure. Nothing a user can write brings one about, so this
//! test goes through the library.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use crew::approval::Approval;
use crew::cancel::Cancellation;
use crew::chat::ChatReply;
use crew::engine::{self, Services};
use crew::plan::{self, Overrides};
use crew::provider::{ChatDelta, ChatRequest, Provider, ProviderError};
use crew::report::{AgentStatus, ErrorKind};
use crew::secret::Secrets;
use crew::tool::http::HttpClients;
use futures::future::BoxFuture;

/// Says something, then panics where the model is called `bad`.
struct Panics;

impl Provider for Panics {
    fn chat<'a>(
        &'a self,
        request: ChatRequest<'a>,
        on_delta: &'a mut (dyn FnMut(ChatDelta<'_>) + Send),
    ) -> BoxFuture<'a, Result<ChatReply, ProviderError>> {
        Box::pin(async move {
            on_delta(ChatDelta::Text("so far"));
            assert_ne!(request.model, "bad", "as told");
            Ok(ChatReply { has_text: true, ..ChatReply::default() })
        })
    }
}

#[tokio::test]
async fn an_agent_that_panics_is_one_failed_agent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agents.yaml");
    let yaml = "providers: {p: {base_url: 'http://127.0.0.1:1'}}\nagents:\n  bad: {model: p/bad}\n  good: {model: p/good}\n";
    std::fs::write(&file, yaml).unwrap();
    let overrides =
        Overrides { on_failure: Some(plan::OnFailure::Continue), ..Overrides::default() };
    let plan = plan::load(Some(&file), &overrides, &|_| None).unwrap();
    let services = Services {
        approval: Approval::Unavailable,
        providers: vec![Arc::new(Panics)],
        http: HttpClients::default(),
        secrets: Secrets::default(),
        events: Arc::new(|_| {}),
        open_files: None,
    };
    let report = engine::run(&plan, "go", &Cancellation::new(), &services).await;
    let [bad, good] = &report.agents[..] else { panic!("{report:?}") };
    assert_eq!((bad.status, good.status), (AgentStatus::Failed, AgentStatus::Succeeded));
    let error = bad.error.as_ref().unwrap();
    assert_eq!(error.kind, ErrorKind::Internal);
    assert!(error.message.contains("as told"), "{}", error.message);
    assert_eq!((bad.output.as_deref(), bad.partial), (Some("so far"), true));
    assert_eq!(report.exit_code, 1);
}
