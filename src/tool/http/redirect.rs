//! Redirects: which targets are allowed, and which parts of the request go there.

use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use reqwest::{Method, Response, StatusCode, Url};

use super::request::Request;
use crate::plan::hosts::{Host, Hosts};

/// The headers that are sent to another host. Any other may be a credential.
const SAFE_HEADERS: [HeaderName; 3] = [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE];

/// Returns the request that a redirect asks for, or `None` if the response is not a redirect.
///
/// # Errors
/// Why crew does not follow the redirect.
pub fn next_request(
    request: &Request,
    response: &Response,
    hosts: &Hosts,
) -> Result<Option<Request>, String> {
    let location = response.headers().get(LOCATION).map(HeaderValue::as_bytes);
    let Some((method, location)) = next_method(&request.method, response.status()).zip(location)
    else {
        return Ok(None);
    };
    let target = request.url.join(&String::from_utf8_lossy(location));
    let target = target.map_err(|_| "it redirects to an invalid URL")?;
    check_target(&request.url, &target, hosts)?;
    let mut next = request.clone();
    if method != request.method {
        next.body = None;
        next.headers.remove(CONTENT_TYPE);
    }
    if !is_same_host(&request.url, &target) {
        if !method.is_safe() {
            let host = Host::of(&target);
            return Err(format!("it redirects to {host}; crew does not repeat a {method} there"));
        }
        next.headers = safe_headers(&next.headers);
    }
    Ok(Some(Request { method, url: target, ..next }))
}

/// The method after a redirect, as browsers choose it; `None` if the status is not a redirect.
fn next_method(method: &Method, status: StatusCode) -> Option<Method> {
    let becomes_get = match status.as_u16() {
        301 | 302 => *method == Method::POST,
        303 => *method != Method::HEAD,
        307 | 308 => false,
        _ => return None,
    };
    Some(if becomes_get { Method::GET } else { method.clone() })
}

fn check_target(from: &Url, target: &Url, hosts: &Hosts) -> Result<(), String> {
    match (from.scheme(), target.scheme()) {
        ("https", "http") => return Err("it redirects from https to http".to_owned()),
        (_, "http" | "https") => {}
        _ => return Err("it redirects to a URL that is neither http nor https".to_owned()),
    }
    if !target.username().is_empty() || target.password().is_some() {
        return Err("it redirects to a URL with a password".to_owned());
    }
    hosts.permit(target).map_err(|why| format!("it redirects to {why}"))
}

/// A redirect from http to https on the default ports stays on its host.
fn is_same_host(from: &Url, target: &Url) -> bool {
    Host::of(from) == Host::of(target)
}

fn safe_headers(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| SAFE_HEADERS.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn methods_change_as_in_a_browser() {
        for (method, status, next) in [
            (Method::POST, 301, Some(Method::GET)),
            (Method::POST, 302, Some(Method::GET)),
            (Method::PUT, 302, Some(Method::PUT)),
            (Method::GET, 302, Some(Method::GET)),
            (Method::PUT, 303, Some(Method::GET)),
            (Method::HEAD, 303, Some(Method::HEAD)),
            (Method::POST, 307, Some(Method::POST)),
            (Method::DELETE, 308, Some(Method::DELETE)),
            (Method::GET, 300, None),
            (Method::GET, 304, None),
            (Method::GET, 200, None),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(next_method(&method, status), next, "{method} {status}");
        }
    }

    #[test]
    fn redirects_are_limited_to_allowed_hosts() {
        let url = |text: &str| Url::parse(text).unwrap();
        let more = vec![Host::parse("cdn.example").unwrap()];
        let hosts = Hosts::new(Host::of(&url("https://a.example/")), more, false);
        for (from, target, verdict) in [
            ("http://a.example/", "https://a.example/x", Ok(true)),
            ("https://a.example/", "https://a.example/x", Ok(true)),
            ("https://a.example/", "https://cdn.example/x", Ok(false)),
            ("https://a.example/", "http://a.example/x", Err("from https to http")),
            ("https://a.example/", "https://b.example/", Err("b.example, which")),
            ("https://a.example/", "https://a.example:8443/", Err("a.example:8443, which")),
            ("https://a.example/", "https://u:p@a.example/", Err("a password")),
            ("https://a.example/", "file:///etc/passwd", Err("neither http")),
            ("http://a.example/", "http://169.254.169.254/", Err("a link-local address")),
            ("http://a.example/", "http://[::ffff:a9fe:a9fe]/", Err("a link-local address")),
        ] {
            let (from, target) = (url(from), url(target));
            match (check_target(&from, &target, &hosts), verdict) {
                (Ok(()), Ok(same)) => assert_eq!(is_same_host(&from, &target), same, "{target}"),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{target}: {why}"),
                (found, _) => panic!("{target}: {found:?}"),
            }
        }
    }
}
