//! The input of a run: from the command line, a file or standard input.

use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, bail, ensure};
use tokio::sync::oneshot;

/// Bytes. More than any model can read.
const MAX_INPUT: u64 = 16 * 1024 * 1024;

/// Where the input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Text(String),
    File(PathBuf),
    Stdin,
}

impl Source {
    /// The source that the options name, or else standard input.
    ///
    /// # Errors
    /// There is no option, and standard input is a terminal.
    pub fn choose(text: Option<String>, file: Option<PathBuf>) -> anyhow::Result<Self> {
        match (text, file) {
            (Some(text), _) if text == "-" => Ok(Self::Stdin),
            (Some(text), _) => Ok(Self::Text(text)),
            (None, Some(file)) => Ok(Self::File(file)),
            (None, None) if stdin().is_terminal() => {
                bail!("no input: use --input TEXT or --input-file PATH, or pipe it in")
            }
            (None, None) => Ok(Self::Stdin),
        }
    }

    /// Reads the whole input. The future can be dropped at any time: a blocking read stays in a
    /// thread of its own, which ends with the process.
    ///
    /// # Errors
    /// The input cannot be read, is empty, too large or not UTF-8.
    pub async fn read(self) -> anyhow::Result<String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Stdin => in_thread("standard input".to_owned(), || read_bounded(stdin())).await,
            Self::File(path) => {
                let name = format!("input file {path:?}");
                in_thread(name, move || File::open(&path).and_then(read_bounded)).await
            }
        }
    }
}

async fn in_thread(
    name: String,
    read: impl FnOnce() -> std::io::Result<Vec<u8>> + Send + 'static,
) -> anyhow::Result<String> {
    let (send, receive) = oneshot::channel();
    thread::Builder::new()
        .name("input".to_owned())
        .spawn(move || send.send(checked(&name, read())))
        .context("cannot start a thread to read the input")?;
    receive.await.context("the thread that reads the input has ended")?
}

fn checked(name: &str, bytes: std::io::Result<Vec<u8>>) -> anyhow::Result<String> {
    let bytes = bytes.with_context(|| format!("cannot read {name}"))?;
    ensure!(
        bytes.len() as u64 <= MAX_INPUT,
        "{name} is larger than {} MiB; give the agents a tool that reads it",
        MAX_INPUT / 1024 / 1024
    );
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow::anyhow!("{name} is not UTF-8 (byte {at})")
    })?;
    ensure!(!text.trim().is_empty(), "{name} is empty");
    Ok(text)
}

fn read_bounded(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_INPUT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
