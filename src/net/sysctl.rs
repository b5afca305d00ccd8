//! What a director wants of `/proc/sys/net`, each with its reason.
//!
//! Only the network namespace of this process is written. What does not exist (a kernel without IPv6) is passed over.

use std::collections::BTreeMap;

use crate::units::IfName;

struct Setting {
    /// Path below `/proc/sys/net`; `{}` is the name of the link.
    path: &'static str,
    value: &'static str,
}

/// For every link that the file speaks of.
const LINK: &[Setting] = &[
    // A VIP answers ARP only on the interface that carries it, so a second NIC on the same wire does not answer for it.
    Setting { path: "ipv4/conf/{}/arp_ignore", value: "1" },
    // ARP requests never use a VIP as their source: the neighbours would learn it before the gratuitous ARP.
    Setting { path: "ipv4/conf/{}/arp_announce", value: "2" },
    // NAT on one arm forwards out of the interface of arrival; a redirect would send the real server round the director.
    Setting { path: "ipv4/conf/{}/send_redirects", value: "0" },
    Setting { path: "ipv4/conf/{}/accept_redirects", value: "0" },
    // Clients may come in by another interface than the route to them names, and a DR director may have no route to
    // them at all, which even the loose filter (2) drops.
    Setting { path: "ipv4/conf/{}/rp_filter", value: "0" },
    // Removing the primary address of a subnet must not take its VIPs along.
    Setting { path: "ipv4/conf/{}/promote_secondaries", value: "1" },
    // Addresses and routes come from the file, not from whoever sends router advertisements, whether the file uses IPv6
    // on the link or not.
    Setting { path: "ipv6/conf/{}/accept_ra", value: "0" },
    Setting { path: "ipv6/conf/{}/accept_redirects", value: "0" },
];

/// For links with IPv6.
const LINK_IPV6: &[Setting] = &[
    Setting { path: "ipv6/conf/{}/disable_ipv6", value: "0" },
    // A VIP that moves would be refused by duplicate detection while the old master still holds it, and a link-local
    // address that is tentative for a second delays the first advertisement. Static addresses gain nothing from it.
    Setting { path: "ipv6/conf/{}/accept_dad", value: "0" },
    Setting { path: "ipv6/conf/{}/dad_transmits", value: "0" },
    // IPv4 addresses survive a link that is set down and up; IPv6 addresses only with this.
    Setting { path: "ipv6/conf/{}/keep_addr_on_down", value: "1" },
];

/// Once: the kernel combines these with the value of the link, so the link's alone would not count.
const GLOBAL: &[Setting] = &[
    Setting { path: "ipv4/conf/all/send_redirects", value: "0" },
    Setting { path: "ipv4/conf/all/accept_redirects", value: "0" },
    Setting { path: "ipv4/conf/all/rp_filter", value: "0" },
];

/// Replies of real servers pass through the director: only where a service uses NAT.
const FORWARD_IPV4: &str = "ipv4/ip_forward";
const FORWARD_IPV6: &str = "ipv6/conf/all/forwarding";

/// Whether the box passes packets on, by family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Forwarding {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

/// What should be written for `links` (name, uses IPv6). Forwarding that `raised` says we once switched on, and that
/// nothing needs any more, is switched off; where somebody else switched it on it stays.
pub fn wanted<'a>(
    links: impl IntoIterator<Item = (&'a IfName, bool)>,
    needed: Forwarding,
    raised: Forwarding,
) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut put = |setting: &Setting, link: &str| {
        values.insert(setting.path.replace("{}", link), setting.value.to_owned());
    };
    let mut any = false;
    for (name, ipv6) in links {
        any = true;
        LINK.iter().for_each(|setting| put(setting, name.as_str()));
        if ipv6 {
            LINK_IPV6.iter().for_each(|setting| put(setting, name.as_str()));
        }
    }
    if any {
        GLOBAL.iter().for_each(|setting| put(setting, ""));
    }
    for (path, needed, raised) in
        [(FORWARD_IPV4, needed.ipv4, raised.ipv4), (FORWARD_IPV6, needed.ipv6, raised.ipv6)]
    {
        if needed || raised {
            values.insert(path.to_owned(), u8::from(needed).to_string());
        }
    }
    values
}

/// Whether links take packets with a source that is an address of this box: only for probes by way of a VIP, whose answers come
/// from there. While this box is master the VIP is its own, and they would be dropped as martians.
pub fn accept_local<'a>(
    links: impl IntoIterator<Item = &'a IfName>,
    needed: bool,
) -> BTreeMap<String, String> {
    let value = u8::from(needed).to_string();
    links.into_iter().map(|link| (format!("ipv4/conf/{link}/accept_local"), value.clone())).collect()
}

/// Notes in `raised` that forwarding is about to be switched; `true` if that is news.
pub fn note(raised: &mut Forwarding, path: &str, value: &str) -> bool {
    let on = value != "0";
    match path {
        FORWARD_IPV4 => std::mem::replace(&mut raised.ipv4, on) != on,
        FORWARD_IPV6 => std::mem::replace(&mut raised.ipv6, on) != on,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_without_ipv6_only_refuses_advertisements() {
        let eth0 = "eth0".parse().unwrap();
        let values = wanted([(&eth0, false)], Forwarding::default(), Forwarding::default());
        assert_eq!(values.get("ipv4/conf/eth0/arp_ignore").map(String::as_str), Some("1"));
        assert_eq!(values.get("ipv4/conf/all/rp_filter").map(String::as_str), Some("0"));
        assert_eq!(values.get("ipv6/conf/eth0/accept_ra").map(String::as_str), Some("0"));
        assert!(!values.contains_key("ipv6/conf/eth0/disable_ipv6"));
        assert!(!values.keys().any(|path| path.contains("forward")));
    }

    #[test]
    fn forwarding_is_lowered_only_where_it_was_raised() {
        let ipv4 = Forwarding { ipv4: true, ipv6: false };
        let values = wanted([], ipv4, Forwarding::default());
        assert_eq!(values.into_iter().collect::<Vec<_>>(), [(FORWARD_IPV4.to_owned(), "1".to_owned())]);
        let values = wanted([], Forwarding::default(), ipv4);
        assert_eq!(values.into_iter().collect::<Vec<_>>(), [(FORWARD_IPV4.to_owned(), "0".to_owned())]);
    }
}
