//! One model server, whatever its API: its address, its key, and errors that say what happened, to
//! what, and what to do, without revealing a secret.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::time::Duration;

use futures::stream;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::body::{Body, NoPiece};
use super::command_key::{CommandKey, KeyContext};
use super::error::{Effect, ProviderError};
use super::quirks::Quirks;
use super::retry_after::{names_account, rate_limit_reset, retry_after};
use super::server_error::{ServerError, Verdict};
use crate::net::{self, CONNECT_TIMEOUT};
use crate::plan::ProviderPlan;
use crate::report::{ErrorKind, Scope};
use crate::secret::Secrets;

/// The part of an error's body that is read.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// One model server. Shared by all agents that use it.
pub struct Endpoint {
    client: Client,
    /// With the query of every call.
    base_url: Url,
    headers: HeaderMap,
    /// The name of the header for the key of a command, and the command.
    command_key: Option<(&'static str, CommandKey)>,
    secrets: Secrets,
    name: String,
    /// Advice for a rejected key.
    key_advice: String,
}

/// Why a request brought no answer.
#[derive(Debug)]
pub struct PostError {
    pub error: ProviderError,
    /// The quirks of the server that the error revealed.
    pub quirks: Quirks,
    /// The server says that the key is not valid.
    is_unauthorized: bool,
    /// The server's words about a request that it rejects. May contain secrets.
    pub words: Option<String>,
}

impl From<ProviderError> for PostError {
    fn from(error: ProviderError) -> Self {
        Self { error, quirks: Quirks::default(), words: None, is_unauthorized: false }
    }
}

impl Endpoint {
    pub fn new(plan: &ProviderPlan, client: Client, keys: &KeyContext) -> Self {
        let json = HeaderValue::from_static("application/json");
        let accepted = HeaderValue::from_static("text/event-stream, application/json");
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, json), (ACCEPT, accepted)]);
        headers.extend(plan.headers.clone());
        let secrets = Secrets::default();
        secrets.add(plan.base_url.password().unwrap_or_default());
        plan.secrets().for_each(|(_, value)| secrets.add(&value));
        let sensitive = headers.values().filter(|value| value.is_sensitive());
        sensitive.for_each(|value| secrets.add(&String::from_utf8_lossy(value.as_bytes())));
        let spec = plan.api.spec();
        let command_key = plan.key_command.clone().map(|command| {
            (spec.key_header, CommandKey::new(command, spec.key_scheme, keys.clone()))
        });
        Self {
            client,
            command_key,
            base_url: plan.base_url.clone(),
            headers,
            secrets,
            name: plan.name.clone(),
            key_advice: key_advice(plan),
        }
    }

    /// The provider's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn base_url(&self) -> &Url {
        &self.base_url
    }

    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Sends one request and waits for the head of a success. Any other response is an error.
    pub async fn post(
        &self,
        url: &Url,
        model: &str,
        body: Vec<u8>,
        idle: Duration,
        on_sent: impl FnMut(),
    ) -> Result<Body, PostError> {
        match &self.command_key {
            None => self.send(url, model, &self.headers, body, idle, on_sent).await,
            // Boxed: the future is large, and few calls need it.
            Some(key) => Box::pin(self.post_with(key, url, model, body, idle, on_sent)).await,
        }
    }

    /// Sends a request with the key of a command, which is asked for a new key once if the server
    /// rejects the one that it printed.
    async fn post_with(
        &self,
        (name, command): &(&'static str, CommandKey),
        url: &Url,
        model: &str,
        body: Vec<u8>,
        idle: Duration,
        mut on_sent: impl FnMut(),
    ) -> Result<Body, PostError> {
        let failed = |why: String| ProviderError {
            effect: Effect::StopEndpoint,
            ..self.error(ErrorKind::Auth, why)
        };
        let mut headers = self.headers.clone();
        let key = command.header(None).await.map_err(failed)?;
        self.secrets.add(key.to_str().unwrap_or_default());
        headers.insert(*name, key.clone());
        match self.send(url, model, &headers, body.clone(), idle, &mut on_sent).await {
            Err(error) if error.is_unauthorized => {
                let key = command.header(Some(&key)).await.map_err(failed)?;
                self.secrets.add(key.to_str().unwrap_or_default());
                headers.insert(*name, key);
                self.send(url, model, &headers, body, idle, on_sent).await
            }
            result => result,
        }
    }

    async fn send(
        &self,
        url: &Url,
        model: &str,
        headers: &HeaderMap,
        body: Vec<u8>,
        idle: Duration,
        on_sent: impl FnOnce(),
    ) -> Result<Body, PostError> {
        let (tell, sent) = oneshot::channel();
        let length = body.len();
        // The client takes the body when it has a connection to send it on.
        let body = stream::once(async move {
            let _ = tell.send(());
            Ok::<_, Infallible>(body)
        });
        let request = self.client.post(url.clone()).headers(headers.clone());
        let request = request.header(CONTENT_LENGTH, length).body(reqwest::Body::wrap_stream(body));
        let mut response = std::pin::pin!(timeout(idle, request.send()));
        let early = tokio::select! {
            response = &mut response => Some(response),
            _ = sent => None,
        };
        on_sent();
        let response = match early {
            Some(response) => response,
            None => response.await,
        };
        match response {
            Err(_) => Err(self.lost(NoPiece::Silence(idle)).into()),
            Ok(Err(error)) => Err(self.lost(NoPiece::Broken(error)).into()),
            Ok(Ok(response)) if response.status().is_success() => Ok(Body::new(response, idle)),
            Ok(Ok(response)) if response.status().is_redirection() => {
                Err(self.redirect(url, &response).into())
            }
            Ok(Ok(response)) => Err(Box::pin(self.rejection(url, model, response, idle)).await),
        }
    }

    pub fn error(&self, kind: ErrorKind, message: impl Display) -> ProviderError {
        ProviderError::new(kind, format!("{}: {message}", self.name))
    }

    /// The error for one that the server reported inside a success.
    ///
    /// `has_begun`: the server had accepted the request and begun to answer it, so an error that it
    /// does not explain may not happen again.
    pub fn reported(&self, error: &ServerError, model: &str, has_begun: bool) -> ProviderError {
        let verdict = error.verdict(None);
        let effect = error.effect(None, verdict, model);
        let words = self.words(error, effect, model);
        let is_unexplained = verdict.kind == ErrorKind::InvalidResponse;
        ProviderError {
            retryable: verdict.retryable || (is_unexplained && has_begun),
            retry_after: error.retry_after,
            effect,
            ..self.error(verdict.kind, format_args!("the server reported an error: {words}"))
        }
    }

    /// The error for a response that did not arrive, or not to its end.
    pub fn lost(&self, cause: NoPiece) -> ProviderError {
        let host = self.host_port();
        match cause {
            NoPiece::Silence(idle) => ProviderError {
                scope: Some(Scope::Model),
                ..self.error(ErrorKind::Timeout, format_args!("no data from {host} for {idle:?}"))
            },
            NoPiece::Broken(error) if error.is_connect() && error.is_timeout() => ProviderError {
                scope: Some(Scope::Model),
                retryable: true,
                ..self.error(
                    ErrorKind::Timeout,
                    format_args!(
                        "cannot connect to {host} within {CONNECT_TIMEOUT:?}{}",
                        net::advice(&error)
                    ),
                )
            },
            NoPiece::Broken(error) => {
                // A certificate that is rejected now will not be accepted in a second.
                let retryable = !net::rejects_certificate(&error);
                let (is_connect, advice) = (error.is_connect(), net::advice(&error));
                // Without the URL: its query may hold a secret in an encoding of its own.
                let cause = self.secrets.quote(&net::innermost(&error.without_url()));
                let message = if is_connect {
                    format!("cannot connect to {host}: {cause}{advice}")
                } else {
                    format!("the connection to {host} broke: {cause}{advice}")
                };
                ProviderError { retryable, ..self.error(ErrorKind::Network, message) }
            }
        }
    }

    /// The error for a response that is neither a success nor a redirect.
    async fn rejection(
        &self,
        url: &Url,
        model: &str,
        mut response: Response,
        idle: Duration,
    ) -> PostError {
        let status = response.status();
        let (headers, now) = (response.headers(), Timestamp::now());
        let wait = retry_after(headers, now);
        let reset = rate_limit_reset(headers, now);
        let is_of_account = names_account(headers);
        let mut bytes = Vec::new();
        let read = async {
            while let Ok(Some(piece)) = response.chunk().await {
                let room = MAX_ERROR_BODY - bytes.len();
                bytes.extend_from_slice(&piece[..piece.len().min(room)]);
                if bytes.len() == MAX_ERROR_BODY {
                    break;
                }
            }
        };
        // If the body breaks off, the status and the part that arrived still say the most.
        let _ = timeout(idle, read).await;
        let error = ServerError::from_body(&bytes);
        let verdict = error.verdict(Some(status.as_u16()));
        let effect = match error.effect(Some(status.as_u16()), verdict, model) {
            // Too busy, but with an end in sight.
            Effect::Call if status == StatusCode::SERVICE_UNAVAILABLE && wait.is_some() => {
                Effect::PauseEndpoint
            }
            Effect::PauseModel if is_of_account => Effect::PauseEndpoint,
            effect => effect,
        };
        let reset = reset.filter(|_| effect.is_pause());
        let words = self.words(&error, effect, model);
        let details = self.details(url, verdict, status);
        let words = if details.is_empty() { &words } else { words.trim_end_matches('.') };
        let message = format_args!("HTTP {}: {words}{details}", StatusLine(status));
        let rejection = ProviderError {
            retryable: verdict.retryable,
            retry_after: wait.or(error.retry_after).or(reset),
            effect,
            ..self.error(verdict.kind, message)
        };
        let is_unauthorized = status == StatusCode::UNAUTHORIZED;
        let quirks = error.quirks(verdict);
        let words = error.message.filter(|_| verdict.kind == ErrorKind::BadRequest);
        PostError { error: rejection, quirks, words, is_unauthorized }
    }

    /// crew follows no redirect: a redirected POST loses its body or sends the key elsewhere.
    fn redirect(&self, url: &Url, response: &Response) -> ProviderError {
        let target = response.headers().get(LOCATION).map(HeaderValue::as_bytes);
        let target = String::from_utf8_lossy(target.unwrap_or_default());
        // Without the parts that may hold a secret.
        let target = match url.join(&target) {
            Ok(mut url) => {
                let _ = (url.set_username(""), url.set_password(None));
                url.set_query(None);
                url.set_fragment(None);
                self.secrets.quote(url.as_str())
            }
            Err(_) => "an invalid URL".into(),
        };
        self.error(
            ErrorKind::BadRequest,
            format_args!(
                "HTTP {}: the server redirects to {target}; set base_url to the URL of the API",
                StatusLine(response.status())
            ),
        )
    }

    /// The server's message, fit for an error. If other calls get the same error, it names the
    /// model.
    fn words(&self, error: &ServerError, effect: Effect, model: &str) -> String {
        let words = self.secrets.quote(error.message.as_deref().unwrap_or("no message"));
        match effect {
            Effect::Call => words,
            _ if words.contains(model) => words,
            _ => format!("{words} (model {model})"),
        }
    }

    /// What only the endpoint knows of the cause: where the key is from, or the address.
    fn details(&self, url: &Url, verdict: Verdict, status: StatusCode) -> String {
        match (verdict.kind, status) {
            (ErrorKind::Auth, _) => format!("; {}", self.key_advice),
            (_, StatusCode::PROXY_AUTHENTICATION_REQUIRED) => net::proxy_advice(url),
            (_, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) => {
                format!(", at {}", self.address(url))
            }
            _ => String::new(),
        }
    }

    fn host_port(&self) -> String {
        let host = self.base_url.host_str().unwrap_or_default();
        match self.base_url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The URL without user info and query.
    fn address(&self, url: &Url) -> String {
        self.secrets.quote(&format!("{}://{}{}", url.scheme(), self.host_port(), url.path()))
    }
}

fn key_advice(plan: &ProviderPlan) -> String {
    if let Some(variable) = &plan.key_variable {
        return format!("check the key in {variable}");
    }
    if plan.key_command.is_some() {
        return "check what api_key_command prints".to_owned();
    }
    match plan.secrets().next() {
        Some((name, _)) => format!("check {name} under providers"),
        // The file has no place for the key of a built-in provider.
        None if plan.vendor.is_some() => {
            "no key was sent: declare the server under providers, with another name".to_owned()
        }
        None => "no key was sent: name its variable in api_key_env".to_owned(),
    }
}

struct StatusLine(StatusCode);

impl Display for StatusLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.canonical_reason() {
            Some(reason) => write!(f, "{} {reason}", self.0.as_str()),
            None => f.write_str(self.0.as_str()),
        }
    }
}
