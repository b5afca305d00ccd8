//! Commands of the generic netlink family `IPVS` as bytes, and its answers as values
//! (kernel: include/uapi/linux/ip_vs.h, net/netfilter/ipvs/ip_vs_ctl.c).

use std::net::{IpAddr, SocketAddr};

use super::table::{
    Command, Connections, Family, Forward, Name, Persistence, Server, ServerEntry, Service, ServiceEntry,
    ServiceId, Stats, Tunnel,
};
use crate::netlink::wire::{Malformed, Writer, attributes, text_of, u16_of, u32_of, u64_of};

/// `IPVS_CMD_*`.
pub mod command {
    #![expect(missing_docs, reason = "the kernel's names")]
    pub const NEW_SERVICE: u8 = 1;
    pub const SET_SERVICE: u8 = 2;
    pub const DEL_SERVICE: u8 = 3;
    pub const GET_SERVICE: u8 = 4;
    pub const NEW_DEST: u8 = 5;
    pub const SET_DEST: u8 = 6;
    pub const DEL_DEST: u8 = 7;
    pub const GET_DEST: u8 = 8;
    pub const NEW_DAEMON: u8 = 9;
    pub const DEL_DAEMON: u8 = 10;
    pub const GET_DAEMON: u8 = 11;
    pub const SET_CONFIG: u8 = 12;
    pub const GET_CONFIG: u8 = 13;
    pub const SET_INFO: u8 = 14;
    pub const GET_INFO: u8 = 15;
    pub const ZERO: u8 = 16;
}

const CMD_SERVICE: u16 = 1;
const CMD_DEST: u16 = 2;
const CMD_TIMEOUT_TCP: u16 = 4;
const CMD_TIMEOUT_TCP_FIN: u16 = 5;
const CMD_TIMEOUT_UDP: u16 = 6;

const SVC_AF: u16 = 1;
const SVC_PROTOCOL: u16 = 2;
const SVC_ADDR: u16 = 3;
const SVC_PORT: u16 = 4;
const SVC_FWMARK: u16 = 5;
const SVC_SCHED_NAME: u16 = 6;
const SVC_FLAGS: u16 = 7;
const SVC_TIMEOUT: u16 = 8;
const SVC_NETMASK: u16 = 9;
const SVC_PE_NAME: u16 = 11;
const SVC_STATS64: u16 = 12;

const DEST_ADDR: u16 = 1;
const DEST_PORT: u16 = 2;
const DEST_FWD_METHOD: u16 = 3;
const DEST_WEIGHT: u16 = 4;
const DEST_U_THRESH: u16 = 5;
const DEST_L_THRESH: u16 = 6;
const DEST_ACTIVE_CONNS: u16 = 7;
const DEST_INACT_CONNS: u16 = 8;
const DEST_PERSIST_CONNS: u16 = 9;
const DEST_ADDR_FAMILY: u16 = 11;
const DEST_STATS64: u16 = 12;
const DEST_TUN_TYPE: u16 = 13;
const DEST_TUN_PORT: u16 = 14;
const DEST_TUN_FLAGS: u16 = 15;

const STATS_CONNS: u16 = 1;
const STATS_INPKTS: u16 = 2;
const STATS_OUTPKTS: u16 = 3;
const STATS_INBYTES: u16 = 4;
const STATS_OUTBYTES: u16 = 5;
const STATS_CPS: u16 = 6;
const STATS_INPPS: u16 = 7;
const STATS_OUTPPS: u16 = 8;
const STATS_INBPS: u16 = 9;
const STATS_OUTBPS: u16 = 10;

const INFO_VERSION: u16 = 1;
const INFO_CONN_TAB_SIZE: u16 = 2;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// `IP_VS_SVC_F_PERSISTENT`.
const PERSISTENT: u32 = 0x01;
/// `IP_VS_SVC_F_HASHED`: set by the kernel alone.
const HASHED: u32 = 0x02;

/// Version of IPVS and the size of its connection table (`IPVS_CMD_GET_INFO`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Major, minor, patch, one byte each.
    pub version: u32,
    /// Buckets of the connection table.
    pub connection_buckets: u32,
}

/// Idle times of connections in seconds (`IPVS_CMD_GET_CONFIG`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timeouts {
    /// Established TCP connections.
    pub tcp: u32,
    /// TCP connections after a FIN.
    pub tcp_fin: u32,
    /// UDP flows.
    pub udp: u32,
}

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

/// Reads a service from the attributes of an answer to `IPVS_CMD_GET_SERVICE`; its servers are asked for apart.
///
/// # Errors
/// When what makes a service is missing or malformed.
pub fn decode_service(payload: &[u8]) -> Result<ServiceEntry, Malformed> {
    let mut raw = RawService::default();
    for attribute in attributes(find(payload, CMD_SERVICE)?) {
        let (kind, value) = attribute?;
        match kind {
            SVC_AF => raw.family = Some(family_of(u16_of(value)?)?),
            SVC_PROTOCOL => raw.protocol = u16_of(value)?,
            SVC_ADDR => raw.address = value,
            SVC_PORT => raw.port = port_of(value)?,
            SVC_FWMARK => raw.mark = u32_of(value)?,
            SVC_SCHED_NAME => raw.scheduler = name_of(value)?,
            SVC_FLAGS => raw.flags = u32_of(value.get(..4).unwrap_or_default())?,
            SVC_TIMEOUT => raw.timeout = u32_of(value)?,
            SVC_NETMASK => raw.mask = value,
            SVC_PE_NAME => raw.engine = Some(name_of(value)?),
            SVC_STATS64 => raw.stats = decode_stats(value)?,
            _ => {}
        }
    }
    raw.finish()
}

#[derive(Default)]
struct RawService<'a> {
    family: Option<Family>,
    protocol: u16,
    address: &'a [u8],
    port: u16,
    mark: u32,
    scheduler: Name,
    flags: u32,
    timeout: u32,
    mask: &'a [u8],
    engine: Option<Name>,
    stats: Stats,
}

impl RawService<'_> {
    fn finish(self) -> Result<ServiceEntry, Malformed> {
        let family = self.family.ok_or(Malformed("service without a family"))?;
        let id = if self.mark == 0 {
            let address = SocketAddr::new(ip_of(family, self.address)?, self.port);
            let protocol = u8::try_from(self.protocol).map_err(|_| Malformed("protocol out of range"))?;
            ServiceId::Address { address, protocol }
        } else {
            ServiceId::Fwmark { mark: self.mark, family }
        };
        let persistence = if self.flags & PERSISTENT == 0 {
            None
        } else {
            let mask = u32_of(self.mask)?;
            let mask = if family == Family::V4 { u32::from_be(mask) } else { mask };
            Some(Persistence { timeout: self.timeout, mask })
        };
        let flags = self.flags & !(PERSISTENT | HASHED);
        let service = Service { scheduler: self.scheduler, flags, persistence, engine: self.engine };
        Ok(ServiceEntry { id, service, stats: self.stats, servers: Vec::new() })
    }
}

/// Reads a real server from the attributes of an answer to `IPVS_CMD_GET_DEST` about a service of `family`.
///
/// # Errors
/// When what makes a real server is missing or malformed.
pub fn decode_server(family: Family, payload: &[u8]) -> Result<ServerEntry, Malformed> {
    let mut family = family;
    let mut address: Option<&[u8]> = None;
    let mut port = 0;
    let mut forward = None;
    let mut server =
        Server { forward: Forward::Masquerade, weight: 0, upper: 0, lower: 0, tunnel: Tunnel::default() };
    let mut connections = Connections::default();
    let mut stats = Stats::default();
    for attribute in attributes(find(payload, CMD_DEST)?) {
        let (kind, value) = attribute?;
        match kind {
            DEST_ADDR => address = Some(value),
            DEST_PORT => port = port_of(value)?,
            DEST_FWD_METHOD => forward = Forward::from_number(u32_of(value)?),
            DEST_WEIGHT => server.weight = u32_of(value)?,
            DEST_U_THRESH => server.upper = u32_of(value)?,
            DEST_L_THRESH => server.lower = u32_of(value)?,
            DEST_ACTIVE_CONNS => connections.active = u32_of(value)?,
            DEST_INACT_CONNS => connections.inactive = u32_of(value)?,
            DEST_PERSIST_CONNS => connections.persistent = u32_of(value)?,
            DEST_ADDR_FAMILY => family = family_of(u16_of(value)?)?,
            DEST_STATS64 => stats = decode_stats(value)?,
            DEST_TUN_TYPE => server.tunnel.kind = value.first().copied().unwrap_or_default(),
            DEST_TUN_PORT => server.tunnel.port = port_of(value)?,
            DEST_TUN_FLAGS => server.tunnel.flags = u16_of(value)?,
            _ => {}
        }
    }
    server.forward = forward.ok_or(Malformed("server without a forwarding method"))?;
    let address = address.ok_or(Malformed("server without an address"))?;
    Ok(ServerEntry { address: SocketAddr::new(ip_of(family, address)?, port), server, stats, connections })
}

/// Reads the answer to `IPVS_CMD_GET_INFO`.
///
/// # Errors
/// When it is malformed.
pub fn decode_info(payload: &[u8]) -> Result<Info, Malformed> {
    let mut info = Info { version: 0, connection_buckets: 0 };
    for attribute in attributes(payload) {
        let (kind, value) = attribute?;
        match kind {
            INFO_VERSION => info.version = u32_of(value)?,
            INFO_CONN_TAB_SIZE => info.connection_buckets = u32_of(value)?,
            _ => {}
        }
    }
    Ok(info)
}

/// Reads the answer to `IPVS_CMD_GET_CONFIG`.
///
/// # Errors
/// When it is malformed.
pub fn decode_timeouts(payload: &[u8]) -> Result<Timeouts, Malformed> {
    let mut timeouts = Timeouts::default();
    for attribute in attributes(payload) {
        let (kind, value) = attribute?;
        match kind {
            CMD_TIMEOUT_TCP => timeouts.tcp = u32_of(value)?,
            CMD_TIMEOUT_TCP_FIN => timeouts.tcp_fin = u32_of(value)?,
            CMD_TIMEOUT_UDP => timeouts.udp = u32_of(value)?,
            _ => {}
        }
    }
    Ok(timeouts)
}

fn decode_stats(value: &[u8]) -> Result<Stats, Malformed> {
    let mut stats = Stats::default();
    for attribute in attributes(value) {
        let (kind, value) = attribute?;
        match kind {
            STATS_CONNS => stats.connections = u64_of(value)?,
            STATS_INPKTS => stats.packets_in = u64_of(value)?,
            STATS_OUTPKTS => stats.packets_out = u64_of(value)?,
            STATS_INBYTES => stats.bytes_in = u64_of(value)?,
            STATS_OUTBYTES => stats.bytes_out = u64_of(value)?,
            STATS_CPS => stats.rates.connections = u64_of(value)?,
            STATS_INPPS => stats.rates.packets_in = u64_of(value)?,
            STATS_OUTPPS => stats.rates.packets_out = u64_of(value)?,
            STATS_INBPS => stats.rates.bytes_in = u64_of(value)?,
            STATS_OUTBPS => stats.rates.bytes_out = u64_of(value)?,
            _ => {}
        }
    }
    Ok(stats)
}

fn find(payload: &[u8], wanted: u16) -> Result<&[u8], Malformed> {
    for attribute in attributes(payload) {
        let (kind, value) = attribute?;
        if kind == wanted {
            return Ok(value);
        }
    }
    Err(Malformed("answer without its object"))
}

/// The kernel answers with 16 bytes for either family (`union nf_inet_addr`).
fn ip_of(family: Family, value: &[u8]) -> Result<IpAddr, Malformed> {
    let short = Malformed("address cut short");
    match family {
        Family::V4 => value.first_chunk::<4>().map(|octets| IpAddr::from(*octets)).ok_or(short),
        Family::V6 => value.first_chunk::<16>().map(|octets| IpAddr::from(*octets)).ok_or(short),
    }
}

fn family_of(number: u16) -> Result<Family, Malformed> {
    match number {
        AF_INET => Ok(Family::V4),
        AF_INET6 => Ok(Family::V6),
        _ => Err(Malformed("address family is neither IPv4 nor IPv6")),
    }
}

fn port_of(value: &[u8]) -> Result<u16, Malformed> {
    u16_of(value).map(u16::from_be)
}

fn name_of(value: &[u8]) -> Result<Name, Malformed> {
    Name::try_from(text_of(value)?).map_err(|_| Malformed("name is too long"))
}

#[cfg(test)]
mod tests;
