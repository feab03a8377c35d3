//! The input of the agents: from the command line, a file or standard input.

use std::fs::File;
use std::io::{IsTerminal, Read, Write, stderr, stdin};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::cli::InputArgs;
use crate::config::faults::Faults;
use crate::config::find;
use crate::plan::CrewPlan;
use crate::template::RunInput;
use crate::text::quoted;

/// Bytes. More than any model reads.
const MAX_INPUT: u64 = 16 * 1024 * 1024;
/// After this time without the end of standard input, crew says what it waits for.
const PATIENCE: Duration = Duration::from_secs(2);
const WAITING: &str = "waiting for the input on standard input (-i TEXT gives it directly)";
const GIVE: &str = "give it as an argument, with --input-file PATH or through a pipe; \
                    -i '' runs the crew with an empty input";

/// The text of an input, and what the user should know about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Input {
    pub text: String,
    pub note: Option<String>,
}

/// Where the input comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    Given(Input),
    File(PathBuf),
    Stdin,
}

impl Source {
    /// The source that the arguments name; without one, standard input. Standard input is left
    /// alone if no agent uses the input.
    ///
    /// # Errors
    /// There is no input, or the argument is a crew file.
    pub fn choose(args: &InputArgs, is_used: bool) -> Result<Self, Faults> {
        let text = args.argument.as_deref().or(args.input.as_deref());
        match (text, &args.input_file) {
            (Some("-"), _) | (None, None) if !is_used => Ok(Self::Given(Input::default())),
            (Some("-"), _) => Ok(Self::Stdin),
            (Some(text), _) => {
                let note = args.argument.as_ref().and_then(|text| not_read(text));
                Ok(Self::Given(Input { text: text.to_owned(), note }))
            }
            (None, Some(file)) => Ok(Self::File(file.clone())),
            (None, None) if stdin().is_terminal() => {
                Err(fault("there is no input".to_owned(), GIVE))
            }
            (None, None) => Ok(Self::Stdin),
        }
    }

    /// Reads all of it. Can be dropped at any time: the read itself, which nothing can cancel, is
    /// in a thread that ends with the process.
    ///
    /// # Errors
    /// It cannot be read, is empty or too large.
    pub async fn read(self, quiet: bool) -> Result<Input, Faults> {
        match self {
            Self::Given(input) => Ok(input),
            Self::Stdin => {
                let read = in_thread("standard input".to_owned(), || read_bounded(stdin()));
                tokio::pin!(read);
                if let Ok(input) = timeout(PATIENCE, &mut read).await {
                    return input;
                }
                if !quiet {
                    // In a thread: a reader of stderr may be slow.
                    thread::spawn(|| writeln!(stderr(), "{WAITING}"));
                }
                read.await
            }
            Self::File(path) => {
                let name = path.display().to_string();
                in_thread(name, move || File::open(&path).and_then(read_bounded)).await
            }
        }
    }
}

/// The input as templates see it. A text stays a text unless they use parts of it.
///
/// # Errors
/// They use parts of the input, and it is not a JSON object.
pub fn of_run(text: String, plan: &CrewPlan) -> Result<RunInput, Faults> {
    if !plan.uses_input_parts() {
        return Ok(text.into());
    }
    let input = RunInput::parsed(text);
    if input.is_object() {
        return Ok(input);
    }
    let message = "the crew uses parts of its input (`input.…`), and the input is a text";
    Err(fault(message.to_owned(), "give a JSON object as the input; crew batch run reads many"))
}

/// Rejects an argument that is the path of a crew file: `crew run FILE` is a slip for
/// `crew run -c FILE`.
///
/// # Errors
/// The argument names a crew file.
pub fn check_argument(args: &InputArgs) -> Result<(), Faults> {
    let Some(text) = args.argument.as_deref().filter(|text| is_crew_file(Path::new(text))) else {
        return Ok(());
    };
    let hint = format!("crew run -c {text} runs it; -i {text} makes this text the input");
    Err(fault(format!("the input {} is the path of a crew file", quoted(text)), &hint))
}

fn is_crew_file(path: &Path) -> bool {
    let is_yaml =
        path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    is_yaml && find::read(path).is_ok_and(|text| text.contains("agents:"))
}

/// A note if the input is the path of a file, which is not read.
fn not_read(text: &str) -> Option<String> {
    let is_file = Path::new(text).is_file();
    is_file.then(|| {
        let shown = quoted(text);
        format!("the input is the text {shown}; --input-file {text} reads the file")
    })
}

fn fault(message: String, hint: &str) -> Faults {
    Faults::unplaced(None, message, Some(hint.to_owned()))
}

async fn in_thread(
    name: String,
    read: impl FnOnce() -> std::io::Result<Vec<u8>> + Send + 'static,
) -> Result<Input, Faults> {
    let (send, receive) = oneshot::channel();
    let thread = thread::Builder::new().name("input".to_owned());
    let started = thread.spawn(move || send.send(checked(&name, read())));
    let failed =
        |why: String| Faults::unplaced(None, format!("cannot read the input: {why}"), None);
    started.map_err(|error| failed(error.to_string()))?;
    receive.await.unwrap_or_else(|_| Err(failed("its thread has ended".to_owned())))
}

fn checked(name: &str, bytes: std::io::Result<Vec<u8>>) -> Result<Input, Faults> {
    let bytes = bytes.map_err(|error| {
        Faults::unplaced(None, format!("cannot read the input from {name}: {error}"), None)
    })?;
    if bytes.len() as u64 > MAX_INPUT {
        let max = MAX_INPUT >> 20;
        let message = format!("the input from {name} is larger than {max} MiB");
        return Err(fault(message, "give the agents a tool that reads it"));
    }
    let input = decoded(name, bytes);
    if input.text.trim().is_empty() {
        return Err(fault(format!("the input from {name} is empty"), GIVE));
    }
    Ok(input)
}

/// The bytes as text. What is not UTF-8 is replaced, since one stray byte of a log must not cost
/// the run.
fn decoded(name: &str, bytes: Vec<u8>) -> Input {
    let replaced = |bytes: Vec<u8>, at: usize| {
        let note = format!(
            "the input from {name} is not valid UTF-8; invalid bytes were replaced, the first at \
             offset {at}"
        );
        Input { text: String::from_utf8_lossy(&bytes).into_owned(), note: Some(note) }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Input { text, note: None },
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            replaced(error.into_bytes(), at)
        }
    }
}

fn read_bounded(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_INPUT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
