//! What has to be true on a real server. Pure.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A VIP, and how packets for it arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The VIP.
    pub vip: IpAddr,
    /// How.
    pub arrival: Arrival,
}

/// How packets arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrival {
    /// As they are, by direct routing.
    Dr,
    /// IP in IP (RFC 2003); the outer header has the family of the VIP.
    Ipip,
    /// Generic routing encapsulation (RFC 2784) without checksum; the outer header has the family of the VIP.
    Gre,
    /// Generic UDP encapsulation to this port.
    Gue(u16),
}

/// Something that has to be true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// The kernel unwraps UDP packets to this port as GUE.
    Gue {
        /// UDP port.
        port: u16,
        /// Outer family.
        ipv6: bool,
    },
    /// A link exists.
    Link {
        /// Its name: that of the device which the kernel makes by itself with the module.
        name: String,
        /// Its kind as `ip link add type` has it.
        kind: String,
    },
    /// A link is up.
    Up(String),
    /// A value below `/proc/sys/net`.
    Sysctl {
        /// Path, such as `ipv4/conf/all/arp_ignore`.
        path: String,
        /// Value.
        value: u8,
    },
    /// The VIP on `lo`.
    Address(IpAddr),
}

impl Need {
    /// The values that serve as well: stricter ones.
    #[must_use]
    pub fn is_met_by(&self, found: &str) -> bool {
        match self {
            // 2 answers for no more addresses than 1 does.
            Self::Sysctl { path, value: 1 } if path.ends_with("arp_ignore") => matches!(found, "1" | "2"),
            Self::Sysctl { value, .. } => found == value.to_string(),
            _ => false,
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gue { port, ipv6: false } => write!(f, "GUE on UDP port {port}"),
            Self::Gue { port, ipv6: true } => write!(f, "GUE on UDP port {port} over IPv6"),
            Self::Link { name, kind } => write!(f, "link {name} of kind {kind}"),
            Self::Up(name) => write!(f, "link {name} up"),
            Self::Sysctl { path, value } => write!(f, "net.{}={value}", path.replace('/', ".")),
            Self::Address(vip) => write!(f, "{vip}/{} on lo", prefix(*vip)),
        }
    }
}

/// A VIP is an address of its own.
#[must_use]
pub const fn prefix(vip: IpAddr) -> u8 {
    match vip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// What has to be true for all of `wishes`, each thing once, in the order in which it has to be done: nobody may ask for the
/// VIP's hardware address before the host knows not to answer.
#[must_use]
pub fn needs(wishes: &[Wish]) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut add = |need: Need| {
        if !needs.contains(&need) {
            needs.push(need);
        }
    };
    let sysctl = |path: String, value| Need::Sysctl { path, value };
    for Wish { vip, arrival } in wishes {
        let ipv6 = vip.is_ipv6();
        if let Arrival::Gue(port) = arrival {
            add(Need::Gue { port: *port, ipv6 });
        }
        if let Some((name, kind)) = device(*arrival, ipv6) {
            add(Need::Link { name: name.to_owned(), kind: kind.to_owned() });
            add(Need::Up(name.to_owned()));
            if !ipv6 {
                // A client's address is never routed to a tunnel that has no address. The kernel takes the higher of both values.
                add(sysctl("ipv4/conf/all/rp_filter".to_owned(), 0));
                add(sysctl(format!("ipv4/conf/{name}/rp_filter"), 0));
            }
        }
        if !ipv6 {
            // On `lo` the kernel answers no neighbour solicitation, so IPv6 needs nothing of the kind.
            for link in ["all", "lo"] {
                add(sysctl(format!("ipv4/conf/{link}/arp_ignore"), 1));
                add(sysctl(format!("ipv4/conf/{link}/arp_announce"), 2));
            }
        }
    }
    for Wish { vip, .. } in wishes {
        add(Need::Address(*vip));
    }
    needs
}

/// The device out of which unwrapped packets come, and its kind. GUE leaves IP in IP behind.
const fn device(arrival: Arrival, ipv6: bool) -> Option<(&'static str, &'static str)> {
    match (arrival, ipv6) {
        (Arrival::Dr, _) => None,
        (Arrival::Ipip | Arrival::Gue(_), false) => Some(("tunl0", "ipip")),
        (Arrival::Ipip | Arrival::Gue(_), true) => Some(("ip6tnl0", "ip6tnl")),
        (Arrival::Gre, false) => Some(("gre0", "gre")),
        (Arrival::Gre, true) => Some(("ip6gre0", "ip6gre")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(wishes: &[(&str, Arrival)]) -> Vec<String> {
        let wishes: Vec<Wish> = wishes
            .iter()
            .map(|(vip, arrival)| Wish { vip: vip.parse().unwrap(), arrival: *arrival })
            .collect();
        needs(&wishes).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn arp_is_kept_quiet_before_there_is_an_address() {
        assert_eq!(
            told(&[("192.0.2.1", Arrival::Dr), ("192.0.2.2", Arrival::Dr), ("2001:db8::1", Arrival::Dr)]),
            [
                "net.ipv4.conf.all.arp_ignore=1",
                "net.ipv4.conf.all.arp_announce=2",
                "net.ipv4.conf.lo.arp_ignore=1",
                "net.ipv4.conf.lo.arp_announce=2",
                "192.0.2.1/32 on lo",
                "192.0.2.2/32 on lo",
                "2001:db8::1/128 on lo",
            ]
        );
        assert_eq!(told(&[("2001:db8::1", Arrival::Dr)]), ["2001:db8::1/128 on lo"]);
    }

    #[test]
    fn tunnels_have_a_device() {
        let shown = told(&[("192.0.2.1", Arrival::Gue(6080))]);
        assert_eq!(
            shown[..5],
            [
                "GUE on UDP port 6080",
                "link tunl0 of kind ipip",
                "link tunl0 up",
                "net.ipv4.conf.all.rp_filter=0",
                "net.ipv4.conf.tunl0.rp_filter=0"
            ]
        );
        assert_eq!(
            told(&[("2001:db8::1", Arrival::Gre)]),
            ["link ip6gre0 of kind ip6gre", "link ip6gre0 up", "2001:db8::1/128 on lo"]
        );
    }

    #[test]
    fn a_stricter_value_serves() {
        let ignore = Need::Sysctl { path: "ipv4/conf/all/arp_ignore".to_owned(), value: 1 };
        assert!(ignore.is_met_by("1") && ignore.is_met_by("2"));
        assert!(!ignore.is_met_by("0") && !ignore.is_met_by("8"));
    }
}
