//! `crew init`: a crew file to start from, with a model that this machine has.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::env_file;
use super::invalid::{fault, invalid};
use super::runtime::runtime;
use crate::cancel::Cancellation;
use crate::cli::{InitArgs, TemplateName};
use crate::config::faults::Faults;
use crate::config::schema;
use crate::exit::ExitStatus;
use crate::net;
use crate::plan;
use crate::render::{Format, Screens};
use crate::vendor::{VENDORS, Vendor};

/// The model of the templates.
const PLACEHOLDER: &str = "${CREW_MODEL:-offline}";
const DEFAULT_FILE: &str = "agents.yaml";
/// The path that stands for standard output.
const STDOUT: &str = "-";
/// The limit of the wait for a model server on this machine.
const PATIENCE: Duration = Duration::from_millis(300);
/// Bytes of a list of models.
const MAX_LIST: usize = 1 << 20;
/// Characters of the name of a model.
const MAX_MODEL: usize = 128;

impl TemplateName {
    fn text(self) -> &'static str {
        match self {
            Self::Minimal => include_str!("../../examples/minimal.yaml"),
            Self::CodeReview => include_str!("../../examples/code-review.yaml"),
            Self::ItSupport => include_str!("../../examples/it-support.yaml"),
            Self::Research => include_str!("../../examples/research.yaml"),
        }
    }

    /// The name of its file in `examples/`.
    fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::CodeReview => "code-review",
            Self::ItSupport => "it-support",
            Self::Research => "research",
        }
    }

    /// A command that runs it; `{crew}` stands for crew and its options.
    fn example(self) -> &'static str {
        match self {
            Self::Minimal => "{crew} \"why is the sky blue?\"",
            Self::CodeReview => "{crew} --var base=main",
            Self::ItSupport => "{crew} \"my laptop is slow\"",
            Self::Research => "{crew} \"do heat pumps work in cold climates?\"",
        }
    }
}

/// The model of a new file, and the reason for it.
struct Choice {
    model: String,
    reason: String,
}

pub fn init(args: &InitArgs) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    let cancel = Cancellation::new();
    let written = write(args, &cancel);
    if let Some(signal) = cancel.signal() {
        return ExitStatus::Signalled(signal);
    }
    match written {
        Ok(message) => {
            let _ = writeln!(io::stdout().lock(), "{message}");
            ExitStatus::Success
        }
        Err(faults) => invalid(&faults, screens, Format::Text),
    }
}

/// Writes the file and returns what to print: what is in it or, for `-`, the file.
fn write(args: &InitArgs, cancel: &Cancellation) -> Result<String, Faults> {
    env_file::load(&args.env_files)?;
    if args.path.as_deref() == Some(Path::new(STDOUT)) {
        let choice = choose(cancel)?;
        let text = text(args.template, Path::new(DEFAULT_FILE), &choice.model);
        let _ = writeln!(io::stderr().lock(), "the model is {}: {}", choice.model, choice.reason);
        return Ok(text.trim_end().to_owned());
    }
    let path = match &args.path {
        Some(path) if path.is_dir() => path.join(DEFAULT_FILE),
        Some(path) => path.clone(),
        None => PathBuf::from(DEFAULT_FILE),
    };
    // A look before the wait for a model server; `create` decides.
    if path.symlink_metadata().is_ok() {
        return Err(exists(&path));
    }
    let choice = choose(cancel)?;
    let text = text(args.template, &path, &choice.model);
    create(&path, &text)?;
    let shown = path.display();
    let option = option(&path);
    let Choice { model, reason } = choice;
    let run = args.template.example().replace("{crew}", &format!("crew run{option}"));
    Ok(format!(
        "wrote {shown} with the model {model}: {reason}\nnext: crew check{option}\n      {run}"
    ))
}

fn create(path: &Path, text: &str) -> Result<(), Faults> {
    let created = OpenOptions::new().write(true).create_new(true).open(path);
    match created.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(error) => {
            let (why, hint) = match error.kind() {
                io::ErrorKind::NotFound => (
                    "its folder does not exist".to_owned(),
                    Some("create the folder first".to_owned()),
                ),
                _ => (error.to_string(), None),
            };
            let message = format!("cannot write {}: {why}", path.display());
            Err(Faults::unplaced(Some(path.to_owned()), message, hint))
        }
    }
}

fn exists(path: &Path) -> Faults {
    let message = format!("{} exists; crew init overwrites nothing", path.display());
    let hint = "choose another path: crew init PATH".to_owned();
    Faults::unplaced(Some(path.to_owned()), message, Some(hint))
}

/// The text of a file at this path.
fn text(template: TemplateName, path: &Path, model: &str) -> String {
    let own_path = format!(" -c examples/{}.yaml", template.name());
    let model = PLACEHOLDER.replace("offline", model);
    let text = template.text().replace(&own_path, &option(path)).replace(PLACEHOLDER, &model);
    format!("# yaml-language-server: $schema={}\n{text}", schema::URL)
}

/// The option that names the file, if crew does not find it without.
fn option(path: &Path) -> String {
    if path == Path::new(DEFAULT_FILE) { String::new() } else { format!(" -c {}", path.display()) }
}

/// A vendor whose key is set, else a model of a local server, else `offline`.
fn choose(cancel: &Cancellation) -> Result<Choice, Faults> {
    for vendor in VENDORS {
        let (Some(variable), Some(model)) = (vendor.key_variable, vendor.starter_model) else {
            continue;
        };
        if std::env::var(variable).is_ok_and(|key| !key.trim().is_empty()) {
            let model = format!("{}/{model}", vendor.name);
            return Ok(Choice { model, reason: format!("{variable} is set") });
        }
    }
    let runtime = runtime(cancel).map_err(|error| fault(&error))?;
    let found = runtime.block_on(async {
        tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            found = timeout(PATIENCE, local_model()) => found.ok().flatten(),
        }
    });
    runtime.shutdown_background();
    Ok(found.unwrap_or_else(|| {
        let reason = "no API key is set and no Ollama answers, so no model is asked \
                      (CREW_MODEL=provider/model selects one)"
            .to_owned();
        Choice { model: "offline".to_owned(), reason }
    }))
}

/// The first model of an Ollama on this machine or at `OLLAMA_HOST`.
async fn local_model() -> Option<Choice> {
    let vendor = Vendor::named("ollama")?;
    let base = plan::base_url(vendor, &|name| std::env::var(name).ok()).ok()?;
    let url =
        reqwest::Url::parse(&format!("{}/models", base.as_str().trim_end_matches('/'))).ok()?;
    let client = net::builder(std::slice::from_ref(&url)).and_then(net::build).ok()?;
    let mut response = client.get(url).send().await.ok()?.error_for_status().ok()?;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.ok()? {
        if body.len() + piece.len() > MAX_LIST {
            return None;
        }
        body.extend_from_slice(&piece);
    }
    let list: Value = serde_json::from_slice(&body).ok()?;
    let models = list.get("data")?.as_array()?.iter();
    let name = models.filter_map(|model| model.get("id")?.as_str()).find(|name| is_plain(name))?;
    let model = format!("{}/{name}", vendor.name);
    Some(Choice { model, reason: "an Ollama answers and has it".to_owned() })
}

/// Whether a name from a server can stand in a file and on a terminal as it is.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
    !name.is_empty() && name.len() <= MAX_MODEL && name.bytes().all(plain)
}
