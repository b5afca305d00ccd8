//! `virtual_mac` of `[[vrrp]]`.

use super::super::super::faults::Faults;
use super::super::super::field::At;
use super::super::super::model::VirtualMac;
use super::super::super::raw::{self, VirtualMacUse};
use super::super::items;

pub(super) fn virtual_mac(raw: &raw::Vrrp, ipv4: bool, faults: &mut Faults<'_>) -> Option<VirtualMac> {
    let At { value, span } = raw.virtual_mac.set()?;
    let advertises = match value {
        VirtualMacUse::Off => return None,
        VirtualMacUse::Vips => false,
        VirtualMacUse::All => true,
    };
    if advertises && raw.peers.is_given() {
        let help = "use \"vips\": what is sent to `peers` finds its next hop by the routes of `interface`";
        faults.add_with_help(*span, "`virtual_mac = \"all\"` is for the multicast group", help);
    }
    for At { value: vip, .. } in items(&raw.addresses).iter().chain(items(&raw.also)) {
        if let Some(label) = vip.label.span()
            && !vip.interface.is_given()
        {
            faults
                .add(label, "a VIP with a virtual MAC address has no `label`: it is on a device of its own");
        }
    }
    let (interface, vrid) = (raw.interface.get()?, *raw.vrid.get()?);
    match VirtualMac::new(interface, vrid, !ipv4, advertises) {
        Ok(found) => Some(found),
        Err(refused) => {
            faults.add(*span, format!("no device for `virtual_mac`: {refused}"));
            None
        }
    }
}
