//! Probes that go to the VIP by the way that clients' packets take to one real server (`probe = "vip"`). Pure.
//!
//! For each VIP, real server and method there is a service of IPVS by a firewall mark that nobody else uses, with that server
//! alone. A probe asks the VIP and bears the mark, so IPVS sends it to this server, on a master as on a backup. These services
//! are none of the file's: they are kept beside its table and shown nowhere.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::desired::{keys, server_of};
use super::state::{ServiceState, State};
use crate::config::model::{
    Check, CheckKind, Listen, Method, ProbeRoute, Server, Service, Sorry, Tunnel, WAY_MARKS,
};
use crate::ipvs::{self, Family, Name, ServiceId};

const FIRST: u32 = *WAY_MARKS.start();
const COUNT: u32 = *WAY_MARKS.end() - FIRST + 1;

/// Whether a service of the kernel's table is a way.
#[must_use]
pub const fn is_way(id: &ServiceId) -> bool {
    match id {
        ServiceId::Fwmark { mark, .. } => *mark >= FIRST && *mark - FIRST < COUNT,
        ServiceId::Address { .. } => false,
    }
}

/// What tells ways apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Way {
    vip: IpAddr,
    server: IpAddr,
    method: Method,
    tunnel: Tunnel,
}

impl Way {
    fn new(vip: IpAddr, server: &Server) -> Self {
        Self { vip, server: server.address.ip(), method: server.method, tunnel: server.tunnel }
    }
}

/// The ways to a server by each VIP of the service, of a range by its first one; none where the VIP is not known, or packets come back by
/// this box. With the port to ask where the server has none of its own.
fn ways(service: &Service, server: &Server) -> Vec<(Way, Option<u16>)> {
    if !matches!(server.method, Method::Dr | Method::Tun) {
        return Vec::new();
    }
    let vips: Vec<(IpAddr, Option<u16>)> = match (service.key.listen, &service.marking) {
        (Listen::Address(_), _) => {
            let addresses = keys(service).filter_map(|key| match key.listen {
                Listen::Address(vip) => Some(vip),
                Listen::Fwmark { .. } => None,
            });
            addresses.map(|vip| (vip.ip(), Some(vip.port()).filter(|port| *port != 0))).collect()
        }
        (Listen::Fwmark { .. }, Some(marking)) => {
            marking.addresses.iter().map(|range| (range.first, None)).collect()
        }
        (Listen::Fwmark { .. }, None) => Vec::new(),
    };
    let mut seen = BTreeSet::new();
    let once = vips.into_iter().filter(|(vip, _)| seen.insert(*vip));
    once.map(|(vip, port)| (Way::new(vip, server), port)).collect()
}

/// Turns the checks by way of the VIP into what is asked: the VIP, under the mark of the way. Returns the services that IPVS
/// needs for that.
pub fn lay(services: &mut [Service]) -> State {
    let marks = marks(services);
    let mut state = State::default();
    for service in services {
        let mut servers: Vec<Server> = std::mem::take(&mut service.servers);
        for server in &mut servers {
            turn(service, server, &marks, &mut state);
        }
        service.servers = servers;
        let mut sorry = std::mem::take(&mut service.sorry);
        if let Sorry::Servers(servers) = &mut sorry {
            for server in servers {
                turn(service, server, &marks, &mut state);
            }
        }
        service.sorry = sorry;
    }
    state
}

fn turn(service: &Service, server: &mut Server, marks: &BTreeMap<Way, u32>, state: &mut State) {
    if !server.checks.iter().any(|check| goes(check)) {
        return;
    }
    let own = Some(server.address.port()).filter(|port| *port != 0);
    let ways = ways(service, server).into_iter();
    let ways: Vec<(Way, u32, Option<u16>)> =
        ways.filter_map(|(way, port)| Some((way, *marks.get(&way)?, own.or(port)))).collect();
    if ways.is_empty() {
        return;
    }
    let by_each_way = |check: Arc<Check>| -> Vec<Arc<Check>> {
        if !goes(&check) {
            return vec![check];
        }
        let by = |(way, mark, port): &(Way, u32, Option<u16>)| {
            let (address, port) = (Some(way.vip), check.port.or(*port));
            Arc::new(Check { address, port, mark: *mark, ..Check::clone(&check) })
        };
        ways.iter().map(by).collect()
    };
    server.checks = std::mem::take(&mut server.checks).into_iter().flat_map(by_each_way).collect();
    for (way, mark, _) in &ways {
        enter(*way, *mark, server, state);
    }
}

/// The service of IPVS by which probes go this way.
fn enter(way: Way, mark: u32, server: &Server, state: &mut State) {
    let family = if way.vip.is_ipv4() { Family::V4 } else { Family::V6 };
    let only = ipvs::Service {
        scheduler: Name::try_from("rr").unwrap_or_default(),
        flags: 0,
        persistence: None,
        engine: None,
    };
    let plain = Server { upper: 0, lower: 0, ..server.clone() };
    let servers = BTreeMap::from([(SocketAddr::new(way.server, 0), server_of(&plain, 1))]);
    state.services.insert(ServiceId::Fwmark { mark, family }, ServiceState { service: only, servers });
}

/// Only what has ports is balanced.
fn goes(check: &Check) -> bool {
    let ports = !matches!(
        check.kind,
        CheckKind::None | CheckKind::Ping | CheckKind::Arp | CheckKind::Exec { .. } | CheckKind::File { .. }
    );
    check.route == ProbeRoute::Vip && ports
}

/// A mark for each way: by its hash, so that it stays when others come and go, or the next that is free.
fn marks(services: &[Service]) -> BTreeMap<Way, u32> {
    let ways: BTreeSet<Way> = services
        .iter()
        .flat_map(|service| service.everybody().map(move |server| (service, server)))
        .filter(|(_, server)| server.checks.iter().any(|check| goes(check)))
        .flat_map(|(service, server)| ways(service, server))
        .map(|(way, _)| way)
        .collect();
    let mut taken = BTreeSet::new();
    let mut marks = BTreeMap::new();
    // More ways than marks: what is left over asks the server itself.
    for way in ways.into_iter().take(usize::try_from(COUNT).unwrap_or(usize::MAX)) {
        let mut hasher = DefaultHasher::new();
        way.hash(&mut hasher);
        let mut at = u32::try_from(hasher.finish() % u64::from(COUNT)).unwrap_or(0);
        while !taken.insert(at) {
            at = (at + 1) % COUNT;
        }
        marks.insert(way, FIRST + at);
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Dialogue, Protocol, ServiceKey};

    fn service(vip: &str, method: Method, servers: &[&str], route: ProbeRoute) -> Service {
        let check = Arc::new(Check { route, ..Check::new(CheckKind::Tcp(Dialogue::default())) });
        let listen = Listen::Address(vip.parse().unwrap());
        let server = |address: &&str| Server {
            checks: vec![Arc::clone(&check)],
            ..Server::new(address.parse().unwrap(), method)
        };
        Service {
            servers: servers.iter().map(server).collect(),
            ..Service::new("s", ServiceKey { listen, protocol: Some(Protocol::Tcp) })
        }
    }

    #[test]
    fn the_built_in_sorry_page_stays() {
        let page = service("192.0.2.1:80", Method::Dr, &["10.0.0.1:80"], ProbeRoute::Vip);
        let mut services = vec![Service { sorry: Sorry::Local, ..page }];
        lay(&mut services);
        assert_eq!(services[0].sorry, Sorry::Local);
    }

    #[test]
    fn a_probe_by_the_vip_asks_it_under_a_mark_of_its_own() {
        let mut services = vec![
            service("192.0.2.1:80", Method::Dr, &["10.0.0.1:80", "10.0.0.2:80"], ProbeRoute::Vip),
            service("192.0.2.1:443", Method::Dr, &["10.0.0.1:443"], ProbeRoute::Vip),
            service("192.0.2.1:25", Method::Nat, &["10.0.0.1:25"], ProbeRoute::Vip),
            service("192.0.2.2:80", Method::Dr, &["10.0.0.1:80"], ProbeRoute::Server),
        ];
        let state = lay(&mut services);
        assert_eq!(state.services.len(), 2, "one for each VIP and server");
        assert!(state.services.keys().all(is_way));
        let asked =
            |service: usize, server: usize| Check::clone(&services[service].servers[server].checks[0]);
        let first = asked(0, 0);
        assert_eq!((first.address, first.port), (Some("192.0.2.1".parse().unwrap()), Some(80)));
        assert_ne!(first.mark, asked(0, 1).mark);
        assert_eq!((first.mark, asked(1, 0).port), (asked(1, 0).mark, Some(443)));
        assert_eq!((asked(2, 0).address, asked(3, 0).address), (None, None));
        let id = ServiceId::Fwmark { mark: first.mark, family: Family::V4 };
        assert_eq!(
            state.services[&id].servers.keys().collect::<Vec<_>>(),
            [&"10.0.0.1:0".parse::<SocketAddr>().unwrap()]
        );
    }

    #[test]
    fn a_server_that_lacks_the_second_vip_is_found_too() {
        let mut web = service("192.0.2.1:80", Method::Dr, &["10.0.0.1:80"], ProbeRoute::Vip);
        let listen = |vip: &str| Listen::Address(vip.parse().unwrap());
        let also = ["192.0.2.1:443", "192.0.2.2:80"].map(|vip| ServiceKey { listen: listen(vip), ..web.key });
        web.also = also.to_vec();
        let mut services = vec![web];
        let state = lay(&mut services);
        let asked: Vec<String> =
            services[0].servers[0].checks.iter().map(|check| check.address.unwrap().to_string()).collect();
        assert_eq!(asked, ["192.0.2.1", "192.0.2.2"], "each VIP once, whatever its ports");
        assert_eq!(state.services.len(), 2);
    }

    #[test]
    fn marks_stay_when_other_ways_come_and_never_meet() {
        let vips: Vec<String> = (0..2000).map(|at| format!("10.1.{}.{}:80", at / 250, at % 250)).collect();
        let mut all: Vec<Service> =
            vips.iter().map(|vip| service(vip, Method::Tun, &["10.0.0.1:80"], ProbeRoute::Vip)).collect();
        let mut few = all.split_off(1000);
        let alone = lay(&mut few);
        all.extend(few.iter().cloned());
        assert_eq!(lay(&mut all).services.len(), 2000);
        let stay = all[1000..].iter().zip(&few).filter(|(a, b)| a.servers == b.servers).count();
        assert!(stay >= 990, "{stay} of {}", alone.services.len());
        assert!(!is_way(&ServiceId::Fwmark { mark: FIRST - 1, family: Family::V4 }));
        assert!(!is_way(&ServiceId::Fwmark { mark: FIRST + COUNT, family: Family::V4 }));
    }
}
