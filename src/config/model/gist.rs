//! What those who do not hold the services need to know of them: a few bytes in place of ten thousand servers.

use serde::{Deserialize, Serialize};

use super::{Listen, Method, ProbeRoute, Service, ServiceKey};

/// Of all services together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gist {
    /// Their names, in the order of the file.
    pub names: Vec<String>,
    /// Real servers of IPv4 services answer through this box (NAT).
    pub forwards_ipv4: bool,
    /// The same for IPv6.
    pub forwards_ipv6: bool,
    /// A probe asks a VIP past the VIP's own box ([`ProbeRoute::Vip`]).
    pub probes_by_vip: bool,
}

impl Gist {
    /// What these services come to.
    #[must_use]
    pub fn of(services: &[Service]) -> Self {
        let mut gist = Self { names: services.iter().map(|it| it.name.clone()).collect(), ..Self::default() };
        for service in services {
            let behind_nat = |method| matches!(method, Method::Nat | Method::FullNat);
            if service.everybody().any(|server| behind_nat(server.method)) {
                gist.forwards_ipv4 |= is_ipv4(service.key);
                gist.forwards_ipv6 |= !is_ipv4(service.key);
            }
            let mut checks = service.everybody().flat_map(|server| &server.checks);
            gist.probes_by_vip |= checks.any(|check| check.route == ProbeRoute::Vip);
        }
        gist
    }
}

const fn is_ipv4(key: ServiceKey) -> bool {
    match key.listen {
        Listen::Address(address) => address.is_ipv4(),
        Listen::Fwmark { ipv6, .. } => !ipv6,
    }
}
