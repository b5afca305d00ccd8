//! What the kernel's table holds: services, and the real servers of each, in the kernel's words.

use std::fmt;
use std::net::SocketAddr;

/// Name of a scheduler or persistence engine, at most 15 bytes (kernel: `IP_VS_SCHEDNAME_MAXLEN`).
pub type Name = heapless::String<15>;

/// Address family of a service that is known by a firewall mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// `AF_INET`.
    V4,
    /// `AF_INET6`.
    V6,
}

/// What makes a service unique in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceId {
    /// VIP and port; port 0 = every port.
    Address {
        /// VIP and port.
        address: SocketAddr,
        /// IP protocol number: 6 TCP, 17 UDP, 132 SCTP.
        protocol: u8,
    },
    /// Packets with this firewall mark.
    Fwmark {
        /// The mark, 1..
        mark: u32,
        /// Which packets.
        family: Family,
    },
}

impl ServiceId {
    /// Protocol number of TCP.
    pub const TCP: u8 = 6;
    /// Protocol number of UDP.
    pub const UDP: u8 = 17;
    /// Protocol number of SCTP.
    pub const SCTP: u8 = 132;

    /// The family of its clients.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Address { address: SocketAddr::V4(_), .. } => Family::V4,
            Self::Address { address: SocketAddr::V6(_), .. } => Family::V6,
            Self::Fwmark { family, .. } => *family,
        }
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, protocol: Self::TCP } => write!(f, "tcp {address}"),
            Self::Address { address, protocol: Self::UDP } => write!(f, "udp {address}"),
            Self::Address { address, protocol: Self::SCTP } => write!(f, "sctp {address}"),
            Self::Address { address, protocol } => write!(f, "protocol {protocol} {address}"),
            Self::Fwmark { mark, family: Family::V4 } => write!(f, "fwmark {mark}"),
            Self::Fwmark { mark, family: Family::V6 } => write!(f, "fwmark {mark} ipv6"),
        }
    }
}

/// What can be edited of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Scheduler by the kernel's name; `none` schedules nothing.
    pub scheduler: Name,
    /// `IP_VS_SVC_F_*` without those that say persistent and hashed: one-packet scheduling and the scheduler's own flags.
    pub flags: u32,
    /// Whether clients return to their real server.
    pub persistence: Option<Persistence>,
    /// Persistence engine, such as `sip`.
    pub engine: Option<Name>,
}

/// Persistence in the kernel's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// Life of a template in seconds.
    pub timeout: u32,
    /// By what clients are grouped: IPv4 a netmask (as a number, 255.255.255.0 = 0xffffff00), IPv6 a prefix length.
    pub mask: u32,
}

/// How a packet reaches a real server (kernel: `IP_VS_CONN_F_FWD_MASK`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forward {
    /// Masquerading (`ipvsadm -m`).
    Masquerade,
    /// To this box itself.
    Local,
    /// Encapsulated (`ipvsadm -i`).
    Tunnel,
    /// Direct routing (`ipvsadm -g`).
    Route,
    /// To the original destination.
    Bypass,
}

impl Forward {
    const ALL: [Self; 5] = [Self::Masquerade, Self::Local, Self::Tunnel, Self::Route, Self::Bypass];

    /// The number that the kernel uses.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The method with this number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.number() == number)
    }

    /// `ipvsadm`'s word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Masquerade => "masq",
            Self::Local => "local",
            Self::Tunnel => "tunnel",
            Self::Route => "route",
            Self::Bypass => "bypass",
        }
    }
}

/// What can be edited of a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// How packets reach it.
    pub forward: Forward,
    /// Weight, 0..=2³¹−1; 0 takes no new connections.
    pub weight: u32,
    /// Connections from which it is passed over; 0 = no limit.
    pub upper: u32,
    /// Connections below which it is used again; 0 = three quarters of `upper`.
    pub lower: u32,
    /// Encapsulation, of meaning with [`Forward::Tunnel`] only.
    pub tunnel: Tunnel,
}

/// Encapsulation of [`Forward::Tunnel`]; the default is IP in IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tunnel {
    /// 0 IP in IP, 1 GUE, 2 GRE.
    pub kind: u8,
    /// UDP port of GUE.
    pub port: u16,
    /// Checksum options (`IP_VS_TUNNEL_ENCAP_FLAG_*`).
    pub flags: u16,
}

/// What the kernel counted for a service or a real server since it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients; 0 with DR and TUN, whose answers take another way.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
    /// What the kernel's estimator makes of it.
    pub rates: Rates,
}

/// The kernel's estimate of what comes each second: a mean of the last seconds, renewed every two
/// (net/netfilter/ipvs/ip_vs_est.c); all zero where `net.ipv4.vs.run_estimation` is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// Connections a second.
    pub connections: u64,
    /// Packets a second from clients.
    pub packets_in: u64,
    /// Packets a second to clients.
    pub packets_out: u64,
    /// Bytes a second from clients.
    pub bytes_in: u64,
    /// Bytes a second to clients.
    pub bytes_out: u64,
}

/// Connections of a real server at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connections {
    /// Established.
    pub active: u32,
    /// In any other state.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
}

/// A service as read from the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEntry {
    /// Which.
    pub id: ServiceId,
    /// How it is set.
    pub service: Service,
    /// What it counted.
    pub stats: Stats,
    /// Its real servers, in the kernel's order.
    pub servers: Vec<ServerEntry>,
}

/// A real server as read from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerEntry {
    /// RIP and port.
    pub address: SocketAddr,
    /// How it is set.
    pub server: Server,
    /// What it counted.
    pub stats: Stats,
    /// What it has now.
    pub connections: Connections,
}

/// One change of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `IPVS_CMD_NEW_SERVICE`.
    AddService(ServiceId, Service),
    /// `IPVS_CMD_SET_SERVICE`.
    EditService(ServiceId, Service),
    /// `IPVS_CMD_DEL_SERVICE`, with its real servers.
    DeleteService(ServiceId),
    /// `IPVS_CMD_NEW_DEST`.
    AddServer(ServiceId, SocketAddr, Server),
    /// `IPVS_CMD_SET_DEST`.
    EditServer(ServiceId, SocketAddr, Server),
    /// `IPVS_CMD_DEL_DEST`.
    DeleteServer(ServiceId, SocketAddr),
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scheduler={}", self.scheduler)?;
        if self.flags != 0 {
            write!(f, " flags={:#x}", self.flags)?;
        }
        if let Some(Persistence { timeout, mask }) = self.persistence {
            write!(f, " persistence={timeout}s/{mask:#x}")?;
        }
        if let Some(engine) = &self.engine {
            write!(f, " engine={engine}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "method={} weight={}", self.forward.word(), self.weight)?;
        if self.upper != 0 || self.lower != 0 {
            write!(f, " limits={}/{}", self.upper, self.lower)?;
        }
        if self.tunnel != Tunnel::default() {
            let Tunnel { kind, port, flags } = self.tunnel;
            write!(f, " tunnel={kind}/{port}/{flags:#x}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddService(id, service) => write!(f, "add service {id} {service}"),
            Self::EditService(id, service) => write!(f, "edit service {id} {service}"),
            Self::DeleteService(id) => write!(f, "delete service {id}"),
            Self::AddServer(id, address, server) => write!(f, "add server {id} {address} {server}"),
            Self::EditServer(id, address, server) => write!(f, "edit server {id} {address} {server}"),
            Self::DeleteServer(id, address) => write!(f, "delete server {id} {address}"),
        }
    }
}
