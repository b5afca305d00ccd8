//! Which connections are meant, and how they are shown and counted. Pure: nothing here holds more than a line, or a count
//! for each pair of service and server.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use serde_json::json;

use super::book::Book;
use super::number::Digits;
use super::view::VERSION;
use crate::ctl::status::table;
use crate::ipvs::connections::Connection;
use crate::ipvs::{Family, ServiceId};
use crate::units::Cidr;

/// Which connections are meant: those that fit all that is given.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of any of these services.
    pub services: Option<Vec<ServiceId>>,
    /// With this real server, at any port if that is `None`.
    pub server: Option<(IpAddr, Option<u16>)>,
    /// Of clients in this network.
    pub client: Option<Cidr>,
    /// In this state, in the kernel's words.
    pub state: Option<String>,
}

/// The services of the kernel's table, to tell whose a connection is.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    addresses: BTreeMap<(SocketAddr, u8), ServiceId>,
    marks: Vec<(ServiceId, Vec<SocketAddr>)>,
}

impl Owners {
    /// Of services with the addresses of their real servers; those are needed of firewall marks only.
    pub fn new(services: impl IntoIterator<Item = (ServiceId, Vec<SocketAddr>)>) -> Self {
        let mut owners = Self::default();
        for (id, servers) in services {
            match id {
                ServiceId::Address { address, protocol } => {
                    owners.addresses.insert((address, protocol), id);
                }
                ServiceId::Fwmark { .. } => owners.marks.push((id, servers)),
            }
        }
        owners
    }

    /// Whose this is. The kernel does not list the mark by which a connection was scheduled: what belongs to no address
    /// belongs to the mark that has its real server.
    #[must_use]
    pub fn of(&self, connection: &Connection<'_>) -> Option<ServiceId> {
        let listen = connection.listen;
        if let Some(mark) = connection.mark() {
            let family = if listen.is_ipv4() { Family::V4 } else { Family::V6 };
            return Some(ServiceId::Fwmark { mark, family });
        }
        let protocol = connection.protocol_number();
        let at = |port: u16| self.addresses.get(&(SocketAddr::new(listen.ip(), port), protocol)).copied();
        at(listen.port()).or_else(|| at(0)).or_else(|| {
            let is_one_of = |servers: &[SocketAddr]| {
                servers.contains(&connection.server)
                    || servers.contains(&SocketAddr::new(connection.server.ip(), 0))
            };
            let same_family = |id: &ServiceId| (id.family() == Family::V4) == listen.is_ipv4();
            let mut marks = self.marks.iter();
            marks.find(|(id, servers)| same_family(id) && is_one_of(servers)).map(|(id, _)| *id)
        })
    }
}

impl Filter {
    /// Whether a connection of `owner` is meant.
    #[must_use]
    pub fn takes(&self, connection: &Connection<'_>, owner: Option<ServiceId>) -> bool {
        let service =
            self.services.as_ref().is_none_or(|meant| owner.is_some_and(|owner| meant.contains(&owner)));
        let server = self.server.is_none_or(|(ip, port)| {
            connection.server.ip() == ip && port.is_none_or(|port| connection.server.port() == port)
        });
        let client = self.client.is_none_or(|network| network.contains(connection.client.ip()));
        let state = self.state.as_ref().is_none_or(|state| connection.state.eq_ignore_ascii_case(state));
        service && server && client && state
    }
}

/// A connection as a line of JSON.
#[must_use]
pub fn json_line(connection: &Connection<'_>, owner: Option<ServiceId>, book: &Book) -> String {
    let Connection { protocol, client, listen, server, state, expires, engine } = connection;
    let object = json!({
        "service": owner.and_then(|id| book.name(&id).map(str::to_owned)),
        "protocol": protocol.to_ascii_lowercase(),
        "client": client,
        // The template of a mark has no address.
        "listen": connection.mark().is_none().then_some(listen),
        "fwmark": connection.mark(),
        "server": server,
        "state": state.to_ascii_lowercase(),
        "template": connection.is_template(),
        "expires_s": expires,
        "engine": engine,
    });
    format!("{object}\n")
}

/// The heading of a list.
#[must_use]
pub fn head() -> Vec<String> {
    ["proto", "client", "listen", "server", "state", "expires", "service"].map(str::to_owned).to_vec()
}

/// A connection as cells of a list.
#[must_use]
pub fn cells(connection: &Connection<'_>, owner: Option<ServiceId>, book: &Book) -> Vec<String> {
    let name = owner.map(|id| book.name(&id).map_or_else(|| id.to_string(), str::to_owned));
    let state = match connection.is_template() {
        true => format!("template {}", connection.state.to_ascii_lowercase()),
        false => connection.state.to_ascii_lowercase(),
    };
    let engine = connection.engine.map(|data| format!("  {data}")).unwrap_or_default();
    vec![
        connection.protocol.to_ascii_lowercase(),
        connection.client.to_string(),
        connection.mark().map_or_else(|| connection.listen.to_string(), |mark| format!("fwmark {mark}")),
        connection.server.to_string(),
        state,
        format!("{}s", connection.expires),
        format!("{}{engine}", name.unwrap_or_else(|| "-".to_owned())),
    ]
}

/// How many there are, by service and server.
#[derive(Debug, Clone, Default)]
pub struct Count {
    pairs: BTreeMap<(Option<ServiceId>, SocketAddr), Tally>,
}

/// Connections of one kind.
#[derive(Debug, Clone, Default, Serialize)]
struct Tally {
    /// Connections, templates not among them.
    connections: u64,
    /// Persistence templates.
    templates: u64,
    /// Connections by state, in the kernel's words.
    states: BTreeMap<String, u64>,
}

impl Count {
    /// Counts a connection.
    pub fn add(&mut self, connection: &Connection<'_>, owner: Option<ServiceId>) {
        let tally = self.pairs.entry((owner, connection.server)).or_default();
        if connection.is_template() {
            tally.templates += 1;
            return;
        }
        tally.connections += 1;
        match tally.states.get_mut(connection.state) {
            Some(count) => *count += 1,
            None => {
                tally.states.insert(connection.state.to_owned(), 1);
            }
        }
    }

    /// As one JSON document.
    #[must_use]
    pub fn json(&self, book: &Book) -> String {
        let pairs = self.pairs.iter().map(|((owner, server), tally)| {
            let states: BTreeMap<String, u64> =
                tally.states.iter().map(|(state, count)| (state.to_ascii_lowercase(), *count)).collect();
            json!({
                "service": owner.and_then(|id| book.name(&id).map(str::to_owned)),
                "listen": owner.map(|id| id.to_string()),
                "server": server,
                "connections": tally.connections,
                "templates": tally.templates,
                "states": states,
            })
        });
        let document = json!({
            "version": VERSION,
            "connections": self.pairs.values().map(|tally| tally.connections).sum::<u64>(),
            "templates": self.pairs.values().map(|tally| tally.templates).sum::<u64>(),
            "servers": pairs.collect::<Vec<_>>(),
        });
        format!("{document:#}\n")
    }

    /// As lines for people.
    #[must_use]
    pub fn text(&self, book: &Book, digits: Digits) -> String {
        let mut rows =
            vec![["service", "server", "connections", "templates", "states"].map(str::to_owned).to_vec()];
        rows.extend(self.pairs.iter().map(|((owner, server), tally)| {
            let name = owner.map(|id| book.name(&id).map_or_else(|| id.to_string(), str::to_owned));
            let states: Vec<String> = tally
                .states
                .iter()
                .map(|(state, count)| format!("{} {}", digits.write(*count), state.to_ascii_lowercase()))
                .collect();
            vec![
                name.unwrap_or_else(|| "-".to_owned()),
                server.to_string(),
                digits.write(tally.connections),
                digits.write(tally.templates),
                states.join(", "),
            ]
        }));
        let all: u64 = self.pairs.values().map(|tally| tally.connections).sum();
        let templates: u64 = self.pairs.values().map(|tally| tally.templates).sum();
        rows.push(vec!["all".to_owned(), String::new(), digits.write(all), digits.write(templates)]);
        table(rows).iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}
