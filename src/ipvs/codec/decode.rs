//! Answers as values.

use std::net::{IpAddr, SocketAddr};

use crate::ipvs::table::{
    Connections, Family, Forward, Name, Persistence, Server, ServerEntry, Service, ServiceEntry, ServiceId,
    Stats, Tunnel,
};
use crate::netlink::wire::{Malformed, attributes, text_of, u16_of, u32_of, u64_of};

use super::{
    AF_INET, AF_INET6, CMD_DEST, CMD_SERVICE, CMD_TIMEOUT_TCP, CMD_TIMEOUT_TCP_FIN, CMD_TIMEOUT_UDP,
    DEST_ACTIVE_CONNS, DEST_ADDR, DEST_ADDR_FAMILY, DEST_FWD_METHOD, DEST_INACT_CONNS, DEST_L_THRESH,
    DEST_PERSIST_CONNS, DEST_PORT, DEST_STATS64, DEST_TUN_FLAGS, DEST_TUN_PORT, DEST_TUN_TYPE, DEST_U_THRESH,
    DEST_WEIGHT, HASHED, INFO_CONN_TAB_SIZE, INFO_VERSION, Info, PERSISTENT, STATS_CONNS, STATS_CPS,
    STATS_INBPS, STATS_INBYTES, STATS_INPKTS, STATS_INPPS, STATS_OUTBPS, STATS_OUTBYTES, STATS_OUTPKTS,
    STATS_OUTPPS, SVC_ADDR, SVC_AF, SVC_FLAGS, SVC_FWMARK, SVC_NETMASK, SVC_PE_NAME, SVC_PORT, SVC_PROTOCOL,
    SVC_SCHED_NAME, SVC_STATS64, SVC_TIMEOUT, Timeouts,
};

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

pub(super) fn decode_stats(value: &[u8]) -> Result<Stats, Malformed> {
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

pub(super) fn find(payload: &[u8], wanted: u16) -> Result<&[u8], Malformed> {
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
