//! Who is near, by ARP and by neighbour discovery, as the kernel has it: `/proc` knows only the former.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use futures_util::TryStreamExt;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};

use super::Found;
use crate::units::Mac;

/// A line for each: `fe80::1 dev eth0 52:54:00:00:00:01 router reachable`.
pub fn collect() -> Found {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("list neighbours: {error}"))?;
    let dump = runtime.block_on(dump()).map_err(|error| format!("list neighbours: {error}"))?;
    let names = names();
    let mut lines: Vec<(IpAddr, String)> = dump.iter().filter_map(|message| line(message, &names)).collect();
    lines.sort();
    let mut out = String::new();
    for (_, line) in lines {
        let _ = writeln!(out, "{line}");
    }
    Ok(out.into_bytes())
}

async fn dump() -> Result<Vec<NeighbourMessage>, String> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(|error| error.to_string())?;
    let serving = tokio::spawn(connection);
    let all = handle.neighbours().get().execute().try_collect().await;
    serving.abort();
    all.map_err(|error| error.to_string())
}

/// Interfaces by their index.
fn names() -> BTreeMap<u32, String> {
    let all = nix::net::if_::if_nameindex();
    let all = all.iter().flat_map(|all| all.iter());
    all.map(|interface| (interface.index(), interface.name().to_string_lossy().into_owned())).collect()
}

/// Multicast groups, which the kernel keeps among them, are none.
fn line(message: &NeighbourMessage, names: &BTreeMap<u32, String>) -> Option<(IpAddr, String)> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    if message.header.state == NeighbourState::Noarp {
        return None;
    }
    let index = message.header.ifindex;
    let name = names.get(&index).cloned().unwrap_or_else(|| index.to_string());
    let mut line = format!("{address} dev {name}");
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(octets) => octets.as_slice().try_into().ok().map(Mac),
        _ => None,
    });
    let _ = mac.map(|mac| write!(line, " {mac}"));
    if message.header.flags.contains(NeighbourFlags::Router) {
        line.push_str(" router");
    }
    let _ = write!(line, " {}", state(message.header.state));
    Some((address, line))
}

/// As `ip neighbour` calls it, in lower case.
fn state(state: NeighbourState) -> String {
    match state {
        NeighbourState::Incomplete => "incomplete".to_owned(),
        NeighbourState::Reachable => "reachable".to_owned(),
        NeighbourState::Stale => "stale".to_owned(),
        NeighbourState::Delay => "delay".to_owned(),
        NeighbourState::Probe => "probe".to_owned(),
        NeighbourState::Failed => "failed".to_owned(),
        NeighbourState::Permanent => "permanent".to_owned(),
        other => format!("state {}", u16::from(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbour(address: IpAddr, state: NeighbourState, mac: Option<[u8; 6]>) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = 2;
        message.header.state = state;
        let destination = match address {
            IpAddr::V4(address) => NeighbourAddress::Inet(address),
            IpAddr::V6(address) => NeighbourAddress::Inet6(address),
        };
        message.attributes = vec![NeighbourAttribute::Destination(destination)];
        message.attributes.extend(mac.map(|mac| NeighbourAttribute::LinkLayerAddress(mac.to_vec())));
        message
    }

    #[test]
    fn both_families_are_told_and_groups_are_not() {
        let names = BTreeMap::from([(2, "eth0".to_owned())]);
        let told = |address: &str, state, mac| {
            line(&neighbour(address.parse().unwrap(), state, mac), &names).map(|(_, line)| line)
        };
        let mac = [0x52, 0x54, 0, 0, 0, 1];
        assert_eq!(
            told("fe80::1", NeighbourState::Stale, Some(mac)).as_deref(),
            Some("fe80::1 dev eth0 52:54:00:00:00:01 stale")
        );
        assert_eq!(
            told("192.0.2.9", NeighbourState::Failed, None).as_deref(),
            Some("192.0.2.9 dev eth0 failed")
        );
        assert_eq!(told("ff02::1", NeighbourState::Noarp, Some(mac)), None);
    }

    #[test]
    fn the_kernel_lists_its_neighbours() {
        let text = String::from_utf8(collect().unwrap()).unwrap();
        assert!(text.lines().all(|line| line.contains(" dev ")), "{text}");
    }
}
