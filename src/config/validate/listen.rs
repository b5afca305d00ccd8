//! What clients talk to: `listen`, `mark`, `fwmark`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::super::faults::Faults;
use super::super::field::{At, Field, List};
use super::super::model::{
    AddressRange, Listen, Marking, Method, Persistence, Protocol, RANGE_MARKS, Service, ServiceKey, Tunnel,
    WAY_MARKS,
};
use super::super::raw::{self, Family, Mark, Vips};
use super::super::report::Span;
use super::{LocalAddresses, all, family, host_address, items, list};

/// So many addresses with ports may stand for one service of as many keys in the kernel; a mark stands for any number.
pub(super) const MOST_KEYS: u128 = 256;

/// What a real server needs to know of its service.
pub(super) struct Front {
    /// The keys in the kernel, each with its place; none where they were refused.
    pub keys: Vec<At<ServiceKey>>,
    /// Packets that get the mark of the key.
    pub marking: Option<Marking>,
    /// The protocol; `None` where somebody else's mark says which packets.
    pub protocol: Option<Protocol>,
    /// Whether it is IPv6.
    pub ipv6: bool,
    /// The one port of every key.
    pub port: Option<u16>,
    /// The port to ask where a server has none of its own: the first that clients talk to.
    pub ask: Option<u16>,
    /// The method of servers that name none.
    pub method: Method,
    /// The tunnel of servers that name none.
    pub tunnel: Tunnel,
}

impl Front {
    /// Whether what clients talk to could be read.
    pub(super) const fn is_known(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether it has keys by firewall mark.
    pub(super) fn is_marked(&self) -> bool {
        self.keys.first().is_some_and(|key| matches!(key.value.listen, Listen::Fwmark { .. }))
    }

    pub(super) const fn family(&self) -> &'static str {
        if self.ipv6 { "IPv6" } else { "IPv4" }
    }
}

/// The marks of a file.
pub(super) struct Marks(BTreeMap<(u32, bool), Span>);

impl Marks {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// A mark of ours for the service of this name: the same after other services came or went, and on the other box.
    fn choose(&mut self, name: &str, ipv6: bool, span: Span) -> u32 {
        // FNV-1a, folded to 16 bits.
        let hash = name
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let first = (hash >> 16) ^ (hash & 0xffff);
        let candidates =
            (0..=0xffff_u32).map(|step| RANGE_MARKS.start() | (first.wrapping_add(step) & 0xffff));
        let free = candidates.clone().find(|mark| !self.0.contains_key(&(*mark, ipv6)));
        let mark = free.unwrap_or(*RANGE_MARKS.start()); // a file has room for fewer services than there are marks
        self.0.insert((mark, ipv6), span);
        mark
    }
}

pub(super) fn front(raw: &raw::Service, marks: &mut Marks, faults: &mut Faults<'_>) -> Front {
    let method = raw.method.get().copied().unwrap_or(Method::Dr);
    let mut front = Front {
        keys: Vec::new(),
        marking: None,
        protocol: Some(raw.protocol.get().copied().unwrap_or(Protocol::Tcp)),
        ipv6: false,
        port: None,
        ask: None,
        method,
        tunnel: super::server::tunnel(&raw.tunnel, Tunnel::default(), faults),
    };
    match (&raw.listen, &raw.fwmark) {
        (Field::Absent, Field::Absent) => {
            let help = "listen = \"192.168.61.45:80\", or fwmark = 5";
            faults.add_with_help(raw.at, "`listen` is missing", help);
        }
        (Field::Absent, _) => by_mark(raw, &mut front, faults),
        (listen, fwmark) => {
            if fwmark.is_given() {
                faults.add(raw.at, "a service has either `listen` or `fwmark`");
            }
            if let Some(span) = raw.family.span() {
                faults.add(span, "`family` is for a service by `fwmark`; `listen` has one already");
            }
            if let Some(At { value, span }) = listen.set() {
                if value.0.items.is_empty() && value.0.complete {
                    faults.add_with_help(*span, "`listen` is empty", "listen = [\"192.168.61.45:80\"]");
                }
                by_address(raw, &value.0, &mut front, marks, faults);
            }
        }
    }
    front
}

/// A service of packets that somebody else marks.
fn by_mark(raw: &raw::Service, front: &mut Front, faults: &mut Faults<'_>) {
    front.protocol = None;
    if let Some(span) = raw.protocol.span() {
        faults.add_with_help(
            span,
            "a service by `fwmark` has no `protocol`",
            "the mark alone says which packets",
        );
    }
    if let Some(span) = raw.mark.span() {
        faults.add_with_help(
            span,
            "`mark` has packets to `listen` marked, and there is none",
            "`fwmark` is a mark that they have already",
        );
    }
    front.ipv6 = match raw.family.get() {
        Some(family) => *family == Family::V6,
        // That of its real servers unless the file says it.
        None => items(&raw.server)
            .iter()
            .find_map(|at| at.value.address.get())
            .is_some_and(|server| server.addresses.first.is_ipv6()),
    };
    if let Some(At { value, span }) = raw.fwmark.set() {
        let mark = value.to(u32::MAX);
        reserved(mark, *span, faults);
        let listen = Listen::Fwmark { mark, ipv6: front.ipv6 };
        front.keys.push(At { value: ServiceKey { listen, protocol: None }, span: *span });
    }
}

/// Notes a mark of the file that packets or probes may get from Director itself.
pub(super) fn reserved(mark: u32, span: Span, faults: &mut Faults<'_>) {
    if let Some(own) = [RANGE_MARKS, WAY_MARKS].into_iter().find(|own| own.contains(&mark)) {
        let (first, last) = own.into_inner();
        faults.add(span, format!("firewall marks {first} to {last} are those that Director itself chooses"));
    }
}

fn by_address(
    raw: &raw::Service,
    listen: &List<Vips>,
    front: &mut Front,
    marks: &mut Marks,
    faults: &mut Faults<'_>,
) {
    let Some(first) = listen.items.first() else { return };
    front.ipv6 = first.value.addresses.first.is_ipv6();
    let mark = raw.mark.get().copied().unwrap_or(Mark::Off);
    for At { value: vips, span } in &listen.items {
        vip(vips, *span, front.ipv6, faults);
        let ports_given = !vips.ports.is_empty();
        if ports_given == first.value.ports.is_empty() {
            faults.add(*span, "either every element of `listen` has a port, or none");
        }
        if mark == Mark::Off && !ports_given && !raw.mark.is_given() && !raw.persistence.is_given() {
            let help = "give a port, or `persistence` for a service of every port";
            faults.add_with_help(*span, "`listen` has no port", help);
        }
        // As ipvsadm has it: port 0 is every port.
        if vips.ports.iter().any(|(first, _)| *first == 0) {
            zero(vips, *span, raw, mark, faults);
        }
    }
    let ports: BTreeSet<(u16, u16)> = listen.items.iter().flat_map(|at| at.value.ports.clone()).collect();
    let ports: Vec<(u16, u16)> = ports.into_iter().filter(|ports| *ports != (0, 0)).collect();
    front.ask = first.value.ports.first().map(|(first, _)| *first).filter(|port| *port != 0);
    if mark == Mark::Off {
        front.port = match ports.as_slice() {
            [(first, last)] if first == last => Some(*first),
            _ => None,
        };
        front.keys = keys(listen, front.protocol, faults);
        return;
    }
    let span = raw.mark.span().unwrap_or(first.span);
    let number = match mark {
        Mark::Number(number) => {
            reserved(number, span, faults);
            number
        }
        Mark::Auto | Mark::Off => marks.choose(raw.name.get().map_or("", String::as_str), front.ipv6, span),
    };
    let key = Listen::Fwmark { mark: number, ipv6: front.ipv6 };
    front.keys.push(At { value: ServiceKey { listen: key, protocol: None }, span });
    let ports_alike = listen.items.iter().all(|at| at.value.ports == first.value.ports);
    if !ports_alike {
        let help = "two services, or the same ports for each";
        faults.add_with_help(first.span, "with `mark`, every element of `listen` has the same ports", help);
    }
    let addresses = listen.items.iter().map(|at| at.value.addresses).collect();
    front.marking = front.protocol.map(|protocol| Marking { protocol, addresses, ports });
}

fn zero(vips: &Vips, span: Span, raw: &raw::Service, mark: Mark, faults: &mut Faults<'_>) {
    if vips.ports != [(0, 0)] {
        faults.add(span, "port 0 of `listen` stands for every port: there are no others beside it");
    } else if mark == Mark::Off && !raw.persistence.is_given() {
        let help = "give a port, or `persistence` for a service of every port";
        faults.add_with_help(span, "`listen` has no port", help);
    }
}

fn vip(vips: &Vips, span: Span, ipv6: bool, faults: &mut Faults<'_>) {
    let AddressRange { first, last } = vips.addresses;
    host_address(first, span, "VIP", faults);
    if last != first {
        host_address(last, span, "VIP", faults);
    }
    if first.is_ipv6() != ipv6 {
        let other = if ipv6 { "IPv6" } else { "IPv4" };
        let what = format!("VIP {first} is {}, the first of `listen` is {other}", family(first));
        faults.add_with_help(span, what, "one [[service]] for each family");
    }
}

/// Every address with every port.
fn keys(listen: &List<Vips>, protocol: Option<Protocol>, faults: &mut Faults<'_>) -> Vec<At<ServiceKey>> {
    let ports = |vips: &Vips| match vips.ports.as_slice() {
        [] => 1,
        ports => ports.iter().map(|(first, last)| u128::from(last - first) + 1).sum(),
    };
    let (mut keys, mut count) = (Vec::new(), 0_u128);
    for At { value: vips, span } in &listen.items {
        let room = MOST_KEYS.saturating_sub(count);
        let these = vips.addresses.count().saturating_mul(ports(vips));
        count = count.saturating_add(these);
        if these > room {
            let what =
                format!("`listen` stands for {count} addresses with ports, at most {MOST_KEYS} are taken");
            faults.add_with_help(*span, what, "`mark = true` makes one service of all of them");
            return keys;
        }
        let every = [(0, 0)];
        let ranges = if vips.ports.is_empty() { &every } else { vips.ports.as_slice() };
        for address in vips.addresses.iter() {
            for port in ranges.iter().flat_map(|(first, last)| *first..=*last) {
                let listen = Listen::Address(SocketAddr::new(address, port));
                keys.push(At { value: ServiceKey { listen, protocol }, span: *span });
            }
        }
    }
    keys
}

/// Packets for an address that the box never has do not reach IPVS.
pub(super) fn are_local(raw: &raw::Service, local: &LocalAddresses, faults: &mut Faults<'_>) {
    for At { value: vips, span } in all(&raw.listen) {
        is_local(vips.addresses, *span, "VIP", local, faults);
    }
}

/// Notes the first of these addresses that the box never has.
pub(super) fn is_local(
    addresses: AddressRange,
    span: Span,
    what: &str,
    local: &LocalAddresses,
    faults: &mut Faults<'_>,
) {
    let Some(missing) = local.complete.then(|| local.missing(addresses)).flatten() else { return };
    let mut help = format!("addresses in this file: {}", list(local.addresses.keys()));
    if addresses.first != addresses.last {
        help.push_str("; a [[route]] of type = \"local\" makes a network local");
    }
    faults.add_with_help(span, format!("{what} {missing} is on no virtual router and on no interface"), help);
}

/// In the kernel a mark goes before an address: a service within the addresses of a marked one would get nothing.
pub(super) fn refuse_shadowed(services: &[Service], places: &[Span], faults: &mut Faults<'_>) {
    for (marked, marking) in services.iter().filter_map(|service| Some((service, service.marking.as_ref()?)))
    {
        for (service, span) in services.iter().zip(places) {
            if service.name != marked.name && takes(marking, service) {
                // Of two marked ones the later is told.
                let both = service.marking.is_some();
                let place = services.iter().position(|other| other.name == marked.name);
                let earlier = place.and_then(|place| places.get(place)).is_some_and(|other| other > span);
                if !(both && earlier) {
                    let what = format!(
                        "packets to service `{}` are among those that `mark` of service `{}` takes",
                        service.name, marked.name
                    );
                    faults.add(*span, what);
                }
            }
        }
    }
}

fn takes(marking: &Marking, service: &Service) -> bool {
    let overlap = |addresses: &AddressRange, ports: &[(u16, u16)]| {
        marking.addresses.iter().any(|a| a.first <= addresses.last && addresses.first <= a.last)
            && (marking.ports.is_empty()
                || ports.is_empty()
                || marking.ports.iter().any(|a| ports.iter().any(|b| a.0 <= b.1 && b.0 <= a.1)))
    };
    if let Some(other) = &service.marking {
        return other.protocol == marking.protocol
            && other.addresses.iter().any(|addresses| overlap(addresses, &other.ports));
    }
    std::iter::once(&service.key).chain(&service.also).any(|key| {
        let Listen::Address(address) = key.listen else { return false };
        let port = address.port();
        let (one, ports) = (address.ip(), [(port, port)]);
        let ports: &[(u16, u16)] = if port == 0 { &[] } else { &ports };
        key.protocol == Some(marking.protocol) && overlap(&AddressRange { first: one, last: one }, ports)
    })
}

/// Where persistence makes the kernel forget the port of a server (ip_vs_core.c: ip_vs_sched_persist).
pub(super) fn keeps_port(front: &Front, persistence: Option<&Persistence>) -> bool {
    !front.is_marked() || persistence.is_none()
}

/// The next address, if this is not the last one there is.
pub(super) fn after(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(address) => std::net::Ipv4Addr::from(address.to_bits().checked_add(1)?).into(),
        IpAddr::V6(address) => std::net::Ipv6Addr::from(address.to_bits().checked_add(1)?).into(),
    })
}
