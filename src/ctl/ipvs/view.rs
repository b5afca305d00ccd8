//! The kernel's table as it is shown: what `director ipvs services --json` and `rates --json` print. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use super::book::Book;
use crate::config::model::Method;
use crate::ipvs::{Forward, Rates, ServerEntry, ServiceEntry, ServiceId, Stats, Tunnel};

/// Version of what `--json` prints; it counts up when a key is renamed, taken away or means something else.
pub const VERSION: u8 = 1;

/// The whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// [`VERSION`].
    pub version: u8,
    /// In the order of the file; what it does not know comes last.
    pub services: Vec<Service>,
}

/// A virtual service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Name in the configuration in force; `None` when that does not know it.
    pub name: Option<String>,
    /// `192.168.61.45:80` or `fwmark 5`.
    pub listen: String,
    /// `tcp`, `udp`, `sctp`; `None` for a firewall mark.
    pub protocol: Option<String>,
    /// The kernel's name; `none` for a service that schedules nothing.
    pub scheduler: String,
    /// The scheduler's own flags: 1 to 3.
    pub scheduler_flags: Vec<u8>,
    /// Whether each packet is scheduled by itself.
    pub one_packet: bool,
    /// Whether clients return to their real server.
    pub persistence: Option<Persistence>,
    /// Since the service exists, or since they were set to zero.
    pub counters: Traffic,
    /// A second.
    pub rates: Traffic,
    /// Real servers.
    pub servers: Vec<Server>,
}

/// How clients return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Persistence {
    /// Life of a template, seconds.
    pub timeout_s: u32,
    /// Prefix length by which clients are grouped.
    pub prefix: u32,
    /// Persistence engine.
    pub engine: Option<String>,
}

/// A real server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Server {
    /// RIP and port.
    pub address: SocketAddr,
    /// `dr`, `nat`, `fullnat`, `tun`, `local` or `bypass`.
    pub method: String,
    /// `ipip`, `gre` or `gue:PORT`; `None` without tunnel.
    pub tunnel: Option<String>,
    /// Weight.
    pub weight: u32,
    /// Connections from which it is passed over; 0 = no limit.
    pub max_connections: u32,
    /// Connections below which it is used again.
    pub min_connections: u32,
    /// Established connections.
    pub active: u32,
    /// Other connections.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
    /// Since the server is in the table, or since they were set to zero.
    pub counters: Traffic,
    /// A second.
    pub rates: Traffic,
}

/// What passed, or passes a second. What goes to clients is `None` where it takes another way than through the director.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Traffic {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients.
    pub packets_out: Option<u64>,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: Option<u64>,
}

impl Table {
    /// What `entries` are, with the words of `book`.
    #[must_use]
    pub fn of(mut entries: Vec<ServiceEntry>, book: &Book) -> Self {
        book.sort(&mut entries);
        Self { version: VERSION, services: entries.iter().map(|entry| service(entry, book)).collect() }
    }
}

/// Puts in place of the kernel's estimates what was counted between two readings.
pub fn measure(before: &[ServiceEntry], after: &mut [ServiceEntry], elapsed: Duration) {
    let before: BTreeMap<ServiceId, &ServiceEntry> = before.iter().map(|entry| (entry.id, entry)).collect();
    for entry in after {
        let old = before.get(&entry.id);
        entry.stats.rates = old.map(|old| rates(&old.stats, &entry.stats, elapsed)).unwrap_or_default();
        let old: BTreeMap<SocketAddr, &Stats> =
            old.iter().flat_map(|old| &old.servers).map(|server| (server.address, &server.stats)).collect();
        for server in &mut entry.servers {
            let old = old.get(&server.address);
            server.stats.rates = old.map(|old| rates(old, &server.stats, elapsed)).unwrap_or_default();
        }
    }
}

/// Counters that went back were set to zero in between: what they show has come since.
fn rates(before: &Stats, after: &Stats, elapsed: Duration) -> Rates {
    let milliseconds = elapsed.as_millis().max(1);
    let rate = |before: u64, after: u64| {
        let counted = u128::from(after.checked_sub(before).unwrap_or(after));
        u64::try_from((counted * 1_000 + milliseconds / 2) / milliseconds).unwrap_or(u64::MAX)
    };
    Rates {
        connections: rate(before.connections, after.connections),
        packets_in: rate(before.packets_in, after.packets_in),
        packets_out: rate(before.packets_out, after.packets_out),
        bytes_in: rate(before.bytes_in, after.bytes_in),
        bytes_out: rate(before.bytes_out, after.bytes_out),
    }
}

fn service(entry: &ServiceEntry, book: &Book) -> Service {
    /// `IP_VS_SVC_F_ONEPACKET`.
    const ONE_PACKET: u32 = 0x04;
    /// `IP_VS_SVC_F_SCHED1` and the two above it.
    const SCHEDULER: [(u8, u32); 3] = [(1, 0x08), (2, 0x10), (3, 0x20)];
    let flags = entry.service.flags;
    let servers = &entry.servers;
    let seen = servers.is_empty() || servers.iter().any(|server| sees_answers(server.server.forward));
    let (protocol, listen) = match entry.id {
        ServiceId::Address { address, protocol } => (Some(protocol_name(protocol)), address.to_string()),
        ServiceId::Fwmark { .. } => (None, entry.id.to_string()),
    };
    Service {
        name: book.name(&entry.id).map(str::to_owned),
        listen,
        protocol,
        scheduler: entry.service.scheduler.to_string(),
        scheduler_flags: SCHEDULER
            .iter()
            .filter(|(_, bit)| flags & bit != 0)
            .map(|(flag, _)| *flag)
            .collect(),
        one_packet: flags & ONE_PACKET != 0,
        persistence: entry.service.persistence.map(|persistence| Persistence {
            timeout_s: persistence.timeout,
            prefix: match entry.id.family() {
                crate::ipvs::Family::V4 => persistence.mask.leading_ones(),
                crate::ipvs::Family::V6 => persistence.mask,
            },
            engine: entry.service.engine.as_ref().map(ToString::to_string),
        }),
        counters: counters(&entry.stats, seen),
        rates: traffic(&entry.stats.rates, seen || entry.stats.packets_out > 0),
        servers: servers.iter().map(|server| real_server(&entry.id, server, book)).collect(),
    }
}

fn protocol_name(number: u8) -> String {
    match number {
        ServiceId::TCP => "tcp".to_owned(),
        ServiceId::UDP => "udp".to_owned(),
        ServiceId::SCTP => "sctp".to_owned(),
        other => other.to_string(),
    }
}

fn real_server(id: &ServiceId, entry: &ServerEntry, book: &Book) -> Server {
    let ServerEntry { address, server, stats, connections } = entry;
    let seen = sees_answers(server.forward);
    let method = match server.forward {
        Forward::Masquerade if book.method(id, *address) == Some(Method::FullNat) => "fullnat",
        Forward::Masquerade => "nat",
        Forward::Local => "local",
        Forward::Tunnel => "tun",
        Forward::Route => "dr",
        Forward::Bypass => "bypass",
    };
    Server {
        address: *address,
        method: method.to_owned(),
        tunnel: (server.forward == Forward::Tunnel).then(|| tunnel_name(server.tunnel)),
        weight: server.weight,
        max_connections: server.upper,
        min_connections: server.lower,
        active: connections.active,
        inactive: connections.inactive,
        persistent: connections.persistent,
        counters: counters(stats, seen),
        rates: traffic(&stats.rates, seen || stats.packets_out > 0),
    }
}

fn tunnel_name(tunnel: Tunnel) -> String {
    match tunnel.kind {
        0 => "ipip".to_owned(),
        1 => format!("gue:{}", tunnel.port),
        2 => "gre".to_owned(),
        other => format!("type {other}"),
    }
}

/// Whether answers pass through this box, so that IPVS counts them.
const fn sees_answers(forward: Forward) -> bool {
    matches!(forward, Forward::Masquerade)
}

/// What was counted is shown, whatever was expected: a server may have had another method before.
fn counters(stats: &Stats, seen: bool) -> Traffic {
    let seen = seen || stats.packets_out > 0;
    let Stats { connections, packets_in, packets_out, bytes_in, bytes_out, rates: _ } = *stats;
    traffic(&Rates { connections, packets_in, packets_out, bytes_in, bytes_out }, seen)
}

fn traffic(numbers: &Rates, seen: bool) -> Traffic {
    Traffic {
        connections: numbers.connections,
        packets_in: numbers.packets_in,
        packets_out: seen.then_some(numbers.packets_out),
        bytes_in: numbers.bytes_in,
        bytes_out: seen.then_some(numbers.bytes_out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_between_two_readings() {
        let before = Stats { connections: 10, packets_in: 100, bytes_in: u64::MAX - 10, ..Stats::default() };
        let after = Stats { connections: 15, packets_in: 30, bytes_in: u64::MAX, ..Stats::default() };
        let measured = rates(&before, &after, Duration::from_millis(2_000));
        assert_eq!((measured.connections, measured.packets_in, measured.bytes_in), (3, 15, 5));
        assert_eq!(rates(&before, &before, Duration::ZERO), Rates::default());
    }
}
