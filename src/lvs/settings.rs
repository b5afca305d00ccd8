//! How the kernel's IPVS should be set, from the methods and schedulers in use. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::config::model::{Config, Ipvs, Method};
use crate::ipvs::codec::Timeouts;

/// A value of `/proc/sys/net/ipv4/vs`, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// As it is written.
    pub value: String,
    /// For the operator.
    pub reason: &'static str,
}

/// The reason of a value that `[ipvs]` has.
pub const BY_FILE: &str = "as the file has it";

/// Real servers from which on the kernel's rate estimators cost more than they tell.
const MANY: usize = 100_000;

/// Every setting that Director keeps, by its name below `net.ipv4.vs`. What `[ipvs.sysctls]` has goes first.
#[must_use]
pub fn profile(config: &Config) -> BTreeMap<String, Setting> {
    let mut profile: BTreeMap<String, Setting> = chosen(&Use::of(config))
        .into_iter()
        .map(|(name, value, reason)| (name.to_owned(), Setting { value: value.to_string(), reason }))
        .collect();
    for (name, value) in &config.ipvs.sysctls {
        profile.insert(name.clone(), Setting { value: value.clone(), reason: BY_FILE });
    }
    profile
}

/// The idle times of connections; what the file leaves out is as the kernel has it at its start (kernel:
/// ip_vs_proto_tcp.c, ip_vs_proto_udp.c).
#[must_use]
pub fn timeouts(ipvs: &Ipvs) -> Timeouts {
    let or = |time: Option<Duration>, kernel: u32| {
        time.map_or(kernel, |time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX))
    };
    Timeouts { tcp: or(ipvs.tcp, 900), tcp_fin: or(ipvs.tcp_fin, 120), udp: or(ipvs.udp, 300) }
}

/// What the services use.
#[derive(Debug, Default)]
struct Use {
    /// DR or TUN: the director sees no answers.
    one_way: bool,
    full_nat: bool,
    /// A scheduler by which any director finds the same real server.
    stateless: bool,
    /// This box is one of its own real servers, by DR or TUN.
    own_server: bool,
    servers: usize,
}

impl Use {
    fn of(config: &Config) -> Self {
        let own: Vec<IpAddr> = config
            .interfaces
            .iter()
            .flat_map(|interface| interface.addresses.iter().map(|cidr| cidr.address))
            .collect();
        let mut seen = Self::default();
        for service in &config.services {
            seen.stateless |= service.scheduler == "mh";
            for server in service.everybody() {
                let one_way = matches!(server.method, Method::Dr | Method::Tun);
                seen.one_way |= one_way;
                seen.full_nat |= server.method == Method::FullNat;
                seen.own_server |= one_way && own.contains(&server.address.ip());
                seen.servers += 1;
            }
        }
        seen
    }
}

/// The table of the manual.
fn chosen(seen: &Use) -> Vec<(&'static str, u8, &'static str)> {
    let flag = |name, on: bool, yes, no| (name, u8::from(on), if on { yes } else { no });
    vec![
        (
            "expire_nodest_conn",
            1,
            "connections to a server that was removed end with their next packet, not with their patience",
        ),
        (
            "expire_quiescent_template",
            1,
            "a persistent client leaves a server of weight 0 with its next connection",
        ),
        if seen.one_way {
            (
                "conn_reuse_mode",
                2,
                "a port that a client uses again is a new connection, also after a FIN, the last that DR and TUN see",
            )
        } else {
            ("conn_reuse_mode", 1, "a port that a client uses again after the end is a new connection")
        },
        flag(
            "conntrack",
            seen.full_nat,
            "full NAT rewrites sources by connection tracking",
            "nothing needs connection tracking, which costs every packet",
        ),
        flag(
            "sloppy_tcp",
            seen.stateless,
            "mh finds the same server on every director, so a connection may come over in its middle",
            "a connection begins with SYN",
        ),
        flag("sloppy_sctp", seen.stateless, "as sloppy_tcp", "an association begins with INIT"),
        flag(
            "schedule_icmp",
            seen.stateless,
            "errors about connections that another director had reach the same server",
            "errors belong to known connections",
        ),
        ("drop_entry", 1, "when memory runs short, half-open connections go first"),
        flag(
            "backup_only",
            seen.own_server,
            "this box is a real server of its twin, and must not send its packets back",
            "this box is no real server of its own",
        ),
        flag(
            "ignore_tunneled",
            seen.own_server,
            "what comes out of a tunnel was balanced already",
            "this box is no real server of its own",
        ),
        flag(
            "run_estimation",
            seen.servers <= MANY,
            "rates are shown",
            "beyond 100,000 servers the estimators cost more than they tell",
        ),
    ]
}

/// Whether what the kernel shows is what was written. A defence of 1 shows as 2 while it is active, and is set back by the
/// kernel itself (kernel: update_defense_level).
#[must_use]
pub fn holds(name: &str, wanted: &str, shown: &str) -> bool {
    let same = wanted.split_whitespace().eq(shown.split_whitespace());
    let automatic = ["drop_entry", "drop_packet", "secure_tcp"].contains(&name);
    same || automatic && [wanted.trim(), shown.trim()].iter().all(|value| ["1", "2"].contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Interface, InterfaceSelector, Listen, Protocol, Server, Service, ServiceKey};

    fn config(services: &[(&'static str, Method, &str)]) -> Config {
        let service = |(scheduler, method, server): &(&'static str, Method, &str)| {
            let listen = Listen::Address("192.0.2.1:80".parse().unwrap());
            let key = ServiceKey { listen, protocol: Some(Protocol::Tcp) };
            let servers = vec![Server::new(server.parse().unwrap(), *method)];
            Service { scheduler, servers, ..Service::new("s", key) }
        };
        Config { services: services.iter().map(service).collect(), ..Config::default() }
    }

    /// The settings that differ from those of no services at all.
    fn peculiar(config: &Config) -> Vec<(String, String)> {
        let plain = profile(&Config::default());
        let mine = profile(config).into_iter().map(|(name, setting)| (name, setting.value));
        mine.filter(|(name, value)| plain.get(name).is_none_or(|plain| plain.value != *value)).collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn methods_and_schedulers_choose_the_settings() {
        type Services<'a> = &'a [(&'static str, Method, &'a str)];
        let peculiar = |services: Services<'_>| peculiar(&config(services));
        assert_eq!(peculiar(&[("wlc", Method::Nat, "10.0.0.1:80")]), []);
        let dr = ("wlc", Method::Dr, "10.0.0.1:80");
        assert_eq!(peculiar(&[dr]), pairs(&[("conn_reuse_mode", "2")]));
        assert_eq!(
            peculiar(&[("wlc", Method::Nat, "10.0.0.1:80"), ("rr", Method::Tun, "10.0.0.1:80")]),
            pairs(&[("conn_reuse_mode", "2")])
        );
        assert_eq!(peculiar(&[("wlc", Method::FullNat, "10.0.0.1:80")]), pairs(&[("conntrack", "1")]));
        assert_eq!(
            peculiar(&[("mh", Method::Nat, "10.0.0.1:80")]),
            pairs(&[("schedule_icmp", "1"), ("sloppy_sctp", "1"), ("sloppy_tcp", "1")])
        );
    }

    #[test]
    fn a_box_that_is_its_own_real_server_guards_against_loops() {
        let mut config = config(&[("wlc", Method::Dr, "10.0.0.1:80")]);
        config.interfaces.push(Interface {
            selector: InterfaceSelector::Name("eth0".parse().unwrap()),
            addresses: vec!["10.0.0.1/24".parse().unwrap()],
            dhcp: false,
            mtu: None,
        });
        let loops = [("backup_only", "1"), ("conn_reuse_mode", "2"), ("ignore_tunneled", "1")];
        assert_eq!(peculiar(&config), pairs(&loops));
    }

    #[test]
    fn the_manual_gives_a_reason_for_each() {
        let manual = include_str!("../../doc/manual.md");
        let section = manual.split("### The kernel's settings").nth(1).unwrap();
        for name in profile(&Config::default()).keys() {
            assert!(section.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn the_file_goes_first() {
        let mut config = config(&[("wlc", Method::FullNat, "10.0.0.1:80")]);
        config.ipvs.sysctls = BTreeMap::from(
            [("conntrack", "0"), ("sync_threshold", "0 0")].map(|(a, b)| (a.into(), b.into())),
        );
        assert_eq!(peculiar(&config), pairs(&[("sync_threshold", "0 0")]));
        config.ipvs.udp = Some(Duration::from_secs(60));
        assert_eq!(timeouts(&config.ipvs), Timeouts { tcp: 900, tcp_fin: 120, udp: 60 });
    }

    #[test]
    fn an_active_defence_is_no_foreign_change() {
        assert!(holds("drop_entry", "1", "2\n"));
        assert!(!holds("drop_entry", "1", "3\n"));
        assert!(!holds("conn_reuse_mode", "1", "2\n"));
        assert!(holds("sync_threshold", "3 50", "3\t50\n"));
    }
}
