//! The hosts that an HTTP tool may contact: those in the file, except special addresses.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use crate::net;

/// The allowed hosts of one tool.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    allowed: Vec<Host>,
    /// The special addresses in `allow_hosts`, which are allowed.
    pub listed: BTreeSet<IpAddr>,
    /// Whether only this machine is allowed.
    pub loopback_only: bool,
}

/// A host of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// As in a URL: lower case, IPv6 in brackets.
    pub name: String,
    /// `None`: the default port of http or https.
    pub port: Option<u16>,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Host {
    /// The host of a URL.
    pub fn of(url: &Url) -> Self {
        Self { name: url.host_str().unwrap_or_default().to_owned(), port: url.port() }
    }

    /// Parses `host` or `host:port`.
    pub fn parse(text: &str) -> Option<Self> {
        let bare_ipv6 = text.parse::<Ipv6Addr>().is_ok();
        let authority = if bare_ipv6 { format!("[{text}]") } else { text.to_owned() };
        if authority.contains(['/', '?', '#', '@', '\\', '*', '{', '%'])
            || authority.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            return None;
        }
        let url = Url::parse(&format!("http://{authority}/")).ok()?;
        // An explicit port counts even if it is the default of http.
        let port = match authority.rsplit_once(':') {
            Some((_, port)) if !authority.ends_with(']') => Some(port.parse().ok()?),
            _ => None,
        };
        Some(Self { name: url.host_str()?.to_owned(), port })
    }

    pub fn address(&self) -> Option<IpAddr> {
        self.name.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    pub fn is_loopback(&self) -> bool {
        net::is_loopback_host(&self.name)
    }

    fn covers(&self, url: &Url) -> bool {
        let usual = || matches!((url.scheme(), url.port()), ("http" | "https", None));
        url.host_str() == Some(&self.name)
            && self.port.map_or_else(usual, |port| url.port_or_known_default() == Some(port))
    }
}

impl Hosts {
    /// `own` is the host of the tool's URL, `more` the hosts of `allow_hosts`.
    pub fn new(own: Host, more: Vec<Host>, loopback_only: bool) -> Self {
        let listed = more.iter().filter_map(Host::address).map(|ip| ip.to_canonical()).collect();
        let mut allowed = vec![own];
        for host in more {
            if !allowed.contains(&host) {
                allowed.push(host);
            }
        }
        Self { allowed, listed, loopback_only }
    }

    /// The allowed hosts, beginning with that of the URL.
    pub fn iter(&self) -> impl Iterator<Item = &Host> {
        self.allowed.iter()
    }

    /// Whether only this machine is allowed and the URL leads elsewhere.
    pub fn is_out_of_reach(&self) -> bool {
        self.loopback_only && !self.allowed.iter().take(1).all(Host::is_loopback)
    }

    /// Checks that a request to the URL is allowed.
    ///
    /// # Errors
    /// The reason, as the end of "… leads to".
    pub fn permit(&self, url: &Url) -> Result<(), String> {
        let host = Host::of(url);
        if let Some(address) = host.address() {
            check_address(address, &self.listed).map_err(|what| format!("{host}, {what}"))?;
        }
        if !self.allowed.iter().any(|allowed| allowed.covers(url)) {
            let same = self.allowed.iter().find(|allowed| allowed.name == host.name);
            let why = same.map(|same| format!(" (\"{same}\" covers another port)"));
            let why = why.unwrap_or_default();
            return Err(format!("{host}, which allow_hosts does not list{why}"));
        }
        if self.loopback_only && !host.is_loopback() {
            return Err(format!("{host}, and --offline allows only this machine"));
        }
        Ok(())
    }
}

/// Checks that an address is not special, or listed.
///
/// # Errors
/// The kind of the address.
pub fn check_address(address: IpAddr, listed: &BTreeSet<IpAddr>) -> Result<(), String> {
    match special(address) {
        Some(what) if !listed.contains(&address.to_canonical()) => {
            Err(format!("{what}, which allow_hosts does not list"))
        }
        _ => Ok(()),
    }
}

/// The kind of a special address: link-local, or one at which clouds hand out the keys of a
/// machine. Requests to these are mistakes or attacks.
pub fn special(address: IpAddr) -> Option<&'static str> {
    /// Alibaba, Oracle, Azure.
    const METADATA: [Ipv4Addr; 3] = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(192, 0, 0, 192),
        Ipv4Addr::new(168, 63, 129, 16),
    ];
    let metadata = Some("a cloud metadata address");
    match address {
        IpAddr::V4(address) if METADATA.contains(&address) => metadata,
        IpAddr::V4(address) => address.is_link_local().then_some("a link-local address"),
        IpAddr::V6(address) => match address.segments() {
            [0xfe80..=0xfebf, ..] => Some("a link-local address"),
            // Amazon, Google.
            [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254] => metadata,
            _ => special(embedded(address)?.into()),
        },
    }
}

/// The IPv4 address inside an IPv6 address.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        // Mapped, compatible, translated.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(join(high, low))
        }
        [0, 0, 0, 0, 0xffff, 0, high, low] => Some(join(high, low)),
        // 6to4.
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn hosts(own: &str, more: &[&str]) -> Hosts {
        let more = more.iter().map(|host| Host::parse(host).unwrap()).collect();
        Hosts::new(Host::of(&Url::parse(own).unwrap()), more, false)
    }

    #[test]
    fn special_addresses_are_recognized_in_every_spelling() {
        for (address, is_special) in [
            ("169.254.169.254", true),
            ("169.254.0.1", true),
            ("100.100.100.200", true),
            ("fe80::1", true),
            ("febf::1", true),
            ("fd00:ec2::254", true),
            ("fd20:ce::254", true),
            ("::ffff:169.254.169.254", true),
            ("::169.254.169.254", true),
            ("64:ff9b::a9fe:a9fe", true),
            ("2002:a9fe:a9fe::1", true),
            ("127.0.0.1", false),
            ("10.0.0.1", false),
            ("::1", false),
            ("fd00::1", false),
            ("100.100.100.201", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(special(address.parse().unwrap()).is_some(), is_special, "{address}");
        }
    }

    #[test]
    fn only_hosts_of_the_file_are_allowed() {
        let allowed = hosts("https://Api.Example/v1", &["cdn.example", "box.example:8080"]);
        for (url, is_allowed) in [
            ("https://api.example/x", true),
            ("http://api.example/x", true),
            ("https://api.example:443/x", true),
            ("https://api.example:8443/x", false),
            ("http://api.example:443/x", false),
            ("https://api.example.evil/x", false),
            ("https://cdn.example/", true),
            ("http://box.example:8080/", true),
            ("http://box.example/", false),
            ("https://evil/", false),
        ] {
            assert_eq!(allowed.permit(&Url::parse(url).unwrap()).is_ok(), is_allowed, "{url}");
        }
    }

    #[test]
    fn a_special_address_must_be_listed_itself() {
        let metadata = Url::parse("http://169.254.169.254/latest").unwrap();
        let disguised = Url::parse("http://0xa9fea9fe/latest").unwrap();
        assert!(hosts(metadata.as_str(), &[]).permit(&metadata).is_err());
        let listed = hosts("http://h/", &["169.254.169.254"]);
        assert!(listed.permit(&metadata).is_ok() && listed.permit(&disguised).is_ok());
        assert!(check_address("fe80::1".parse().unwrap(), &listed.listed).is_err());
        let mapped = "::ffff:169.254.169.254".parse().unwrap();
        assert!(check_address(mapped, &listed.listed).is_ok());
    }

    #[test]
    fn hosts_are_parsed_as_users_write_them() {
        for (text, shown) in [
            ("API.example", Some("api.example")),
            ("h:80", Some("h:80")),
            ("127.1:8080", Some("127.0.0.1:8080")),
            ("::1", Some("[::1]")),
            ("[::1]:9", Some("[::1]:9")),
            ("http://h", None),
            ("h/x", None),
            ("*.h", None),
            ("u@h", None),
            ("h:99999", None),
            ("h:", None),
            ("a b", None),
            ("", None),
        ] {
            let found = Host::parse(text).map(|host| host.to_string());
            assert_eq!(found.as_deref(), shown, "{text}");
        }
    }
}
