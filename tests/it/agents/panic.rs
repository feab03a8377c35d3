//! A panic in crew fails one agent only. No file of a user's causes one, so this test uses the
//! library.

use std::sync::Arc;

use crew::cancel::Cancellation;
use crew::chat::ChatReply;
use crew::engine;
use crew::plan::{self, Overrides};
use crew::provider::{ChatDelta, ChatRequest, Provider, ProviderError};
use crew::report::{AgentStatus, ErrorKind, EventSink};
use crew::services::Services;
use futures::future::BoxFuture;
use indoc::indoc;

/// Sends some text, then panics if the model is called `bad`.
struct Panics;

impl Provider for Panics {
    fn chat<'a>(
        &'a self,
        request: &'a ChatRequest<'a>,
        on_delta: &'a mut (dyn FnMut(ChatDelta<'_>) + Send),
    ) -> BoxFuture<'a, Result<ChatReply, ProviderError>> {
        Box::pin(async move {
            on_delta(ChatDelta::Text("so far"));
            assert_ne!(request.model, "bad", "on purpose");
            Ok(ChatReply { has_text: true, ..ChatReply::default() })
        })
    }
}

#[tokio::test]
async fn an_agent_that_panics_is_one_failed_agent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agents.yaml");
    let yaml = indoc! {"
        providers: {p: {base_url: 'http://127.0.0.1:1'}}
        agents:
          bad: {model: p/bad}
          good: {model: p/good}
    "};
    std::fs::write(&file, yaml).unwrap();
    let overrides =
        Overrides { on_failure: Some(plan::OnFailure::Continue), ..Overrides::default() };
    let plan = plan::load(Some(&file), &overrides, &|_| None).unwrap();
    let cancel = Cancellation::new();
    let mut services = Services::connect(&plan, &cancel, None).unwrap();
    services.providers = vec![Arc::new(Panics)];
    let events: EventSink = Arc::new(drop);
    let report = engine::run(&plan, &"go".into(), &services, &cancel, &events).await;
    let [bad, good] = &report.agents[..] else { panic!("{report:?}") };
    assert_eq!((bad.status, good.status), (AgentStatus::Failed, AgentStatus::Succeeded));
    let error = bad.error.as_ref().unwrap();
    assert_eq!(error.kind, ErrorKind::Internal);
    assert!(error.message.contains("on purpose"), "{}", error.message);
    assert_eq!((bad.output.as_deref(), bad.partial), (Some("so far"), true));
    assert_eq!(report.exit_code, 1);
}
