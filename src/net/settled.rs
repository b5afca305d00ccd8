//! What was in place already: if it has to be done again, somebody else undid it, and the log says so.

use std::collections::{BTreeMap, BTreeSet};

use super::diff::Op;
use super::state::{Route, State};
use crate::units::{Cidr, IfName};

/// What was both wanted and there when the kernel was last looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// Index, MTU and whether it was up.
    links: BTreeMap<IfName, (u32, u32, bool)>,
    addresses: BTreeSet<(u32, Cidr)>,
    routes: BTreeSet<Route>,
    sysctls: BTreeMap<String, String>,
}

impl Settled {
    /// What `observed` and `desired` have in common.
    #[must_use]
    pub fn new(observed: &State, desired: &State) -> Self {
        let mut settled = Self {
            routes: observed.routes.intersection(&desired.routes).cloned().collect(),
            ..Self::default()
        };
        for (name, link) in &desired.links {
            let Some(present) = observed.links.get(name) else { continue };
            settled.links.insert(name.clone(), (present.index, present.mtu, present.up));
            let there: BTreeSet<Cidr> = present.addresses.iter().map(|address| address.cidr).collect();
            let both = link.addresses.iter().map(|address| address.cidr).filter(|cidr| there.contains(cidr));
            settled.addresses.extend(both.map(|cidr| (present.index, cidr)));
        }
        let same = |(path, value): &(&String, &String)| observed.sysctls.get(*path) == Some(*value);
        let sysctls = desired.sysctls.iter().filter(same);
        settled.sysctls = sysctls.map(|(path, value)| (path.clone(), value.clone())).collect();
        settled
    }

    /// Whether what `op` makes was there.
    #[must_use]
    pub fn had(&self, op: &Op) -> bool {
        match op {
            Op::AddAddress { index, cidr, .. } => self.addresses.contains(&(*index, *cidr)),
            Op::AddRoute { route, .. } | Op::ReplaceRoute { route, .. } => self.routes.contains(route),
            Op::SetLink { index, name, mtu, up } => {
                self.links.get(name).is_some_and(|(had, size, was_up)| {
                    had == index && mtu.is_none_or(|mtu| mtu == *size) && up.is_none_or(|up| up == *was_up)
                })
            }
            Op::Sysctl { path, value } => self.sysctls.get(path) == Some(value),
            Op::Rename { .. }
            | Op::AdoptAddress { .. }
            | Op::DeleteRoute { .. }
            | Op::DeleteAddress { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::{Address, Link};
    use super::*;

    #[test]
    fn only_what_was_wanted_and_there_is_put_back() {
        let name: IfName = "eth0".parse().unwrap();
        let [wanted, missing]: [Cidr; 2] = ["10.0.0.1/24", "10.0.0.2/24"].map(|text| text.parse().unwrap());
        let link = |cidrs: &[Cidr]| Link {
            index: 2,
            up: true,
            mtu: 1500,
            addresses: cidrs.iter().copied().map(Address::ours).collect(),
            ..Link::default()
        };
        let state =
            |cidrs: &[Cidr]| State { links: [(name.clone(), link(cidrs))].into(), ..State::default() };
        let settled = Settled::new(&state(&[wanted]), &state(&[wanted, missing]));
        let add = |index, cidr| Op::AddAddress { index, name: name.clone(), cidr };
        assert!(settled.had(&add(2, wanted)));
        assert!(!settled.had(&add(2, missing)), "it was never there");
        assert!(!settled.had(&add(3, wanted)), "another card under the same name");
        let set = |mtu, up| Op::SetLink { index: 2, name: name.clone(), mtu, up };
        assert!(settled.had(&set(Some(1500), Some(true))) && settled.had(&set(None, Some(true))));
        assert!(!settled.had(&set(Some(9000), None)), "another configuration");
    }
}
