//! The table as Director sees it: one type for what the kernel has and for what it should have, so "is it right?" is `==`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::config::model::{Listen, Method, Protocol, ServiceKey};
use crate::ipvs::{Command, Family, Forward, Server, Service, ServiceEntry, ServiceId};

/// Services and their real servers, without counters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// By what makes them unique in the kernel.
    pub services: BTreeMap<ServiceId, ServiceState>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceState {
    /// How it is set.
    pub service: Service,
    /// Its real servers, and the sorry servers while they answer.
    pub servers: BTreeMap<SocketAddr, Server>,
}

impl State {
    /// What a dump of the kernel's table shows.
    #[must_use]
    pub fn of(table: &[ServiceEntry]) -> Self {
        let services = table.iter().map(|entry| {
            let servers = entry.servers.iter().map(|server| (server.address, server.server)).collect();
            (entry.id, ServiceState { service: entry.service.clone(), servers })
        });
        Self { services: services.collect() }
    }

    /// What a command that the kernel accepted made of it.
    pub fn apply(&mut self, command: &Command) {
        match command {
            Command::AddService(id, service) => {
                let new = ServiceState { service: service.clone(), servers: BTreeMap::new() };
                self.services.insert(*id, new);
            }
            Command::EditService(id, service) => {
                if let Some(there) = self.services.get_mut(id) {
                    there.service = service.clone();
                }
            }
            Command::DeleteService(id) => {
                self.services.remove(id);
            }
            Command::AddServer(id, address, server) | Command::EditServer(id, address, server) => {
                if let Some(there) = self.services.get_mut(id) {
                    there.servers.insert(*address, *server);
                }
            }
            Command::DeleteServer(id, address) => {
                if let Some(there) = self.services.get_mut(id) {
                    there.servers.remove(address);
                }
            }
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, state) in &self.services {
            writeln!(f, "{id} {}", state.service)?;
            for (address, server) in &state.servers {
                writeln!(f, "  -> {address} {server}")?;
            }
        }
        Ok(())
    }
}

/// The kernel's name for a service of the file.
#[must_use]
pub const fn id_of(key: &ServiceKey) -> ServiceId {
    match key.listen {
        Listen::Address(address) => {
            let protocol = match key.protocol {
                Some(Protocol::Udp) => ServiceId::UDP,
                Some(Protocol::Sctp) => ServiceId::SCTP,
                Some(Protocol::Tcp) | None => ServiceId::TCP,
            };
            ServiceId::Address { address, protocol }
        }
        Listen::Fwmark { mark, ipv6 } => {
            ServiceId::Fwmark { mark, family: if ipv6 { Family::V6 } else { Family::V4 } }
        }
    }
}

/// Where a server is entered for a service of this key: with the key's port if it has none itself.
#[must_use]
pub const fn address_at(key: &ServiceKey, server: SocketAddr) -> SocketAddr {
    match key.listen {
        Listen::Address(vip) if server.port() == 0 => with_port(server, vip.port()),
        _ => server,
    }
}

const fn with_port(address: SocketAddr, port: u16) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddr::V4(SocketAddrV4::new(*v4.ip(), port)),
        SocketAddr::V6(v6) => SocketAddr::V6(SocketAddrV6::new(*v6.ip(), port, 0, 0)),
    }
}

/// The kernel's word for a method of the file.
#[must_use]
pub const fn forward_of(method: Method) -> Forward {
    match method {
        Method::Dr => Forward::Route,
        Method::Nat | Method::FullNat => Forward::Masquerade,
        Method::Tun => Forward::Tunnel,
    }
}
