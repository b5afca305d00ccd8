//! `[[vrrp]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::super::faults::Faults;
use super::super::field::{At, Field, List};
use super::super::model::{
    Garp, Look, MISSED, START_WAIT, VirtualAddress, VrrpInstance, VrrpPeer, VrrpVersion,
};
use super::super::raw;
use super::super::report::Span;
use super::link::Links;
use super::service::Names;
use super::{Bounds, Unique, complete, family, host_address, items, list, name};
use crate::units::{IfName, Priority, Vrid};

mod auth;
mod mac;
mod track;
mod ways;

/// RFC 9568 section 5.2.7: 12 bits of centiseconds.
const INTERVAL_V3: Bounds =
    Bounds::new(Duration::from_millis(10), Duration::from_millis(40_950), Duration::from_millis(10));
/// RFC 3768 section 5.3.7: 8 bits of seconds.
const INTERVAL_V2: Bounds =
    Bounds::new(Duration::from_secs(1), Duration::from_secs(255), Duration::from_secs(1));
const INTERVAL: Duration = Duration::from_secs(1);
const DELAY: Bounds = Bounds::new(Duration::ZERO, Duration::from_secs(1000), Duration::from_micros(1));

/// The VIPs of all instances.
pub(super) struct Vips {
    pub addresses: BTreeMap<IpAddr, Span>,
    pub complete: bool,
}

pub(super) fn instances(
    raw: &Field<List<raw::Vrrp>>,
    links: &Links,
    services: &Names,
    faults: &mut Faults<'_>,
) -> (Vec<VrrpInstance>, Vips) {
    let mut names = Unique::new();
    let mut routers = Numbers::default();
    let mut vips = Unique::new();
    let mut devices = Unique::new();
    let mut complete_vips = complete(raw);
    let mut instances = Vec::new();
    for At { value: raw, .. } in items(raw) {
        complete_vips &= complete(&raw.addresses) && complete(&raw.also);
        for (address, span) in given_addresses(&raw.addresses).chain(given_addresses(&raw.also)) {
            vips.claim(address, span, format!("VIP {address}"), faults);
        }
        let Some(instance) = instance(raw, links, services, faults) else { continue };
        let span = raw.name.span().unwrap_or(raw.at);
        names.claim(instance.name.clone(), span, format!("virtual router `{}`", instance.name), faults);
        let ipv4 = instance.addresses.first().is_none_or(|vip| vip.cidr.address.is_ipv4());
        let what = format!("virtual router identifier {} on `{}`", instance.vrid, instance.interface);
        let span = raw.vrid.span().unwrap_or(raw.at);
        routers.claim((instance.interface.clone(), instance.vrid, ipv4), &instance.peers, span, what, faults);
        let heartbeats: BTreeSet<&IfName> = instance.heartbeat.iter().collect();
        for heartbeat in heartbeats.into_iter().filter(|name| **name != instance.interface) {
            let what = format!("virtual router identifier {} on heartbeat `{heartbeat}`", instance.vrid);
            let span = raw.heartbeat.span().unwrap_or(raw.at);
            routers.claim((heartbeat.clone(), instance.vrid, ipv4), &instance.peers, span, what, faults);
        }
        if let (Some(virtual_mac), Some(span)) = (&instance.virtual_mac, raw.virtual_mac.span()) {
            let what = format!("a device named `{}`", virtual_mac.device);
            devices.claim(virtual_mac.device.clone(), span, what, faults);
        }
        instances.push(instance);
    }
    (instances, Vips { addresses: vips.0, complete: complete_vips })
}

/// Who hears what: an advertisement is known by its interface, number and family, and among peers by its sender.
#[derive(Default)]
struct Numbers(BTreeMap<(IfName, Vrid, bool), Vec<Holder>>);

/// Where a number was taken, and by whom it is heard there: by all, if by nobody in particular.
struct Holder {
    span: Span,
    peers: BTreeSet<IpAddr>,
}

impl Numbers {
    /// Takes a number for the value at `span`; what came in would be given to one of two that hear the same boxes.
    fn claim(
        &mut self,
        key: (IfName, Vrid, bool),
        peers: &[VrrpPeer],
        span: Span,
        what: String,
        faults: &mut Faults<'_>,
    ) {
        let peers: BTreeSet<IpAddr> = peers.iter().map(|peer| peer.address).collect();
        let taken = self.0.entry(key).or_default();
        let same =
            |theirs: &BTreeSet<IpAddr>| peers.is_empty() || theirs.is_empty() || !peers.is_disjoint(theirs);
        match taken.iter().find(|holder| same(&holder.peers)) {
            Some(first) => {
                faults.add(span, format!("{what} is already in line {}", faults.line(first.span)));
            }
            None => taken.push(Holder { span, peers }),
        }
    }
}

fn given_addresses(list: &Field<List<raw::Virtual>>) -> impl Iterator<Item = (IpAddr, Span)> + '_ {
    items(list).iter().filter_map(|at| {
        let address = at.value.address.set()?;
        Some((address.value.address, address.span))
    })
}

fn instance(
    raw: &raw::Vrrp,
    links: &Links,
    services: &Names,
    faults: &mut Faults<'_>,
) -> Option<VrrpInstance> {
    let name = name(&raw.name, raw.at, "name = \"VI_1\"", faults);
    let interface = raw.interface.required(raw.at, "interface", "interface = \"eth0\"", faults);
    let vrid = raw.vrid.required(raw.at, "vrid", "vrid = 51, the same on every box of the group", faults);
    if let Some(At { value, span }) = interface {
        links.require(value, *span, faults);
    }
    let priority = raw.priority.get().copied().unwrap_or(Priority::DEFAULT);
    let addresses = addresses(raw, links, priority, faults);
    let also = vips(raw, &raw.also, links, priority, faults);
    let ipv4 = addresses.first().is_none_or(|vip| vip.cidr.address.is_ipv4());
    let version = version(raw, ipv4, faults);
    let bounds = if version == VrrpVersion::V2 { INTERVAL_V2 } else { INTERVAL_V3 };
    let interval = bounds.take("interval", &raw.interval, INTERVAL, faults);
    let auth = auth::auth(raw, version, interval, faults);
    fits_mtu(raw, links, addresses.len(), ipv4, version, faults);
    if let Some(span) = raw.checksum.span()
        && (!ipv4 || version == VrrpVersion::V2)
    {
        faults.add(span, "`checksum` is a choice of IPv4 in version 3 only");
    }
    let preempt_delay = DELAY.take("preempt_delay", &raw.preempt_delay, Duration::ZERO, faults);
    let start_delay = DELAY.take("start_delay", &raw.start_delay, Duration::ZERO, faults);
    let peers = peers(raw, links, ipv4, faults);
    source(raw, links, ipv4, faults);
    let garp = raw.garp.get().map(|garp| announcements(garp, faults)).unwrap_or_default();
    let track = track::tracks(raw, links, services, priority, faults);
    let routes = ways::routes(raw, links, ipv4, faults);
    let rules = ways::rules(raw, links, ipv4, faults);
    let start_wait = DELAY.take("start_wait", &raw.start_wait, START_WAIT, faults);
    let heartbeat = heartbeat(raw, links, faults);
    let virtual_mac = mac::virtual_mac(raw, ipv4, faults);
    if let Some(span) = raw.group.span()
        && priority == Priority::OWNER
    {
        faults.add(span, "an owner (priority 255) is in no `group`: it is master whatever the others are");
    }
    Some(VrrpInstance {
        name: name?,
        interface: interface?.value.clone(),
        vrid: vrid.map(|at: &At<Vrid>| at.value)?,
        priority,
        interval,
        version,
        auth,
        checksum: raw.checksum.get().copied(),
        preempt: raw.preempt.get().copied().unwrap_or(true),
        preempt_delay,
        start_delay,
        start_wait,
        heartbeat,
        routes,
        rules,
        addresses,
        also,
        missed: raw.missed.get().map_or(MISSED, |missed| missed.to(MISSED)),
        peers,
        ttl: raw.ttl.get().map_or(u8::MAX, |ttl| ttl.to(u8::MAX)),
        source: raw.source.get().copied(),
        garp,
        track,
        group: raw.group.get().cloned(),
        exchange: raw.exchange.get().copied().unwrap_or(true),
        virtual_mac,
    })
}

fn addresses(
    raw: &raw::Vrrp,
    links: &Links,
    priority: Priority,
    faults: &mut Faults<'_>,
) -> Vec<VirtualAddress> {
    let given = raw.addresses.required(raw.at, "addresses", "addresses = [\"192.168.61.45/32\"]", faults);
    if let Some(given) = given
        && given.value.items.is_empty()
        && given.value.complete
    {
        faults.add(given.span, "`addresses` is empty, a virtual router has at least one");
    }
    let first = given_addresses(&raw.addresses).next().map(|(address, _)| address);
    for (address, span) in given_addresses(&raw.addresses) {
        if let Some(first) = first.filter(|first| first.is_ipv4() != address.is_ipv4()) {
            let what = format!("VIP {address} is {}, the first is {}", family(address), family(first));
            let help = "`also` takes VIPs of the other family, or write one [[vrrp]] for each; they may have the same `vrid`";
            faults.add_with_help(span, what, help);
        }
    }
    vips(raw, &raw.addresses, links, priority, faults)
}

/// What concerns a VIP, advertised or not.
fn vips(
    raw: &raw::Vrrp,
    list: &Field<List<raw::Virtual>>,
    links: &Links,
    priority: Priority,
    faults: &mut Faults<'_>,
) -> Vec<VirtualAddress> {
    let mut addresses = Vec::new();
    for At { value: vip, .. } in items(list) {
        if let Some(At { value, span }) = vip.interface.set() {
            links.require(value, *span, faults);
        }
        let Some(At { value: cidr, span }) = vip.address.set() else { continue };
        host_address(cidr.address, *span, "VIP", faults);
        if let Some((_, place)) = links.addresses().find(|(address, _)| *address == cidr.address)
            && priority != Priority::OWNER
        {
            let what =
                format!("VIP {} is also set on an interface in line {}", cidr.address, faults.line(place));
            faults.add_with_help(
                *span,
                what,
                "an address moves with the master or stays, not both; an owner has priority 255",
            );
        }
        if let Some(span) = vip.scope.span()
            && cidr.address.is_ipv6()
        {
            faults.add(span, "`scope` is for IPv4 only: that of an IPv6 address is in the address");
        }
        let carrier = vip.interface.get().or_else(|| raw.interface.get());
        addresses.push(VirtualAddress {
            cidr: *cidr,
            interface: vip.interface.get().cloned(),
            look: Look {
                label: label(vip, carrier, faults),
                scope: vip.scope.get().copied().unwrap_or_default(),
            },
        });
    }
    addresses
}

/// Old tools take a label for an interface: the kernel demands that it begins with the name of one, and ip-address(8) a colon.
fn label(
    vip: &raw::Virtual,
    carrier: Option<&IfName>,
    faults: &mut Faults<'_>,
) -> Option<heapless::String<15>> {
    let At { value, span } = vip.label.set()?;
    let ipv4 = vip.address.get().is_none_or(|cidr| cidr.address.is_ipv4());
    if !ipv4 {
        faults.add(*span, "`label` is for IPv4 only: IPv6 addresses have none");
    }
    let carrier = carrier?;
    let short = heapless::String::try_from(value.as_str()).ok();
    let named = value.strip_prefix(carrier.as_str()).and_then(|rest| rest.strip_prefix(':'));
    let plain = |rest: &str| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic());
    if short.is_none() || !named.is_some_and(plain) {
        let what = format!("label {value:?} cannot be used on `{carrier}`");
        faults.add_with_help(*span, what, format!("for example \"{carrier}:1\", at most 15 bytes"));
    }
    short
}

fn version(raw: &raw::Vrrp, ipv4: bool, faults: &mut Faults<'_>) -> VrrpVersion {
    match raw.version.set() {
        Some(At { value, span }) if value.get() == 2 => {
            if !ipv4 {
                faults.add(*span, "version 2 knows IPv4 only: IPv6 needs `version = 3`");
            }
            VrrpVersion::V2
        }
        _ => VrrpVersion::V3,
    }
}

/// All VIPs stand in one advertisement (RFC 9568 section 5.2.5), which is never fragmented.
fn fits_mtu(
    raw: &raw::Vrrp,
    links: &Links,
    count: usize,
    ipv4: bool,
    version: VrrpVersion,
    faults: &mut Faults<'_>,
) {
    let Some(interface) = raw.interface.get() else { return };
    let (ip_header, each) = if ipv4 { (20, 4) } else { (40, 16) };
    let kind = raw.auth.get().and_then(|auth| auth.kind.get());
    let sealed = match kind {
        Some(raw::AuthKind::Ah) => 24,
        Some(raw::AuthKind::Hmac) => 28,
        Some(raw::AuthKind::Pass) | None => 0,
    };
    let trailer = if version == VrrpVersion::V2 { 8 } else { 0 } + sealed;
    let mtu = usize::try_from(links.mtu(interface)).unwrap_or(usize::MAX);
    let most = (mtu.saturating_sub(ip_header + 8 + trailer) / each).min(255);
    if let Some(span) = raw.addresses.span()
        && count > most
    {
        faults
            .add(span, format!("{count} VIPs do not fit one advertisement on `{interface}`: at most {most}"));
    }
}

fn peers(raw: &raw::Vrrp, links: &Links, ipv4: bool, faults: &mut Faults<'_>) -> Vec<VrrpPeer> {
    let own: BTreeSet<IpAddr> = links.addresses().map(|(address, _)| address).collect();
    let mut seen = Unique::new();
    let mut peers = Vec::new();
    for At { value: raw, span: whole } in items(&raw.peers) {
        let Some(At { value: peer, span }) = raw.address.set() else { continue };
        host_address(*peer, *span, "peer", faults);
        seen.claim(*peer, *span, format!("peer {peer}"), faults);
        if peer.is_ipv4() != ipv4 {
            faults.add(*span, format!("peer {peer} is {}, the VIPs are not", family(*peer)));
        }
        let min_ttl = raw.min_ttl.get().map_or(0, |ttl| ttl.to(0));
        let max_ttl = raw.max_ttl.get().map_or(u8::MAX, |ttl| ttl.to(u8::MAX));
        if min_ttl > max_ttl {
            faults.add(*whole, format!("`min_ttl` {min_ttl} is greater than `max_ttl` {max_ttl}"));
        }
        if !own.contains(peer) {
            peers.push(VrrpPeer { address: *peer, min_ttl, max_ttl });
        }
    }
    if let Some(given) = raw.peers.set()
        && given.value.complete
        && peers.is_empty()
    {
        faults.add_with_help(
            given.span,
            "`peers` names no other box",
            "without `peers` the multicast group is used",
        );
    }
    if let Some(span) = raw.ttl.span()
        && !raw.peers.is_given()
    {
        let help = "remove it: what is sent to the multicast group has 255 (RFC 9568 section 5.1.1.3)";
        faults.add_with_help(span, "`ttl` is a choice with `peers` only", help);
    }
    peers
}

fn heartbeat(raw: &raw::Vrrp, links: &Links, faults: &mut Faults<'_>) -> Vec<IfName> {
    let mut seen = Unique::new();
    let mut names = Vec::new();
    for At { value: name, span } in items(&raw.heartbeat) {
        links.require(name, *span, faults);
        seen.claim(name.clone(), *span, format!("heartbeat `{name}`"), faults);
        if raw.interface.get() == Some(name) {
            faults.add(*span, format!("heartbeat `{name}` is the `interface` of the virtual router anyway"));
        }
        names.push(name.clone());
    }
    if let Some(span) = raw.heartbeat.span()
        && raw.peers.is_given()
    {
        let help = "what is sent to `peers` leaves by `interface`, and is heard there only";
        faults.add_with_help(span, "`heartbeat` is for the multicast group: remove it, or `peers`", help);
    }
    names
}

fn source(raw: &raw::Vrrp, links: &Links, ipv4: bool, faults: &mut Faults<'_>) {
    let Some(At { value: source, span }) = raw.source.set() else { return };
    host_address(*source, *span, "source", faults);
    if source.is_ipv4() != ipv4 {
        faults.add(*span, format!("source {source} is {}, the VIPs are not", family(*source)));
        return;
    }
    let Some(link) = raw.interface.get().and_then(|name| links.get(name)) else { return };
    let has = link.addresses.iter().any(|at| at.value.address == *source);
    if ipv4 && !link.dhcp && !has && links.complete {
        let known = list(link.addresses.iter().map(|at| at.value.address));
        let what = format!("source {source} is not an address of the interface");
        faults.add_with_help(*span, what, format!("its addresses: {known}"));
    }
}

fn announcements(raw: &raw::Garp, faults: &mut Faults<'_>) -> Garp {
    const fn up_to(most: Duration) -> Bounds {
        Bounds::new(Duration::ZERO, most, Duration::from_micros(1))
    }
    let default = Garp::default();
    let repeat = raw.repeat.get().map_or(default.repeat, |repeat| repeat.to(default.repeat));
    let delay = up_to(Duration::from_secs(1000)).take("delay", &raw.delay, default.delay, faults);
    let interval = up_to(Duration::from_secs(1)).take("interval", &raw.interval, Duration::ZERO, faults);
    Garp {
        repeat,
        delay,
        refresh: up_to(Duration::from_secs(86_400)).take("refresh", &raw.refresh, default.refresh, faults),
        interval: raw.interval.is_given().then_some(interval),
        rival_repeat: raw.rival_repeat.get().map_or(repeat, |again| again.to(repeat)),
        rival_delay: up_to(Duration::from_secs(1000)).take("rival_delay", &raw.rival_delay, delay, faults),
    }
}
