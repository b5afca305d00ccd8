//! Health checks: who is asked when ([`schedule`], [`plan`]: pure), how (a file for each kind), and the loop that asks ([`runner`]).
//!
//! A [`Target`] is an address together with how it is asked. Equal targets of many services are asked once.

pub mod agent;
pub mod arp;
pub mod datagram;
pub mod dialogue;
pub mod dns;
pub mod exec;
pub mod file;
pub mod frame;
pub mod ftp;
#[cfg(test)]
mod fuzz;
mod gather;
pub mod http;
pub mod imap;
pub mod ldap;
pub mod mysql;
pub mod neighbour;
pub mod nntp;
pub mod pgsql;
pub mod ping;
pub mod plan;
pub mod pop3;
pub mod probe;
pub mod proxy;
mod pulse;
pub mod radius;
pub mod random;
pub mod reason;
pub mod reply;
pub mod runner;
pub mod schedule;
pub mod sctp;
pub mod sip;
pub mod smtp;
pub mod socket;
pub mod stream;
pub mod talk;
pub mod tcp;
pub mod tls;
pub mod udp;
pub mod way;
pub mod zone_form;

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::model::{Check, CheckKind, Listen, Method, ProbeRoute, Server, ServiceKey, Tunnel};

/// Who is asked, and how. The identity of a check: services that agree on it share its verdict.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Address and port that the probe connects to.
    pub address: SocketAddr,
    /// For whom is asked, where the probe needs to know that; such targets are shared by nobody else.
    pub front: Option<Arc<Front>>,
    /// What is asked, how often, and how many answers make a verdict.
    pub check: Arc<Check>,
}

/// What a probe by way of the VIP, or a program, is told of the service and its real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Front {
    /// What clients talk to; the first key of several.
    pub key: ServiceKey,
    /// RIP and port; DR and TUN: the port of the service.
    pub server: SocketAddr,
    /// How clients' packets reach the server.
    pub method: Method,
    /// The tunnel of [`Method::Tun`].
    pub tunnel: Tunnel,
}

impl Target {
    /// The target of a real server: its address, unless the check names another address or port.
    #[must_use]
    pub fn new(server: SocketAddr, check: Arc<Check>) -> Self {
        let address = SocketAddr::new(
            check.address.unwrap_or_else(|| server.ip()),
            check.port.unwrap_or_else(|| server.port()),
        );
        Self { address, front: None, check }
    }

    /// The target of a real server of the service with this key.
    #[must_use]
    pub fn of(key: ServiceKey, server: &Server, check: Arc<Check>) -> Self {
        let port = match (server.address.port(), key.listen) {
            (0, Listen::Address(vip)) => vip.port(),
            (port, _) => port,
        };
        let address = SocketAddr::new(server.address.ip(), port);
        let told = matches!(check.kind, CheckKind::Exec { endpoints: true, .. });
        let concerned = check.route == ProbeRoute::Vip || told;
        let front = concerned
            .then(|| Arc::new(Front { key, server: address, method: server.method, tunnel: server.tunnel }));
        Self { front, ..Self::new(address, check) }
    }
}

/// Cheap, because every lookup needs it: two checks of one address rarely agree on the rest and differ in what is asked.
impl Hash for Target {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address.hash(state);
        self.front.hash(state);
        (std::mem::discriminant(&self.check.kind), self.check.interval).hash(state);
    }
}

/// Words for people: `200 OK`, `connection refused`.
pub type Reason = Cow<'static, str>;

/// How much a server says it can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback {
    /// This weight in place of the configured one.
    Weight(u32),
    /// This share of the configured weight, in per cent; 100 is all of it, more is possible.
    Percent(u16),
    /// No new connections.
    Drain,
}

/// What is to be told of a certificate whose end is near.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// In words; behind a comma, where the server has said something as well.
    pub reason: Reason,
    /// Whole days until it expires; below zero once it has.
    pub days_left: i32,
}

/// What one probe learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server answers as wanted.
    Success(Reason),
    /// It does, and something is to be told: its certificate expires soon.
    Warning(Notice),
    /// It does, and says how much it can take.
    Feedback(Feedback, Reason),
    /// It does not.
    Failure(Reason),
    /// This box has no way to it: no route, no address. A failure like any other once there has been an answer; before
    /// that, most likely the network of a booting box is not up yet, and it is asked again soon.
    Unreachable(Reason),
    /// Nothing about the server: this box could not ask (no file descriptor, no memory). Changes nothing.
    Inconclusive(Reason),
}

/// A step of a probe: what it got, or the outcome that ends the probe.
pub type Step<T> = Result<T, Outcome>;

impl From<std::io::Error> for Outcome {
    /// What a failed socket call says about the server.
    fn from(error: std::io::Error) -> Self {
        reason::outcome(&error)
    }
}
