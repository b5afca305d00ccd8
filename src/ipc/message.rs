//! Requests, replies, events and the status of each role.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use api::ApiStatus;
pub use init::{InitStatus, LogLine, LogPart, PowerAction, WorkerStatus};
pub use lvs::{
    Admin, AdminOrder, AdminStatus, Cause, ChangeStatus, CheckStatus, Health, LvsStatus, LvsSummary,
    QuorumUnit, ServerName, ServerStatus, ServiceStatus, SlowStartStatus, TableSize, Traffic, Why,
};
pub use net::{LinkStatus, NetStatus};
pub use notify::{Alarm, AlarmKind, Attempt, NotifyStatus, SyslogStatus, TargetStatus};
pub use overview::{DownServer, LvsOverview, MOST_DOWN, ServiceOverview};
pub use store::{
    Candidate, Card, Change, ChangeAction, ChangeStep, Changed, Difference, Generation, LifeStatus,
    PendingStatus, SetManagement, SetUp, SharedAddress, Source, StickStatus, StoreStatus, UnusualStart,
};
pub use time::{TimeServerStatus, TimeStatus};
pub use vrrp::{
    PeerRouter, PeerStatus, PeerWay, RouterNews, RouterOrder, RouterState, RouterStatus, RouterWait,
    TrackerStatus, VrrpStatus,
};

use crate::role::Role;

mod api;
mod init;
mod lvs;
mod net;
mod notify;
mod overview;
mod store;
mod time;
mod vrrp;

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
    /// To `store`: what a new box needs, in the operator's file; check, write, activate.
    SetUp(SetUp),
    /// To `store`: say in the operator's file which card each interface is; check, write, activate.
    AssignCards {
        /// Interfaces by their names in the file. What is not named stays as it is.
        cards: Vec<Card>,
    },
    /// To `store`: what would change? [`Reply::Difference`].
    Diff {
        /// By what.
        change: Change,
    },
    /// To `store`: check and apply; [`Reply::Difference`] comes before the network moves.
    Apply {
        /// What.
        change: Change,
        /// It reverts by itself unless confirmed within so many milliseconds; `None` = it is written and final at once.
        confirm_ms: Option<u64>,
        /// Who wants it, for the history: `console ttyS0`, `command line`.
        origin: String,
    },
    /// To `store`: the change that waits is to stay: it is written to the operator's file; [`Reply::Done`].
    Confirm,
    /// To `store`: take back the change that waits, at once ([`Reply::Done`]); without one, apply what ran before, or `number`
    /// ([`Reply::Difference`]).
    Rollback {
        /// Of the history.
        number: Option<u64>,
        /// As in [`Request::Apply`].
        confirm_ms: Option<u64>,
        /// As in [`Request::Apply`].
        origin: String,
    },
    /// To `store`: [`Reply::History`].
    History,
    /// To `store`: the text of a configuration; [`Reply::Text`].
    Show {
        /// Of the history; `None` = the one that runs.
        number: Option<u64>,
    },
    /// To `store`: write the running configuration to the USB stick; [`Reply::Done`].
    Export,
    /// To `store`: erase configuration and data as after flashing; the box must be started again then. [`Reply::Done`].
    FactoryReset,
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
    /// To `lvs`: how much there is, in a few numbers; [`Reply::Summary`].
    Summary,
    /// To `lvs`: all services, and how many of their real servers live; [`Reply::Overview`].
    Overview {
        /// With real servers, where there are at most so many.
        servers: usize,
        /// With those of this one at any rate.
        service: Option<String>,
    },
    /// To `vrrp`: about one virtual router, and those of its group with it.
    Router {
        /// What.
        order: RouterOrder,
        /// Its name in the file.
        name: String,
        /// Also where no other box is known that would take over.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
    },
    /// To `init`: the lines kept for `role` (or of every role), oldest first; [`Reply::Logs`].
    Logs {
        /// Whose; `None` = everybody's, merged by time.
        role: Option<Role>,
        /// At most so many, the newest.
        lines: usize,
    },
    /// To `notify`: an alarm of kind `test`; [`Reply::Notified`].
    NotifyTest {
        /// Name of the receiver; `None` = all.
        target: Option<String>,
    },
    /// To `init`: the oldest lines behind the last one that is known; [`Reply::Followed`].
    Follow {
        /// Of which supervisor that number is; of another one, every line is new.
        era: u64,
        /// Number of the last line that is known.
        after: u64,
        /// At most so many.
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
    /// Not done, because no other box is known that would take over: the same request with `force` is done all the same.
    Alone {
        /// In a sentence, without an end.
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
    /// How much there is.
    Summary {
        /// In numbers.
        summary: LvsSummary,
    },
    /// All services.
    Overview {
        /// In a line each.
        overview: LvsOverview,
    },
    /// What decides about real servers.
    Why {
        /// In the order of the file.
        servers: Vec<Why>,
    },
    /// What changes, or would.
    Difference {
        /// In words.
        difference: Box<Difference>,
        /// The change that waits for its confirmation from now on.
        pending: Option<PendingStatus>,
    },
    /// What ran before.
    History {
        /// Newest first.
        generations: Vec<Generation>,
    },
    /// A configuration.
    Text {
        /// As the operator wrote it.
        text: String,
        /// The section `[node.NAME]` that is merged in here.
        node: Option<String>,
    },
    /// Done, and what that means.
    Done {
        /// In a sentence.
        message: String,
    },
    /// An alarm is on its way.
    Notified {
        /// Its number.
        id: u64,
        /// To whom.
        targets: Vec<String>,
    },
    /// Lines behind a certain one.
    Followed(LogPart),
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
    /// Metrics and status page.
    Api(ApiStatus),
    /// Logs and alarms on their way out.
    Notify(NotifyStatus),
    /// The clock.
    Time(TimeStatus),
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
    /// Every real server of a service that takes connections has its first verdict, and the table has what follows from it (from
    /// `lvs`, once in its life).
    Primed {
        /// Its name.
        service: String,
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
    /// Something else happened to a virtual router, which keeps its state (from `vrrp`).
    RouterNews {
        /// Instance.
        name: String,
        /// State.
        state: RouterState,
        /// Priority with the trackers.
        priority: u8,
        /// What.
        what: RouterNews,
    },
    /// Another configuration runs (from `store`).
    Config {
        /// Its generation.
        generation: u64,
    },
    /// A change was applied on trial, confirmed or taken back, or a source was refused (from `store`).
    Change {
        /// What became of it.
        step: ChangeStep,
        /// In a sentence.
        message: String,
    },
}
