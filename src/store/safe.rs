//! The built-in configuration: it reaches the box and claims nothing.

use crate::units::IfName;

/// A text for the NICs that exist: DHCP on each, no VIP, no service.
#[must_use]
pub fn text(nics: &[IfName]) -> String {
    let mut text =
        String::from("# Built in: DHCP on every NIC, no virtual address, no service.\nversion = 1\n");
    for nic in nics {
        text.push_str(&format!("\n[[interface]]\nname = {:?}\ndhcp = true\n", nic.as_str()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NodeFacts, check};

    #[test]
    fn it_is_valid_and_claims_nothing() {
        for nics in [vec![], vec!["eth0".parse().unwrap(), "enp3s0f1".parse().unwrap()]] {
            let config = check(text(&nics), "built-in", &NodeFacts::default()).unwrap().config;
            assert_eq!(config.interfaces.len(), nics.len());
            assert!(config.interfaces.iter().all(|interface| interface.dhcp));
            assert!(config.vrrp.is_empty() && config.services.is_empty());
        }
    }
}
