//! HTTP clients. Each has one connection pool, and neither retries nor follows redirects.

use std::error::Error;
use std::io;
use std::time::Duration;

use nix::errno::Errno;
use reqwest::{Client, ClientBuilder, NoProxy, Proxy, Url};

/// The limit of name lookup, connect and TLS handshake together, as reqwest counts it.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why no request can be made at all. Found before anything runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(pub String);

/// The settings that all clients of crew share, for requests to these URLs.
pub fn builder(urls: &[Url]) -> Result<ClientBuilder, SetupError> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only if another thread has just installed one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let proxies = proxies(urls, |name| std::env::var(name).ok())?;
    let mut builder = Client::builder()
        .user_agent(concat!("crew/", env!("CARGO_PKG_VERSION")))
        // The agent retries, within its deadline. By default reqwest would too.
        .retry(reqwest::retry::never())
        // A redirected POST loses its body or sends a key elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .no_proxy();
    if !urls.iter().chain(proxies.iter().map(|(_, url)| url)).any(|url| url.scheme() == "https") {
        // Loading the system's certificates takes milliseconds and fails if there are none.
        builder = builder.tls_certs_only([]);
    }
    for (proxy, _) in proxies {
        builder = builder.proxy(proxy);
    }
    Ok(builder)
}

/// Builds the client, with the system's certificates if it needs them.
pub fn build(builder: ClientBuilder) -> Result<Client, SetupError> {
    builder.build().map_err(|error| {
        SetupError(format!(
            "cannot set up HTTPS: {}; install the system's CA certificates (package ca-certificates) \
             or name a bundle in SSL_CERT_FILE",
            innermost(&error)
        ))
    })
}

/// The proxies of the environment. reqwest's own detection would also use them for loopback hosts.
fn proxies(
    endpoints: &[Url],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(Proxy, Url)>, SetupError> {
    let find = |name: &str| {
        // Under CGI, a client's `Proxy:` header arrives as HTTP_PROXY.
        let upper = name.to_ascii_uppercase();
        let forged = upper == "HTTP_PROXY" && variable("REQUEST_METHOD").is_some();
        let found = variable(name).or_else(|| if forged { None } else { variable(&upper) });
        found.filter(|value| !value.trim().is_empty())
    };
    let exceptions = format!("localhost,127.0.0.0/8,::1,{}", find("no_proxy").unwrap_or_default());
    let uses = |scheme: &str| {
        endpoints.iter().any(|url| !is_loopback(url) && (scheme == "all" || url.scheme() == scheme))
    };
    let mut found = Vec::new();
    for scheme in ["http", "https", "all"] {
        let name = format!("{scheme}_proxy");
        let Some(value) = find(&name).filter(|_| uses(scheme)) else { continue };
        let (proxy, url) = proxy(scheme, value.trim()).ok_or_else(|| {
            // Without the value, which may hold a password.
            SetupError(format!(
                "the environment variable {name} is not the URL of an http or https proxy; \
                 correct or unset it"
            ))
        })?;
        found.push((proxy.no_proxy(NoProxy::from_string(&exceptions)), url));
    }
    Ok(found)
}

fn proxy(scheme: &str, value: &str) -> Option<(Proxy, Url)> {
    let url = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let url = Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let proxy = match scheme {
        "http" => Proxy::http(url.clone()),
        "https" => Proxy::https(url.clone()),
        _ => Proxy::all(url.clone()),
    };
    Some((proxy.ok()?, url))
}

pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    match address {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
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
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn found(endpoints: &[&str], variables: &[(&str, &str)]) -> Result<Vec<String>, SetupError> {
        let urls: Vec<Url> = endpoints.iter().filter_map(|url| Url::parse(url).ok()).collect();
        let get = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Ok(proxies(&urls, get)?.into_iter().map(|(_, url)| url.to_string()).collect())
    }

    #[test]
    fn proxies_of_the_environment() {
        let remote = "https://api.example";
        for (endpoint, variables, expected) in [
            (remote, &[][..], &[][..]),
            (remote, &[("https_proxy", "http://p:1")], &["http://p:1/"]),
            (remote, &[("HTTPS_PROXY", "p:1")], &["http://p:1/"]),
            (remote, &[("http_proxy", "p:1")], &[]),
            (remote, &[("ALL_PROXY", "https://u:w@p:1")], &["https://u:w@p:1/"]),
            (remote, &[("https_proxy", " ")], &[]),
            ("http://a.example", &[("HTTP_PROXY", "p:1"), ("REQUEST_METHOD", "GET")], &[]),
            ("http://127.0.0.1:80", &[("http_proxy", "p:1"), ("all_proxy", "p:1")], &[]),
            ("http://127.1.2.3", &[("http_proxy", "p:1")], &[]),
            ("http://[::1]:80", &[("http_proxy", "p:1")], &[]),
            ("http://localhost:80", &[("http_proxy", "nonsense://")], &[]),
        ] {
            assert_eq!(
                found(&[endpoint], variables).unwrap_or_default(),
                expected,
                "{endpoint} {variables:?}"
            );
        }
    }

    #[test]
    fn a_rejected_certificate_is_found_inside_io_errors() {
        let tls = |error| io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
        let invalid = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert!(is_invalid_certificate(&tls(invalid)));
        assert!(!is_invalid_certificate(&tls(rustls::Error::HandshakeNotComplete)));
        assert!(!is_invalid_certificate(&io::Error::other("certificate")));
    }

    #[test]
    fn a_bad_proxy_is_named_without_its_password() {
        let error = found(&["https://api.example"], &[("all_proxy", "socks5://u:hunter2@p:1")]);
        let message = error.map_err(|error| error.to_string()).unwrap_err();
        assert!(message.contains("all_proxy") && !message.contains("hunter2"), "{message}");
    }
}
