//! What the configuration in force says of the kernel's services: their names, their order, and what the kernel does not know.
//! Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::config::model::{Config, Method};
use crate::ctl::closest;
use crate::ipvs::{ServiceEntry, ServiceId};
use crate::lvs::state::id_of;

/// Names and places by what makes a service unique in the kernel; empty where no Director runs.
#[derive(Debug, Clone, Default)]
pub struct Book {
    entries: BTreeMap<ServiceId, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    place: usize,
    servers: BTreeMap<SocketAddr, (usize, Method)>,
}

impl Book {
    /// What `config` says.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let mut entries = BTreeMap::new();
        for service in &config.services {
            for key in std::iter::once(&service.key).chain(&service.also) {
                let servers = service.servers.iter().enumerate();
                let servers = servers.map(|(place, server)| (server.address, (place, server.method)));
                let entry =
                    Entry { name: service.name.clone(), place: entries.len(), servers: servers.collect() };
                entries.insert(id_of(key), entry);
            }
        }
        Self { entries }
    }

    /// The name of a service in the file.
    #[must_use]
    pub fn name(&self, id: &ServiceId) -> Option<&str> {
        self.entries.get(id).map(|entry| entry.name.as_str())
    }

    /// The method of a real server in the file, which tells full-NAT from NAT.
    #[must_use]
    pub fn method(&self, id: &ServiceId, server: SocketAddr) -> Option<Method> {
        self.server(id, server).map(|(_, method)| method)
    }

    /// Sorts services and their servers as the file has them; what it does not know comes last, by address.
    pub fn sort(&self, table: &mut [ServiceEntry]) {
        table.sort_by_key(|entry| {
            (self.entries.get(&entry.id).map_or(usize::MAX, |known| known.place), entry.id)
        });
        for entry in table {
            let id = entry.id;
            entry.servers.sort_by_key(|server| {
                (self.server(&id, server.address).map_or(usize::MAX, |(place, _)| place), server.address)
            });
        }
    }

    /// Those of `table` that the operator means by `word`: a name of the file, `192.0.2.1:80`, `udp 192.0.2.1:53`, `fwmark 5`.
    ///
    /// # Errors
    /// When there is none, in words.
    pub fn select(&self, word: &str, table: &[ServiceId]) -> Result<Vec<ServiceId>, String> {
        let address: Option<SocketAddr> = word.parse().ok();
        let is_meant = |id: &ServiceId| match id {
            _ if self.name(id) == Some(word) => true,
            ServiceId::Address { address: listen, .. } if Some(*listen) == address => true,
            id => id.to_string() == word,
        };
        let found: Vec<ServiceId> = table.iter().copied().filter(is_meant).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        if self.entries.values().any(|entry| entry.name == word) {
            return Err(format!("service {word}: it is in the file, but not in the kernel's table"));
        }
        let names = self.entries.values().map(|entry| entry.name.as_str());
        let hint = closest(word, names).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Err(format!("service {word}: there is none of this name or address{hint}"))
    }

    fn server(&self, id: &ServiceId, server: SocketAddr) -> Option<(usize, Method)> {
        let servers = &self.entries.get(id)?.servers;
        // Port 0 in the file is the port of each of the service's keys.
        servers.get(&server).or_else(|| servers.get(&SocketAddr::new(server.ip(), 0))).copied()
    }
}
