//! Checks HTTP tools: the request in the file, with templates confined to their places.

use std::fmt;

use reqwest::header::HeaderName;
use reqwest::{Method, Url};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::declared;
use super::hosts::{Host, Hosts, check_address};
use super::scope::Scope;
use crate::config::faults::FaultLog;
use crate::config::file::HttpConfig;
use crate::config::forms::Entries;
use crate::config::place::Path;
use crate::template::{self, PieceKind, Template};
use crate::text::quoted;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const EXPECTED: &str = "expected a URL such as https://api.example.com/users/{{ id }}";

/// The request of an HTTP tool.
#[derive(Debug)]
pub struct HttpPlan {
    pub method: Method,
    /// Scheme, host and port, and the query that is part of the file's URL.
    pub origin: Url,
    /// The segments of the path. Each template fills exactly one.
    pub path: Vec<Template>,
    pub query: Vec<(String, Template)>,
    pub headers: Vec<HeaderPlan>,
    /// Sent as JSON.
    pub body: Option<BodyPlan>,
    pub hosts: Hosts,
}

/// A header. Its value may contain a secret.
pub struct HeaderPlan {
    pub name: HeaderName,
    pub value: Template,
}

impl fmt::Debug for HeaderPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: …", self.name)
    }
}

/// A JSON value whose texts may be templates.
#[derive(Debug)]
pub enum BodyPlan {
    Text(Template),
    List(Vec<BodyPlan>),
    Map(Vec<(String, BodyPlan)>),
    /// Null, a number or a boolean.
    Plain(Value),
}

/// The context in which requests are checked.
pub struct RequestChecker<'a> {
    pub scope: &'a Scope<'a>,
    pub offline: bool,
    pub log: &'a FaultLog,
}

impl RequestChecker<'_> {
    /// The request. `None` if it has faults, which are logged.
    pub fn request(&self, config: &HttpConfig, path: &Path<'_>) -> Option<HttpPlan> {
        let method = self.method(config, path);
        let address = self.address(config.url.as_deref(), path);
        let more = self.hosts(config.allow_hosts.as_deref(), &path.key("allow_hosts"));
        let query = self.query(config, &path.key("query"));
        let headers = self.headers(config, &path.key("headers"));
        self.content_type(config, &path.key("headers"));
        let body = config.body.as_ref().map(|body| self.body(body, &path.key("body")));
        let (origin, segments) = address?;
        let own = Host::of(&origin);
        let hosts = Hosts::new(own.clone(), more, self.offline);
        if let Some(Err(what)) = own.address().map(|ip| check_address(ip, &hosts.listed)) {
            let hint = format!("to allow it, write allow_hosts: [\"{}\"]", own.name);
            self.log.value(&path.key("url"), format!("{own} is {what}"), Some(hint));
        }
        Some(HttpPlan { method, origin, path: segments, query, headers, body, hosts })
    }

    /// The method. The default is GET, or POST with a body.
    fn method(&self, config: &HttpConfig, path: &Path<'_>) -> Method {
        let Some(text) = &config.method else {
            return if config.body.is_some() { Method::POST } else { Method::GET };
        };
        let upper = text.to_ascii_uppercase();
        let key = path.key("method");
        if !METHODS.contains(&upper.as_str()) {
            let hint = self.log.nearest(&upper, METHODS);
            let hint = hint.unwrap_or_else(|| format!("known: {}", METHODS.join(", ")));
            self.log.value(&key, format!("there is no method {}", quoted(text)), Some(hint));
        } else if matches!(upper.as_str(), "GET" | "HEAD") && config.body.is_some() {
            let hint = "write query: instead, or method: POST".to_owned();
            self.log.value(&key, format!("a {upper} request has no body"), Some(hint));
        }
        upper.parse().unwrap_or_default()
    }

    fn address(&self, text: Option<&str>, path: &Path<'_>) -> Option<(Url, Vec<Template>)> {
        let Some(text) = text else {
            self.log.key(path, "the request has no url", Some(EXPECTED.to_owned()));
            return None;
        };
        let path = path.key("url");
        if self.log.is_broken(&path) {
            return None;
        }
        let fault = |message: &str, hint: &str| {
            self.log.value(&path, message, Some(hint.to_owned()));
        };
        let Some(Address { scheme, authority, segments, query, fragment }) = split_url(text) else {
            if text.trim_start().starts_with('{') {
                fault(FIXED, FILLABLE);
            } else {
                fault(EXPECTED, "only http and https are supported");
            }
            return None;
        };
        if authority.contains('{') {
            fault(FIXED, FILLABLE);
            return None;
        }
        if authority.contains('@') {
            fault("put credentials in headers", "such as authorization: Basic ${TOKEN}");
            return None;
        }
        let mut origin = match Url::parse(&format!("{scheme}://{authority}/")) {
            Ok(origin) => origin,
            Err(error) => {
                fault(&format!("invalid URL: {error}"), EXPECTED);
                return None;
            }
        };
        if fragment {
            fault("the part after # is never sent", "remove it; %23 is a literal #");
        }
        if query.is_some_and(|query| query.contains(['{', '}'])) {
            fault("templates are not allowed after the ?", "write the parameter under query:");
        }
        origin.set_query(query.filter(|query| !query.is_empty()));
        let segment = |segment: &&str| {
            if is_dots(segment) {
                fault("`.` and `..` are not allowed in the path", "write the path without them");
            } else if segment.contains('\\') {
                fault("\\ is not allowed in the path", "write / or %5C");
            }
            self.scope.template(segment, &path, self.log)
        };
        Some((origin, segments.iter().map(segment).collect()))
    }

    fn hosts(&self, listed: Option<&[String]>, path: &Path<'_>) -> Vec<Host> {
        let mut hosts = Vec::new();
        for (at, text) in listed.unwrap_or_default().iter().enumerate() {
            match Host::parse(text) {
                Some(host) => hosts.push(host),
                None => {
                    let message = format!("{} is not a host", quoted(text));
                    let hint = "write a host and perhaps a port: cdn.example.com or 127.0.0.1:8080";
                    self.log.value(&path.index(at), message, Some(hint.to_owned()));
                }
            }
        }
        hosts
    }

    fn query(&self, config: &HttpConfig, path: &Path<'_>) -> Vec<(String, Template)> {
        let parameter = |(name, value): &(String, Value)| {
            let path = path.key(name);
            self.name(name, &path);
            let template = match value {
                Value::String(text) => self.scope.template(text, &path, self.log),
                Value::Number(_) | Value::Bool(_) => {
                    self.scope.template(&value.to_string(), &path, self.log)
                }
                _ => {
                    let hint = Some("put it in quotes".to_owned());
                    self.log.value(&path, "expected a text, a number, true or false", hint);
                    Template::default()
                }
            };
            (name.clone(), template)
        };
        Entries::of(config.query.as_ref()).iter().map(parameter).collect()
    }

    fn name(&self, name: &str, path: &Path<'_>) {
        if ["{{", "{%"].iter().any(|open| name.contains(open)) {
            let hint = Some("they work in values only".to_owned());
            self.log.key(path, "templates do not work in names", hint);
        }
    }

    fn headers(&self, config: &HttpConfig, path: &Path<'_>) -> Vec<HeaderPlan> {
        let checked = declared::headers(config.headers.as_ref(), path, self.log);
        let header = |(name, value): (String, secrecy::SecretString)| {
            let value = self.scope.template(value.expose_secret(), &path.key(&name), self.log);
            // An invalid name has been logged.
            Some(HeaderPlan { name: name.parse().ok()?, value })
        };
        checked.into_iter().filter_map(header).collect()
    }

    /// Logs a content type other than JSON: the body is always JSON.
    fn content_type(&self, config: &HttpConfig, path: &Path<'_>) {
        let headers = config.headers.iter().flat_map(|headers| &headers.0);
        let is_wrong = |(name, value): &&(String, String)| {
            name.eq_ignore_ascii_case("content-type")
                && !value.contains("{{")
                && !value.to_ascii_lowercase().contains("json")
        };
        if let (Some(_), Some((name, _))) = (&config.body, headers.into_iter().find(is_wrong)) {
            let hint = "remove it, or write a type of JSON".to_owned();
            self.log.value(&path.key(name), "the body is sent as JSON", Some(hint));
        }
    }

    fn body(&self, value: &Value, path: &Path<'_>) -> BodyPlan {
        match value {
            Value::String(text) => BodyPlan::Text(self.scope.template(text, path, self.log)),
            Value::Array(items) => {
                let item = |(at, item)| self.body(item, &path.index(at));
                BodyPlan::List(items.iter().enumerate().map(item).collect())
            }
            Value::Object(entries) => {
                let entry = |(name, value): (&String, _)| {
                    let path = path.key(name);
                    self.name(name, &path);
                    (name.clone(), self.body(value, &path))
                };
                BodyPlan::Map(entries.iter().map(entry).collect())
            }
            plain => BodyPlan::Plain(plain.clone()),
        }
    }
}

const FIXED: &str = "templates are not allowed in the scheme, the host and the port";
const FILLABLE: &str = "they work in segments of the path, query, headers and body";

/// The parts of a URL of the file.
struct Address<'a> {
    scheme: &'a str,
    authority: &'a str,
    segments: Vec<&'a str>,
    query: Option<&'a str>,
    fragment: bool,
}

/// Splits a URL outside its templates. `None` if it does not begin with http:// or https://.
fn split_url(text: &str) -> Option<Address<'_>> {
    let (scheme, rest) = text.trim().split_once("://")?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
    let (rest, fragment) = match first_outside(rest, '#') {
        Some(at) => (&rest[..at], true),
        None => (rest, false),
    };
    let (mut path, query) = match first_outside(rest, '?') {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    path = path.strip_prefix('/').unwrap_or(path);
    let mut segments = Vec::new();
    while let Some(at) = first_outside(path, '/') {
        segments.push(&path[..at]);
        path = &path[at + 1..];
    }
    segments.push(path);
    Some(Address { scheme, authority, segments, query, fragment })
}

/// The first position of the character outside the tags of a template.
fn first_outside(text: &str, wanted: char) -> Option<usize> {
    let mut from = 0;
    for piece in template::pieces(text) {
        if let (PieceKind::Text, Some(at)) = (piece.kind, piece.source.find(wanted)) {
            return Some(from + at);
        }
        from += piece.source.len();
    }
    None
}

/// Whether a URL treats the segment as `.` or `..`.
pub fn is_dots(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_url_is_split_outside_its_templates() {
        let Address { scheme, authority, segments, query, fragment } =
            split_url("https://h:1/a/{{ b / 2 }}x{# / #}/{{ '?#' }}//?q={{ '#' }}&r").unwrap();
        assert_eq!((scheme, authority), ("https", "h:1"));
        assert_eq!(segments, ["a", "{{ b / 2 }}x{# / #}", "{{ '?#' }}", "", ""]);
        assert_eq!((query, fragment), (Some("q={{ '#' }}&r"), false));
        let short = split_url("http://h?x#y").unwrap();
        assert_eq!((short.authority, short.segments, short.query), ("h", vec![""], Some("x")));
        assert!(short.fragment && split_url("ftp://h/").is_none());
    }

    #[test]
    fn dots_are_recognized_in_every_spelling() {
        for (segment, dots) in [
            (".", true),
            ("..", true),
            ("%2E.", true),
            ("%2e%2E", true),
            ("...", false),
            ("", false),
        ] {
            assert_eq!(is_dots(segment), dots, "{segment}");
        }
    }
}
