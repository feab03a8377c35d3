//! The connections of all HTTP tools of a run, limited to addresses that the crew file allows.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url};

use crate::net;
use crate::net::SetupError;
use crate::plan::CrewPlan;
use crate::plan::hosts::{Hosts, check_address};
use crate::recording::Recording;

/// The HTTP clients of a run. Tools that may connect to the same addresses share one pool.
#[derive(Debug, Default)]
pub struct HttpClients {
    pools: Vec<Pool>,
    /// The calls, recorded or replayed.
    pub recording: Option<Arc<Recording>>,
}

#[derive(Debug)]
struct Pool {
    /// The special addresses, such as link-local ones, that the file allows.
    listed: BTreeSet<IpAddr>,
    /// The hosts of these tools.
    hosts: Vec<String>,
    plain: OnceLock<Result<Client, SetupError>>,
    encrypted: OnceLock<Result<Client, SetupError>>,
}

impl HttpClients {
    /// Creates the clients for the tools of a plan, without connecting to any server. A replay has
    /// none.
    ///
    /// # Errors
    /// A proxy or the certificates that a tool needs are unusable.
    pub fn connect(plan: &CrewPlan, recording: Option<Arc<Recording>>) -> Result<Self, SetupError> {
        let is_replay = recording.as_ref().is_some_and(|recording| recording.is_replay());
        let mut clients = Self { pools: Vec::new(), recording };
        if is_replay {
            return Ok(clients);
        }
        for http in plan.requests() {
            let pool = match clients.pools.iter().position(|pool| pool.listed == http.hosts.listed)
            {
                Some(found) => &mut clients.pools[found],
                None => clients.pools.push_mut(Pool::new(http.hosts.listed.clone())),
            };
            pool.hosts.extend(http.hosts.iter().map(ToString::to_string));
        }
        for http in plan.requests() {
            // A request that `--offline` rejects needs no certificates.
            if !http.hosts.is_out_of_reach() {
                clients.get(&http.hosts, &http.origin)?;
            }
        }
        Ok(clients)
    }

    /// The client for a request to `url`, of a tool with these hosts.
    ///
    /// # Errors
    /// A proxy or the certificates are unusable.
    pub fn get(&self, hosts: &Hosts, url: &Url) -> Result<Client, SetupError> {
        let pool = self.pools.iter().find(|pool| pool.listed == hosts.listed);
        let pool = pool.ok_or_else(|| SetupError("no HTTP client was set up".to_owned()))?;
        // Only https needs certificates: loading them takes milliseconds, and fails on systems
        // without any.
        let client = match url.scheme() {
            "https" => &pool.encrypted,
            _ => &pool.plain,
        };
        client.get_or_init(|| pool.build(url.scheme())).clone()
    }
}

impl Pool {
    fn new(listed: BTreeSet<IpAddr>) -> Self {
        Self { listed, hosts: Vec::new(), plain: OnceLock::new(), encrypted: OnceLock::new() }
    }

    fn build(&self, scheme: &str) -> Result<Client, SetupError> {
        let urls =
            self.hosts.iter().filter_map(|host| Url::parse(&format!("{scheme}://{host}/")).ok());
        let builder = net::builder(&urls.collect::<Vec<_>>())?;
        net::build(builder.dns_resolver(CheckedResolver { listed: self.listed.clone() }))
    }
}

/// Resolves names to allowed addresses only. The connection uses these addresses: the name is not
/// resolved again.
#[derive(Debug)]
struct CheckedResolver {
    listed: BTreeSet<IpAddr>,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let listed = self.listed.clone();
        Box::pin(async move {
            // The client replaces the port with the URL's.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let addresses = allowed(name.as_str(), found, &listed)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn allowed(
    name: &str,
    mut found: Vec<SocketAddr>,
    listed: &BTreeSet<IpAddr>,
) -> io::Result<Vec<SocketAddr>> {
    let mut rejected = None;
    found.retain(|address| match check_address(address.ip(), listed) {
        Ok(()) => true,
        Err(what) => {
            rejected = Some(format!("{name} resolves to {}, {what}", address.ip()));
            false
        }
    });
    match rejected {
        Some(message) if found.is_empty() => Err(io::Error::other(message)),
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_name_does_not_resolve_to_a_special_address() {
        let at = |address: &str| SocketAddr::new(address.parse().unwrap(), 0);
        let none = BTreeSet::new();
        let kept = allowed("h", vec![at("169.254.169.254"), at("10.0.0.1")], &none);
        assert_eq!(kept.unwrap(), [at("10.0.0.1")]);
        let error = allowed("h", vec![at("::ffff:169.254.169.254"), at("fe80::1")], &none);
        assert!(error.unwrap_err().to_string().contains("fe80::1, a link-local address"));
        let listed = BTreeSet::from(["169.254.169.254".parse().unwrap()]);
        assert_eq!(allowed("h", vec![at("169.254.169.254")], &listed).unwrap().len(), 1);
        assert!(allowed("h", vec![at("169.254.169.253")], &listed).is_err());
    }

    #[tokio::test]
    async fn localhost_resolves_to_loopback_addresses() {
        let resolver = CheckedResolver { listed: BTreeSet::new() };
        let mut found = resolver.resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(found.all(|address| address.ip().is_loopback()));
    }
}
