//! The YAML as written: found, read, looked through, expanded and decoded.
//!
//! What a value means is the plan's business; here it is only made sure that every value has the
//! right type and that every fault is noted with its place.

pub mod decode;
pub mod env_file;
pub mod expand;
pub mod faults;
pub mod file;
pub mod find;
pub mod guard;
pub mod node;
pub mod place;
mod scalar;
#[cfg(test)]
mod tests;
pub mod value;

use std::cell::RefCell;
use std::collections::HashSet;

use serde::Deserialize;

use decode::Decoder;
use expand::{Env, Expansion};
use faults::FaultLog;
use file::CrewFile;
use guard::Unusable;
use node::Node;
use place::Path;

/// Decodes a file's text, and tells the variables whose values are secrets. What is wrong with it
/// goes into the log; `Err` if nothing is left to go on with.
pub fn parse(
    source: &str,
    env: Env<'_>,
    known_keys: &[&str],
    log: &mut FaultLog,
) -> Result<(CrewFile, HashSet<String>), Unusable> {
    let mut node = guard::read(source, log)?;
    node.merge(&Path::Root, log);
    let keys = keys(&node, known_keys);
    let expansion = Expansion { env, keys: &keys, log, secrets: RefCell::default() };
    expansion.apply(&mut node, &Path::Root);
    let secrets = expansion.secrets.into_inner();
    if node == Node::Null {
        let hint = "a crew needs `agents:` with at least one agent below it".to_owned();
        log.unplaced("the file is empty", Some(hint));
        return Err(Unusable);
    }
    let decoded = CrewFile::deserialize(Decoder::new(&node, &Path::Root, log));
    let crew = decoded.map(|crew| CrewFile { secrets, ..crew }).map_err(|error| {
        // The decoder has no errors of its own, so this can only be a struct at odds with it.
        log.unplaced(format!("the file cannot be decoded: {error}"), None);
        Unusable
    })?;
    Ok((crew, keys))
}

/// The variables that hold API keys: the usual ones, those the file's providers name, and those in
/// headers that carry keys.
fn keys(node: &Node, known: &[&str]) -> HashSet<String> {
    let mut keys: HashSet<String> = known.iter().map(|&name| name.to_owned()).collect();
    let Some(Node::Map(providers)) = node.get("providers") else { return keys };
    for (_, provider) in providers {
        if let Some(Node::Text { text, .. }) = provider.get("api_key_env") {
            keys.insert(text.clone());
        }
        let Some(Node::Map(headers)) = provider.get("headers") else { continue };
        for (_, value) in headers.iter().filter(|(name, _)| crate::secret::is_telling(name)) {
            if let Node::Text { text, .. } = value {
                keys.extend(expand::variables(text).map(str::to_owned));
            }
        }
    }
    keys
}
