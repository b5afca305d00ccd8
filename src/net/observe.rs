//! The kernel's dumps → [`State`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use futures_util::TryStreamExt;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, link::InfoKind};
use rtnetlink::RouteMessageBuilder;

use super::kernel::{Error, Kernel, LOCAL_TABLE};
use super::state::{Address, Link, Route, State};
use crate::config::model::RouteKind;
use crate::owner;
use crate::units::{Cidr, IfName, Mac};

/// Where the kernel shows the values of [`State::sysctls`].
pub const PROC_SYS_NET: &str = "/proc/sys/net";

impl Kernel {
    /// Dumps links, addresses and the main routing table; no sysctls.
    ///
    /// # Errors
    /// When a dump fails.
    pub async fn observe(&self) -> Result<State, Error> {
        let mut links = BTreeMap::new();
        // Counters make most of a link's dump, and nobody here reads them.
        let terse = vec![LinkExtentMask::SkipStats];
        let mut dump = self.handle.link().get().set_filter_mask(AddressFamily::Unspec, terse).execute();
        while let Some(message) = dump.try_next().await? {
            if let Some((name, link)) = link(&message) {
                links.insert(name, link);
            }
        }
        let names: BTreeMap<u32, IfName> =
            links.iter().map(|(name, link)| (link.index, name.clone())).collect();
        let mut dump = self.handle.address().get().execute();
        while let Some(message) = dump.try_next().await? {
            let link = names.get(&message.header.index).and_then(|name| links.get_mut(name));
            if let (Some(link), Some(address)) = (link, address(&message)) {
                link.addresses.push(address);
            }
        }
        let routes = self.routes(&names).await?;
        Ok(State { links, routes, sysctls: BTreeMap::new() })
    }

    async fn routes(&self, names: &BTreeMap<u32, IfName>) -> Result<BTreeSet<Route>, Error> {
        let mut routes = BTreeSet::new();
        // Of the local table ours alone: thousands of VIPs are in it, too.
        let local = u32::from(LOCAL_TABLE);
        let any = RouteType::Unspec;
        let ours = RouteProtocol::from(owner::NET);
        let requests = [
            RouteMessageBuilder::<Ipv4Addr>::new().kind(any).protocol(RouteProtocol::Unspec).build(),
            RouteMessageBuilder::<Ipv6Addr>::new().kind(any).protocol(RouteProtocol::Unspec).build(),
            RouteMessageBuilder::<Ipv4Addr>::new()
                .kind(RouteType::Local)
                .table_id(local)
                .protocol(ours)
                .build(),
            RouteMessageBuilder::<Ipv6Addr>::new()
                .kind(RouteType::Local)
                .table_id(local)
                .protocol(ours)
                .build(),
        ];
        for request in requests {
            let mut dump = self.handle.route().get(request).execute();
            loop {
                match dump.try_next().await.map_err(Error::from) {
                    Ok(Some(message)) => routes.extend(route(&message, names)),
                    Ok(None) => break,
                    // The main table comes into being with its first route; a kernel may have no IPv6 at all.
                    Err(error)
                        if matches!(
                            error.errno(),
                            Some(libc::ENOENT | libc::EAFNOSUPPORT | libc::EOPNOTSUPP)
                        ) =>
                    {
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(routes)
    }
}

/// Reads the values at `paths`; what cannot be read is left out.
pub fn sysctls<'a>(paths: impl IntoIterator<Item = &'a String>) -> BTreeMap<String, String> {
    let read = |path: &String| {
        let mut text = [0; 32];
        let length = File::open(Path::new(PROC_SYS_NET).join(path)).ok()?.read(&mut text).ok()?;
        Some((path.clone(), String::from_utf8_lossy(text.get(..length)?).trim().to_owned()))
    };
    paths.into_iter().filter_map(read).collect()
}

fn link(message: &LinkMessage) -> Option<(IfName, Link)> {
    if message.header.flags.contains(LinkFlags::Loopback) {
        return None;
    }
    let mut name = None;
    let mut present = None;
    let mut permanent = None;
    let mut link = Link {
        index: message.header.index,
        up: message.header.flags.contains(LinkFlags::Up),
        carrier: message.header.flags.contains(LinkFlags::LowerUp),
        ethernet: message.header.link_layer_type == LinkLayerType::Ether,
        ..Link::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = text.parse().ok(),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Address(octets) => present = mac(octets),
            LinkAttribute::PermAddress(octets) => permanent = mac(octets),
            LinkAttribute::LinkInfo(infos) => {
                link.stacked = infos.iter().any(stacked);
                link.ethernet &= !infos.iter().any(unasked);
            }
            _ => {}
        }
    }
    link.mac = permanent.or(present);
    Some((name?, link))
}

fn mac(octets: &[u8]) -> Option<Mac> {
    octets.try_into().ok().filter(|octets| *octets != [0; 6]).map(Mac)
}

fn stacked(info: &LinkInfo) -> bool {
    use InfoKind::{Bond, Bridge, IpVlan, MacVlan, MacVtap, Vlan};
    matches!(info, LinkInfo::Kind(Bond | Bridge | IpVlan | MacVlan | MacVtap | Vlan))
}

/// Made by the drivers at their start, whether anybody wants it or not: `bond0`, `dummy0`, `gretap0`, `erspan0`.
fn unasked(info: &LinkInfo) -> bool {
    use InfoKind::{Bond, Dummy, ErSpan, GreTap, GreTap6, Ip6ErSpan};
    matches!(info, LinkInfo::Kind(Bond | Dummy | ErSpan | GreTap | GreTap6 | Ip6ErSpan))
}

fn address(message: &AddressMessage) -> Option<Address> {
    let mut local = None;
    let mut remote = None;
    let mut owner = 0;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => remote = Some(*address),
            AddressAttribute::Protocol(protocol) => owner = u8::from(*protocol),
            _ => {}
        }
    }
    // Of a point-to-point link `Address` is the far end.
    let address = local.or(remote)?;
    Some(Address { cidr: Cidr { address, prefix: message.header.prefix_len }, owner })
}

fn route(message: &RouteMessage, names: &BTreeMap<u32, IfName>) -> Option<Route> {
    let header = &message.header;
    let kind = match header.kind {
        RouteType::Unicast => RouteKind::Unicast,
        RouteType::Local => RouteKind::Local,
        RouteType::BlackHole => RouteKind::Blackhole,
        RouteType::Unreachable => RouteKind::Unreachable,
        _ => return None,
    };
    let table = match kind {
        RouteKind::Local => LOCAL_TABLE,
        _ => RouteHeader::RT_TABLE_MAIN,
    };
    let of_others = kind == RouteKind::Local && header.protocol != RouteProtocol::from(owner::NET);
    if header.table != table
        || of_others
        || header.protocol == RouteProtocol::Kernel
        || header.flags.contains(RouteFlags::Cloned)
    {
        return None;
    }
    let any = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut to = Cidr { address: any, prefix: header.destination_prefix_length };
    let (mut via, mut interface, mut metric) = (None, None, 0);
    if kind != RouteKind::Unicast {
        interface = "lo".parse().ok();
    }
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => to.address = ip(address)?,
            RouteAttribute::Gateway(address) => via = Some(ip(address)?),
            RouteAttribute::Via(RouteVia::Inet6(address)) => via = Some(IpAddr::V6(*address)),
            RouteAttribute::Oif(index) if kind == RouteKind::Unicast => interface = names.get(index).cloned(),
            RouteAttribute::Priority(priority) => metric = *priority,
            _ => {}
        }
    }
    let onlink = header.flags.contains(RouteFlags::Onlink);
    Some(Route { kind, to, metric, via, interface: interface?, onlink, owner: u8::from(header.protocol) })
}

const fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}
