//! The vocabulary of the state machine: what decides, what happens, what is to be done, and how long one waits.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::config::model::VrrpVersion;
use crate::ipc::message::RouterState;

/// What decides about elections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// Version on the wire.
    pub version: VrrpVersion,
    /// Priority with the trackers, 1..=255; 255 owns the addresses.
    pub priority: u8,
    /// Interval of our own advertisements, as the wire can carry it.
    pub interval: Duration,
    /// Advertisements that may be missed, 1..=100; 3 in the RFC.
    pub missed: u8,
    /// Whether we take over from a living master of lower priority. The owner always does.
    pub preempt: bool,
    /// Whether we leave a living master alone whatever its priority and ours.
    pub yields: bool,
    /// How long we leave it alone all the same, from the first time we hear it.
    pub preempt_delay: Duration,
    /// Our primary address: the greater one wins between equal priorities.
    pub source: IpAddr,
}

/// A router heard on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its primary address.
    pub address: IpAddr,
    /// Its priority; 0 = it resigned.
    pub priority: u8,
}

impl Peer {
    /// Whether this one stays master where both are: the greater priority, or among equals the greater address (RFC 9568
    /// section 6.4.3).
    #[must_use]
    pub fn beats(&self, other: &Self) -> bool {
        (self.priority, self.address) > (other.priority, other.address)
    }
}

/// What may happen to a virtual router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Interface, source address and trackers allow taking part. An election is not won before `hold` has passed, or a master
    /// was heard.
    Ready {
        /// Time for a switch to forward frames before silence counts.
        hold: Duration,
    },
    /// We were master until our process died a moment ago, and the kernel still has the VIPs: go on.
    Resume,
    /// Interface, source address or a tracker forbids taking part.
    Fail,
    /// Another member of the group has a better master: give way with it.
    Yield {
        /// Nobody may be ready on this segment: resign, so that somebody is at once.
        resigns: bool,
    },
    /// The group gave way a moment ago: when it stands up again among those that did likewise.
    Turn {
        /// Before or after the others.
        turn: Turn,
        /// What is heard until then is still of the contest that was lost, and the silence after it is not that of one master.
        until: Instant,
    },
    /// The operator takes mastership from us.
    Resign,
    /// The process ends in order, or the instance leaves the file.
    Stop,
    /// An advertisement that passed every check.
    Advert {
        /// Its sender.
        peer: Peer,
        /// The interval it names.
        interval: Duration,
    },
    /// Time has passed; harmless when nothing is due.
    Timer,
    /// Something that decides about elections changed.
    Params(Params),
}

/// Who goes first of several boxes whose groups gave way to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The best of those heard at the member that decides: one advertisement less has to be missed.
    First,
    /// Not the best there: one more.
    Later,
    /// Nobody better was heard anywhere: as ever.
    Usual,
}

impl Turn {
    /// How many advertisements have to be missed where otherwise `missed` would.
    #[must_use]
    pub const fn missed(self, missed: u8) -> u8 {
        match self {
            Self::First if missed > 1 => missed - 1,
            Self::First | Self::Usual => missed,
            Self::Later => missed.saturating_add(1),
        }
    }
}

/// Why a state was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Allowed to take part.
    Started,
    /// Priority 255: the addresses are ours.
    Owner,
    /// Went on after a crash of the worker.
    Resumed,
    /// Nobody was heard for so long.
    Silence(Duration),
    /// The master resigned.
    Resigned(IpAddr),
    /// Somebody with a better claim.
    Higher(Peer),
    /// The master has a lower priority, and we preempt.
    Lower(Peer),
    /// Our own process was late by more than our backups wait.
    Slept(Duration),
    /// Another member of the group has given way.
    Group,
    /// The operator has taken mastership from it.
    Told,
    /// The instance may not take part; the facts say why.
    Failed,
    /// Told to end.
    Stopped,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::Owner => f.write_str("owner of the addresses"),
            Self::Resumed => f.write_str("went on after a restart of the worker"),
            Self::Silence(time) => write!(f, "no master heard for {} ms", time.as_millis()),
            Self::Resigned(address) => write!(f, "{address} resigned"),
            Self::Higher(Peer { address, priority }) => write!(f, "{address} has priority {priority}"),
            Self::Lower(Peer { address, priority }) => write!(f, "{address} has only priority {priority}"),
            Self::Slept(time) => {
                write!(f, "this process slept for {} ms, longer than the backups wait", time.as_millis())
            }
            Self::Group => f.write_str("the group gives way"),
            Self::Told => f.write_str("resigned, as the operator wanted"),
            Self::Failed => f.write_str("may not take part"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// How the VIPs are announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announce {
    /// As a new master: the first burst, a second one later, then the refreshes.
    Burst,
    /// As one whose VIPs somebody else has just claimed.
    Claimed,
}

/// What the outside has to do, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send an advertisement.
    Send {
        /// 0 = we resign.
        priority: u8,
        /// Interval to name.
        interval: Duration,
    },
    /// Put the VIPs on the interface.
    Claim,
    /// Take the VIPs off the interface.
    Release,
    /// Tell the segment where the VIPs are.
    Announce(Announce),
    /// The state changed.
    Enter {
        /// The new one.
        state: RouterState,
        /// Why.
        reason: Reason,
    },
}

/// At most what one step can ask for.
pub type Actions = heapless::Vec<Action, 8>;

/// Time after which silence of the others means that they are ahead of us or behind us (RFC 9568 section 6.1; RFC 3768
/// section 6.1 counts in seconds whatever the interval).
#[must_use]
pub fn skew(version: VrrpVersion, priority: u8, interval: Duration) -> Duration {
    let whole = match version {
        VrrpVersion::V2 => Duration::from_secs(1),
        VrrpVersion::V3 => interval,
    };
    whole * (256 - u32::from(priority)) / 256
}

/// Silence after which a backup takes over (RFC 9568 section 6.1, Active_Down_Interval): there `missed` is 3.
#[must_use]
pub fn master_down(version: VrrpVersion, priority: u8, interval: Duration, missed: u8) -> Duration {
    u32::from(missed) * interval + skew(version, priority, interval)
}
