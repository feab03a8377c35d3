//! The fields of a turn that its server expects back with the results of the turn's calls.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::chat::{NativePart, NativeTurn, ToolCall};
use crate::provider::json::{self, Raw};
use crate::provider::turn_quirks::TurnQuirks;
use crate::provider::wire::{self, Part};
use crate::text::json::Joiner;

/// Entries of `reasoning_details` in one answer. Servers send far fewer once pieces are joined.
const MAX_DETAILS: usize = 1024;
/// The texts of an entry, which arrive in pieces.
const TEXTS: [&str; 2] = ["text", "summary"];

/// What is kept of an answer while it arrives.
#[derive(Debug, Default)]
pub struct Kept {
    /// The `reasoning_content`, which may be empty: servers that use this name demand it even then.
    reasoning: Option<String>,
    joiner: Joiner,
    /// Of OpenRouter, with the signatures of the model's vendor.
    details: Vec<Map<String, Value>>,
    /// The `extra_content` of calls: of Gemini by this API, with its signatures.
    extras: Vec<Extra>,
}

#[derive(Debug)]
struct Extra {
    index: Option<u64>,
    id: String,
    content: String,
}

/// The fields of a turn, as they are sent back.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Fields<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Raw<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub reasoning_details: Raw<'a>,
    /// By the ids of the calls.
    #[serde(borrow, default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_content: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

impl Kept {
    /// Adds a piece of `reasoning_content`. Returns its bytes.
    pub fn add_reasoning(&mut self, raw: Raw<'_>) -> serde_json::Result<usize> {
        if raw.is_none_or(|raw| !raw.get().starts_with('"')) {
            return Ok(0);
        }
        let piece = self.joiner.join(json::piece(raw)?);
        self.reasoning.get_or_insert_default().push_str(&piece);
        Ok(piece.len())
    }

    /// Adds entries of `reasoning_details`. Returns the bytes that are kept.
    pub fn add_details(&mut self, raw: Raw<'_>) -> usize {
        let Some(raw) = raw.map(RawValue::get).filter(|raw| raw.starts_with('[')) else { return 0 };
        let entries: Vec<Value> = crate::text::json::parse(raw.as_bytes()).unwrap_or_default();
        let mut kept = 0;
        for entry in entries {
            let Value::Object(entry) = entry else { continue };
            if let Some(last) = self.details.last_mut()
                && continues(last, &entry)
            {
                kept += extend(last, entry);
            } else if self.details.len() < MAX_DETAILS {
                kept += raw.len();
                self.details.push(entry);
            }
        }
        kept
    }

    /// Adds the `extra_content` of a call's fragment. Returns its bytes.
    pub fn add_extra(&mut self, index: Option<u64>, id: &str, raw: Raw<'_>) -> usize {
        let Some(raw) = raw.filter(|raw| json::is_given(Some(raw))) else { return 0 };
        let content = raw.get().to_owned();
        self.extras.push(Extra { index, id: id.to_owned(), content });
        raw.get().len()
    }

    /// The fields for a turn with these calls, or nothing if the server sent none.
    pub fn native(&self, calls: &[ToolCall]) -> Option<NativePart> {
        if calls.is_empty() {
            return None;
        }
        let own = |value: &Value| serde_json::value::to_raw_value(value).ok();
        let reasoning = self.reasoning.as_ref();
        let reasoning = reasoning.and_then(|text| own(&Value::from(text.as_str())));
        let details = Some(&self.details).filter(|details| !details.is_empty());
        let details = details.and_then(|details| own(&details.iter().cloned().collect()));
        let extras = calls.iter().enumerate().filter_map(|(at, call)| {
            let extra = self.extras.iter().find(|extra| match extra.id.as_str() {
                "" => extra.index.is_none_or(|index| index == at as u64),
                id => id == call.id,
            })?;
            Some((Cow::Borrowed(call.id.as_str()), serde_json::from_str(&extra.content).ok()?))
        });
        let fields = Fields {
            reasoning_content: reasoning.as_deref(),
            reasoning_details: details.as_deref(),
            extra_content: extras.collect(),
        };
        let json = serde_json::to_string(&fields).ok().filter(|json| json != "{}");
        json.map(NativePart::Json)
    }
}

/// Whether an entry is the next piece of another one.
fn continues(last: &Map<String, Value>, next: &Map<String, Value>) -> bool {
    let same = |key: &str| last.get(key) == next.get(key);
    let has_text = |entry: &Map<String, Value>| TEXTS.iter().any(|key| entry.contains_key(*key));
    same("type")
        && same("index")
        && has_text(last)
        && last.get("signature").is_none_or(Value::is_null)
}

/// Joins the texts, and takes what the next piece has besides. Returns the bytes added.
fn extend(last: &mut Map<String, Value>, next: Map<String, Value>) -> usize {
    let mut added = 0;
    for (key, value) in next {
        match (last.get_mut(&key), value) {
            (Some(Value::String(text)), Value::String(more)) if TEXTS.contains(&key.as_str()) => {
                added += more.len();
                text.push_str(&more);
            }
            (Some(_), Value::Null) => {}
            (Some(known), value) if *known == value => {}
            (_, value) => {
                added += value.as_str().map_or(0, str::len);
                last.insert(key, value);
            }
        }
    }
    added
}

/// The reasoning to send with a turn, for a server that may demand some. A blank stands for none:
/// Kimi rejects the empty text.
pub fn demanded(sent: Raw<'_>, quirks: TurnQuirks) -> Raw<'_> {
    let is_missing = sent.is_none_or(|sent| sent.get() == "\"\"");
    let blank = || serde_json::from_str("\" \"").ok();
    if quirks.reasoning && is_missing { blank() } else { sent }
}

/// The fields that this model sent with a turn.
pub fn fields<'a>(turn: Option<&'a NativeTurn>, model_ref: &str) -> Fields<'a> {
    let parts = wire::native(turn, "", model_ref, |_| None::<()>).unwrap_or_default();
    let json = parts.into_iter().find_map(|part| match part {
        Part::Native(json) => Some(json),
        Part::Ours(()) => None,
    });
    json.and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default()
}
