//! Calls of HTTP tools and MCP tools that are recorded, or answered from a recording.

use serde::{Deserialize, Serialize};

use super::outcome::{ToolEnd, ToolOutcome};
use crate::chat::{Attachment, MediaType};
use crate::exit;
use crate::recording::{Asked, Found, Recording};
use crate::report::CancelKind;
use crate::text::Excerpt;
use crate::untrusted::Untrusted;

/// How a call ended.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Response {
    end: End,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    output: String,
    /// What crew said about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Image>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum End {
    #[default]
    Succeeded,
    Failed,
    /// Its own time limit was over.
    TimedOut,
    /// Its agent was stopped.
    Stopped,
}

#[derive(Debug, Serialize, Deserialize)]
struct Image {
    name: String,
    media_type: String,
    /// In base64.
    data: String,
}

/// Makes a call with `call`, which gets `stop`, or answers it from the recording.
pub async fn recorded<S, F>(
    recording: Option<&Recording>,
    asked: impl FnOnce() -> Asked,
    stop: S,
    call: impl FnOnce(S) -> F,
) -> ToolOutcome
where
    S: Future<Output = CancelKind>,
    F: Future<Output = ToolOutcome>,
{
    let Some(recording) = recording else { return call(stop).await };
    let asked = asked();
    match recording.take(&asked) {
        Found::Response { response, .. } => match serde_json::from_value::<Response>(response) {
            Ok(response) => response.into_outcome(stop).await,
            Err(error) => {
                ToolOutcome::failed(&format!("the recording holds no result of a tool: {error}"))
            }
        },
        Found::Missing(why) => ToolOutcome::failed(&why),
        Found::Live => {
            let outcome = call(stop).await;
            if let Some(response) = Response::of(&outcome, recording) {
                recording.record(&asked, serde_json::to_value(response).unwrap_or_default());
            }
            outcome
        }
    }
}

impl Response {
    /// `None` for a call that was stopped from outside, which is no part of what the run would do
    /// again.
    fn of(outcome: &ToolOutcome, recording: &Recording) -> Option<Self> {
        let end = match outcome.end {
            ToolEnd::Succeeded => End::Succeeded,
            ToolEnd::Failed => End::Failed,
            ToolEnd::Stopped(CancelKind::ToolTimeout) => End::TimedOut,
            ToolEnd::Stopped(reason) if exit::signal_of(reason).is_some() => return None,
            ToolEnd::Stopped(_) => End::Stopped,
        };
        let image = |image: &Attachment| Image {
            name: image.name.clone(),
            media_type: image.media_type.name().to_owned(),
            data: image.data().to_owned(),
        };
        let shown =
            |text: &Untrusted| text.clone().redact_output(recording.secrets(), outcome.truncated);
        Some(Self {
            end,
            http_status: outcome.http_status,
            output: shown(&outcome.output),
            notes: outcome.notes.iter().map(shown).collect(),
            truncated: outcome.truncated,
            images: outcome.images.iter().map(image).collect(),
        })
    }

    async fn into_outcome(self, stop: impl Future<Output = CancelKind>) -> ToolOutcome {
        let end = match self.end {
            End::Succeeded => ToolEnd::Succeeded,
            End::Failed => ToolEnd::Failed,
            End::TimedOut => ToolEnd::Stopped(CancelKind::ToolTimeout),
            // What stopped it stops it again.
            End::Stopped => ToolEnd::Stopped(stop.await),
        };
        let image = |image: Image| {
            let known = MediaType::ALL.into_iter();
            let media_type = known.into_iter().find(|known| known.name() == image.media_type)?;
            Some(Attachment::new(image.name, media_type, &image.data))
        };
        ToolOutcome {
            output: Untrusted::new(self.output),
            notes: self.notes.into_iter().map(Untrusted::new).collect(),
            images: self.images.into_iter().filter_map(image).collect(),
            truncated: self.truncated,
            http_status: self.http_status,
            ..ToolOutcome::new(end, Excerpt::default())
        }
    }
}
