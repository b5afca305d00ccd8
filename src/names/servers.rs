//! Which name servers are asked: those of the configuration in force, of a DHCP lease, or of the host.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::ipc::client::{ask, question};
use crate::ipc::message::{Reply, Request, Status};
use crate::paths::RunDir;
use crate::role::Role;

/// How long `net` may take to tell them.
const WAIT: Duration = Duration::from_secs(1);
/// Port of DNS (RFC 1035 section 4.2).
const PORT: u16 = 53;
/// Those of the host, under `director run`; the appliance has no such file.
const HOST: &str = "/etc/resolv.conf";

/// Those known now. Blocking.
#[must_use]
pub fn known(run: &RunDir) -> Vec<SocketAddr> {
    or_of_host(of(ask(run, Role::Net, &Request::Status, WAIT).ok()))
}

/// The same for those who must not block.
pub async fn asked(run: &RunDir) -> Vec<SocketAddr> {
    or_of_host(of(question(run, Role::Net, &Request::Status, WAIT).await.ok()))
}

fn of(reply: Option<Reply>) -> Vec<IpAddr> {
    let Some(Reply::Status { status }) = reply else { return Vec::new() };
    if let Status::Net(status) = *status { status.dns } else { Vec::new() }
}

fn or_of_host(found: Vec<IpAddr>) -> Vec<SocketAddr> {
    let of_host = || listed(&std::fs::read_to_string(HOST).unwrap_or_default());
    let servers = if found.is_empty() { of_host() } else { found };
    servers.into_iter().map(|server| SocketAddr::new(server, PORT)).collect()
}

/// The `nameserver` lines of resolv.conf(5).
fn listed(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.parse().ok())?
    };
    text.lines().filter_map(server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_servers() {
        let text = "# resolv.conf\nsearch example.com\nnameserver 10.0.0.53\n nameserver 2001:db8::53\nnameserver\noptions ndots:2\n";
        let expected: Vec<IpAddr> = vec!["10.0.0.53".parse().unwrap(), "2001:db8::53".parse().unwrap()];
        assert_eq!(listed(text), expected);
    }
}
