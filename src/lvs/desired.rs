//! What the file wants, in the kernel's words. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::state::{forward_of, id_of};
use crate::config::model::{self, Listen, PersistenceEngine, Protocol, ServiceKey, Sorry, TunnelChecksum};
use crate::ipvs::{Family, Forward, Name, Persistence, Server, Service, Tunnel};

/// Flags of a service (kernel: include/uapi/linux/ip_vs.h, `IP_VS_SVC_F_ONEPACKET` and `IP_VS_SVC_F_SCHED1..3`).
mod flag {
    pub const ONE_PACKET: u32 = 0x04;
    pub const SCHED1: u32 = 0x08;
    pub const SCHED2: u32 = 0x10;
    pub const SCHED3: u32 = 0x20;
}

/// Kinds of tunnels (kernel: include/uapi/linux/ip_vs.h, `IP_VS_CONN_F_TUNNEL_TYPE_*`).
mod kind {
    pub const IPIP: u8 = 0;
    pub const GUE: u8 = 1;
    pub const GRE: u8 = 2;
}

/// How the service with this key, one of its own, is set.
#[must_use]
pub fn service_of(service: &model::Service, key: &ServiceKey) -> Service {
    let persistence = service.persistence.map(|persistence| Persistence {
        timeout: u32::try_from(persistence.timeout.as_secs()).unwrap_or(u32::MAX),
        mask: match id_of(key).family() {
            Family::V4 => u32::MAX.checked_shl(32 - u32::from(persistence.prefix.min(32))).unwrap_or(0),
            Family::V6 => u32::from(persistence.prefix),
        },
    });
    let engine = service.persistence.and_then(|persistence| persistence.engine).map(|engine| match engine {
        PersistenceEngine::Sip => "sip",
    });
    let flags = [
        (service.one_packet, flag::ONE_PACKET),
        (service.flags.flag1, flag::SCHED1),
        (service.flags.flag2, flag::SCHED2),
        (service.flags.flag3, flag::SCHED3),
    ];
    Service {
        // The configuration allows the kernel's own names only, and those fit.
        scheduler: Name::try_from(service.scheduler).unwrap_or_default(),
        flags: flags.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag),
        persistence,
        engine: engine.and_then(|engine| Name::try_from(engine).ok()),
    }
}

/// How a server is set that has this weight.
#[must_use]
pub const fn server_of(server: &model::Server, weight: u32) -> Server {
    Server {
        forward: forward_of(server.method),
        weight,
        upper: server.upper,
        lower: server.lower,
        tunnel: match server.method {
            model::Method::Tun => tunnel_of(server.tunnel),
            model::Method::Dr | model::Method::Nat | model::Method::FullNat => {
                Tunnel { kind: kind::IPIP, port: 0, flags: 0 }
            }
        },
    }
}

const fn tunnel_of(tunnel: model::Tunnel) -> Tunnel {
    match tunnel {
        model::Tunnel::Ipip => Tunnel { kind: kind::IPIP, port: 0, flags: 0 },
        model::Tunnel::Gue { port, checksum } => {
            Tunnel { kind: kind::GUE, port, flags: checksum_of(checksum) }
        }
        model::Tunnel::Gre { checksum } => Tunnel { kind: kind::GRE, port: 0, flags: checksum_of(checksum) },
    }
}

/// `IP_VS_TUNNEL_ENCAP_FLAG_*`.
const fn checksum_of(checksum: TunnelChecksum) -> u16 {
    match checksum {
        TunnelChecksum::None => 0,
        TunnelChecksum::Full => 1,
        TunnelChecksum::Remote => 2,
    }
}

/// Where the built-in page of a service has to listen: its own addresses and ports, which the kernel does not rewrite.
/// Empty unless the service wants the page and can have it.
pub fn local_pages(service: &model::Service) -> impl Iterator<Item = SocketAddr> {
    keys(service).filter_map(|key| local_page(service, key))
}

/// All keys of a service.
pub fn keys(service: &model::Service) -> impl Iterator<Item = &ServiceKey> {
    std::iter::once(&service.key).chain(&service.also)
}

/// The built-in page for one key.
#[must_use]
pub fn local_page(service: &model::Service, key: &ServiceKey) -> Option<SocketAddr> {
    match (&service.sorry, key.listen, key.protocol) {
        (Sorry::Local, Listen::Address(address), Some(Protocol::Tcp)) if address.port() != 0 => Some(address),
        _ => None,
    }
}

/// This box itself as a real server: the packet goes up its own stack as it is (`ip_vs_null_xmit`), so the address is but a
/// name in the table.
#[must_use]
pub const fn here(page: SocketAddr) -> (SocketAddr, Server) {
    let loopback = match page {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let tunnel = Tunnel { kind: kind::IPIP, port: 0, flags: 0 };
    let server = Server { forward: Forward::Local, weight: 1, upper: 0, lower: 0, tunnel };
    (SocketAddr::new(loopback, page.port()), server)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::model::{Method, SchedulerFlags};

    fn sip() -> model::Service {
        let listen = Listen::Address("192.0.2.1:5060".parse().unwrap());
        model::Service::new("sip", ServiceKey { listen, protocol: Some(Protocol::Udp) })
    }

    #[test]
    fn persistence_engine_and_flags_in_the_kernels_words() {
        let mut service = sip();
        let persistence = model::Persistence { timeout: Duration::from_secs(50), prefix: 24, engine: None };
        service.persistence = Some(persistence);
        let shown = |service: &model::Service| service_of(service, &service.key).to_string();
        assert_eq!(shown(&service), "scheduler=wlc persistence=50s/0xffffff00");
        service.persistence =
            Some(model::Persistence { engine: Some(PersistenceEngine::Sip), ..persistence });
        service.one_packet = true;
        assert_eq!(shown(&service), "scheduler=wlc flags=0x4 persistence=50s/0xffffff00 engine=sip");
        service.key.listen = Listen::Fwmark { mark: 1, ipv6: true };
        service.persistence = Some(model::Persistence { prefix: 64, ..persistence });
        service.flags = SchedulerFlags { flag1: true, flag2: true, flag3: true };
        service.one_packet = false;
        service.scheduler = "mh";
        assert_eq!(shown(&service), "scheduler=mh flags=0x38 persistence=50s/0x40");
    }

    #[test]
    fn methods_tunnels_and_limits_in_the_kernels_words() {
        let shown = |method, tunnel| {
            let server = model::Server::new("10.0.0.1:5060".parse().unwrap(), method);
            server_of(&model::Server { tunnel, ..server }, 3).to_string()
        };
        let gue = model::Tunnel::Gue { port: 6080, checksum: TunnelChecksum::Remote };
        let gre = model::Tunnel::Gre { checksum: TunnelChecksum::Full };
        for (method, tunnel, expected) in [
            (Method::Dr, gre, "method=route weight=3"),
            (Method::FullNat, gue, "method=masq weight=3"),
            (Method::Tun, model::Tunnel::Ipip, "method=tunnel weight=3"),
            (Method::Tun, gue, "method=tunnel weight=3 tunnel=1/6080/0x2"),
            (Method::Tun, gre, "method=tunnel weight=3 tunnel=2/0/0x1"),
        ] {
            assert_eq!(shown(method, tunnel), expected);
        }
        let limited = model::Server {
            upper: 100,
            lower: 50,
            ..model::Server::new("10.0.0.1:5060".parse().unwrap(), Method::Nat)
        };
        assert_eq!(server_of(&limited, 1).to_string(), "method=masq weight=1 limits=100/50");
    }
}
