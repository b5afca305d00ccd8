//! Of `notify`: logs and alarms on their way out.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Logs and alarms on their way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyStatus {
    /// Remote logs, in the order of the file.
    pub syslog: Vec<SyslogStatus>,
    /// Receivers of alarms, in the order of the file.
    #[serde(default)]
    pub targets: Vec<TargetStatus>,
    /// Generation of the configuration in force.
    pub generation: u64,
}

/// One receiver of logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyslogStatus {
    /// As in the file: `udp://192.168.61.9:514`.
    pub target: String,
    /// Lines sent since the supervisor started.
    pub sent: u64,
    /// Lines that had to make room before they could be sent.
    pub lost: u64,
    /// Why nothing is sent at the moment.
    pub problem: Option<String>,
}

/// One receiver of alarms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetStatus {
    /// Its name in the file.
    pub name: String,
    /// `mail`, `webhook`, `exec` or `syslog`.
    pub kind: String,
    /// Alarms that wait, oldest first.
    pub waiting: Vec<Alarm>,
    /// Alarms delivered.
    pub delivered: u64,
    /// Alarms given up: too many waited, they waited too long, or a program failed.
    pub dropped: u64,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// The last attempt.
    pub last: Option<Attempt>,
}

/// An attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Milliseconds since the epoch.
    pub time_ms: u64,
    /// The last alarm in it.
    pub id: u64,
    /// Whether it was taken.
    pub ok: bool,
    /// What the other side said, or what failed.
    pub text: String,
}

/// What an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlarmKind {
    /// A virtual router changed its state.
    Vrrp,
    /// A service gained or lost its quorum.
    Service,
    /// A real server changed its health, or the operator took it out or back.
    Server,
    /// A worker ended and was started again.
    Worker,
    /// Checks are overdue.
    Check,
    /// A certificate is about to expire.
    Certificate,
    /// The clock is not synchronised, or is again.
    Time,
    /// The boot slot.
    Slot,
    /// Another configuration runs, or a faulty one was found.
    Config,
    /// Somebody tries whether it arrives.
    Test,
    /// Alarms were left out, because too many waited for this receiver; it is always told.
    Queue,
}

impl AlarmKind {
    /// Those that `events` of the file may name, with their words.
    pub const ALL: [(&'static str, Self); 9] = [
        ("vrrp", Self::Vrrp),
        ("service", Self::Service),
        ("server", Self::Server),
        ("worker", Self::Worker),
        ("check", Self::Check),
        ("certificate", Self::Certificate),
        ("time", Self::Time),
        ("slot", Self::Slot),
        ("config", Self::Config),
    ];
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let other = if *self == Self::Queue { "queue" } else { "test" };
        let word = Self::ALL.iter().find(|(_, kind)| kind == self).map_or(other, |(word, _)| word);
        f.pad(word)
    }
}

/// Something that somebody should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Grows with each alarm of this box, also from boot to boot.
    pub id: u64,
    /// Milliseconds since the epoch.
    pub time_ms: u64,
    /// What it is about.
    pub kind: AlarmKind,
    /// Of what: the name of a virtual router, a service, a worker; `SERVICE SERVER`.
    pub subject: String,
    /// What it is now, in a word.
    pub state: String,
    /// As syslog counts: 3 error, 4 warning, 5 notice, 6 information.
    pub severity: u8,
    /// A sentence for people.
    pub text: String,
    /// What a program is told: keepalived's words where it has some.
    pub words: Vec<String>,
}
