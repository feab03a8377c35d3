//! The proxies that the environment names, and the hosts that need none.

use std::net::IpAddr;

use reqwest::Url;

/// The proxies of the environment. reqwest's own detection would also use them for loopback hosts,
/// and prefer none of `http_proxy` and `all_proxy`.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    http: Option<Setting>,
    https: Option<Setting>,
    all: Option<Setting>,
    exceptions: Vec<Exception>,
}

/// A variable that names a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    variable: String,
    /// `None` if its value is not the URL of a proxy that crew supports.
    url: Option<Url>,
}

/// A variable that would name the proxy of a host does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the environment variable {variable} is not the URL of an http or https proxy; correct or unset \
     it, or add {host} to NO_PROXY"
)]
pub struct ProxyError {
    variable: String,
    host: String,
}

/// A proxy in use.
#[derive(Debug, Clone, Copy)]
pub struct Proxy<'a> {
    /// The environment variable that names it.
    pub variable: &'a str,
    /// With credentials, if the variable has them.
    pub url: &'a Url,
}

impl Proxies {
    pub fn of_environment() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let find = |name: &str| {
            // Under CGI, a client's `Proxy:` header arrives as HTTP_PROXY.
            let upper = name.to_ascii_uppercase();
            let forged = upper == "HTTP_PROXY" && variable("REQUEST_METHOD").is_some();
            let upper = Some(upper).filter(|_| !forged);
            let mut names = [Some(name.to_owned()), upper].into_iter().flatten();
            names.find_map(|name| Some((variable(&name)?, name)))
        };
        let setting = |name: &str| {
            let (value, variable) = find(name)?;
            let value = value.trim();
            (!value.is_empty()).then(|| Setting { variable, url: proxy_url(value) })
        };
        let exceptions = find("no_proxy").map(|(value, _)| value).unwrap_or_default();
        let exceptions = exceptions.split([',', ' ', '\t', '\n']).filter_map(Exception::parse);
        Self {
            http: setting("http_proxy"),
            https: setting("https_proxy"),
            all: setting("all_proxy"),
            exceptions: exceptions.collect(),
        }
    }

    /// The proxy for requests to this URL.
    ///
    /// # Errors
    /// The variable that applies is not the URL of a proxy that crew supports.
    pub fn of(&self, url: &Url) -> Result<Option<Proxy<'_>>, ProxyError> {
        if is_loopback(url) || self.exceptions.iter().any(|exception| exception.covers(url)) {
            return Ok(None);
        }
        let of_scheme = if url.scheme() == "https" { &self.https } else { &self.http };
        let Some(setting) = of_scheme.as_ref().or(self.all.as_ref()) else { return Ok(None) };
        let variable = &setting.variable;
        match &setting.url {
            Some(url) => Ok(Some(Proxy { variable, url })),
            // Without the value, which may hold a password.
            None => Err(ProxyError {
                variable: variable.clone(),
                host: url.host_str().unwrap_or_default().to_owned(),
            }),
        }
    }
}

pub fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback_host)
}

/// Whether a host of a URL is this machine. IPv6 addresses are in brackets.
pub fn is_loopback_host(host: &str) -> bool {
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

fn proxy_url(value: &str) -> Option<Url> {
    let url = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// One entry of `NO_PROXY`, in a form that curl, Go or Python accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    /// `None`: any port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    /// `*`
    All,
    /// `example.com`, `.example.com`, `*.example.com`: the domain and what is below it.
    Domain(String),
    /// `10.0.0.0/8`, or a single address.
    Network { address: IpAddr, prefix: u32 },
}

impl Exception {
    /// `None` for an entry that no host can match.
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_ascii_lowercase();
        if let Some((address, prefix)) = entry.split_once('/') {
            let (address, prefix) = (address.parse().ok()?, prefix.parse().ok()?);
            return Some(Self { hosts: Hosts::Network { address, prefix }, port: None });
        }
        let (host, port) = match entry.rsplit_once(':') {
            // All other colons belong to an IPv6 address.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(port.parse().ok()?))
            }
            _ => (&*entry, None),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let hosts = if let Ok(address) = bare.parse::<IpAddr>() {
            Hosts::Network { address, prefix: 128 }
        } else if host == "*" {
            Hosts::All
        } else {
            let domain = host.strip_prefix('*').unwrap_or(host).trim_matches('.');
            Hosts::Domain(Some(domain).filter(|domain| !domain.is_empty())?.to_owned())
        };
        Some(Self { hosts, port })
    }

    fn covers(&self, url: &Url) -> bool {
        if self.port.is_some() && self.port != url.port_or_known_default() {
            return false;
        }
        let host = url.host_str().unwrap_or_default();
        match &self.hosts {
            Hosts::All => true,
            Hosts::Domain(domain) => {
                let host = host.trim_end_matches('.');
                let above = host.strip_suffix(domain.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            Hosts::Network { address, prefix } => {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                host.parse().is_ok_and(|host| is_within(host, *address, *prefix))
            }
        }
    }
}

/// Whether both addresses share their first bits. A prefix longer than the address is all of it.
fn is_within(host: IpAddr, network: IpAddr, prefix: u32) -> bool {
    match (host.to_canonical(), network.to_canonical()) {
        (IpAddr::V4(host), IpAddr::V4(network)) => {
            let differing = host.to_bits() ^ network.to_bits();
            differing.leading_zeros() >= prefix.min(u32::BITS)
        }
        (IpAddr::V6(host), IpAddr::V6(network)) => {
            let differing = host.to_bits() ^ network.to_bits();
            differing.leading_zeros() >= prefix.min(u128::BITS)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn proxy_of(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, ProxyError> {
        let get = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let proxies = Proxies::read(get);
        let proxy = proxies.of(&Url::parse(url).unwrap())?;
        Ok(proxy.map(|proxy| format!("{} {}", proxy.variable, proxy.url)))
    }

    #[test]
    fn proxies_of_the_environment() {
        let remote = "https://api.example";
        for (url, variables, expected) in [
            (remote, &[][..], None),
            (remote, &[("https_proxy", "http://p:1")], Some("https_proxy http://p:1/")),
            (remote, &[("HTTPS_PROXY", "p:1")], Some("HTTPS_PROXY http://p:1/")),
            (remote, &[("http_proxy", "p:1")], None),
            (remote, &[("ALL_PROXY", "https://u:w@p:1")], Some("ALL_PROXY https://u:w@p:1/")),
            (remote, &[("https_proxy", " ")], None),
            ("http://a.example", &[("HTTP_PROXY", "p:1"), ("REQUEST_METHOD", "GET")], None),
            ("http://127.0.0.1:80", &[("http_proxy", "p:1"), ("all_proxy", "p:1")], None),
            ("http://127.1.2.3", &[("http_proxy", "p:1")], None),
            ("http://[::1]:80", &[("http_proxy", "p:1")], None),
            ("http://localhost:80", &[("http_proxy", "nonsense://")], None),
        ] {
            let found = proxy_of(url, variables).unwrap();
            assert_eq!(found.as_deref(), expected, "{url} {variables:?}");
        }
    }

    #[test]
    fn all_proxy_matters_only_where_no_other_proxy_or_exception_applies() {
        let socks = ("all_proxy", "socks5://u:hunter2@p:1");
        for (url, variables) in [
            ("http://a.example", &[socks, ("http_proxy", "p:1")][..]),
            ("https://a.example", &[socks, ("HTTPS_PROXY", "p:1")]),
            ("https://a.example", &[socks, ("NO_PROXY", ".example")]),
            ("http://127.0.0.1", &[socks]),
        ] {
            assert!(proxy_of(url, variables).is_ok(), "{url} {variables:?}");
        }
        let unused = [socks, ("http_proxy", "p:1")];
        let message = proxy_of("https://a.example", &unused).unwrap_err().to_string();
        assert!(message.contains("all_proxy") && message.contains("a.example"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn exceptions_in_every_usual_form() {
        for (no_proxy, url, is_direct) in [
            ("*", "https://api.example.com", true),
            ("example.com", "https://api.example.com", true),
            ("example.com", "https://example.com", true),
            ("example.com", "https://notexample.com", false),
            (".example.com", "https://api.example.com", true),
            ("*.example.com", "https://api.example.com", true),
            ("*.EXAMPLE.com", "https://Api.Example.COM", true),
            ("other.org, .example.com", "https://api.example.com", true),
            ("other.org .example.com", "https://api.example.com", true),
            ("api.example.com:443", "https://api.example.com", true),
            ("api.example.com:8443", "https://api.example.com", false),
            ("10.0.0.0/8", "http://10.1.2.3:80", true),
            ("10.0.0.0/8", "http://11.1.2.3:80", false),
            ("0.0.0.0/0", "http://11.1.2.3", true),
            ("10.1.2.3", "http://10.1.2.3", true),
            ("10.1.2.3:81", "http://10.1.2.3", false),
            ("fd00::/8", "http://[fd12::1]:80", true),
            ("[fd12::1]:80", "http://[fd12::1]", true),
            ("fd12::1", "http://[fd12::2]", false),
            (",, /,:", "http://a", false),
        ] {
            let variables = [("all_proxy", "p:1"), ("no_proxy", no_proxy)];
            let found = proxy_of(url, &variables).unwrap();
            assert_eq!(found.is_none(), is_direct, "{no_proxy} {url}");
        }
    }
}
