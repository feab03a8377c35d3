//! One model server as every protocol sees it: where it is, who asks, and errors that say what
//! happened, to what, and what to do, without telling a secret.

use std::convert::Infallible;
use std::fmt::Display;
use std::time::Duration;

use futures::stream;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::body::{Body, NoPiece};
use super::failure::ServerError;
use super::{Effect, ProviderError, retry_after};
use crate::net::{self, CONNECT_TIMEOUT};
use crate::plan::ProviderPlan;
use crate::report::{ErrorKind, Scope};
use crate::secret::Secrets;
use crate::untrusted::Untrusted;

/// What is read of the body of an error.
const ERROR_BODY_BYTES: usize = 64 * 1024;

/// One model server. Shared by all agents that use it.
#[derive(Debug)]
pub struct Endpoint {
    client: Client,
    /// The plan's base URL, with its query.
    base: Url,
    headers: HeaderMap,
    secrets: Secrets,
    name: String,
    /// What to do when the key is refused.
    key_advice: String,
}

impl Endpoint {
    pub fn new(plan: &ProviderPlan, client: Client) -> Self {
        let json = HeaderValue::from_static("application/json");
        let accepted = HeaderValue::from_static("text/event-stream, application/json");
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, json), (ACCEPT, accepted)]);
        headers.extend(plan.headers.clone());
        let mut secrets = Secrets::default();
        secrets.add(plan.base_url.password().unwrap_or_default());
        plan.secrets().for_each(|(_, value)| secrets.add(&value));
        let sensitive = headers.values().filter(|value| value.is_sensitive());
        sensitive.for_each(|value| secrets.add(&String::from_utf8_lossy(value.as_bytes())));
        Self {
            client,
            base: plan.base_url.clone(),
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

    /// What calls go below.
    pub fn base(&self) -> &Url {
        &self.base
    }

    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Sends one request and waits for the head of a success; any other answer is an error.
    pub async fn post(
        &self,
        url: Url,
        body: Vec<u8>,
        idle: Duration,
        on_sent: impl FnOnce(),
    ) -> Result<Body, ProviderError> {
        let (tell, sent) = oneshot::channel();
        let length = body.len();
        // The body is asked for when there is a connection to send it on.
        let body = stream::once(async move {
            let _ = tell.send(());
            Ok::<_, Infallible>(body)
        });
        let request = self.client.post(url.clone()).headers(self.headers.clone());
        let request = request.header(CONTENT_LENGTH, length).body(reqwest::Body::wrap_stream(body));
        let mut answer = std::pin::pin!(timeout(idle, request.send()));
        let early = tokio::select! {
            answer = &mut answer => Some(answer),
            _ = sent => None,
        };
        on_sent();
        let answer = match early {
            Some(answer) => answer,
            None => answer.await,
        };
        match answer {
            Err(_) => Err(self.lost(NoPiece::Silence(idle))),
            Ok(Err(error)) => Err(self.lost(NoPiece::Broken(error))),
            Ok(Ok(response)) if response.status().is_success() => Ok(Body::new(response, idle)),
            Ok(Ok(response)) => Err(self.refusal(&url, response, idle).await),
        }
    }

    /// An error of this endpoint, in its own words as far as they go.
    pub fn error(&self, kind: ErrorKind, message: impl Display) -> ProviderError {
        ProviderError {
            kind,
            scope: None,
            message: Untrusted::new(format!("{}: {message}", self.name)),
            retryable: false,
            retry_after: None,
            finish_reason: None,
            effect: Effect::Call,
        }
    }

    /// An error the server described inside a success.
    pub fn told(&self, error: &ServerError) -> ProviderError {
        let verdict = error.verdict(None);
        let words = error.message.as_deref().unwrap_or("no message");
        let mut told = self.error(
            verdict.kind,
            format_args!("the server reported an error: {}", self.secrets.quote(words)),
        );
        told.retryable = verdict.retryable;
        told.retry_after = error.retry_after;
        told.effect = error.effect(None, verdict);
        told
    }

    /// The answer did not come, or not to its end. `retryable` holds if nothing of it had come.
    pub fn lost(&self, cause: NoPiece) -> ProviderError {
        match cause {
            NoPiece::Broken(error) => self.broken(error),
            NoPiece::Silence(idle) => {
                let place = self.host_port();
                let message = format!(
                    "nothing came from {place} for {idle:?}; a slow model may need a longer idle_timeout"
                );
                ProviderError {
                    scope: Some(Scope::Model),
                    ..self.error(ErrorKind::Timeout, message)
                }
            }
        }
    }

    /// The connection could not be made, or did not last.
    fn broken(&self, error: reqwest::Error) -> ProviderError {
        let place = self.host_port();
        let is_connect = error.is_connect();
        if error.is_connect() && error.is_timeout() {
            let message = format!("could not connect to {place} within {CONNECT_TIMEOUT:?}");
            return ProviderError {
                scope: Some(Scope::Model),
                retryable: true,
                ..self.error(ErrorKind::Timeout, message)
            };
        }
        // Its query may hold a secret, in a spelling of its own.
        let cause = self.secrets.quote(&net::innermost(&error.without_url()));
        let message = if is_connect {
            format!("could not connect to {place}: {cause}")
        } else {
            format!("the connection to {place} broke: {cause}")
        };
        // A certificate that is not trusted now will not be in a second either.
        let retryable = !cause.contains("certificate");
        ProviderError { retryable, ..self.error(ErrorKind::Network, message) }
    }

    /// The error of an answer that is no success.
    async fn refusal(&self, url: &Url, mut answer: Response, idle: Duration) -> ProviderError {
        let status = answer.status();
        let (headers, now) = (answer.headers(), Timestamp::now());
        let wait = retry_after::retry_after(headers, now);
        let reset = retry_after::rate_limit_reset(headers, now);
        if status.is_redirection() {
            return self.redirected(url, status, answer.headers());
        }
        let mut bytes = Vec::new();
        let read = async {
            while let Ok(Some(piece)) = answer.chunk().await {
                let room = ERROR_BODY_BYTES - bytes.len();
                bytes.extend_from_slice(&piece[..piece.len().min(room)]);
                if bytes.len() == ERROR_BODY_BYTES {
                    break;
                }
            }
        };
        // Whatever cuts the body short: the status and what came of it say more than that.
        let _ = timeout(idle, read).await;
        let error = ServerError::from_body(&bytes);
        let verdict = error.verdict(Some(status.as_u16()));
        let words = match &error.message {
            Some(message) => self.secrets.quote(message),
            None => "no message".into(),
        };
        let advice = self.advice(url, verdict.kind, status);
        let mut refusal =
            self.error(verdict.kind, format_args!("HTTP {}: {words}{advice}", StatusLine(status)));
        refusal.retryable = verdict.retryable;
        refusal.effect = match error.effect(Some(status.as_u16()), verdict) {
            // Too busy, but it knows until when.
            Effect::Call if status == StatusCode::SERVICE_UNAVAILABLE && wait.is_some() => {
                Effect::Pause
            }
            effect => effect,
        };
        refusal.retry_after =
            wait.or(error.retry_after).or(reset.filter(|_| refusal.effect == Effect::Pause));
        refusal
    }

    fn redirected(&self, url: &Url, status: StatusCode, headers: &HeaderMap) -> ProviderError {
        let target = headers.get(LOCATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let target = String::from_utf8_lossy(target);
        // Without what may carry a secret: the user info and the query.
        let target = match url.join(&target) {
            Ok(mut url) => {
                let _ = (url.set_username(""), url.set_password(None));
                url.set_query(None);
                url.set_fragment(None);
                self.secrets.quote(url.as_str())
            }
            Err(_) => "nowhere".into(),
        };
        self.error(
            ErrorKind::BadRequest,
            format_args!(
                "HTTP {}: the server redirects to {target}; set base_url to where the API is",
                StatusLine(status)
            ),
        )
    }

    /// What to do, where that is plain.
    fn advice(&self, url: &Url, kind: ErrorKind, status: StatusCode) -> String {
        match (kind, status) {
            (ErrorKind::Auth, _) => format!("; {}", self.key_advice),
            (_, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) => {
                format!("; check the model's name and base_url ({})", self.place(url))
            }
            (ErrorKind::RateLimited, _) if status == StatusCode::PAYMENT_REQUIRED => {
                format!("; check the credit of provider {}", self.name)
            }
            _ => String::new(),
        }
    }

    fn host_port(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match self.base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Where calls go, without user info and query.
    fn place(&self, url: &Url) -> String {
        self.secrets.quote(&format!("{}://{}{}", url.scheme(), self.host_port(), url.path()))
    }
}

fn key_advice(plan: &ProviderPlan) -> String {
    if let Some(variable) = &plan.key_variable {
        return format!("check the key in {variable}");
    }
    match plan.secrets().next() {
        Some((place, _)) => format!("check {place} under providers"),
        // The file has no place for the key of a built-in one.
        None if plan.vendor.is_some() => {
            "no key was sent: declare the server under providers, by another name".to_owned()
        }
        None => "no key was sent: name its variable in api_key_env".to_owned(),
    }
}

struct StatusLine(StatusCode);

impl Display for StatusLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.canonical_reason() {
            Some(reason) => write!(f, "{} {reason}", self.0.as_str()),
            None => f.write_str(self.0.as_str()),
        }
    }
}
