//! Names of hosts as addresses, for what may wait: tools of the operator, time servers, receivers of logs and alarms.
//!
//! Virtual routers, services, real servers and checks have addresses only: a director must not wait for DNS.

pub mod book; // what a worker has found
pub mod servers; // who is asked

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use tokio::time::timeout;

use crate::check::{Target, dns};
use crate::config::model::{Check, CheckKind};
use crate::net::ping;
use crate::paths::RunDir;
use crate::units::Refused;

/// Time for one name server. A resolver that has to ask others takes a second or two at most.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many name servers are asked, one after the other (resolv.conf(5): MAXNS).
const MOST: usize = 3;

/// The addresses of `name`, those of IPv4 first. The first of the name servers that knows anything decides.
///
/// # Errors
/// In words: there is no name server, none answers, or there is no such name.
pub async fn resolve(servers: &[SocketAddr], name: &str) -> Result<Vec<IpAddr>, String> {
    if servers.is_empty() {
        return Err(format!(
            "{name}: no name server is known: `dns` in [system] names them, or a DHCP lease"
        ));
    }
    let mut why = Vec::new();
    for address in servers.iter().take(MOST) {
        let server = address.ip();
        match timeout(PATIENCE, both(*address, name)).await {
            Ok(Ok(found)) if found.is_empty() => {
                return Err(format!("{name}: {server} knows no address of it"));
            }
            Ok(Ok(found)) => return Ok(found),
            // Whoever says that there is no such name knows it (RFC 2308): others are not asked.
            Ok(Err(said)) if said.starts_with("NXDOMAIN") => {
                return Err(format!("{name}: no such name, says {server}"));
            }
            Ok(Err(said)) => why.push(format!("{server}: {said}")),
            Err(_) => why.push(format!("{server}: no answer within {} s", PATIENCE.as_secs())),
        }
    }
    Err(format!("{name}: {}", why.join("; ")))
}

/// Both families at once. One that fails is no matter where the other one has an address.
async fn both(server: SocketAddr, name: &str) -> Result<Vec<IpAddr>, String> {
    let target = Target::new(server, Arc::new(Check::new(CheckKind::None)));
    let (v4, v6) = join(dns::records(&target, name, "A"), dns::records(&target, name, "AAAA")).await;
    let failed = v4.as_ref().err().or_else(|| v6.as_ref().err()).cloned();
    let found: Vec<IpAddr> =
        v4.into_iter().chain(v6).flatten().filter_map(|text| text.parse().ok()).collect();
    match failed {
        Some(why) if found.is_empty() => Err(why),
        _ => Ok(found),
    }
}

/// An address as it stands, or that of a name. Blocking.
///
/// # Errors
/// It is neither, or the name has none; in words.
pub fn target(run: &RunDir, text: &str) -> Result<ping::Target, Refused> {
    let refused = match text.parse() {
        Ok(target) => return Ok(target),
        Err(refused) => refused,
    };
    if !is_name(text) {
        return Err(refused);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Refused(error.to_string()))?;
    let found = runtime.block_on(resolve(&servers::known(run), text)).map_err(Refused)?;
    let address = found.first().copied().ok_or(refused)?;
    Ok(ping::Target { address, scope: 0 })
}

/// Whether it can be a name of a host (RFC 1123 section 2.1). What ends in a number is an address that was mistyped.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253 && text.split('.').all(label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_mistyped_addresses() {
        for name in ["lb1", "ntp.example.com", "ntp.example.com.", "a-b.c", "3com.com", "_dmarc.example.com"]
        {
            assert!(is_name(name), "{name}");
        }
        for none in [
            "",
            ".",
            "a..b",
            "-a",
            "10.0.0.256",
            "10.0.0",
            "1",
            "fe80::1%eth9",
            "a b",
            "ä.de",
            "192.168.61.22/24",
        ] {
            assert!(!is_name(none), "{none}");
        }
    }
}
