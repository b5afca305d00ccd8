//! The checked configuration: every invariant of the manual holds, no field "must be set later".
//!
//! Only [`super::validate`] makes these values. Workers compare an old and a new one by `==`.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::pin::PinHash;
use crate::secret;
use crate::units::{Cidr, IfName, Mac};

mod check;
mod gist;
mod host;
mod notify;
mod service;
pub(super) mod shared;
mod vrrp;

pub use check::{Check, CheckKind, Database, Dialogue, Http, Login, MailTls, ProbeRoute, Tls};
pub use gist::Gist;
pub use host::{Host, HostPort};
pub use notify::{Mail, Notify, NotifyWay, Webhook};
pub use service::{
    AddressRange, Ipvs, Listen, Marking, Method, Need, OnFail, Persistence, PersistenceEngine, Protocol,
    Quorum, RANGE_MARKS, SCHEDULERS, SchedulerFlags, Server, Service, ServiceKey, Sorry, SorryMode, Start,
    Tunnel, TunnelChecksum, WAY_MARKS,
};
pub use vrrp::{
    AddressScope, Garp, HmacAuth, HmacKey, HmacMode, Look, MISSED, Probe, ProbeKind, Replay, START_WAIT,
    Sync, Track, TrackTarget, VirtualAddress, VirtualMac, VirtualRoute, VirtualRule, VrrpAuth, VrrpChecksum,
    VrrpInstance, VrrpPeer, VrrpVersion,
};

/// The whole of `director.toml`, with the section of this node merged in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Config {
    /// `[system]`.
    pub system: System,
    /// `[[interface]]`, in the order of the file; names and MACs are unique.
    pub interfaces: Vec<Interface>,
    /// `[[route]]`, in the order of the file.
    pub routes: Vec<Route>,
    /// `[[vrrp]]`, in the order of the file; names are unique, and so is (interface, vrid, family).
    pub vrrp: Vec<VrrpInstance>,
    /// `[[service]]`, in the order of the file; names are unique, and so is [`ServiceKey`].
    pub services: Vec<Service>,
    /// `[ipvs]`.
    pub ipvs: Ipvs,
    /// `[sync]`.
    pub sync: Option<Sync>,
    /// `[api]`.
    pub api: Api,
    /// `[console]`.
    pub console: Console,
    /// `[[notify]]`, in the order of the file; names are unique.
    pub notify: Vec<Notify>,
}

impl Config {
    /// What the secrets are called that lie in files of their own: names, or whole paths.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let keys = self.vrrp.iter().filter_map(|router| match &router.auth {
            Some(VrrpAuth::Hmac(auth)) => Some(&auth.keys),
            _ => None,
        });
        let keys = keys.flatten().filter_map(|key| key.file.as_deref());
        let notify = self.notify.iter().filter_map(|receiver| match &receiver.way {
            NotifyWay::Mail(mail) => secret::file(&mail.login.as_ref()?.password),
            NotifyWay::Webhook(webhook) => secret::file(webhook.secret.as_deref()?),
            NotifyWay::Exec { .. } | NotifyWay::Syslog(_) => None,
        });
        keys.chain(notify)
    }

    /// The names of hosts in it, each with the key that has it.
    pub fn names(&self) -> impl Iterator<Item = (String, &str)> {
        let system = &self.system;
        let ntp = system.ntp.iter().map(|host| ("`ntp` in [system]".to_owned(), host));
        let syslog = system.syslog.iter().map(|it| ("`syslog` in [system]".to_owned(), &it.address.host));
        let notify = self.notify.iter().filter_map(|receiver| {
            let (key, host) = match &receiver.way {
                NotifyWay::Mail(mail) => ("server", &mail.server.host),
                NotifyWay::Webhook(webhook) => ("url", &webhook.server.host),
                NotifyWay::Syslog(target) => ("target", &target.address.host),
                NotifyWay::Exec { .. } => return None,
            };
            Some((format!("`{key}` of {} in [[notify]]", receiver.name), host))
        });
        ntp.chain(syslog).chain(notify).filter_map(|(key, host)| Some((key, host.name()?)))
    }
}

/// What concerns the box as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct System {
    /// Host name, RFC 1123; the appliance is called `director` without one.
    pub hostname: Option<String>,
    /// Name servers, in the order in which they are asked.
    pub dns: Vec<IpAddr>,
    /// Time servers.
    pub ntp: Vec<Host>,
    /// Where logs go besides the ring.
    pub syslog: Vec<SyslogTarget>,
    /// A changed file is checked and applied by itself.
    pub autoreload: bool,
    /// Whether `[[notify]]` may start programs.
    pub hooks: bool,
}

/// The menu on terminals.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Console {
    /// What must be typed before the menu opens; `None`: nothing.
    pub pin: Option<PinHash>,
}

/// Where others may read how the box is; nowhere unless the file says so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Api {
    /// Addresses of this box with ports; unspecified addresses only beside `allow`.
    pub listen: Vec<SocketAddr>,
    /// Networks that are answered; empty = whoever reaches the address.
    pub allow: Vec<Cidr>,
}

/// `udp://192.168.61.9:514` or `tcp://…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyslogTarget {
    /// How it is carried.
    pub transport: SyslogTransport,
    /// Where to; the port defaults to 514.
    pub address: HostPort,
}

/// Transport of syslog messages (RFC 5426, RFC 6587).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyslogTransport {
    /// One datagram a message.
    Udp,
    /// Octet-counted frames on a stream.
    Tcp,
}

/// A network interface that Director configures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// By what it is found.
    pub selector: InterfaceSelector,
    /// Addresses set on it, in the order of the file; empty with DHCP alone.
    pub addresses: Vec<Cidr>,
    /// Ask a DHCPv4 server for an address, a default route and name servers.
    pub dhcp: bool,
    /// Maximum transmission unit in bytes, 68..=65535 (1280 at least where IPv6 is used); `None` leaves the driver's.
    pub mtu: Option<u32>,
}

/// By what an interface is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InterfaceSelector {
    /// `name = "eth0"`.
    Name(IfName),
    /// `mac = "52:54:00:00:00:01"`, without a name: whatever the kernel calls it.
    Mac(Mac),
    /// Both: the interface with this MAC, renamed so.
    Renamed {
        /// The name it gets.
        name: IfName,
        /// The MAC it has.
        mac: Mac,
    },
}

impl InterfaceSelector {
    /// The name in the file, if it gives one.
    #[must_use]
    pub const fn name(&self) -> Option<&IfName> {
        match self {
            Self::Name(name) | Self::Renamed { name, .. } => Some(name),
            Self::Mac(_) => None,
        }
    }
}

/// What becomes of packets that a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum RouteKind {
    /// They go to a gateway, or out of an interface.
    #[default]
    Unicast,
    /// They are for this box, as if it had each of the addresses: VIPs by the network.
    Local,
    /// They are dropped.
    Blackhole,
    /// They are refused by ICMP.
    Unreachable,
}

/// A static route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// What it does; all but [`RouteKind::Unicast`] have neither gateway nor interface.
    pub kind: RouteKind,
    /// Destination network, host bits zero; `default` is 0.0.0.0/0 or ::/0 by the family of `via`.
    pub to: Cidr,
    /// Gateway; `None` = directly on `interface`.
    pub via: Option<IpAddr>,
    /// Outgoing interface; `None` lets the kernel find it by `via`.
    pub interface: Option<IfName>,
    /// Metric, smaller wins; 0 = the kernel's default (0 for IPv4, 1024 for IPv6).
    pub metric: u32,
}
