//! Routes and rules that move with mastership: which there should be, and what has to be changed. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use crate::config::model::{RouteKind, VirtualRoute, VirtualRule, VrrpInstance};
use crate::units::{Cidr, IfName};

/// Metric that the kernel gives an IPv6 route without one.
const IPV6_METRIC: u32 = 1024;

/// A route as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// Routing table.
    pub table: u32,
    /// What becomes of the packets.
    pub kind: RouteKind,
    /// Destination.
    pub to: Cidr,
    /// Smaller wins.
    pub metric: u32,
    /// Gateway.
    pub via: Option<IpAddr>,
    /// Outgoing interface; `None` where packets go nowhere.
    pub interface: Option<IfName>,
    /// Source of the box's own packets on it.
    pub source: Option<IpAddr>,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {}", self.to)?;
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        if let Some(interface) = &self.interface {
            write!(f, " dev {interface}")?;
        }
        write!(f, " metric {} table {}", self.metric, self.table)
    }
}

/// Routes and rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ways {
    /// Routes.
    pub routes: BTreeSet<Way>,
    /// Rules.
    pub rules: BTreeSet<VirtualRule>,
}

impl Ways {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.rules.is_empty()
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Sets a route.
    AddRoute(Way),
    /// Removes one of ours.
    RemoveRoute(Way),
    /// Sets a rule.
    AddRule(VirtualRule),
    /// Removes one of ours.
    RemoveRule(VirtualRule),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddRoute(way) => write!(f, "set {way}"),
            Self::RemoveRoute(way) => write!(f, "remove {way}"),
            Self::AddRule(rule) => write!(f, "set rule {} to table {}", rule.preference, rule.table),
            Self::RemoveRule(rule) => write!(f, "remove rule {} to table {}", rule.preference, rule.table),
        }
    }
}

impl Change {
    /// Whether a virtual router lacks something where this is refused: one of its routes or rules.
    #[must_use]
    pub fn is_of(&self, config: &VrrpInstance) -> bool {
        match self {
            Self::AddRoute(wanted) => config.routes.iter().any(|route| way(config, route) == *wanted),
            Self::AddRule(rule) => config.rules.contains(rule),
            Self::RemoveRoute(_) | Self::RemoveRule(_) => false,
        }
    }
}

/// What should be there while these are master.
pub fn desired<'a>(masters: impl Iterator<Item = &'a VrrpInstance>) -> Ways {
    let mut ways = Ways::default();
    for config in masters {
        ways.routes.extend(config.routes.iter().map(|route| way(config, route)));
        ways.rules.extend(config.rules.iter().cloned());
    }
    ways
}

fn way(config: &VrrpInstance, route: &VirtualRoute) -> Way {
    let ipv6 = route.to.address.is_ipv6();
    let leaves = route.kind == RouteKind::Unicast;
    Way {
        table: route.table,
        kind: route.kind,
        to: route.to,
        metric: if ipv6 && route.metric == 0 { IPV6_METRIC } else { route.metric },
        via: route.via,
        interface: leaves.then(|| route.interface.as_ref().unwrap_or(&config.interface).clone()),
        source: route.source,
    }
}

/// The changes in order: routes before the rules that lead to them, and the other way round at the end. What carries our mark
/// and is not wanted goes.
#[must_use]
pub fn diff(observed: &Ways, desired: &Ways) -> Vec<Change> {
    let old_rules = observed.rules.difference(&desired.rules).cloned().map(Change::RemoveRule);
    let old_routes = observed.routes.difference(&desired.routes).cloned().map(Change::RemoveRoute);
    let new_routes = desired.routes.difference(&observed.routes).cloned().map(Change::AddRoute);
    let new_rules = desired.rules.difference(&observed.rules).cloned().map(Change::AddRule);
    old_rules.chain(old_routes).chain(new_routes).chain(new_rules).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::VirtualAddress;
    use crate::units::Vrid;

    fn config() -> VrrpInstance {
        let vip = VirtualAddress::from("10.0.0.45".parse::<Cidr>().unwrap());
        let route = |to: &str, via: Option<&str>, kind| VirtualRoute {
            to: to.parse().unwrap(),
            via: via.map(|via| via.parse().unwrap()),
            interface: None,
            table: 100,
            metric: 0,
            source: None,
            kind,
        };
        let rule = VirtualRule {
            from: Some("10.0.0.45/32".parse().unwrap()),
            to: None,
            interface: None,
            mark: None,
            table: 100,
            preference: 1000,
            ipv6: false,
        };
        VrrpInstance {
            routes: vec![
                route("0.0.0.0/0", Some("10.0.0.254"), RouteKind::Unicast),
                route("2001:db8:9::/48", None, RouteKind::Blackhole),
            ],
            rules: vec![rule],
            ..VrrpInstance::new("VI_1", "eth0".parse().unwrap(), Vrid::try_from(1).unwrap(), vec![vip])
        }
    }

    #[test]
    fn routes_come_before_the_rules_that_lead_to_them_and_go_after_them() {
        let config = config();
        let wanted = desired([&config].into_iter());
        let show = |changes: &[Change]| changes.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            show(&diff(&Ways::default(), &wanted)),
            [
                "set route 0.0.0.0/0 via 10.0.0.254 dev eth0 metric 0 table 100",
                "set route 2001:db8:9::/48 metric 1024 table 100",
                "set rule 1000 to table 100",
            ]
        );
        let gone = diff(&wanted, &desired([].into_iter()));
        assert_eq!(show(&gone).first().map(String::as_str), Some("remove rule 1000 to table 100"));
        assert_eq!(gone.len(), 3);
        assert!(diff(&wanted, &wanted).is_empty());
    }

    #[test]
    fn a_route_or_rule_that_is_refused_is_lacked_by_the_router_that_wants_it() {
        let config = config();
        let other = VrrpInstance { routes: Vec::new(), rules: Vec::new(), ..config.clone() };
        let changes = diff(&Ways::default(), &desired([&config].into_iter()));
        assert!(changes.iter().all(|change| change.is_of(&config) && !change.is_of(&other)));
        let gone = diff(&desired([&config].into_iter()), &Ways::default());
        assert!(!gone.iter().any(|change| change.is_of(&config)), "what cannot be removed lacks nobody");
    }
}
