//! `[[interface]]`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::faults::Faults;
use super::super::field::{At, Field, List};
use super::super::model::{Interface, InterfaceSelector, Route, RouteKind, VrrpInstance};
use super::super::raw;
use super::super::report::Span;
use super::{Unique, complete, host_address, items, list};
use crate::units::{Cidr, IfName};

/// Least MTU of IPv6 (RFC 8200 section 5).
const IPV6_MTU: u32 = 1280;
/// What an Ethernet has unless the file says otherwise.
const ETHERNET_MTU: u32 = 1500;

/// What other sections need to know of the interfaces.
pub(super) struct Links {
    links: Vec<Link>,
    /// Whether names and addresses could all be read: else rules about what is *not* there are silent.
    pub complete: bool,
}

/// One interface.
pub(super) struct Link {
    /// Its name, if the file gives one.
    pub name: Option<IfName>,
    /// Its static addresses.
    pub addresses: Vec<At<Cidr>>,
    /// Whether it may have more by DHCP.
    pub dhcp: bool,
    mtu: u32,
}

impl Links {
    pub(super) fn get(&self, name: &IfName) -> Option<&Link> {
        self.links.iter().find(|link| link.name.as_ref() == Some(name))
    }

    pub(super) fn all(&self) -> &[Link] {
        &self.links
    }

    /// Every static address with its place.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (IpAddr, Span)> + '_ {
        self.links.iter().flat_map(|link| &link.addresses).map(|at| (at.value.address, at.span))
    }

    /// MTU of the interface of this name, as far as the file tells.
    pub(super) fn mtu(&self, name: &IfName) -> u32 {
        self.get(name).map_or(ETHERNET_MTU, |link| link.mtu)
    }

    /// Notes that no `[[interface]]` has this name.
    pub(super) fn require(&self, name: &IfName, span: Span, faults: &mut Faults<'_>) {
        if self.complete && self.get(name).is_none() {
            let known = list(self.links.iter().filter_map(|link| link.name.as_ref()));
            let nameless = self.links.iter().any(|link| link.name.is_none());
            let hint =
                if nameless { "; one that is found by `mac` alone has no name, give it both" } else { "" };
            faults.add_with_help(
                span,
                format!("no [[interface]] is named `{name}`"),
                format!("named in this file: {known}{hint}"),
            );
        }
    }
}

pub(super) fn interfaces(
    raw: &Field<List<raw::Interface>>,
    faults: &mut Faults<'_>,
) -> (Vec<Interface>, Links) {
    let mut seen = Seen { names: Unique::new(), macs: Unique::new(), addresses: Unique::new() };
    let mut links = Links { links: Vec::new(), complete: complete(raw) };
    let mut interfaces = Vec::new();
    for At { value: raw, .. } in items(raw) {
        links.complete &= !raw.name.is_faulty() && complete(&raw.addresses);
        let (interface, link) = interface(raw, &mut seen, faults);
        interfaces.extend(interface);
        links.links.push(link);
    }
    (interfaces, links)
}

struct Seen {
    names: Unique<IfName>,
    macs: Unique<crate::units::Mac>,
    addresses: Unique<IpAddr>,
}

fn interface(raw: &raw::Interface, seen: &mut Seen, faults: &mut Faults<'_>) -> (Option<Interface>, Link) {
    let selector = selector(raw, seen, faults);
    let addresses = items(&raw.addresses);
    for At { value, span } in addresses {
        address(*value, *span, faults);
        let what = format!("address {}", value.address);
        seen.addresses.claim(value.address, *span, what, faults);
    }
    let mtu = raw.mtu.get().map(|mtu| mtu.to(ETHERNET_MTU));
    if let Some((mtu, span)) = mtu.zip(raw.mtu.span())
        && mtu < IPV6_MTU
        && addresses.iter().any(|at| at.value.address.is_ipv6())
    {
        faults.add(span, format!("`mtu` {mtu} is too small for IPv6: {IPV6_MTU} or more"));
    }
    let dhcp = raw.dhcp.get().copied().unwrap_or(false);
    let link = Link {
        name: raw.name.get().cloned(),
        addresses: addresses.to_vec(),
        dhcp,
        mtu: mtu.unwrap_or(ETHERNET_MTU),
    };
    let addresses = addresses.iter().map(|at| at.value).collect();
    (selector.map(|selector| Interface { selector, addresses, dhcp, mtu }), link)
}

fn selector(raw: &raw::Interface, seen: &mut Seen, faults: &mut Faults<'_>) -> Option<InterfaceSelector> {
    if !raw.name.is_given() && !raw.mac.is_given() {
        let help = "name = \"eth0\" or mac = \"52:54:00:00:00:01\"; with both, the interface is renamed";
        faults.add_with_help(raw.at, "`name` or `mac` is missing", help);
    }
    if let Some(At { value, span }) = raw.name.set() {
        seen.names.claim(value.clone(), *span, format!("interface `{value}`"), faults);
    }
    if let Some(At { value, span }) = raw.mac.set() {
        seen.macs.claim(*value, *span, format!("hardware address {value}"), faults);
        let [first, ..] = value.0;
        if first & 1 == 1 || value.0 == [0; 6] {
            faults.add(*span, format!("hardware address {value} is not that of an interface"));
        }
    }
    match (raw.name.get().cloned(), raw.mac.get().copied()) {
        (Some(name), Some(mac)) => Some(InterfaceSelector::Renamed { name, mac }),
        (Some(name), None) => Some(InterfaceSelector::Name(name)),
        (None, Some(mac)) => Some(InterfaceSelector::Mac(mac)),
        (None, None) => None,
    }
}

/// An address that an interface can have: a host in its network.
fn address(cidr: Cidr, span: Span, faults: &mut Faults<'_>) {
    host_address(cidr.address, span, "address", faults);
    if cidr.address.is_loopback() {
        faults.add(span, format!("address {} belongs to the loopback interface", cidr.address));
    }
    let IpAddr::V4(v4) = cidr.address else { return };
    if cidr.prefix == 0 || cidr.prefix >= 31 {
        return;
    }
    let host_bits = u32::MAX >> cidr.prefix;
    let host = u32::from(v4) & host_bits;
    if host == 0 {
        faults.add(span, format!("address {cidr} is the network itself, not a host in it"));
    } else if host == host_bits {
        faults.add(span, format!("address {cidr} is the broadcast address of its network"));
    }
}

/// Which link, if any, has `address` in one of its networks; by name where one is given.
pub(super) fn reaches(links: &Links, address: IpAddr, interface: Option<&IfName>) -> bool {
    let mut candidates =
        links.all().iter().filter(|link| interface.is_none() || link.name.as_ref() == interface);
    candidates.any(|link| {
        link.dhcp && address.is_ipv4() || link.addresses.iter().any(|at| at.value.contains(address))
    })
}

/// The networks that this box is on, as far as the file tells: there neighbours answer by ARP.
pub(super) struct Connected {
    networks: Vec<Cidr>,
    /// Whether there may be networks of IPv4 that the file does not tell.
    dhcp: bool,
}

impl Connected {
    /// Those of the links, of VIPs with their prefix, and of routes without a gateway.
    pub(super) fn new(links: &Links, routes: &[Route], vrrp: &[VrrpInstance]) -> Self {
        let own = links.all().iter().flat_map(|link| &link.addresses).map(|at| at.value);
        let vips = vrrp.iter().flat_map(VrrpInstance::vips).map(|vip| vip.cidr);
        let direct = |kind: RouteKind, via: Option<IpAddr>| kind == RouteKind::Unicast && via.is_none();
        let always = routes.iter().filter(|it| direct(it.kind, it.via)).map(|it| it.to);
        let moving =
            vrrp.iter().flat_map(|it| &it.routes).filter(|it| direct(it.kind, it.via)).map(|it| it.to);
        Self {
            networks: own.chain(vips).chain(always).chain(moving).collect(),
            dhcp: !links.complete || links.all().iter().any(|link| link.dhcp),
        }
    }

    /// Whether no network that is known has `address`, and none that is not known can have it.
    pub(super) fn lacks(&self, address: IpAddr) -> bool {
        let mut family =
            self.networks.iter().filter(|it| it.address.is_ipv4() == address.is_ipv4()).peekable();
        let known = family.peek().is_some() && !(self.dhcp && address.is_ipv4());
        let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        known && !link_local && !family.any(|network| network.contains(address))
    }
}

/// The networks of all links, for help lines.
pub(super) fn networks(links: &Links) -> String {
    let networks: BTreeMap<Cidr, ()> =
        links.all().iter().flat_map(|link| &link.addresses).map(|at| (at.value.network(), ())).collect();
    list(networks.keys())
}
