//! The connections of all HTTP tools of a run, made to no address that the file did not mean.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url};

use crate::net;
use crate::net::SetupError;
use crate::plan::hosts::{Hosts, check_address};
use crate::plan::{CrewPlan, ToolKind};

/// One pool of connections for all tools that may connect to the same addresses.
#[derive(Debug, Default)]
pub struct HttpClients {
    pools: Vec<Pool>,
    cancelled: AtomicU64,
}

#[derive(Debug)]
struct Pool {
    /// Special addresses that may be connected to.
    listed: BTreeSet<IpAddr>,
    /// Where these tools may go.
    hosts: Vec<String>,
    plain: OnceLock<Result<Client, SetupError>>,
    encrypted: OnceLock<Result<Client, SetupError>>,
}

impl HttpClients {
    /// For the tools of a plan. Asks no server anything.
    ///
    /// # Errors
    /// A proxy or the certificates that a tool needs cannot be used.
    pub fn connect(plan: &CrewPlan) -> Result<Self, SetupError> {
        let mut clients = Self::default();
        for tool in plan.tools() {
            let ToolKind::Http(http) = &tool.kind else { continue };
            let pool = match clients.pools.iter().position(|pool| pool.listed == http.hosts.listed)
            {
                Some(found) => &mut clients.pools[found],
                None => clients.pools.push_mut(Pool::new(http.hosts.listed.clone())),
            };
            pool.hosts.extend(http.hosts.iter().map(ToString::to_string));
        }
        for tool in plan.tools() {
            // What will not be asked needs no certificates.
            if let ToolKind::Http(http) = &tool.kind
                && !http.hosts.is_out_of_reach()
            {
                clients.client(&http.hosts, &http.origin)?;
            }
        }
        Ok(clients)
    }

    /// The client for a request of a tool with these hosts.
    ///
    /// # Errors
    /// There is none, as a message for the model.
    pub fn of(&self, hosts: &Hosts, url: &Url) -> Result<Client, String> {
        self.client(hosts, url).map_err(|error| error.to_string())
    }

    fn client(&self, hosts: &Hosts, url: &Url) -> Result<Client, SetupError> {
        let pool = self.pools.iter().find(|pool| pool.listed == hosts.listed);
        let pool = pool.ok_or_else(|| SetupError("no client was set up for it".to_owned()))?;
        // Loading certificates takes milliseconds, and fails where there are none: only for those
        // who need them.
        let client = match url.scheme() {
            "https" => &pool.encrypted,
            _ => &pool.plain,
        };
        client.get_or_init(|| pool.build(url.scheme())).clone()
    }

    /// A request was dropped because its agent or the run is being stopped.
    pub fn count_cancelled(&self) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    pub fn cancelled(&self) -> u64 {
        self.cancelled.load(Ordering::Relaxed)
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
        net::build(builder.dns_resolver(Guarded { listed: self.listed.clone() }))
    }
}

/// Looks names up and hands out only what may be connected to. The connection goes to exactly
/// that: nobody looks the name up again.
#[derive(Debug)]
struct Guarded {
    listed: BTreeSet<IpAddr>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let listed = self.listed.clone();
        Box::pin(async move {
            // The port is that of the URL, whatever stands here.
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
    let mut refused = None;
    found.retain(|address| match check_address(address.ip(), listed) {
        Ok(()) => true,
        Err(what) => {
            refused = Some(format!("{name} is at {}, {what}", address.ip()));
            false
        }
    });
    match refused {
        Some(message) if found.is_empty() => Err(io::Error::other(message)),
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_name_does_not_lead_to_a_special_address() {
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
    async fn the_local_host_is_found() {
        let guarded = Guarded { listed: BTreeSet::new() };
        let mut found = guarded.resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(found.all(|address| address.ip().is_loopback()));
    }
}
