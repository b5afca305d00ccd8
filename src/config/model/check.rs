//! `check` of a service or a server.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Check {
    /// What is asked.
    pub kind: CheckKind,
    /// Period from start to start, 100 ms..=1 h.
    pub interval: Duration,
    /// Period while answers contradict the verdict, so that a change is known sooner; no longer than `interval`.
    pub fast: Duration,
    /// A probe without a verdict after this long has failed; 10 ms..=5 m, no longer than the interval.
    pub timeout: Duration,
    /// Consecutive failures until a live server is down, 1..=100.
    pub fall: u8,
    /// Consecutive successes until a dead server is up, 1..=100.
    pub rise: u8,
    /// Address asked in place of the server's.
    pub address: Option<IpAddr>,
    /// Port asked in place of the server's.
    pub port: Option<u16>,
    /// Source address of the probe; `None` = as the kernel chooses.
    pub source: Option<IpAddr>,
    /// Firewall mark of the probe (`SO_MARK`); 0 = none.
    pub mark: u32,
    /// Which way the probe takes.
    pub route: ProbeRoute,
}

impl Check {
    /// A check of this kind with the defaults of the manual for all else.
    #[must_use]
    pub const fn new(kind: CheckKind) -> Self {
        Self {
            kind,
            interval: Duration::from_secs(2),
            fast: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            fall: 3,
            rise: 2,
            address: None,
            port: None,
            source: None,
            mark: 0,
            route: ProbeRoute::Server,
        }
    }
}

/// Which way a probe takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum ProbeRoute {
    /// To the server's own address.
    #[default]
    Server,
    /// To the VIP, by the way that clients' packets take to this server (`probe = "vip"`; DR and TUN).
    Vip,
}

/// What a check asks. Secrets are in clear text, so `Debug` gives no more than [`CheckKind::name`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CheckKind {
    /// Never asked: always up. Not in [`Server::checks`].
    None,
    /// A connection is established; then, where given, `send` is said and `expect` must be heard.
    Tcp(Dialogue),
    /// A TLS handshake; then the same.
    Tls(Dialogue, Tls),
    /// One or more requests over HTTP/1.1.
    Http(Box<Http>),
    /// A greeting, `EHLO`, with `STARTTLS` where wanted, `QUIT` (RFC 5321).
    Smtp {
        /// The name said with `EHLO`.
        helo: String,
        /// TLS: at once, or after `STARTTLS`.
        tls: MailTls,
    },
    /// A question (RFC 1035).
    Dns {
        /// Name asked for, absolute.
        name: String,
        /// Type of record by its mnemonic, upper case: `A`, `SOA`, `HTTPS`, `TYPE65`.
        record: String,
        /// One of the answers must equal one of these, in the form of a zone file; empty = any answer with code NOERROR.
        expect: Vec<String>,
        /// Over TCP in place of UDP.
        tcp: bool,
    },
    /// A datagram; the server is up unless an ICMP error comes back, or, with `reply`, once a fitting answer does.
    Udp {
        /// What is sent.
        send: Vec<u8>,
        /// What must come back; `None` = nothing need.
        reply: Option<Pattern>,
    },
    /// An ICMP echo.
    Ping,
    /// An ARP request or neighbour solicitation: the server is on a network of this box.
    Arp,
    /// An SCTP association is established.
    Sctp,
    /// A program: exit status 0 up, 1 down, 2..=255 up with the weight status − 2, whatever the file has, where `weight` says so.
    Exec {
        /// Absolute path.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Whether it is given VIP, port, RIP and port before them.
        endpoints: bool,
        /// Whether the status 2..=255 is a weight.
        weight: bool,
    },
    /// A file whose first line is a word or number as of [`CheckKind::Agent`]; missing = down.
    File {
        /// Absolute path.
        path: String,
    },
    /// A line of words from an agent: `up`, `down`, `drain`, `75%` (of the weight), a plain number (as percent).
    Agent {
        /// What is sent first; may be empty.
        send: Vec<u8>,
    },
    /// Greeting, and log-in where given (RFC 959); `QUIT`.
    Ftp(Option<Login>),
    /// Greeting, and log-in where given (RFC 1939).
    Pop3(Option<Login>, MailTls),
    /// Greeting, and log-in where given (RFC 9051).
    Imap(Option<Login>, MailTls),
    /// Greeting (RFC 3977).
    Nntp(MailTls),
    /// A bind, and a search of the base object where `base` is given: exactly one entry (RFC 4511).
    Ldap {
        /// Anonymous without.
        login: Option<Login>,
        /// Distinguished name that must exist.
        base: Option<String>,
        /// LDAPS.
        tls: Option<Tls>,
    },
    /// Handshake; log-in and a query that must return a row, where given.
    Mysql(Database),
    /// Handshake; log-in and a query that must return a row, where given.
    Pgsql(Database),
    /// Access-Request that must be accepted; without a log-in, Status-Server (RFC 5997).
    Radius {
        /// User name and password (PAP).
        login: Option<Login>,
        /// Shared secret.
        secret: String,
    },
    /// `OPTIONS` answered with 200 (RFC 3261).
    Sip {
        /// User of the URIs.
        user: String,
        /// Over TCP in place of UDP.
        tcp: bool,
    },
    /// A request for an absolute URI through an HTTP proxy.
    Proxy(Box<Http>),
}

impl CheckKind {
    /// The type as the file has it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tcp(_) => "tcp",
            Self::Tls(..) => "tls",
            Self::Http(http) => {
                if http.tls.is_some() {
                    "https"
                } else {
                    "http"
                }
            }
            Self::Proxy(_) => "proxy",
            Self::Smtp { tls, .. } => tls.word("smtp", "smtps"),
            Self::Dns { .. } => "dns",
            Self::Udp { .. } => "udp",
            Self::Ping => "ping",
            Self::Arp => "arp",
            Self::Sctp => "sctp",
            Self::Exec { .. } => "exec",
            Self::File { .. } => "file",
            Self::Agent { .. } => "agent",
            Self::Ftp(_) => "ftp",
            Self::Pop3(_, tls) => tls.word("pop3", "pop3s"),
            Self::Imap(_, tls) => tls.word("imap", "imaps"),
            Self::Nntp(tls) => tls.word("nntp", "nntps"),
            Self::Ldap { tls: None, .. } => "ldap",
            Self::Ldap { .. } => "ldaps",
            Self::Mysql(_) => "mysql",
            Self::Pgsql(_) => "pgsql",
            Self::Radius { .. } => "radius",
            Self::Sip { .. } => "sip",
        }
    }
}

impl fmt::Debug for CheckKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is said on a connection, and what must be heard.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Dialogue {
    /// Sent first; empty = nothing.
    pub send: Vec<u8>,
    /// Must be found in what comes back (at most its first 64 KiB); `None` = the connection alone suffices.
    pub expect: Option<Pattern>,
}

impl fmt::Debug for Dialogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "send {} bytes, expect {:?}", self.send.len(), self.expect)
    }
}

/// The HTTP check.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Http {
    /// Method, such as `GET` or `HEAD`.
    pub method: String,
    /// Paths with query, each begins with `/`; all are asked, in this order, within one probe. For a proxy: absolute URIs.
    pub paths: Vec<String>,
    /// `Host` header, and the name of the server for TLS unless that has its own; `None` = the server's address and port.
    pub host: Option<String>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// User and password (RFC 7617).
    pub login: Option<Login>,
    /// Body of the request; empty = none.
    pub body: Vec<u8>,
    /// Accepted status codes as inclusive ranges, each within 100..=599.
    pub status: Vec<(u16, u16)>,
    /// Must be found in the body of the answer (its first 64 KiB).
    pub expect: Option<Pattern>,
    /// Must not be found there.
    pub refuse: Option<Pattern>,
    /// MD5 of the whole body (at most 1 MiB) as hexadecimal digits, as keepalived's `digest` has it.
    pub digest: Option<String>,
    /// How many redirects to the same server are followed, 0..=10.
    pub redirects: u8,
    /// HTTPS.
    pub tls: Option<Tls>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} of {:?}", self.method, self.paths, self.host)
    }
}

impl Http {
    /// `GET path`, answered with any 2xx.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            paths: vec![path.to_owned()],
            host: None,
            headers: Vec::new(),
            login: None,
            body: Vec::new(),
            status: vec![(200, 299)],
            expect: None,
            refuse: None,
            digest: None,
            redirects: 0,
            tls: None,
        }
    }
}

/// A TLS client (RFC 8446, RFC 5246).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Tls {
    /// Server name indication, and the name that a verified certificate must have; `None` = none, or that of the protocol.
    pub name: Option<String>,
    /// Certificates that may sign the server's, as PEM; `None` = the certificate is not verified.
    pub ca: Option<String>,
    /// Certificate and key of this client, as PEM.
    pub identity: Option<(String, String)>,
    /// Warn so long before the server's certificate expires; zero = never.
    pub expiry: Duration,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verified, identified) = (self.ca.is_some(), self.identity.is_some());
        write!(f, "name {:?}, verified {verified}, identified {identified}", self.name)
    }
}

/// Where TLS begins in a protocol that can begin without.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum MailTls {
    /// Nowhere.
    #[default]
    Off,
    /// With the first byte.
    Immediate(Tls),
    /// After `STARTTLS` (POP3: `STLS`).
    Upgrade(Tls),
}

impl MailTls {
    const fn word(&self, plain: &'static str, immediate: &'static str) -> &'static str {
        match self {
            Self::Immediate(_) => immediate,
            Self::Off | Self::Upgrade(_) => plain,
        }
    }
}

/// User and password.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with a password", self.user)
    }
}

/// A data base.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Database {
    /// Who logs in; without, the handshake suffices.
    pub login: Option<Login>,
    /// The data base to use.
    pub database: Option<String>,
    /// Must return at least one row.
    pub query: Option<String>,
    /// TLS, as the protocol upgrades to it.
    pub tls: Option<Tls>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_printed() {
        let login = || Some(Login { user: "director".to_owned(), password: "s3cret".to_owned() });
        let tls = Tls { identity: Some((String::new(), "s3cret".to_owned())), ..Tls::default() };
        let mut http = Http { login: login(), body: b"s3cret".to_vec(), ..Http::get("/") };
        http.headers.push(("Authorization".to_owned(), "s3cret".to_owned()));
        let database = Database { login: login(), ..Database::default() };
        let dialogue = Dialogue { send: b"s3cret".to_vec(), expect: None };
        let shown = format!("{http:?} {database:?} {dialogue:?} {tls:?}");
        let kinds = [
            CheckKind::Proxy(Box::new(http)),
            CheckKind::Radius { login: login(), secret: "s3cret".to_owned() },
            CheckKind::Imap(login(), MailTls::Immediate(tls)),
            CheckKind::Mysql(database),
            CheckKind::Tcp(dialogue),
        ];
        let shown = shown + &format!("{:?}", kinds.map(Check::new));
        let bytes = format!("{:?}", b"s3cret".as_slice());
        assert!(!shown.contains("s3cret") && !shown.contains(&bytes), "{shown}");
        assert!(shown.contains("kind: imaps"), "{shown}");
    }
}
