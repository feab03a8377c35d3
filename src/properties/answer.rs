//! The response of a model server: its meaning depends on its bytes, not on how they are cut, and
//! the kept part of it is within the limits.

use std::collections::HashSet;

use super::pieces;
use crate::chat::ChatReply;
use crate::provider::answer::BodyError;
use crate::provider::body_decoder::BodyDecoder;
use crate::provider::calls::{CallFragment, Calls, MAX_CALLS};
use crate::provider::protocol::{Progress, Protocol};
use crate::provider::sse::{Decoder, Flow, Item, TooLong};
use crate::provider::{ChatDelta, protocol_for};
use crate::vendor::Api;

/// Small, so that small inputs exceed it.
const MAX_EVENT: usize = 200;
const MAX_ANSWER: usize = 64;

/// The events of a stream do not depend on where it is cut, and are within the limit.
pub fn events(bytes: &[u8], cuts: &[usize]) {
    let whole = decode(&[bytes]);
    if let Ok(items) = &whole {
        let kept: usize = items.iter().map(|(_, data)| data.len()).sum();
        assert!(kept <= bytes.len(), "{kept} bytes of events from {}", bytes.len());
        assert!(items.iter().all(|(_, data)| data.len() <= MAX_EVENT));
    }
    assert_eq!(decode(&pieces(bytes, cuts)), whole, "cut at {cuts:?}");
    assert_eq!(decode(&bytes.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
}

/// Every item with its kind.
fn decode(pieces: &[&[u8]]) -> Result<Vec<(&'static str, Vec<u8>)>, TooLong> {
    let mut decoder = Decoder::new(MAX_EVENT);
    let mut items = Vec::new();
    let mut on_item = |item: Item<'_>| {
        items.push(match item {
            Item::Event { data, error: false } => ("event", data.to_vec()),
            Item::Event { data, error: true } => ("error", data.to_vec()),
            Item::Stray(line) => ("stray", line.to_vec()),
        });
        Flow::<()>::Continue(())
    };
    for piece in pieces {
        let _ = decoder.push(piece, &mut on_item)?;
    }
    let _ = decoder.finish(&mut on_item)?;
    Ok(items)
}

/// In every API an answer does not depend on where its body is cut, and is within `max_answer`.
pub fn body(bytes: &[u8], cuts: &[usize]) {
    for &api in Api::ALL {
        body_in(protocol_for(api), bytes, cuts);
    }
}

fn body_in(protocol: &Protocol, bytes: &[u8], cuts: &[usize]) {
    let whole = read(protocol, &[bytes]);
    let (result, text) = &whole;
    assert!(text.len() <= MAX_ANSWER, "{} bytes of text", text.len());
    if let Ok(reply) = result {
        assert_eq!(reply.has_text, !text.is_empty());
        assert!(reply.tool_calls.len() <= MAX_CALLS);
        let calls = reply.tool_calls.iter().map(|call| call.to_its_source());
        let calls = calls.map(|call| call.name.len() + call.arguments.len());
        // Missing arguments become `{}`.
        let kept = calls.sum::<usize>() - 2 * reply.tool_calls.len().min(MAX_ANSWER);
        assert!(kept <= MAX_ANSWER, "{kept} bytes of calls");
    }
    assert_eq!(read(protocol, &pieces(bytes, cuts)), whole, "cut at {cuts:?}");
    assert_eq!(read(protocol, &bytes.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
}

/// The reply of a body, and the text that was emitted.
fn read(protocol: &Protocol, pieces: &[&[u8]]) -> (Result<ChatReply, BodyError>, String) {
    let mut decoder = BodyDecoder::new(MAX_ANSWER, (protocol.parser)());
    let mut emitted = String::new();
    let mut on_delta = |delta: ChatDelta<'_>| {
        if let ChatDelta::Text(text) = delta {
            emitted.push_str(text);
        }
    };
    let mut whole = || {
        for piece in pieces {
            if decoder.push(piece, &mut on_delta)? == Progress::Complete {
                return Ok(());
            }
        }
        decoder.end(&mut on_delta)
    };
    let result = whole().and_then(|()| decoder.into_reply("here/m"));
    (result, emitted)
}

/// A fragment of a tool call: index, id, name, arguments.
pub type Fragment<'a> = (Option<u64>, &'a str, &'a str, &'a str);

/// Any fragments become calls with distinct ids. No argument is lost or invented, and everything
/// kept is counted.
pub fn fragments(fragments: &[Fragment<'_>]) {
    let mut calls = Calls::default();
    let (mut counted, mut sent) = (0, String::new());
    for &(index, id, name, arguments) in fragments {
        match calls.add(CallFragment { index, id, name, arguments: arguments.into() }) {
            Ok(kept) => counted += kept,
            Err(_) => return,
        }
        sent.push_str(arguments);
    }
    let whole = calls.into_calls(false);
    assert!(whole.len() <= MAX_CALLS && whole.len() <= fragments.len());
    let ids: HashSet<&str> = whole.iter().map(|call| call.id.as_str()).collect();
    assert_eq!(ids.len(), whole.len(), "{whole:?}");
    let kept: usize = whole.iter().map(|call| call.name.len() + call.arguments.len()).sum();
    assert!(kept <= counted + "{}".len() * whole.len(), "{kept} bytes kept, {counted} counted");
    // Each fragment belongs to one call. Unit tests check to which.
    let left_out = |arguments: &str| matches!(arguments, "{}" | "");
    if whole.iter().all(|call| !left_out(&call.arguments)) {
        let joined: String = whole.iter().map(|call| call.arguments.as_str()).collect();
        assert_eq!(sorted(&joined), sorted(&sent));
    }
}

fn sorted(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.sort_unstable();
    bytes
}

/// The arguments of one call do not depend on where they are cut.
pub fn arguments(arguments: &str, cuts: &[usize]) {
    let cuts: Vec<usize> = cuts.iter().map(|&cut| arguments.floor_char_boundary(cut)).collect();
    let assemble = |pieces: &[&[u8]]| {
        let mut calls = Calls::default();
        for (at, piece) in pieces.iter().enumerate() {
            let text = std::str::from_utf8(piece).expect("cut between characters");
            let name = if at == 0 { "df" } else { "" };
            let piece = CallFragment { index: Some(0), id: "", name, arguments: text.into() };
            calls.add(piece).expect("one call");
        }
        calls.into_calls(false)
    };
    let whole = assemble(&[arguments.as_bytes()]);
    assert_eq!(whole.len(), 1);
    if !matches!(arguments.trim(), "" | "null") {
        assert_eq!(whole[0].arguments, arguments);
    }
    assert_eq!(assemble(&pieces(arguments.as_bytes(), &cuts)), whole);
}
