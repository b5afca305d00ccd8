//! `[sync]`.

use std::net::{IpAddr, Ipv4Addr};

use super::super::faults::Faults;
use super::super::field::At;
use super::super::model::{Sync, VrrpInstance};
use super::super::raw;
use super::link::Links;
use super::list;

/// `IP_VS_SYNC_GROUP` and `IP_VS_SYNC_PORT` of the kernel.
const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));
const PORT: u16 = 8848;

pub(super) fn sync(
    raw: &raw::Sync,
    links: &Links,
    vrrp: &[VrrpInstance],
    faults: &mut Faults<'_>,
) -> Option<Sync> {
    let interface = raw.interface.required(raw.at, "interface", "interface = \"eth1\"", faults)?;
    links.require(&interface.value, interface.span, faults);
    if let Some(At { value: group, span }) = raw.group.set()
        && !group.is_multicast()
    {
        faults.add_with_help(
            *span,
            format!("`group` {group} is no multicast address"),
            "for example 224.0.0.81",
        );
    }
    if let Some(At { value: follow, span }) = raw.follow.set()
        && !vrrp.iter().any(|instance| instance.name == *follow)
    {
        let known = list(vrrp.iter().map(|instance| &instance.name));
        faults.add_with_help(
            *span,
            format!("no [[vrrp]] is named `{follow}`"),
            format!("named in this file: {known}"),
        );
    }
    Some(Sync {
        interface: interface.value.clone(),
        id: raw.id.get().map_or(0, |id| id.to(0)),
        group: raw.group.get().copied().unwrap_or(GROUP),
        port: raw.port.get().map_or(PORT, |port| port.to(PORT)),
        ttl: raw.ttl.get().map_or(1, |ttl| ttl.to(1)),
        max_length: raw.max_length.get().map(|length| length.to(u16::MAX)),
        follow: raw.follow.get().cloned(),
    })
}
