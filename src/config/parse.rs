//! From the text of a file and of those that it includes to its structs.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path as FilePath;

use serde::Deserialize;

use super::decode::Decoder;
use super::expand::{self, Env, Expansion};
use super::faults::FaultLog;
use super::file::CrewFile;
use super::node::Node;
use super::place::Path;
use super::yaml::{self, Unusable};
use super::{include, prompt_file};
use crate::secret;

/// A decoded file.
pub struct Parsed {
    pub crew: CrewFile,
    /// The variables that hold API keys.
    pub keys: HashSet<String>,
}

/// Decodes a file and those that it includes, and logs their faults.
///
/// # Errors
/// A fault leaves nothing to check.
pub fn parse(
    file: &FilePath,
    text: String,
    env: Env<'_>,
    known_keys: &[&str],
    log: &mut FaultLog,
) -> Result<Parsed, Unusable> {
    let known_keys = known_keys.iter().map(|&name| name.to_owned()).collect();
    let mut node = include::read(file, text, env, &known_keys, log)?;
    let keys = keys(&node, known_keys);
    let expansion = Expansion { env, keys: &keys, log, secrets: RefCell::default() };
    expansion.apply(&mut node, &Path::Root);
    let secrets = expansion.secrets.into_inner();
    if node == Node::Null {
        return Err(yaml::empty(log));
    }
    prompt_file::read(&mut node, log);
    let decoded = CrewFile::deserialize(Decoder::new(&node, &Path::Root, log));
    let crew = decoded.map(|crew| CrewFile { secrets, ..crew }).map_err(|error| {
        // The decoder itself has no errors: the structs and the decoder do not match.
        log.unplaced(format!("the file cannot be decoded: {error}"), None);
        Unusable
    })?;
    Ok(Parsed { crew, keys })
}

/// The variables that hold API keys: the usual ones, those that the file's providers name, and
/// those in headers that carry keys.
fn keys(node: &Node, known: HashSet<String>) -> HashSet<String> {
    let mut keys = known;
    let Some(Node::Map(providers)) = node.get("providers") else { return keys };
    for (_, provider) in providers {
        if let Some(Node::Text { text, .. }) = provider.get("api_key_env") {
            keys.insert(text.clone());
        }
        let Some(Node::Map(headers)) = provider.get("headers") else { continue };
        for (_, value) in headers.iter().filter(|(name, _)| secret::is_telling(name)) {
            if let Node::Text { text, .. } = value {
                keys.extend(expand::variables(text).map(str::to_owned));
            }
        }
    }
    keys
}
