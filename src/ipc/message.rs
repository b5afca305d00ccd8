//! Requests, replies, events and the status of each role.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::config::model::{Method, Protocol};
use crate::role::Role;
use crate::units::{Cidr, IfName, Mac};

/// Version of this vocabulary; a worker answers a hello with its own.
pub const VERSION: u32 = 1;

/// What a process may be asked. Every role answers [`Request::Hello`], [`Request::Status`] and [`Request::Subscribe`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Are you alive? Answered by [`Reply::Hello`] from the worker's own loop, so a stuck loop is noticed.
    Hello,
    /// How are things? Answered by [`Reply::Status`].
    Status,
    /// From now on send each [`Event`] as a line of this connection, beginning with the present state of everything.
    Subscribe,
    /// To `store`: read the sources again, check, and activate what is valid.
    Reload,
    /// To `store`: give an interface a management address in the operator's file, check, write, activate.
    SetManagement(SetManagement),
    /// To `lvs`: take real servers out of use, or back into it; [`Reply::Servers`].
    Administer {
        /// Name of a service; `*` or `all` = every one.
        service: String,
        /// Address, with or without port; `*` or `all` = every one.
        server: String,
        /// What shall become of them.
        order: AdminOrder,
    },
    /// To `lvs`: why is a real server in or out? [`Reply::Why`], for each that fits.
    Why {
        /// As in [`Request::Administer`].
        service: String,
        /// As in [`Request::Administer`].
        server: String,
    },
    /// To `vrrp`: about one virtual router, and those of its group with it.
    Router {
        /// What.
        order: RouterOrder,
        /// Its name in the file.
        name: String,
    },
    /// To `init`: the lines kept for `role` (or of every role), oldest first; [`Reply::Logs`].
    Logs {
        /// Whose; `None` = everybody's, merged by time.
        role: Option<Role>,
        /// At most so many, the newest.
        lines: usize,
    },
    /// To `init`: end a worker and start it again.
    Restart {
        /// Which.
        role: Role,
    },
    /// To `init`: end a worker and leave it so until released.
    Hold {
        /// Which.
        role: Role,
    },
    /// To `init`: a held worker may run again.
    Release {
        /// Which.
        role: Role,
    },
    /// To `init`: orderly end, VRRP first.
    Power {
        /// What follows.
        action: PowerAction,
    },
}

/// What the operator orders for real servers. It holds until [`AdminOrder::Enable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum AdminOrder {
    /// No new connections; those there are may finish.
    Drain {
        /// For at most so many milliseconds, then the server is removed; absent = as the file has it, null = as long as they last.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
        timeout_ms: Option<Option<u64>>,
    },
    /// Out of the table at once.
    Disable,
    /// As file and checks say.
    Enable,
}

/// Keeps null apart from absent.
fn given<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// What the operator may want of a virtual router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterOrder {
    /// A master gives its place to another box, and leaves it alone until that fails or this router is released.
    Failover,
    /// A master gives up its place, and takes part in the next election as ever.
    Resign,
    /// Takes no part in any election until released.
    Hold,
    /// As ever again.
    Release,
}

/// What an orderly end leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerAction {
    /// Start again.
    Reboot,
    /// Power off.
    PowerOff,
}

/// A management address as the console sets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetManagement {
    /// The interface by its present name.
    pub interface: IfName,
    /// A static address, or `None` for DHCP.
    pub address: Option<Cidr>,
    /// Default gateway with a static address; `None` removes none and adds none.
    pub gateway: Option<IpAddr>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// Done.
    Ok,
    /// Not done, and why; nothing was changed.
    Error {
        /// "what failed: on what: why".
        message: String,
    },
    /// I am alive.
    Hello {
        /// [`VERSION`] of the answering process.
        version: u32,
        /// Who answers.
        role: Role,
        /// Its process id.
        pid: u32,
    },
    /// The present state.
    Status {
        /// By role.
        status: Box<Status>,
    },
    /// Done, for these real servers.
    Servers {
        /// In the order of the file.
        servers: Vec<ServerName>,
    },
    /// What decides about real servers.
    Why {
        /// In the order of the file.
        servers: Vec<Why>,
    },
    /// Log lines, oldest first.
    Logs {
        /// The lines.
        lines: Vec<LogLine>,
    },
}

/// The status of one role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum Status {
    /// Supervisor.
    Init(InitStatus),
    /// Configuration in force.
    Store(StoreStatus),
    /// Links and addresses.
    Net(NetStatus),
    /// Virtual routers.
    Vrrp(VrrpStatus),
    /// Services and servers.
    Lvs(LvsStatus),
}

/// Something happened. Subscribers get the present state first, in the same form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A service gained or lost its quorum (from `lvs`).
    Service {
        /// Its name.
        service: String,
        /// Whether it has quorum.
        up: bool,
    },
    /// A real server changed (from `lvs`).
    Server {
        /// Service.
        service: String,
        /// Address.
        server: SocketAddr,
        /// Health.
        health: Health,
        /// Why.
        reason: String,
    },
    /// The operator took a real server out or back, or the time of a drain is over (from `lvs`).
    Admin {
        /// Service.
        service: String,
        /// Address.
        server: SocketAddr,
        /// What holds from now on.
        admin: Admin,
    },
    /// A virtual router changed its state (from `vrrp`).
    Router {
        /// Instance.
        name: String,
        /// State.
        state: RouterState,
        /// Why.
        reason: String,
    },
    /// Another configuration runs (from `store`).
    Config {
        /// Its generation.
        generation: u64,
    },
}

/// One line of a log ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Milliseconds since the epoch by the box's clock when it was read.
    pub time_ms: u64,
    /// Who wrote it.
    pub role: Role,
    /// Syslog severity 0..=7.
    pub severity: u8,
    /// The text.
    pub text: String,
}

/// The supervisor and its children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitStatus {
    /// Firmware version.
    pub version: String,
    /// Host name.
    pub hostname: String,
    /// Time since the kernel started (or the supervisor, outside the appliance), milliseconds.
    pub uptime_ms: u64,
    /// Slot that booted, `A` or `B`; `None` outside the appliance.
    pub slot: Option<String>,
    /// How the boot loader wants this boot: `normal`, `safe`, `rescue` or `reset`.
    pub mode: String,
    /// Hardware watchdog: its identity if one is fed.
    pub watchdog: Option<String>,
    /// The children.
    pub workers: Vec<WorkerStatus>,
}

/// One child of the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Which; consoles appear once for each terminal.
    pub role: Role,
    /// The terminal of a console.
    pub tty: Option<String>,
    /// Process id while it runs.
    pub pid: Option<u32>,
    /// `running`, `waiting`, `held` or `stopping`.
    pub state: String,
    /// Life of the present process, milliseconds.
    pub age_ms: Option<u64>,
    /// Restarts since the supervisor started.
    pub restarts: u32,
    /// Consecutive short lives; from 5 on it is an alarm.
    pub failures: u32,
    /// How the last one ended.
    pub last_exit: Option<String>,
}

/// Which configuration runs, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStatus {
    /// Counts up with each activation in the life of this boot, from 1.
    pub generation: u64,
    /// Where the running one comes from.
    pub source: Source,
    /// In a sentence, for the console's banner: why this one.
    pub why: String,
    /// The section `[node.NAME]` that was merged in.
    pub node: Option<String>,
    /// Every source that was looked at, in order of precedence.
    pub candidates: Vec<Candidate>,
    /// Boot slot health: `confirmed`, `trying`, or `none` outside the appliance.
    pub slot: String,
}

/// Where a configuration comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A USB stick.
    Usb,
    /// The partition labelled DIRECTOR of the boot disk.
    Partition,
    /// The last one that was valid, kept on `data`.
    LastGood,
    /// Built in: DHCP on every NIC, claims no VIP.
    Safe,
    /// A file named on the command line.
    File,
}

/// A source that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Which source.
    pub source: Source,
    /// Path or partition, for people.
    pub place: String,
    /// `used`, `valid` (but a better one was used), `faulty`, `absent` or `unreadable`.
    pub verdict: String,
    /// The whole fault report, as `director check` prints it; empty when there is none.
    pub report: String,
}

/// Links, addresses and routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetStatus {
    /// Every network card and every link of the file, by name.
    pub links: BTreeMap<IfName, LinkStatus>,
    /// Default gateways in force.
    pub gateways: Vec<IpAddr>,
    /// Name servers learnt by DHCP.
    pub dns: Vec<IpAddr>,
    /// Whether the kernel agrees with the configuration; else what is still different or fails.
    pub pending: Vec<String>,
    /// Generation of the configuration in force.
    pub generation: u64,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Hardware address.
    pub mac: Option<Mac>,
    /// Administratively up.
    pub up: bool,
    /// Has carrier.
    pub carrier: bool,
    /// Maximum transmission unit in bytes.
    pub mtu: u32,
    /// Addresses, VIPs included.
    pub addresses: Vec<Cidr>,
    /// DHCP: `off`, `asking`, or `bound by SERVER for TIME`.
    pub dhcp: String,
    /// Whether the file speaks of it.
    pub configured: bool,
}

/// Virtual routers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpStatus {
    /// In the order of the file.
    pub instances: Vec<RouterStatus>,
    /// Messages that belong to no instance, by kind of fault; `vrid_err` counts unknown virtual routers.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
    /// The IPVS synchronisation daemons that run here: what each does, where, and under which number.
    #[serde(default)]
    pub sync: Vec<String>,
    /// Why the daemons are not as the file wants them.
    #[serde(default)]
    pub sync_problem: Option<String>,
    /// Generation of the configuration in force.
    pub generation: u64,
}

/// What a tracker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerStatus {
    /// `interface eth1`, `service web`, `gateway 192.168.61.1`, `file /data/drain`, `program /data/check`.
    pub what: String,
    /// `None`: nothing is known yet, which changes nothing.
    pub healthy: Option<bool>,
    /// Of the file; `None`: a failure is a FAULT.
    pub weight: Option<i16>,
    /// Why it is not healthy.
    pub reason: Option<String>,
}

/// State of a virtual router (RFC 9568 section 6.4), and FAULT for one that may not take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouterState {
    /// Not started.
    Initialize,
    /// Listens.
    Backup,
    /// Has the VIPs.
    Master,
    /// Interface or tracked object failed.
    Fault,
}

/// One virtual router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterStatus {
    /// Instance.
    pub name: String,
    /// Interface.
    pub interface: IfName,
    /// Virtual router identifier.
    pub vrid: u8,
    /// 2 or 3.
    pub version: u8,
    /// State.
    pub state: RouterState,
    /// Why it is in this state.
    pub reason: String,
    /// Time in this state, milliseconds.
    pub since_ms: u64,
    /// Priority of the file.
    pub base_priority: u8,
    /// Priority with the trackers.
    pub priority: u8,
    /// Who is master as this router knows it.
    pub master: Option<IpAddr>,
    /// The master's priority.
    pub master_priority: Option<u8>,
    /// Interval in force, microseconds (a backup has its master's).
    pub interval_us: u64,
    /// VIPs.
    pub addresses: Vec<Cidr>,
    /// What each tracker says, in the order of the file.
    #[serde(default)]
    pub trackers: Vec<TrackerStatus>,
    /// `held` or `yields`, if the operator wants it so.
    #[serde(default)]
    pub order: Option<String>,
    /// How late an advertisement was at most since this router became master, microseconds.
    #[serde(default)]
    pub late_us: u64,
    /// How the peer sums version 3 over IPv4, once heard: `rfc9568` or `pseudo-header`.
    #[serde(default)]
    pub peer_checksum: Option<String>,
    /// Counters by name: advertisements sent and received, transitions, each kind of rejected packet.
    pub counters: BTreeMap<String, u64>,
}

/// Services and real servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LvsStatus {
    /// In the order of the file.
    pub services: Vec<ServiceStatus>,
    /// Whether the kernel agrees; else why not.
    pub problem: Option<String>,
    /// Foreign changes repaired since the worker started.
    pub foreign_changes: u64,
    /// Generation of the configuration in force.
    pub generation: u64,
}

/// One virtual service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Name.
    pub name: String,
    /// `192.168.61.45:80` or `fwmark 5`.
    pub listen: String,
    /// The other addresses or marks of the same service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// `None` for a firewall mark.
    pub protocol: Option<Protocol>,
    /// Scheduler.
    pub scheduler: String,
    /// Seconds; `None` = off.
    pub persistence_s: Option<u64>,
    /// Whether it has quorum.
    pub up: bool,
    /// Whether the sorry servers answer.
    pub sorry: bool,
    /// What lives, in the unit of the quorum; as a rule the sum of live weights.
    pub live_weight: u64,
    /// What `live_weight` must reach to gain the quorum, or to keep it where it is there.
    pub quorum: u64,
    /// The unit of both.
    #[serde(default, skip_serializing_if = "QuorumUnit::is_weight")]
    pub quorum_unit: QuorumUnit,
    /// By what the weights of its servers are multiplied in the kernel: 10 where a slow start needs steps, else 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub scale: u32,
    /// Connections scheduled since the service exists.
    pub connections: u64,
    /// Real servers, and the sorry servers that answer or are checked.
    pub servers: Vec<ServerStatus>,
}

/// In what a quorum is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuorumUnit {
    /// Sum of configured weights.
    #[default]
    Weight,
    /// Servers.
    Servers,
    /// Per cent of all configured weights.
    Percent,
}

impl QuorumUnit {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
    fn is_weight(&self) -> bool {
        *self == Self::Weight
    }
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_one(scale: &u32) -> bool {
    *scale == 1
}

/// Verdict on a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No verdict yet: what the kernel has stays.
    Unknown,
    /// Answers.
    Up,
    /// Does not.
    Down,
}

/// One real server of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// RIP and port.
    pub address: SocketAddr,
    /// Method.
    pub method: Method,
    /// Weight of the file.
    pub weight: u32,
    /// Weight in the kernel; `None` = not in the table.
    pub kernel_weight: Option<u32>,
    /// Whether this is a sorry server.
    pub sorry: bool,
    /// Verdict of all checks together.
    pub health: Health,
    /// The last answer in words: `200 OK`, `connection refused`, `no answer within 1s`; of the check that fails, or of the first.
    pub reason: String,
    /// Age of that answer, milliseconds.
    pub checked_ms: Option<u64>,
    /// Time that its probe took, microseconds.
    pub latency_us: Option<u64>,
    /// Active connections in the kernel.
    pub active: u32,
    /// Inactive connections in the kernel.
    pub inactive: u32,
    /// `enabled = false` in the file.
    #[serde(default, skip_serializing_if = "is_false")]
    pub off: bool,
    /// What the operator ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<AdminStatus>,
    /// The slow start under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<SlowStartStatus>,
    /// How much it says that it can take: `75%`, `drain`, `weight 7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
    /// Its checks, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckStatus>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// What the operator ordered for a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminStatus {
    /// What holds now.
    pub state: Admin,
    /// Since when, milliseconds ago.
    pub since_ms: u64,
    /// Until a drain ends, milliseconds; `None` = when the operator says so.
    pub left_ms: Option<u64>,
}

/// What an order of the operator makes of a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Admin {
    /// No order: file and checks decide.
    Enabled,
    /// No new connections; those there are go on.
    Draining,
    /// The same, and the time is over: out of the table.
    Drained,
    /// Out of the table.
    Disabled,
}

/// A server that gets its weight back in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowStartStatus {
    /// The share that it has by now.
    pub percent: u32,
    /// Until it has all, milliseconds.
    pub left_ms: u64,
}

/// One check of one real server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// The word of the file: `http`, `tcp`.
    pub kind: String,
    /// Who is asked.
    pub address: SocketAddr,
    /// Verdict.
    pub health: Health,
    /// The last answer in words.
    pub reason: String,
    /// Age of the last answer, milliseconds.
    pub checked_ms: Option<u64>,
    /// Time that the last probe took, microseconds.
    pub latency_us: Option<u64>,
    /// Consecutive answers against the verdict.
    pub against: u8,
    /// How many of them would turn it.
    pub turns_at: u8,
    /// What the last answer warned of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The last answer is older than it may be: this box is too slow.
    #[serde(default, skip_serializing_if = "is_false")]
    pub overdue: bool,
}

/// A real server of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerName {
    /// Name of the service.
    pub service: String,
    /// Its address in the file.
    pub server: SocketAddr,
}

/// Why a real server is in the table, or is not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// Its service, without servers.
    pub service: ServiceStatus,
    /// As the status shows it.
    pub server: ServerStatus,
    /// What decides about it while real servers answer.
    pub cause: Cause,
    /// Its last changes, oldest first.
    pub history: Vec<ChangeStatus>,
}

/// What decides about a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It answers.
    Lives,
    /// It answers, and gets its weight in steps.
    SlowStart,
    /// It answers, and says itself how much it can take.
    Feedback,
    /// A check fails.
    Fails,
    /// No verdict yet: as the kernel has it.
    Kept,
    /// No verdict yet, and the file wants it in until there is one.
    StartsUp,
    /// No verdict yet, and the file wants it out until there is one.
    StartsDown,
    /// The file has it switched off.
    Off,
    /// The operator drains it.
    Drains,
    /// The operator drained it, and the time is over.
    Drained,
    /// The operator disabled it.
    Disabled,
}

/// One change of a real server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeStatus {
    /// When, milliseconds ago.
    pub ago_ms: u64,
    /// To what: `up`, `down`, `draining`, `drained`, `disabled`, `enabled`.
    pub what: String,
    /// Why.
    pub why: String,
}
