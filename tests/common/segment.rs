//! Hosts with both families, and a director between two segments.

use director_lab::segment::{Host, Segment};

/// A host with an address of each family.
pub fn host(segment: &Segment, name: &str, v4: &str, v6: &str) -> Host {
    let host = segment.host(name, v4).unwrap();
    host.address(v6).unwrap();
    host
}

/// Makes `director` a router with `eth1` on the segment behind it, with `addresses` there. An IPv6 address with a prefix of 128
/// is a VIP: no source of the director's own packets, as vrrp sets it.
pub fn second_card(director: &Host, back: &Segment, addresses: &[&str]) {
    let namespace = director.namespace();
    let plug = format!("link add uplink type veth peer name eth1 netns {}", namespace.path());
    back.namespace().ip(&plug).unwrap();
    back.namespace().ip("link set uplink master br0 up").unwrap();
    namespace.sysctl("net/ipv6/conf/eth1/accept_dad", "0").unwrap();
    namespace.ip("link set eth1 up").unwrap();
    for address in addresses {
        let life = if address.ends_with("/128") { " preferred_lft 0" } else { "" };
        namespace.ip(&format!("address add {address} dev eth1{life}")).unwrap();
    }
    namespace.sysctl("net/ipv4/ip_forward", "1").unwrap();
    namespace.sysctl("net/ipv6/conf/all/forwarding", "1").unwrap();
}
