//! API keys that a command prints: run when the key is first needed, again before it expires, and
//! once after the server rejects it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join;
use reqwest::header::HeaderValue;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::plan::KeyCommand;
use crate::process::{Invocation, RunProcesses, ServerProcess};
use crate::secret::Secrets;

/// How long the command may run.
const MAX_RUN: Duration = Duration::from_secs(30);
/// How long a key is used that does not say when it expires.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// A key is replaced this long before it expires.
const EXPIRY_MARGIN: Duration = Duration::from_secs(30);
/// Bytes of a key. Tokens with many claims have a few thousand.
const MAX_KEY: u64 = 64 * 1024;
/// Bytes of stderr that are kept for an error.
const MAX_STDERR: usize = 4096;

/// What key commands of a run share.
#[derive(Clone)]
pub struct KeyContext {
    pub processes: Arc<RunProcesses>,
    /// Gets every key.
    pub secrets: Secrets,
}

/// The key of one provider.
pub struct CommandKey {
    command: KeyCommand,
    /// The text before the key in its header.
    scheme: &'static str,
    context: KeyContext,
    /// Held while the command runs, so that all calls wait for one run of it.
    current: Mutex<Option<Key>>,
}

struct Key {
    header: HeaderValue,
    valid_until: Instant,
}

impl CommandKey {
    pub fn new(command: KeyCommand, scheme: &'static str, context: KeyContext) -> Self {
        Self { command, scheme, context, current: Mutex::default() }
    }

    /// The value of the key's header. `rejected` is one that the server no longer accepts.
    ///
    /// # Errors
    /// The command failed. The message may quote it.
    pub async fn header(&self, rejected: Option<&HeaderValue>) -> Result<HeaderValue, String> {
        let mut current = self.current.lock().await;
        let usable = |key: &&Key| Instant::now() < key.valid_until && Some(&key.header) != rejected;
        if let Some(key) = current.as_ref().filter(usable) {
            return Ok(key.header.clone());
        }
        let program = self.command.argv.first().map(String::as_str).unwrap_or_default();
        let printed =
            self.run().await.map_err(|why| format!("api_key_command {program}: {why}"))?;
        let text = printed.trim();
        let header = HeaderValue::from_str(&format!("{}{text}", self.scheme));
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let Some(mut header) = header.ok().filter(|_| is_plain) else {
            return Err(format!("api_key_command {program} printed no key, or more than a key"));
        };
        header.set_sensitive(true);
        self.context.secrets.add(text);
        let valid_until = Instant::now() + lifetime(text, SystemTime::now());
        *current = Some(Key { header: header.clone(), valid_until });
        Ok(header)
    }

    /// Returns what the command prints to stdout.
    async fn run(&self) -> Result<String, String> {
        let mut argv = self.command.argv.iter();
        let program = argv.next().map(String::as_str).unwrap_or_default();
        let path = match program.contains('/') {
            true => self.command.base_dir.join(program),
            false => PathBuf::from(program),
        };
        let invocation = Invocation {
            program: path.into_os_string(),
            arguments: argv.map(Into::into).collect(),
            // It takes its own credentials from there.
            environment: std::env::vars_os().collect(),
            cwd: None,
            sandbox: None,
        };
        let served = self.context.processes.serve(invocation, MAX_STDERR);
        let served = served.map_err(|error| format!("cannot start: {error}"))?;
        let ServerProcess { mut process, stdin, stdout } = served;
        drop(stdin);
        let (mut printed, mut stdout) = (Vec::new(), stdout.take(MAX_KEY));
        let read = stdout.read_to_end(&mut printed);
        let ended = timeout(MAX_RUN, async {
            let (read, ended) = join(read, process.ended()).await;
            ended.and(read.map(|_| ()))
        });
        let result = match ended.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("cannot start: {error}")),
            Err(_) => Err(format!("no key within {MAX_RUN:?}")),
        };
        let status = process.status();
        self.context.processes.stop(&mut process).await;
        result?;
        if status.is_some_and(|status| status.success()) {
            return String::from_utf8(printed).map_err(|_| "the key is not UTF-8".to_owned());
        }
        let words = self.context.secrets.quote(&process.take_output().text);
        let status = status.map_or("killed".to_owned(), |status| status.to_string());
        Err(format!("{status}: {words}"))
    }
}

/// How long a key may be used.
fn lifetime(key: &str, now: SystemTime) -> Duration {
    let Some(expiry) = expiry(key) else { return DEFAULT_LIFETIME };
    let left = expiry.duration_since(now).unwrap_or_default();
    left.saturating_sub(EXPIRY_MARGIN)
}

/// The time in the `exp` of a JSON Web Token.
fn expiry(key: &str) -> Option<SystemTime> {
    let mut parts = key.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let seconds = claims.get("exp")?.as_f64().filter(|seconds| *seconds >= 0.0)?;
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("eyJhbGciOiJub25lIn0.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_key_is_used_until_shortly_before_it_expires() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (key, seconds) in [
            ("sk-0123456789".to_owned(), 300),
            ("a.b.c".to_owned(), 300),
            (token(r#"{"exp":1000600}"#), 570),
            (token(r#"{"exp":1000600.5,"iss":"x"}"#), 570),
            (token(r#"{"exp":1000010}"#), 0),
            (token(r#"{"exp":5}"#), 0),
            (token(r#"{"exp":"soon"}"#), 300),
            (token(r#"{"exp":1e300}"#), 300),
            (token(r#"{"iss":"x"}"#), 300),
        ] {
            assert_eq!(lifetime(&key, now).as_secs(), seconds, "{key}");
        }
    }
}
