//! Where a redirect may lead, and what is taken along.

use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use reqwest::{Method, Response, StatusCode, Url};

use super::request::Request;
use crate::plan::hosts::{Host, Hosts};

/// Headers that another host may see. Any other of the file's may be a credential.
const HARMLESS: [HeaderName; 3] = [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE];

/// Makes of the request the one that a redirect asks for. False if the response is none.
///
/// # Errors
/// Why the redirect is not followed.
pub fn follow(request: &mut Request, response: &Response, hosts: &Hosts) -> Result<bool, String> {
    let location = response.headers().get(LOCATION).map(HeaderValue::as_bytes);
    let Some((becomes_get, location)) = asked(&request.method, response.status()).zip(location)
    else {
        return Ok(false);
    };
    let target = request.url.join(&String::from_utf8_lossy(location)).ok();
    let target = target.ok_or("it redirects to what is no address")?;
    let same_host = allow(&request.url, &target, hosts)?;
    if becomes_get {
        request.method = Method::GET;
        request.body = None;
        request.headers.remove(CONTENT_TYPE);
    }
    if !same_host {
        if !request.method.is_safe() {
            let (method, host) = (&request.method, Host::of(&target));
            return Err(format!("it redirects to {host}: a {method} is not repeated elsewhere"));
        }
        request.headers = harmless(&request.headers);
    }
    request.url = target;
    Ok(true)
}

/// Whether it is a redirect, and if so whether its request is a GET whatever this one was: as
/// browsers do it.
fn asked(method: &Method, status: StatusCode) -> Option<bool> {
    match status.as_u16() {
        301 | 302 => Some(*method == Method::POST),
        303 => Some(!matches!(*method, Method::GET | Method::HEAD)),
        307 | 308 => Some(false),
        _ => None,
    }
}

/// Whether it is the same host, if it may be asked at all.
fn allow(from: &Url, target: &Url, hosts: &Hosts) -> Result<bool, String> {
    match (from.scheme(), target.scheme()) {
        ("https", "http") => return Err("it redirects from https to http".to_owned()),
        (_, "http" | "https") => {}
        _ => return Err("it redirects to neither http nor https".to_owned()),
    }
    if !target.username().is_empty() || target.password().is_some() {
        return Err("it redirects to an address with a password".to_owned());
    }
    hosts.permit(target).map_err(|why| format!("it redirects to {why}"))?;
    // From http to https on their usual ports it is the same one, too.
    Ok(Host::of(from) == Host::of(target))
}

fn harmless(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| HARMLESS.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn methods_change_as_in_a_browser() {
        for (method, status, becomes_get) in [
            (Method::POST, 301, Some(true)),
            (Method::POST, 302, Some(true)),
            (Method::PUT, 302, Some(false)),
            (Method::GET, 302, Some(false)),
            (Method::PUT, 303, Some(true)),
            (Method::HEAD, 303, Some(false)),
            (Method::POST, 307, Some(false)),
            (Method::DELETE, 308, Some(false)),
            (Method::GET, 300, None),
            (Method::GET, 304, None),
            (Method::GET, 200, None),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(asked(&method, status), becomes_get, "{method} {status}");
        }
    }

    #[test]
    fn a_redirect_stays_where_the_file_allows_it() {
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
            match (allow(&url(from), &url(target), &hosts), verdict) {
                (Ok(same), Ok(expected)) => assert_eq!(same, expected, "{target}"),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{target}: {why}"),
                (found, _) => panic!("{target}: {found:?}"),
            }
        }
    }
}
