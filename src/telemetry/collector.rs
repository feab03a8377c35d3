//! The collector of the spans, as the variables of OpenTelemetry describe it.

use std::sync::OnceLock;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use tokio::time::timeout;

use super::names;
use crate::net::{self, innermost};

/// The limit for everything: connect, send, and the collector's response.
pub const EXPORT_TIMEOUT: Duration = Duration::from_secs(2);
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const TRACES_HEADERS: &str = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";

/// Where the spans of a run go.
#[derive(Debug)]
pub struct Collector {
    url: Url,
    headers: HeaderMap,
    /// The attributes that all spans share.
    pub resource: Vec<(String, String)>,
    /// Made for the first request.
    client: OnceLock<Client>,
}

/// Why the spans were not sent. Shows neither headers nor the path of the URL, which can be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CollectorError(String);

impl CollectorError {
    pub fn new(message: &str) -> Self {
        Self(message.to_owned())
    }
}

type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Collector {
    /// `None` unless the environment names a collector and does not turn tracing off.
    pub fn of_environment(variable: Variable<'_>) -> Option<Result<Self, CollectorError>> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let is_off =
            |name: &str, off: &str| set(name).is_some_and(|value| value.eq_ignore_ascii_case(off));
        if is_off("OTEL_SDK_DISABLED", "true") || is_off("OTEL_TRACES_EXPORTER", "none") {
            return None;
        }
        let own = set(TRACES_ENDPOINT).map(|endpoint| (TRACES_ENDPOINT, endpoint));
        let shared = || {
            let endpoint = set(ENDPOINT)?;
            Some((ENDPOINT, format!("{}/v1/traces", endpoint.trim_end_matches('/'))))
        };
        let (name, endpoint) = own.or_else(shared)?;
        Some(Self::new(name, &endpoint, &set))
    }

    fn new(name: &str, endpoint: &str, set: Variable<'_>) -> Result<Self, CollectorError> {
        let url = Url::parse(endpoint.trim()).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url =
            url.ok_or_else(|| CollectorError(format!("{name} is not an http or https URL")))?;
        for name in [TRACES_PROTOCOL, PROTOCOL] {
            match set(name).as_deref().map(str::trim) {
                Some("grpc") => {
                    let message = format!(
                        "{name} is grpc; crew sends OTLP/JSON: set it to http/json, and name the \
                         port for HTTP (4318 by default)"
                    );
                    return Err(CollectorError(message));
                }
                Some(_) => break,
                None => {}
            }
        }
        let (name, given) = match set(TRACES_HEADERS) {
            Some(given) => (TRACES_HEADERS, given),
            None => (HEADERS, set(HEADERS).unwrap_or_default()),
        };
        let headers = headers(name, &given)?;
        Ok(Self { url, headers, resource: resource(set), client: OnceLock::new() })
    }

    /// The values of its headers and the password of its URL.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let headers = self.headers.values().filter_map(|value| value.to_str().ok());
        headers.chain(self.url.password())
    }

    /// Sends a request for spans. Takes at most [`EXPORT_TIMEOUT`].
    ///
    /// # Errors
    /// The collector did not accept it.
    pub async fn send(&self, body: Vec<u8>) -> Result<(), CollectorError> {
        let host = self.host();
        let request = self
            .client()?
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .headers(self.headers.clone())
            .body(body);
        match timeout(EXPORT_TIMEOUT, request.send()).await {
            Err(_) => {
                Err(CollectorError(format!("{host} did not respond within {EXPORT_TIMEOUT:?}")))
            }
            Ok(Err(error)) => {
                let advice = net::advice(&error);
                let cause = innermost(&error.without_url());
                Err(CollectorError(format!("cannot send to {host}: {cause}{advice}")))
            }
            Ok(Ok(response)) if response.status().is_success() => Ok(()),
            Ok(Ok(response)) => {
                Err(CollectorError(format!("{host} responded with HTTP {}", response.status())))
            }
        }
    }

    fn client(&self) -> Result<&Client, CollectorError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = net::builder(std::slice::from_ref(&self.url)).and_then(net::build);
        let client = client.map_err(|error| CollectorError(error.to_string()))?;
        Ok(self.client.get_or_init(|| client))
    }

    fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{host}:{port}")
    }
}

/// `NAME=VALUE,NAME=VALUE`, each value percent-encoded.
fn headers(variable: &str, given: &str) -> Result<HeaderMap, CollectorError> {
    let mut headers = HeaderMap::new();
    for (at, (name, value)) in pairs(given).enumerate() {
        let name = HeaderName::from_bytes(name.as_bytes()).ok();
        let value = value.and_then(|value| HeaderValue::try_from(value).ok());
        let Some((name, mut value)) = name.zip(value) else {
            let message = format!("entry {} of {variable} is not NAME=VALUE", at + 1);
            return Err(CollectorError(message));
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn resource(set: Variable<'_>) -> Vec<(String, String)> {
    let given = set("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let mut resource: Vec<(String, String)> =
        pairs(&given).filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    if let Some(name) = set("OTEL_SERVICE_NAME") {
        resource.retain(|(known, _)| known != names::SERVICE_NAME);
        resource.push((names::SERVICE_NAME.to_owned(), name));
    }
    for (name, value) in
        [(names::SERVICE_NAME, "crew"), (names::SERVICE_VERSION, env!("CARGO_PKG_VERSION"))]
    {
        if !resource.iter().any(|(known, _)| known == name) {
            resource.push((name.to_owned(), value.to_owned()));
        }
    }
    resource
}

/// The entries of a list; the value is `None` if there is no `=`, or if it is not UTF-8.
fn pairs(list: &str) -> impl Iterator<Item = (&str, Option<String>)> {
    let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(|entry| match entry.split_once('=') {
        Some((name, value)) => {
            let value = percent_decode_str(value.trim()).decode_utf8().ok();
            (name.trim(), value.map(|value| value.into_owned()))
        }
        None => (entry, None),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Result<Collector, CollectorError>> {
        Collector::of_environment(&|name| {
            let variable = variables.iter().find(|(known, _)| *known == name);
            variable.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_url_is_that_of_traces() {
        for (name, value, expected) in [
            (ENDPOINT, "http://c:4318", "http://c:4318/v1/traces"),
            (ENDPOINT, "https://c/otlp/", "https://c/otlp/v1/traces"),
            (TRACES_ENDPOINT, "http://c/any", "http://c/any"),
        ] {
            assert_eq!(of(&[(name, value)]).unwrap().unwrap().url.as_str(), expected);
        }
        for off in [("OTEL_SDK_DISABLED", "True"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert!(of(&[(ENDPOINT, "http://c:4318"), off]).is_none());
        }
        assert!(of(&[]).is_none() && of(&[(ENDPOINT, " ")]).is_none());
    }

    #[test]
    fn headers_are_decoded_and_secret() {
        let given =
            [(ENDPOINT, "http://u:hidden@c"), (HEADERS, "authorization=Bearer%20k3y, x-team=a=b")];
        let collector = of(&given).unwrap().unwrap();
        assert_eq!(collector.secrets().collect::<Vec<_>>(), ["Bearer k3y", "a=b", "hidden"]);
        assert!(!format!("{:?}", collector.headers).contains("k3y"));
    }

    #[test]
    fn what_cannot_work_is_an_error_without_values() {
        for (name, value, expected) in [
            (HEADERS, "a=1,k3y", "entry 2 of OTEL_EXPORTER_OTLP_HEADERS is not NAME=VALUE"),
            (HEADERS, "k 3=y", "entry 1 of OTEL_EXPORTER_OTLP_HEADERS is not NAME=VALUE"),
            (
                TRACES_ENDPOINT,
                "c:4317",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is not an http or https URL",
            ),
        ] {
            let given = [(ENDPOINT, "http://c"), (name, value)];
            assert_eq!(of(&given).unwrap().unwrap_err().to_string(), expected);
        }
        let grpc = of(&[(ENDPOINT, "http://c:4317"), (PROTOCOL, "grpc")]).unwrap().unwrap_err();
        assert!(grpc.to_string().starts_with("OTEL_EXPORTER_OTLP_PROTOCOL is grpc; crew sends"));
    }

    #[test]
    fn the_resource_names_the_service() {
        let named = |variables: &[(&str, &str)]| {
            let all = [&[(ENDPOINT, "http://c")], variables].concat();
            let resource = of(&all).unwrap().unwrap().resource;
            let found = resource.into_iter().filter(|(name, _)| name == names::SERVICE_NAME);
            found.map(|(_, value)| value).collect::<Vec<_>>()
        };
        let given = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a%20b,team=x");
        assert_eq!(named(&[]), ["crew"]);
        assert_eq!(named(&[given]), ["a b"]);
        assert_eq!(named(&[given, ("OTEL_SERVICE_NAME", "c")]), ["c"]);
    }
}
