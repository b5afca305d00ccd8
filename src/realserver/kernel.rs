//! Looks at this host and changes it: rtnetlink, the generic netlink family `fou`, and `/proc/sys/net`.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use neli::consts::genl::{CtrlAttr, CtrlCmd};
use neli::consts::socket::NlFamily;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use super::plan::{Need, prefix};
use super::record::Change;
use super::script::LABEL;
use crate::netlink::socket::{Error as Netlink, Socket};
use crate::netlink::wire::{self, Malformed, Writer};

/// `NLM_F_CREATE`, `NLM_F_EXCL`, `NLM_F_REPLACE`.
const CREATE: u16 = 0x400;
const EXCLUSIVE: u16 = 0x200;
const REPLACE: u16 = 0x100;

/// `RTM_NEWLINK` and the others (include/uapi/linux/rtnetlink.h).
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused.
    #[error("{what}: {why}")]
    Refused {
        /// What was to be done.
        what: String,
        /// Why not.
        why: String,
    },
}

/// What is true of a need on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is met.
    Right,
    /// It is not there.
    Missing,
    /// There is another value.
    Other(String),
}

/// What this host has of each need.
///
/// # Errors
/// When the kernel does not tell.
pub fn look(need: &Need) -> Result<Found, Error> {
    let yes = |right| if right { Found::Right } else { Found::Missing };
    Ok(match need {
        Need::Gue { port, ipv6 } => {
            yes(fou_ports().map_err(|error| refused(need, &error))?.contains(&(*port, *ipv6)))
        }
        Need::Link { name, .. } => yes(if_nametoindex(name.as_str()).is_ok()),
        Need::Up(name) => yes(interfaces(need)?
            .any(|link| link.interface_name == *name && link.flags.contains(InterfaceFlags::IFF_UP))),
        Need::Sysctl { path, .. } => match std::fs::read_to_string(file(path)) {
            Ok(found) if need.is_met_by(found.trim()) => Found::Right,
            Ok(found) => Found::Other(found.trim().to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => Found::Missing,
            Err(error) => return Err(refused(need, &error)),
        },
        Need::Address(vip) => yes(interfaces(need)?.any(|link| {
            let on_lo = link.interface_name.split(':').next() == Some("lo");
            let address = link.address.and_then(|address| {
                let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
            });
            on_lo && address == Some(*vip)
        })),
    })
}

/// Makes it so.
///
/// # Errors
/// When the kernel refuses; a link that has come with its module in the meantime is no failure.
pub fn make(need: &Need) -> Result<(), Error> {
    let failed = |error: &dyn std::fmt::Display| refused(need, error);
    match need {
        Need::Gue { port, ipv6 } => fou(FOU_ADD, *port, *ipv6).map_err(|error| failed(&error)),
        Need::Link { name, kind } => {
            let body = |w: &mut Writer| {
                w.text(3, name);
                w.nested(18, |w| w.text(1, kind));
            };
            let flags = wire::ACK | CREATE | EXCLUSIVE;
            match route(|w, sequence| {
                w.framed(NEW_LINK, wire::REQUEST | flags, sequence, link_header(0, false), body)
            }) {
                Err(Netlink::Refused(Errno::EEXIST)) => Ok(()),
                other => other.map_err(|error| failed(&explain(error))),
            }
        }
        Need::Up(name) => set_up(name, true).map_err(|error| failed(&error)),
        Need::Sysctl { path, value } => {
            std::fs::write(file(path), value.to_string()).map_err(|error| failed(&error))
        }
        Need::Address(vip) => address(NEW_ADDRESS, CREATE | REPLACE, *vip).map_err(|error| failed(&error)),
    }
}

/// Takes a change back. That somebody else did so already is no failure.
///
/// # Errors
/// When the kernel refuses.
pub fn undo(change: &Change) -> Result<(), Error> {
    let failed = |error: &dyn std::fmt::Display| refused(&change.need, error);
    let gone = |result: Result<(), Netlink>| match result {
        Err(Netlink::Refused(Errno::ENODEV | Errno::EADDRNOTAVAIL | Errno::ENOENT | Errno::EINVAL)) => Ok(()),
        other => other.map_err(|error| failed(&error)),
    };
    match &change.need {
        Need::Gue { port, ipv6 } => gone(fou(FOU_DELETE, *port, *ipv6)),
        Need::Link { name, .. } => match if_nametoindex(name.as_str()) {
            Err(_) => Ok(()),
            Ok(index) => gone(route(|w, sequence| {
                w.framed(DELETE_LINK, wire::REQUEST | wire::ACK, sequence, link_header(index, false), |_| ());
            })),
        },
        Need::Up(name) => gone(set_up(name, false)),
        Need::Sysctl { path, .. } => match (&change.before, look(&change.need)?) {
            (Some(before), Found::Right) => {
                std::fs::write(file(path), before).map_err(|error| failed(&error))
            }
            // The link is gone, or somebody else has set another value since.
            (_, Found::Missing | Found::Other(_)) | (None, Found::Right) => Ok(()),
        },
        Need::Address(vip) => gone(address(DELETE_ADDRESS, 0, *vip)),
    }
}

fn refused(need: &Need, why: &dyn std::fmt::Display) -> Error {
    Error::Refused { what: need.to_string(), why: why.to_string() }
}

fn explain(error: Netlink) -> String {
    match error {
        Netlink::Refused(Errno::EOPNOTSUPP) => {
            "this kernel has no such kind of link, or its module is missing".to_owned()
        }
        Netlink::Refused(Errno::EPERM) => "not permitted: root is needed (CAP_NET_ADMIN)".to_owned(),
        other => other.to_string(),
    }
}

fn file(path: &str) -> PathBuf {
    Path::new("/proc/sys/net").join(path)
}

fn interfaces(need: &Need) -> Result<impl Iterator<Item = nix::ifaddrs::InterfaceAddress>, Error> {
    getifaddrs().map_err(|errno| refused(need, &errno.desc()))
}

/// Sends a request to the routing subsystem and waits for its acknowledgement.
fn route(write: impl FnOnce(&mut Writer, u32)) -> Result<(), Netlink> {
    let mut socket = Socket::open(NlFamily::Route)?;
    let mut writer = Writer::default();
    write(&mut writer, socket.next_sequence());
    socket.send(writer.bytes())?;
    socket.collect(|_| Ok(())).map(drop)
}

fn set_up(name: &str, up: bool) -> Result<(), Netlink> {
    let index = if_nametoindex(name).map_err(Netlink::Refused)?;
    route(|w, sequence| {
        w.framed(NEW_LINK, wire::REQUEST | wire::ACK, sequence, link_header(index, up), |_| ());
    })
}

/// `struct ifinfomsg`: with an index the flag `IFF_UP` is set as said.
fn link_header(index: u32, up: bool) -> [u8; 16] {
    let mut header = [0; 16];
    let change = u32::from(index != 0);
    for (place, word) in header.chunks_exact_mut(4).skip(1).zip([index, u32::from(up), change]) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    header
}

fn address(kind: u16, flags: u16, vip: IpAddr) -> Result<(), Netlink> {
    /// `IFA_F_NODAD`.
    const NO_DETECTION: u32 = 0x02;
    /// `RT_SCOPE_HOST`.
    const HOST: u8 = 254;
    let index = if_nametoindex("lo").map_err(Netlink::Refused)?.to_ne_bytes();
    let (family, scope) = if vip.is_ipv4() { (AF_INET, HOST) } else { (AF_INET6, 0) };
    let [a, b, c, d] = index;
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    let header = [family, prefix(vip), 0, scope, a, b, c, d];
    let octets = match vip {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    route(|w, sequence| {
        w.framed(kind, wire::REQUEST | wire::ACK | flags, sequence, header, |w| {
            w.attribute(1, &octets);
            w.attribute(2, &octets);
            match (kind, vip) {
                (NEW_ADDRESS, IpAddr::V4(_)) => w.text(3, LABEL),
                (NEW_ADDRESS, IpAddr::V6(_)) => {
                    w.u32(8, NO_DETECTION);
                    // struct ifa_cacheinfo: never preferred, so that the host's own connections do not come from it; for ever.
                    let life = [0_u32, u32::MAX, 0, 0].map(u32::to_ne_bytes);
                    w.attribute(6, life.as_flattened());
                }
                _ => {}
            }
        });
    })
}

/// `FOU_CMD_*` and `FOU_ATTR_*` (include/uapi/linux/fou.h).
const FOU_ADD: u8 = 1;
const FOU_DELETE: u8 = 2;
const FOU_GET: u8 = 3;
const FOU_PORT: u16 = 1;
const FOU_FAMILY: u16 = 2;
const FOU_TYPE: u16 = 4;
/// `FOU_ENCAP_GUE`.
const FOU_GUE: u8 = 2;

fn fou(command: u8, port: u16, ipv6: bool) -> Result<(), Netlink> {
    let (mut socket, family) = fou_socket()?;
    let mut writer = Writer::default();
    writer.message(family, wire::REQUEST | wire::ACK, socket.next_sequence(), command, |w| {
        w.be16(FOU_PORT, port);
        w.attribute(FOU_FAMILY, &[if ipv6 { AF_INET6 } else { AF_INET }]);
        if command == FOU_ADD {
            w.attribute(FOU_TYPE, &[FOU_GUE]);
        }
    });
    socket.send(writer.bytes())?;
    socket.collect(|_| Ok(())).map(drop)
}

/// Ports that are unwrapped as GUE, and whether over IPv6; none without the module.
fn fou_ports() -> Result<Vec<(u16, bool)>, Netlink> {
    let (mut socket, family) = match fou_socket() {
        Err(Netlink::Refused(Errno::ENOENT)) => return Ok(Vec::new()),
        other => other?,
    };
    let mut writer = Writer::default();
    writer.message(family, wire::REQUEST | wire::DUMP, socket.next_sequence(), FOU_GET, |_| ());
    socket.send(writer.bytes())?;
    let ports = socket.collect(|payload| {
        let (mut port, mut ipv6, mut gue) = (0, false, false);
        for attribute in wire::attributes(payload) {
            match attribute? {
                (FOU_PORT, value) => port = u16::from_be(wire::u16_of(value)?),
                (FOU_FAMILY, value) => ipv6 = value == [AF_INET6],
                (FOU_TYPE, value) => gue = value == [FOU_GUE],
                _ => {}
            }
        }
        Ok((port, ipv6, gue))
    })?;
    let ports = ports.unwrap_or_default().into_iter();
    Ok(ports.filter(|(_, _, gue)| *gue).map(|(port, ipv6, _)| (port, ipv6)).collect())
}

fn fou_socket() -> Result<(Socket, u16), Netlink> {
    /// `GENL_ID_CTRL`.
    const CONTROLLER: u16 = 0x10;
    let mut socket = Socket::open(NlFamily::Generic)?;
    let mut writer = Writer::default();
    let sequence = socket.next_sequence();
    writer.message(CONTROLLER, wire::REQUEST | wire::ACK, sequence, CtrlCmd::Getfamily.into(), |w| {
        w.text(CtrlAttr::FamilyName.into(), "fou");
    });
    socket.send(writer.bytes())?;
    let found = socket.collect(|payload| {
        for attribute in wire::attributes(payload) {
            let (kind, value) = attribute?;
            if kind == u16::from(CtrlAttr::FamilyId) {
                return wire::u16_of(value);
            }
        }
        Err(Malformed("family without an id"))
    })?;
    let family = found.unwrap_or_default().first().copied();
    Ok((socket, family.ok_or(Netlink::Refused(Errno::ENOENT))?))
}
