//! A request within what its server and model take.

use super::effort;
use super::protocol::Protocol;
use super::quirks::Quirks;
use super::request::ChatRequest;
use crate::chat::CacheMode;
use crate::vendor::Api;

/// The request as it is sent, and a note for each setting that is changed or left out. `model_ref`
/// names the model in notes.
pub fn fit<'a>(
    request: &ChatRequest<'a>,
    model_ref: &str,
    api: Api,
    protocol: &Protocol,
    quirks: Quirks,
) -> (ChatRequest<'a>, Vec<String>) {
    let mut fitted = request.clone();
    let mut notes = Vec::new();
    let has = |name: &str| !protocol.without.contains(&name);
    if !has("stop") && !fitted.settings.stop.is_empty() {
        fitted.settings.stop = Vec::new();
        notes.push(format!("stop was left out: the {api} API does not have it"));
    }
    if !has("seed") && fitted.settings.seed.take().is_some() {
        notes.push(format!("seed was left out: the {api} API does not have it"));
    }
    let rejected = quirks.rejected.leave_out(&mut fitted).into_iter();
    notes.extend(rejected.map(|name| format!("{name} was left out: {model_ref} rejects it")));
    let most = quirks.rejected.most_output;
    if let Some(most) = most.filter(|most| fitted.settings.max_output_tokens > Some(*most)) {
        fitted.settings.max_output_tokens = Some(most);
        notes.push(format!("max_output_tokens: {model_ref} takes {most} at most"));
    }
    if quirks.no_cache_marks {
        fitted.settings.cache = CacheMode::Off;
    }
    if let Some(wanted) = request.settings.effort {
        let of_model = match quirks.nested_effort {
            true => quirks.efforts,
            false => quirks.efforts.and(effort::of_model(api, request.model)),
        };
        fitted.settings.effort = of_model.nearest(wanted);
        match fitted.settings.effort {
            Some(sent) if sent == wanted => {}
            Some(sent) => notes.push(format!(
                "effort: {model_ref} does not accept {}; crew sent {}",
                wanted.name(),
                sent.name()
            )),
            None => notes.push(format!("effort was left out: {model_ref} does not accept one")),
        }
    }
    (fitted, notes)
}
