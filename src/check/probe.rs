//! From the kind of a check to the file that asks so.

use super::tls::Clients;
use super::{
    Outcome, Reason, Target, agent, dns, exec, file, ftp, http, imap, ldap, mysql, nntp, pgsql, ping, pop3,
    proxy, radius, sip, smtp, tcp, tls, udp,
};
use crate::config::model::CheckKind;

/// Asks once, without a limit of time: the caller has it. Dropping the future ends the probe and frees all that it holds.
/// `clients` keeps what TLS needs from probe to probe.
pub async fn probe(target: &Target, clients: &Clients) -> Outcome {
    match &target.check.kind {
        CheckKind::None => Outcome::Success(Reason::Borrowed("not checked")),
        CheckKind::Tcp(dialogue) => tcp::probe(target, dialogue).await,
        CheckKind::Tls(dialogue, tls) => tls::probe(target, clients, dialogue, tls).await,
        CheckKind::Http(http) => http::probe(target, clients, http).await,
        CheckKind::Proxy(http) => proxy::probe(target, clients, http).await,
        CheckKind::Smtp { helo, tls } => smtp::probe(target, clients, helo, tls).await,
        CheckKind::Ftp(login) => ftp::probe(target, login.as_ref()).await,
        CheckKind::Pop3(login, tls) => pop3::probe(target, clients, login.as_ref(), tls).await,
        CheckKind::Imap(login, tls) => imap::probe(target, clients, login.as_ref(), tls).await,
        CheckKind::Nntp(tls) => nntp::probe(target, clients, tls).await,
        CheckKind::Sip { user, tcp } => sip::probe(target, user, *tcp).await,
        CheckKind::Dns { name, record, expect, tcp } => dns::probe(target, name, record, expect, *tcp).await,
        CheckKind::Udp { send, reply } => udp::probe(target, send, reply.as_ref()).await,
        CheckKind::Ping => ping::probe(target).await,
        CheckKind::Exec { command, args, weight } => exec::probe(target, command, args, *weight).await,
        CheckKind::Agent { send } => agent::probe(target, send).await,
        CheckKind::File { path } => file::probe(path),
        CheckKind::Ldap { login, base, tls } => {
            ldap::probe(target, clients, login.as_ref(), base.as_deref(), tls.as_ref()).await
        }
        CheckKind::Mysql(database) => mysql::probe(target, clients, database).await,
        CheckKind::Pgsql(database) => pgsql::probe(target, clients, database).await,
        CheckKind::Radius { login, secret } => radius::probe(target, login.as_ref(), secret).await,
        _ => Outcome::Inconclusive(Reason::Borrowed("this kind of check cannot be asked yet")),
    }
}
