//! The power button, of the box or of the virtual machine: the kernel's ACPI events (kernel: drivers/acpi/event.c).

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use neli::consts::genl::{CtrlAttr, CtrlAttrMcastGrp, CtrlCmd};
use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use crate::netlink::wire::{self, Malformed, Writer};
use crate::sys::netlink;

/// The generic netlink controller (kernel: include/uapi/linux/genetlink.h).
const CONTROLLER: u16 = 16;
/// ACPI_GENL_ATTR_EVENT.
const EVENT: u16 = 1;
/// ACPI_BUTTON_NOTIFY_STATUS: pressed, and not the button that woke the box.
const PRESSED: u32 = 0x80;

/// Listens for the power button, without waiting.
#[derive(Debug)]
pub struct Button(OwnedFd);

impl Button {
    /// Joins the kernel's ACPI events.
    ///
    /// # Errors
    /// A kernel without ACPI or without generic netlink.
    pub fn listen() -> io::Result<Self> {
        let socket = NlSocket::connect(NlFamily::Generic, None, Groups::empty())?;
        socket.nonblock()?;
        let mut request = Writer::default();
        request.message(CONTROLLER, wire::REQUEST, 1, CtrlCmd::Getfamily.into(), |w| {
            w.text(CtrlAttr::FamilyName.into(), "acpi_event");
        });
        socket.send(request.bytes(), Msg::empty())?;
        // The kernel has answered before `send` returns.
        let mut answer = [0; 4096];
        let (length, _) = socket.recv(&mut answer, Msg::empty())?;
        let group = group(answer.get(..length).unwrap_or_default()).map_err(io::Error::other)?;
        socket.add_mcast_membership(Groups::new_groups(&[group.ok_or(ErrorKind::NotFound)?]))?;
        Ok(Self(netlink::owned(socket)))
    }

    /// Whether the power button was pressed since the last call.
    pub fn pressed(&mut self) -> bool {
        let mut datagram = [0; 4096];
        let mut seen = false;
        loop {
            match recv(self.0.as_raw_fd(), &mut datagram, MsgFlags::empty()) {
                Ok(length) if length > 0 => {
                    seen |= is_power_button(datagram.get(..length).unwrap_or_default()).unwrap_or(false);
                }
                Err(Errno::EINTR | Errno::ENOBUFS) => {}
                _ => return seen,
            }
        }
    }
}

impl AsFd for Button {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The number of the family's multicast group.
fn group(datagram: &[u8]) -> Result<Option<u32>, Malformed> {
    for message in wire::messages(datagram) {
        let message = message?;
        if message.kind != CONTROLLER {
            continue;
        }
        for attribute in wire::attributes(wire::generic(message.payload)?.1) {
            let (kind, list) = attribute?;
            if kind != u16::from(CtrlAttr::McastGroups) {
                continue;
            }
            for entry in wire::attributes(list) {
                let fields = wire::attributes(entry?.1).collect::<Result<Vec<_>, _>>()?;
                let field = |wanted: CtrlAttrMcastGrp| {
                    let kind = u16::from(wanted);
                    fields.iter().find(|(k, _)| *k == kind).map(|(_, value)| *value)
                };
                if field(CtrlAttrMcastGrp::Name).map(wire::text_of).transpose()? == Some("acpi_mc_group") {
                    return field(CtrlAttrMcastGrp::Id).map(wire::u32_of).transpose();
                }
            }
        }
    }
    Ok(None)
}

/// struct acpi_genl_event: class (20 bytes), bus id (15 bytes), one byte of padding, type, data.
fn is_power_button(datagram: &[u8]) -> Result<bool, Malformed> {
    for message in wire::messages(datagram) {
        for attribute in wire::attributes(wire::generic(message?.payload)?.1) {
            let (kind, event) = attribute?;
            let class = event.get(..20).map(|bytes| bytes.starts_with(b"button/power\0"));
            let number = event.get(36..40).map(wire::u32_of).transpose()?;
            if kind == EVENT && class == Some(true) && number == Some(PRESSED) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(class: &str, number: u32) -> Vec<u8> {
        let mut body = vec![0; 44];
        body[..class.len()].copy_from_slice(class.as_bytes());
        body[36..40].copy_from_slice(&number.to_ne_bytes());
        let mut writer = Writer::default();
        writer.message(24, 0, 0, 1, |w| w.attribute(EVENT, &body));
        writer.bytes().to_owned()
    }

    #[test]
    fn only_the_pressed_power_button_counts() {
        assert_eq!(is_power_button(&event("button/power", PRESSED)), Ok(true));
        assert_eq!(is_power_button(&event("button/power", 2)), Ok(false));
        assert_eq!(is_power_button(&event("button/sleep", PRESSED)), Ok(false));
        assert_eq!(is_power_button(&event("ac_adapter", 0)), Ok(false));
        assert!(is_power_button(&[1, 2, 3]).is_err());
    }

    #[test]
    fn the_group_is_found_by_its_name() {
        let mut writer = Writer::default();
        writer.message(CONTROLLER, 0, 1, 1, |w| {
            w.text(CtrlAttr::FamilyName.into(), "acpi_event");
            w.nested(CtrlAttr::McastGroups.into(), |w| {
                w.nested(1, |w| {
                    w.u32(CtrlAttrMcastGrp::Id.into(), 7);
                    w.text(CtrlAttrMcastGrp::Name.into(), "acpi_mc_group");
                });
            });
        });
        assert_eq!(group(writer.bytes()), Ok(Some(7)));
        assert_eq!(group(&[]), Ok(None));
    }
}
