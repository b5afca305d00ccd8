//! `[[notify]]`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::{Login, MailTls, Tls};
use crate::config::model::{HostPort, SyslogTarget};
use crate::ipc::message::AlarmKind;

/// A receiver of alarms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Unique.
    pub name: String,
    /// What it is told of; never empty.
    pub events: Vec<AlarmKind>,
    /// Time for one delivery, 1 s..=5 m.
    pub timeout: Duration,
    /// How.
    pub way: NotifyWay,
}

impl Notify {
    /// The word of the file: `mail`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.way {
            NotifyWay::Mail(_) => "mail",
            NotifyWay::Webhook(_) => "webhook",
            NotifyWay::Exec { .. } => "exec",
            NotifyWay::Syslog(_) => "syslog",
        }
    }
}

/// How a receiver is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotifyWay {
    /// By mail.
    Mail(Box<Mail>),
    /// By HTTP.
    Webhook(Box<Webhook>),
    /// A program: absolute path and arguments; keepalived's words follow.
    Exec {
        /// Never empty.
        command: Vec<String>,
    },
    /// A receiver of logs.
    Syslog(SyslogTarget),
}

/// Mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// SMTP server.
    pub server: HostPort,
    /// Envelope and header.
    pub from: String,
    /// Never empty.
    pub to: Vec<String>,
    /// Where TLS begins.
    pub tls: MailTls,
    /// Only with TLS.
    pub login: Option<Login>,
    /// Name for `EHLO`; `None` = the host's, or its address.
    pub helo: Option<String>,
    /// How long alarms are collected for one mail, 0..=1 h.
    pub digest: Duration,
}

/// A webhook.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where to connect.
    pub server: HostPort,
    /// `Host` header, and the name for TLS.
    pub host: String,
    /// Path with query.
    pub path: String,
    /// HTTPS.
    pub tls: Option<Tls>,
    /// Key of the signature.
    pub secret: Option<String>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} at {}", self.host, self.path, self.server)
    }
}
