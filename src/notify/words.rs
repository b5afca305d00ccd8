//! What programs are told, in keepalived's words (keepalived.conf(5), "notify"). Pure.

use std::collections::BTreeMap;

use crate::config::model::{Listen, Service, VrrpInstance};

/// What these words need beside an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// `[192.0.2.1]:tcp:80` by the name of a service.
    pub listens: BTreeMap<String, String>,
    /// The group of each virtual router that is in one.
    pub groups: BTreeMap<String, String>,
}

impl Names {
    /// Those of a configuration.
    #[must_use]
    pub fn new(routers: &[VrrpInstance], services: &[Service]) -> Self {
        let group = |router: &VrrpInstance| Some((router.name.clone(), router.group.clone()?));
        Self {
            listens: services.iter().map(|service| (service.name.clone(), listen(service))).collect(),
            groups: routers.iter().filter_map(group).collect(),
        }
    }

    /// Where a service listens; its name where that is not known.
    #[must_use]
    pub fn listen<'a>(&'a self, service: &'a str) -> &'a str {
        self.listens.get(service).map_or(service, String::as_str)
    }

    /// The virtual routers of a group.
    pub fn members(&self, group: &str) -> impl Iterator<Item = &String> {
        self.groups.iter().filter(move |(_, of)| *of == group).map(|(router, _)| router)
    }
}

/// A service: `[192.0.2.1]:tcp:80`, `FWM 5`.
fn listen(service: &Service) -> String {
    let protocol =
        service.key.protocol.map_or_else(|| "tcp".to_owned(), |it| format!("{it:?}").to_lowercase());
    match service.key.listen {
        Listen::Address(address) => format!("[{}]:{protocol}:{}", address.ip(), address.port()),
        Listen::Fwmark { mark, .. } => format!("FWM {mark}"),
    }
}

/// A real server: `[10.0.0.1]:tcp:80`, with the protocol of its service, as `listen` has it.
#[must_use]
pub fn server(endpoint: std::net::SocketAddr, listen: &str) -> String {
    let protocol = listen.rsplit_once("]:").and_then(|(_, rest)| rest.split(':').next()).unwrap_or("tcp");
    format!("[{}]:{protocol}:{}", endpoint.ip(), endpoint.port())
}

/// Owned.
#[must_use]
pub fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_the_protocol_of_its_service() {
        let at = "[2001:db8::1]:53".parse().unwrap();
        assert_eq!(server(at, "[2001:db8::9]:udp:53"), "[2001:db8::1]:udp:53");
        assert_eq!(server(at, "FWM 5"), "[2001:db8::1]:tcp:53");
        assert_eq!(server(at, "web"), "[2001:db8::1]:tcp:53");
    }
}
