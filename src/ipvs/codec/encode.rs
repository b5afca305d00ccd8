//! Commands as attributes.

use std::net::{IpAddr, SocketAddr};

use crate::ipvs::table::{Command, Family, Persistence, Server, Service, ServiceId, Tunnel};
use crate::netlink::wire::Writer;

use super::{
    AF_INET, AF_INET6, CMD_DEST, CMD_SERVICE, CMD_TIMEOUT_TCP, CMD_TIMEOUT_TCP_FIN, CMD_TIMEOUT_UDP,
    DEST_ADDR, DEST_ADDR_FAMILY, DEST_FWD_METHOD, DEST_L_THRESH, DEST_PORT, DEST_TUN_FLAGS, DEST_TUN_PORT,
    DEST_TUN_TYPE, DEST_U_THRESH, DEST_WEIGHT, HASHED, PERSISTENT, SVC_ADDR, SVC_AF, SVC_FLAGS, SVC_FWMARK,
    SVC_NETMASK, SVC_PE_NAME, SVC_PORT, SVC_PROTOCOL, SVC_SCHED_NAME, SVC_TIMEOUT, Timeouts, command,
};

/// The number of a command.
#[must_use]
pub const fn number(command: &Command) -> u8 {
    match command {
        Command::AddService(..) => command::NEW_SERVICE,
        Command::EditService(..) => command::SET_SERVICE,
        Command::DeleteService(..) => command::DEL_SERVICE,
        Command::AddServer(..) => command::NEW_DEST,
        Command::EditServer(..) => command::SET_DEST,
        Command::DeleteServer(..) => command::DEL_DEST,
    }
}

/// Writes the attributes of a command.
pub fn encode(w: &mut Writer, command: &Command) {
    match command {
        Command::AddService(id, service) | Command::EditService(id, service) => {
            w.nested(CMD_SERVICE, |w| {
                encode_id(w, id);
                encode_service(w, id.family(), service);
            });
        }
        Command::DeleteService(id) => service_attribute(w, id),
        Command::AddServer(id, address, server) | Command::EditServer(id, address, server) => {
            service_attribute(w, id);
            w.nested(CMD_DEST, |w| {
                encode_address(w, *address);
                encode_server(w, server);
            });
        }
        Command::DeleteServer(id, address) => {
            service_attribute(w, id);
            w.nested(CMD_DEST, |w| encode_address(w, *address));
        }
    }
}

/// Writes the attributes of `IPVS_CMD_SET_CONFIG`.
pub fn encode_timeouts(w: &mut Writer, timeouts: &Timeouts) {
    w.u32(CMD_TIMEOUT_TCP, timeouts.tcp);
    w.u32(CMD_TIMEOUT_TCP_FIN, timeouts.tcp_fin);
    w.u32(CMD_TIMEOUT_UDP, timeouts.udp);
}

/// Writes the attribute that names a service, as `IPVS_CMD_GET_DEST` wants it.
pub fn service_attribute(w: &mut Writer, id: &ServiceId) {
    w.nested(CMD_SERVICE, |w| encode_id(w, id));
}

fn encode_id(w: &mut Writer, id: &ServiceId) {
    w.u16(SVC_AF, family_number(id.family()));
    match id {
        ServiceId::Address { address, protocol } => {
            w.u16(SVC_PROTOCOL, u16::from(*protocol));
            ip_attribute(w, SVC_ADDR, address.ip());
            w.be16(SVC_PORT, address.port());
        }
        ServiceId::Fwmark { mark, .. } => w.u32(SVC_FWMARK, *mark),
    }
}

fn encode_service(w: &mut Writer, family: Family, service: &Service) {
    w.text(SVC_SCHED_NAME, &service.scheduler);
    if let Some(engine) = &service.engine {
        w.text(SVC_PE_NAME, engine);
    }
    let persistent = if service.persistence.is_some() { PERSISTENT } else { 0 };
    let flags = (service.flags & !(PERSISTENT | HASHED)) | persistent;
    // struct ip_vs_flags: the flags, and which of them are meant: all.
    let words = [flags.to_ne_bytes(), u32::MAX.to_ne_bytes()];
    w.attribute(SVC_FLAGS, words.as_flattened());
    // Without persistence the kernel still wants a mask that is valid: one that groups nobody.
    let alone = Persistence { timeout: 0, mask: whole_mask(family) };
    let Persistence { timeout, mask } = service.persistence.unwrap_or(alone);
    w.u32(SVC_TIMEOUT, timeout);
    match family {
        Family::V4 => w.u32(SVC_NETMASK, mask.to_be()),
        Family::V6 => w.u32(SVC_NETMASK, mask),
    }
}

fn encode_address(w: &mut Writer, address: SocketAddr) {
    w.u16(DEST_ADDR_FAMILY, if address.is_ipv4() { AF_INET } else { AF_INET6 });
    ip_attribute(w, DEST_ADDR, address.ip());
    w.be16(DEST_PORT, address.port());
}

fn encode_server(w: &mut Writer, server: &Server) {
    w.u32(DEST_FWD_METHOD, server.forward.number());
    w.u32(DEST_WEIGHT, server.weight);
    w.u32(DEST_U_THRESH, server.upper);
    w.u32(DEST_L_THRESH, server.lower);
    if server.tunnel != Tunnel::default() {
        w.attribute(DEST_TUN_TYPE, &[server.tunnel.kind]);
        w.be16(DEST_TUN_PORT, server.tunnel.port);
        w.u16(DEST_TUN_FLAGS, server.tunnel.flags);
    }
}

fn ip_attribute(w: &mut Writer, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => w.u32(kind, u32::from(address).to_be()),
        IpAddr::V6(address) => w.attribute(kind, &address.octets()),
    }
}

const fn family_number(family: Family) -> u16 {
    match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    }
}

const fn whole_mask(family: Family) -> u32 {
    match family {
        Family::V4 => u32::MAX,
        Family::V6 => 128,
    }
}
