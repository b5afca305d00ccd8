//! From the kind of a check to the file that asks so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::Arc;

use super::tls::Clients;
use super::{
    Outcome, Reason, Target, agent, arp, dns, exec, file, ftp, http, imap, ldap, mysql, nntp, pgsql, ping,
    pop3, proxy, radius, reason, sctp, sip, smtp, tcp, tls, udp,
};
use crate::config::model::{Check, CheckKind, ProbeRoute};

/// Asks once, without a limit of time: the caller has it. Dropping the future ends the probe and frees all that it holds.
/// `clients` keeps what TLS needs from probe to probe.
pub async fn probe(target: &Target, clients: &Clients) -> Outcome {
    match by_way(target) {
        Ok(None) => ask(target, clients).await,
        Ok(Some(target)) => ask(&target, clients).await,
        Err(outcome) => outcome,
    }
}

/// A probe to the VIP needs a source: on a master the VIP would be its own, which the real server has, too. It is the address
/// that this box has for the real server.
fn by_way(target: &Target) -> Result<Option<Target>, Outcome> {
    let Some(front) = target.front.as_ref().filter(|_| target.check.route == ProbeRoute::Vip) else {
        return Ok(None);
    };
    let lacking = |why: &str| Outcome::Inconclusive(Reason::Owned(format!("cannot ask by the VIP: {why}")));
    if target.check.source.is_some() || target.check.address.is_none() {
        return Ok(None);
    }
    if front.server.is_ipv4() != target.address.is_ipv4() {
        return Err(lacking("the real server is of the other family: the check needs a `source`"));
    }
    let source = source_to(front.server.ip()).map_err(|error| lacking(&reason::words(&error)))?;
    let check = Check { source: Some(source), ..Check::clone(&target.check) };
    Ok(Some(Target { check: Arc::new(check), ..target.clone() }))
}

/// The address of this box by which the kernel would talk to `server`; nothing is sent.
fn source_to(server: IpAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((server, 9))?;
    Ok(socket.local_addr()?.ip())
}

/// A box for each kind but the plainest: else every probe had the size of the largest.
async fn ask(target: &Target, clients: &Clients) -> Outcome {
    match &target.check.kind {
        CheckKind::None => Outcome::Success(Reason::Borrowed("not checked")),
        CheckKind::Tcp(dialogue) => tcp::probe(target, dialogue).await,
        CheckKind::Tls(dialogue, tls) => Box::pin(tls::probe(target, clients, dialogue, tls)).await,
        CheckKind::Http(http) => Box::pin(http::probe(target, clients, http)).await,
        CheckKind::Proxy(http) => Box::pin(proxy::probe(target, clients, http)).await,
        CheckKind::Smtp { helo, tls } => Box::pin(smtp::probe(target, clients, helo, tls)).await,
        CheckKind::Ftp(login) => Box::pin(ftp::probe(target, login.as_ref())).await,
        CheckKind::Pop3(login, tls) => Box::pin(pop3::probe(target, clients, login.as_ref(), tls)).await,
        CheckKind::Imap(login, tls) => Box::pin(imap::probe(target, clients, login.as_ref(), tls)).await,
        CheckKind::Nntp(tls) => Box::pin(nntp::probe(target, clients, tls)).await,
        CheckKind::Sip { user, tcp } => Box::pin(sip::probe(target, user, *tcp)).await,
        CheckKind::Dns { name, record, expect, tcp } => {
            Box::pin(dns::probe(target, name, record, expect, *tcp)).await
        }
        CheckKind::Udp { send, reply } => Box::pin(udp::probe(target, send, reply.as_ref())).await,
        CheckKind::Ping => Box::pin(ping::probe(target)).await,
        CheckKind::Arp => Box::pin(arp::probe(target)).await,
        CheckKind::Sctp => Box::pin(sctp::probe(target)).await,
        CheckKind::Exec { command, args, endpoints, weight } => {
            Box::pin(exec::probe(target, command, args, *endpoints, *weight)).await
        }
        CheckKind::Agent { send } => Box::pin(agent::probe(target, send)).await,
        CheckKind::File { path } => file::probe(path),
        CheckKind::Ldap { login, base, tls } => {
            Box::pin(ldap::probe(target, clients, login.as_ref(), base.as_deref(), tls.as_ref())).await
        }
        CheckKind::Mysql(database) => Box::pin(mysql::probe(target, clients, database)).await,
        CheckKind::Pgsql(database) => Box::pin(pgsql::probe(target, clients, database)).await,
        CheckKind::Radius { login, secret } => Box::pin(radius::probe(target, login.as_ref(), secret)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thousands are under way at a time, and most of them are of the smallest kind.
    #[test]
    fn a_probe_of_the_plainest_kind_is_small() {
        let check = Check::new(CheckKind::Tcp(crate::config::model::Dialogue::default()));
        let target = Target { check: Arc::new(check), address: "192.0.2.1:80".parse().unwrap(), front: None };
        let clients = Clients::default();
        let size = size_of_val(&probe(&target, &clients));
        assert!(size <= 1024, "{size} bytes");
    }
}
