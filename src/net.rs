//! HTTP clients. Each has one connection pool, and neither retries nor follows redirects.

use std::error::Error;
use std::io;
use std::time::Duration;

use nix::errno::Errno;
use reqwest::{Client, ClientBuilder, Url};

use proxies::{Proxies, ProxyError};

pub use proxies::{is_loopback, is_loopback_host};

mod proxies;

/// The limit of name lookup, connect and TLS handshake together, as reqwest counts it.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why no request can be made at all. Found before anything runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(pub String);

impl From<ProxyError> for SetupError {
    fn from(error: ProxyError) -> Self {
        Self(error.to_string())
    }
}

/// The settings that all clients of crew share, for requests to these URLs.
pub fn builder(urls: &[Url]) -> Result<ClientBuilder, SetupError> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only if another thread has just installed one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let proxies = Proxies::of_environment();
    let used = urls.iter().filter_map(|url| proxies.of(url).transpose());
    let used = used.collect::<Result<Vec<_>, _>>()?;
    let mut builder = Client::builder()
        .user_agent(concat!("crew/", env!("CARGO_PKG_VERSION")))
        // The agent retries, within its deadline. By default reqwest would too.
        .retry(reqwest::retry::never())
        // A redirected POST loses its body or sends a key elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .no_proxy();
    if !urls.iter().chain(used.iter().map(|proxy| proxy.url)).any(|url| url.scheme() == "https") {
        // Loading the system's certificates takes milliseconds and fails if there are none.
        builder = builder.tls_certs_only([]);
    }
    // Only URLs among `urls` are requested, and their proxies are usable. For a proxy, the client
    // parses the URL of each request again.
    if !used.is_empty() {
        let proxy = move |url: &Url| Some(proxies.of(url).ok()??.url.clone());
        builder = builder.proxy(reqwest::Proxy::custom(proxy));
    }
    Ok(builder)
}

/// Builds the client, with the system's certificates if it needs them.
pub fn build(builder: ClientBuilder) -> Result<Client, SetupError> {
    builder.build().map_err(|error| {
        let bundle = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty());
        let advice = match bundle {
            Some(file) => format!("correct or unset SSL_CERT_FILE ({})", file.display()),
            None => "install the system's CA certificates (package ca-certificates) or name a \
                     bundle in SSL_CERT_FILE"
                .to_owned(),
        };
        SetupError(format!("cannot set up HTTPS: {}; {advice}", innermost(&error)))
    })
}

/// Advice on a failed request, to follow its cause. Empty if there is none.
pub fn advice(error: &reqwest::Error) -> String {
    if rejects_certificate(error) {
        return "; if you trust the server, add its CA to the system's certificates or name a bundle \
                in SSL_CERT_FILE"
            .to_owned();
    }
    error.url().filter(|_| error.is_connect()).map_or_else(String::new, proxy_advice)
}

/// What to do about the proxy for a URL, if there is one, to go after what it did.
pub fn proxy_advice(url: &Url) -> String {
    let proxies = Proxies::of_environment();
    let Ok(Some(proxy)) = proxies.of(url) else { return String::new() };
    let host = proxy.url.host_str().unwrap_or_default();
    let port = proxy.url.port_or_known_default().unwrap_or_default();
    format!(
        " (proxy {host}:{port} from {}); correct or unset the variable, or add {} to NO_PROXY",
        proxy.variable,
        url.host_str().unwrap_or_default()
    )
}

/// Whether the server's certificate was rejected.
pub fn rejects_certificate(error: &reqwest::Error) -> bool {
    error.source().is_some_and(is_invalid_certificate)
}

fn is_invalid_certificate(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return matches!(error, rustls::Error::InvalidCertificate(_));
    }
    // `source` of an io::Error skips the error inside it.
    let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match inside {
        Some(inside) => is_invalid_certificate(inside),
        None => error.source().is_some_and(is_invalid_certificate),
    }
}

/// The last cause of an error, in plain words.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let Some(error) = cause.downcast_ref::<io::Error>() else { return cause.to_string() };
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset by the server".into(),
        _ if error.raw_os_error() == Some(Errno::EMFILE as i32) => {
            "too many open files; raise ulimit -n or set the provider's max_concurrency".into()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_certificate_is_found_inside_io_errors() {
        let tls = |error| io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
        let invalid = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert!(is_invalid_certificate(&tls(invalid)));
        assert!(!is_invalid_certificate(&tls(rustls::Error::HandshakeNotComplete)));
        assert!(!is_invalid_certificate(&io::Error::other("certificate")));
    }
}
