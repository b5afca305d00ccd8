//! Devices with a virtual MAC address in the kernel: macvlans in bridge mode, and their sysctls.
//!
//! In private mode the kernel takes every frame from the outside with the address of a device for its own and shows it to that device
//! alone (`macvlan_handle_frame` in drivers/net/macvlan.c): two masters with the same virtual MAC would never hear each other.

use std::io;
use std::path::Path;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoMacVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};

use super::kernel::Kernel;
use crate::owner;
use crate::units::{IfName, Mac};

/// The group of links (`ip link show group 209`) by which a later life knows what this one has made.
pub const MARK: u32 = owner::VRRP as u32;

const CONF: &str = "/proc/sys/net";

/// What keepalived sets for a `use_vmac`, and what keeps the kernel from saying anything by itself.
const DEVICE: [(&str, &str); 10] = [
    // Addresses of the interface below are not answered for by the virtual MAC address.
    ("ipv4/conf/{}/arp_ignore", "1"),
    // What a client sends comes in here and is answered by way of the interface below.
    ("ipv4/conf/{}/rp_filter", "0"),
    ("ipv4/conf/{}/accept_local", "1"),
    ("ipv4/conf/{}/promote_secondaries", "1"),
    ("ipv6/conf/{}/disable_ipv6", "0"),
    // No link-local address: it would be the same on every box of the group.
    ("ipv6/conf/{}/addr_gen_mode", "1"),
    ("ipv6/conf/{}/accept_ra", "0"),
    ("ipv6/conf/{}/accept_dad", "0"),
    ("ipv6/conf/{}/dad_transmits", "0"),
    ("ipv6/conf/{}/router_solicitations", "0"),
];

const PARENT: [(&str, &str); 3] = [
    // The interface below answers for its own addresses alone, and only where its own packets would go out.
    ("ipv4/conf/{}/arp_ignore", "1"),
    ("ipv4/conf/{}/arp_filter", "1"),
    // It asks under its own address: whoever is asked in the name of a VIP learns the wrong hardware address.
    ("ipv4/conf/{}/arp_announce", "2"),
];

impl Kernel {
    /// Makes a device above the link `parent`, down. That it is there already is success.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(super) fn create_device(
        &mut self,
        name: &IfName,
        parent: (&IfName, u32),
        mac: Mac,
    ) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.to_string()),
            LinkAttribute::Link(parent.1),
            LinkAttribute::Address(mac.0.to_vec()),
            LinkAttribute::Group(MARK),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::MacVlan),
                LinkInfo::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(MacVlanMode::Bridge)])),
            ]),
        ];
        match self.request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
            other => other?,
        }
        set(&PARENT, parent.0);
        set(&DEVICE, name);
        Ok(())
    }

    /// Sets a device up or down.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(super) fn raise_device(&mut self, index: u32, up: bool) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.change_mask = LinkFlags::Up;
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        self.request(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Removes a device. That it is gone already is success.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(super) fn delete_device(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        match self.request(RouteNetlinkMessage::DelLink(message), 0) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            other => other,
        }
    }
}

/// What does not exist (a kernel without IPv6) is passed over.
fn set(settings: &[(&str, &str)], link: &IfName) {
    for (path, value) in settings {
        let path = Path::new(CONF).join(path.replace("{}", link.as_str()));
        match std::fs::write(&path, value) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("cannot set {} to {value}: {error}", path.display());
            }
            Ok(()) | Err(_) => {}
        }
    }
}
