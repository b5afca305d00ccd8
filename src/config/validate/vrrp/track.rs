//! `track` of `[[vrrp]]`.

use std::net::IpAddr;
use std::time::Duration;

use super::super::super::faults::Faults;
use super::super::super::field::At;
use super::super::super::model::{Probe, ProbeKind, Track, TrackTarget};
use super::super::super::raw;
use super::super::link::Links;
use super::super::service::Names;
use super::super::{Bounds, Unique, host_address, items};
use crate::units::Priority;

const INTERVAL: Bounds =
    Bounds::new(Duration::from_millis(100), Duration::from_secs(3600), Duration::from_millis(1));
const TIMEOUT: Bounds =
    Bounds::new(Duration::from_millis(10), Duration::from_secs(3600), Duration::from_millis(1));
const SECOND: Duration = Duration::from_secs(1);
const FALL: u8 = 3;
const RISE: u8 = 2;
const HELP: &str = "{ interface = \"eth1\" }, { service = \"web\", weight = -60 }, { gateway = \"192.168.61.1\" }, \
                    { file = \"/data/drain\" } or { exec = \"/data/check\" }";

pub(in super::super) fn tracks(
    raw: &raw::Vrrp,
    links: &Links,
    services: &Names,
    priority: Priority,
    faults: &mut Faults<'_>,
) -> Vec<Track> {
    let mut seen = Unique::new();
    let mut tracks = Vec::new();
    let instance = raw;
    for At { value: raw, span } in items(&instance.track) {
        let weight = weight(raw, priority, faults);
        let Some(target) = target(instance, raw, links, services, faults) else { continue };
        let key = match &target {
            TrackTarget::Interface(name) => format!("interface `{name}`"),
            TrackTarget::Service(name) => format!("service `{name}`"),
            TrackTarget::File(path) => format!("file `{path}`"),
            TrackTarget::Probe(Probe { kind, .. }) => match kind {
                ProbeKind::Ping(address) => format!("gateway {address}"),
                ProbeKind::Arp { address, .. } => format!("gateway {address} by ARP"),
                ProbeKind::Exec { command, args } => {
                    format!(
                        "program `{}`",
                        [std::slice::from_ref(command), args.as_slice()].concat().join(" ")
                    )
                }
            },
        };
        seen.claim(key.clone(), *span, format!("tracked {key}"), faults);
        if let Some(span) = raw.reverse.span()
            && matches!(target, TrackTarget::File(_))
        {
            faults.add(span, "`reverse` is for what fails or does not: a number of a `file` has a sign");
        }
        tracks.push(Track { target, weight, reverse: raw.reverse.get().copied().unwrap_or(false) });
    }
    tracks
}

fn target(
    instance: &raw::Vrrp,
    raw: &raw::Track,
    links: &Links,
    services: &Names,
    faults: &mut Faults<'_>,
) -> Option<TrackTarget> {
    let given = [
        raw.interface.is_given(),
        raw.service.is_given(),
        raw.gateway.is_given(),
        raw.exec.is_given(),
        raw.file.is_given(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        let what = "a tracked object is one of `interface`, `service`, `gateway`, `file` and `exec`";
        faults.add_with_help(raw.at, what, HELP);
        return None;
    }
    let timed = raw.gateway.is_given() || raw.exec.is_given();
    unasked(raw, timed, faults);
    if let Some(interface) = raw.interface.set() {
        links.require(&interface.value, interface.span, faults);
        return Some(TrackTarget::Interface(interface.value.clone()));
    }
    if let Some(service) = raw.service.set() {
        services.require(&service.value, service.span, faults);
        return Some(TrackTarget::Service(service.value.clone()));
    }
    if let Some(file) = raw.file.set() {
        absolute("file", file, faults);
        return Some(TrackTarget::File(file.value.clone()));
    }
    let kind = match (raw.gateway.set(), raw.exec.set()) {
        (Some(At { value: address, span }), _) => {
            host_address(*address, *span, "gateway", faults);
            gateway(*address, instance, raw)
        }
        (None, Some(command)) => {
            absolute("exec", command, faults);
            let args = items(&raw.args).iter().map(|at| at.value.clone()).collect();
            ProbeKind::Exec { command: command.value.clone(), args }
        }
        (None, None) => return None,
    };
    let interval = INTERVAL.take("interval", &raw.interval, SECOND, faults);
    let timeout = TIMEOUT.take("timeout", &raw.timeout, interval.min(SECOND), faults);
    if let Some(span) = raw.timeout.span()
        && timeout > interval
    {
        faults.add(span, "`timeout` is longer than `interval`: questions would overtake each other");
    }
    Some(TrackTarget::Probe(Probe {
        kind,
        interval,
        timeout,
        fall: raw.fall.get().map_or(FALL, |fall| fall.to(FALL)),
        rise: raw.rise.get().map_or(RISE, |rise| rise.to(RISE)),
    }))
}

fn gateway(address: IpAddr, instance: &raw::Vrrp, raw: &raw::Track) -> ProbeKind {
    let local = match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    match raw.by.get() {
        Some(raw::AskBy::Arp) => {
            ProbeKind::Arp { address, interface: instance.interface.get().filter(|_| local).cloned() }
        }
        Some(raw::AskBy::Ping) | None => ProbeKind::Ping(address),
    }
}

/// Keys of what is asked, beside what is not.
fn unasked(raw: &raw::Track, timed: bool, faults: &mut Faults<'_>) {
    let times = [
        ("interval", raw.interval.span()),
        ("timeout", raw.timeout.span()),
        ("fall", raw.fall.span()),
        ("rise", raw.rise.span()),
    ];
    for (key, span) in times.into_iter().filter(|_| !timed) {
        if let Some(span) = span {
            faults.add(span, format!("`{key}` is for `gateway` and `exec` only"));
        }
    }
    if let Some(span) = raw.by.span()
        && !raw.gateway.is_given()
    {
        faults.add(span, "`by` is for `gateway` only");
    }
    if let Some(span) = raw.args.span()
        && !raw.exec.is_given()
    {
        faults.add(span, "`args` is for `exec` only");
    }
}

fn absolute(key: &str, path: &At<String>, faults: &mut Faults<'_>) {
    if !path.value.starts_with('/') || path.value.contains('\0') {
        faults.add(path.span, format!("`{key}` {:?} is not an absolute path", path.value));
    }
}

fn weight(raw: &raw::Track, priority: Priority, faults: &mut Faults<'_>) -> Option<i16> {
    let At { value, span } = raw.weight.set()?;
    if value.get() == 0 {
        let help = "without `weight` a failure is a FAULT; −253 to 253 changes the priority";
        faults.add_with_help(*span, "`weight` of a tracked object is 0", help);
    }
    if priority == Priority::OWNER {
        let help = "leave out `weight`, so that a failure is a FAULT, or use a priority up to 254";
        faults.add_with_help(*span, "the priority of an owner (255) never changes", help);
    }
    Some(value.to(0))
}
