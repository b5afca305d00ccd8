//! What is → what should be, as ordered operations.
//!
//! Order: names, sysctls, links, new addresses, routes; deletions last, so that nothing that stays loses its way. Only what
//! bears our mark is deleted. An edit is an edit: an address that exists is marked, a route that differs is replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::state::{Address, Link, Route, RouteKey, State};
use crate::config::model::RouteKind;
use crate::owner;
use crate::units::{Cidr, IfName};

/// Index of `lo` in every network namespace (include/net/net_namespace.h, `LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;

/// One change to the kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// Another name for a link.
    Rename {
        /// Its index.
        index: u32,
        /// Present name.
        from: IfName,
        /// New name.
        to: IfName,
    },
    /// A value below `/proc/sys/net`.
    Sysctl {
        /// Path below `/proc/sys/net`.
        path: String,
        /// New value.
        value: String,
    },
    /// MTU and administrative state of a link.
    SetLink {
        /// Its index.
        index: u32,
        /// Its name.
        name: IfName,
        /// New MTU in bytes, when it differs.
        mtu: Option<u32>,
        /// New administrative state, when it differs.
        up: Option<bool>,
    },
    /// A new address, marked as ours.
    AddAddress {
        /// Index of the link.
        index: u32,
        /// Name of the link.
        name: IfName,
        /// The address.
        cidr: Cidr,
    },
    /// An address that the file wants exists without our mark: it gets it, and no lifetime.
    AdoptAddress {
        /// Index of the link.
        index: u32,
        /// Name of the link.
        name: IfName,
        /// The address.
        cidr: Cidr,
    },
    /// A new route.
    AddRoute {
        /// The route.
        route: Route,
        /// Index of its link.
        index: u32,
    },
    /// A route to the same destination with the same metric exists: it becomes this one.
    ReplaceRoute {
        /// The route.
        route: Route,
        /// Index of its link.
        index: u32,
    },
    /// A route of ours that nobody wants any more.
    DeleteRoute {
        /// The route.
        route: Route,
        /// Index of its link.
        index: u32,
    },
    /// An address of ours that nobody wants any more.
    DeleteAddress {
        /// Index of the link.
        index: u32,
        /// Name of the link.
        name: IfName,
        /// The address.
        cidr: Cidr,
    },
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rename { from, to, .. } => write!(f, "rename link {from} to {to}"),
            Self::Sysctl { path, value } => write!(f, "set {path} to {value}"),
            Self::SetLink { name, mtu, up, .. } => {
                write!(f, "set link {name}")?;
                mtu.map_or(Ok(()), |mtu| write!(f, " mtu {mtu}"))?;
                up.map_or(Ok(()), |up| f.write_str(if up { " up" } else { " down" }))
            }
            Self::AddAddress { name, cidr, .. } => write!(f, "add address {cidr} to {name}"),
            Self::AdoptAddress { name, cidr, .. } => write!(f, "adopt address {cidr} of {name}"),
            Self::AddRoute { route, .. } => write!(f, "add route {route}"),
            Self::ReplaceRoute { route, .. } => write!(f, "replace route {route}"),
            Self::DeleteRoute { route, .. } => write!(f, "delete route {route}"),
            Self::DeleteAddress { name, cidr, .. } => write!(f, "delete address {cidr} from {name}"),
        }
    }
}

/// The operations that make `observed` what `desired` says. While names differ there are renames only: everything else
/// is looked at again under the new names.
#[must_use]
pub fn diff(observed: &State, desired: &State) -> Vec<Op> {
    let renames = renames(observed, desired);
    if !renames.is_empty() {
        return renames;
    }
    let mut ops = sysctls(observed, desired);
    let mut deletions = Vec::new();
    for (name, link) in &desired.links {
        let op = observed.links.get(name).and_then(|present| set_link(name, present, link));
        // A driver takes its time to stop a card, and nobody waits for that.
        if link.up { ops.extend(op) } else { deletions.extend(op) }
    }
    for (name, present) in &observed.links {
        let wanted = desired.links.get(name).map_or(&[] as &[Address], |link| &link.addresses);
        addresses(name, present, wanted, &mut ops, &mut deletions);
    }
    let (changed, unwanted) = routes(observed, desired);
    ops.extend(changed);
    ops.extend(unwanted);
    ops.append(&mut deletions);
    ops
}

/// Renames whose new name is free, or, where names go round in a circle, one link out of the circle.
fn renames(observed: &State, desired: &State) -> Vec<Op> {
    let names: BTreeMap<u32, &IfName> =
        observed.links.iter().map(|(name, link)| (link.index, name)).collect();
    let wrong: Vec<(u32, &IfName, &IfName)> = desired
        .links
        .iter()
        .filter_map(|(to, link)| names.get(&link.index).map(|from| (link.index, *from, to)))
        .filter(|(_, from, to)| from != to)
        .collect();
    let rename = |index: u32, from: &IfName, to: IfName| Op::Rename { index, from: from.clone(), to };
    let free = wrong.iter().filter(|(_, _, to)| !observed.links.contains_key(*to));
    let ops: Vec<Op> = free.map(|(index, from, to)| rename(*index, from, (*to).clone())).collect();
    if !ops.is_empty() {
        return ops;
    }
    let first = wrong
        .first()
        .and_then(|(index, from, _)| Some((*index, *from, format!("spare{index}").parse().ok()?)));
    first.map(|(index, from, to)| rename(index, from, to)).into_iter().collect()
}

fn sysctls(observed: &State, desired: &State) -> Vec<Op> {
    let differs =
        |path: &String, value: &String| observed.sysctls.get(path).is_some_and(|have| have != value);
    let wanted = desired.sysctls.iter().filter(|(path, value)| differs(path, value));
    wanted.map(|(path, value)| Op::Sysctl { path: path.clone(), value: value.clone() }).collect()
}

fn set_link(name: &IfName, present: &Link, wanted: &Link) -> Option<Op> {
    let mtu = Some(wanted.mtu).filter(|mtu| *mtu != present.mtu);
    let up = Some(wanted.up).filter(|up| *up != present.up);
    (mtu.is_some() || up.is_some()).then(|| Op::SetLink { index: present.index, name: name.clone(), mtu, up })
}

fn addresses(name: &IfName, present: &Link, wanted: &[Address], ops: &mut Vec<Op>, deletions: &mut Vec<Op>) {
    let index = present.index;
    let have: BTreeMap<Cidr, u8> = present.addresses.iter().map(|a| (a.cidr, a.owner)).collect();
    let want: BTreeSet<Cidr> = wanted.iter().map(|a| a.cidr).collect();
    let arriving: BTreeSet<_> =
        want.iter().filter(|cidr| !have.contains_key(cidr)).map(|cidr| cidr.address).collect();
    for Address { cidr, owner } in present.addresses.iter().filter(|a| !want.contains(&a.cidr)) {
        // The kernel takes an IPv6 address once, whatever its prefix: the old one goes first then.
        let in_the_way = cidr.address.is_ipv6() && arriving.contains(&cidr.address);
        let delete = Op::DeleteAddress { index, name: name.clone(), cidr: *cidr };
        match *owner {
            owner::VRRP => {}
            _ if in_the_way => ops.push(delete),
            owner::NET => deletions.push(delete),
            _ => {}
        }
    }
    for Address { cidr, .. } in wanted {
        match have.get(cidr) {
            Some(&(owner::NET | owner::VRRP)) => {}
            Some(_) => ops.push(Op::AdoptAddress { index, name: name.clone(), cidr: *cidr }),
            None => ops.push(Op::AddAddress { index, name: name.clone(), cidr: *cidr }),
        }
    }
}

fn routes(observed: &State, desired: &State) -> (Vec<Op>, Vec<Op>) {
    let index = |route: &Route| match route.kind {
        RouteKind::Unicast => observed.links.get(&route.interface).map(|link| link.index),
        RouteKind::Local | RouteKind::Blackhole | RouteKind::Unreachable => Some(LOOPBACK),
    };
    let keys: BTreeSet<RouteKey> = observed.routes.iter().map(Route::key).collect();
    let wanted: BTreeSet<RouteKey> = desired.routes.iter().map(Route::key).collect();
    let missing = desired.routes.difference(&observed.routes).filter_map(|route| {
        let (index, route) = (index(route)?, route.clone());
        let exists = keys.contains(&route.key());
        Some(if exists { Op::ReplaceRoute { route, index } } else { Op::AddRoute { route, index } })
    });
    // What is about to be replaced goes by that; a second one beside the wanted one goes like any other.
    let settled: BTreeSet<RouteKey> = desired.routes.intersection(&observed.routes).map(Route::key).collect();
    let stale = |route: &&Route| {
        let key = route.key();
        !desired.routes.contains(*route) && (!wanted.contains(&key) || settled.contains(&key))
    };
    let unwanted = observed
        .routes
        .iter()
        .filter(|route| route.owner == owner::NET)
        .filter(stale)
        .filter_map(|route| Some(Op::DeleteRoute { index: index(route)?, route: route.clone() }));
    (missing.collect(), unwanted.collect())
}
