//! Which key belongs to which type of check, and which port a type has.

use super::super::super::faults::Faults;
use super::super::super::model::CheckKind;
use super::super::super::raw::CheckTable;
use super::super::super::raw::CheckType::{
    self, Agent, Arp, Dns, Exec, File, Ftp, Http, Https, Imap, Imaps, Ldap, Ldaps, Mysql, Nntp, Nntps, None,
    Pgsql, Ping, Pop3, Pop3s, Proxy, Radius, Sip, Smtp, Smtps, Tcp, Tls, Udp,
};
use super::super::super::report::Span;

/// To which types a key belongs.
enum To {
    /// These.
    Only(&'static [CheckType]),
    /// All but these.
    AllBut(&'static [CheckType]),
}

const HTTP: To = To::Only(&[Http, Https, Proxy]);

/// Notes each key of `table` that means nothing for a check of this type.
pub(super) fn refuse_strangers(table: &CheckTable, kind: CheckType, faults: &mut Faults<'_>) {
    use To::{AllBut, Only};
    let t = table;
    let keys: [(&str, Option<Span>, To); 31] = [
        ("address", t.address.span(), AllBut(&[None, Exec, File])),
        ("port", t.port.span(), AllBut(&[None, Ping, Arp, File])),
        ("source", t.source.span(), AllBut(&[None, Exec, File])),
        ("mark", t.mark.span(), AllBut(&[None, Arp, Exec, File])),
        ("probe", t.probe.span(), AllBut(&[None, Ping, Arp, Exec, File])),
        ("send", t.send.span(), Only(&[Tcp, Tls, Udp, Agent])),
        ("send_hex", t.send_hex.span(), Only(&[Tcp, Tls, Udp, Agent])),
        ("expect", t.expect.span(), Only(&[Tcp, Tls, Http, Https, Proxy, Dns, Udp])),
        (
            "tls",
            t.tls.span(),
            Only(&[Tls, Https, Smtp, Smtps, Pop3, Pop3s, Imap, Imaps, Nntp, Nntps, Ldaps, Mysql, Pgsql]),
        ),
        ("starttls", t.starttls.span(), Only(&[Smtp, Pop3, Imap, Nntp])),
        (
            "user",
            t.user.span(),
            Only(&[
                Http, Https, Proxy, Ftp, Pop3, Pop3s, Imap, Imaps, Ldap, Ldaps, Mysql, Pgsql, Radius, Sip,
            ]),
        ),
        (
            "password",
            t.password.span(),
            Only(&[Http, Https, Proxy, Ftp, Pop3, Pop3s, Imap, Imaps, Ldap, Ldaps, Mysql, Pgsql, Radius]),
        ),
        ("method", t.method.span(), HTTP),
        ("path", t.path.span(), Only(&[Http, Https, Proxy, File])),
        ("host", t.host.span(), HTTP),
        ("headers", t.headers.span(), HTTP),
        ("body", t.body.span(), HTTP),
        ("status", t.status.span(), HTTP),
        ("digest", t.digest.span(), HTTP),
        ("refuse", t.refuse.span(), HTTP),
        ("redirects", t.redirects.span(), Only(&[Http, Https])),
        ("helo", t.helo.span(), Only(&[Smtp, Smtps])),
        ("name", t.name.span(), Only(&[Dns])),
        ("record", t.record.span(), Only(&[Dns])),
        ("transport", t.transport.span(), Only(&[Dns, Sip])),
        ("command", t.command.span(), Only(&[Exec])),
        ("endpoints", t.endpoints.span(), Only(&[Exec])),
        ("weight", t.weight.span(), Only(&[Exec])),
        ("base", t.base.span(), Only(&[Ldap, Ldaps])),
        ("database", t.database.span(), Only(&[Mysql, Pgsql])),
        ("query", t.query.span(), Only(&[Mysql, Pgsql])),
    ];
    for (key, span, to) in keys {
        if let Some(span) = span {
            refuse_stranger(key, span, &to, kind, faults);
        }
    }
    if let Some(span) = t.secret.span() {
        refuse_stranger("secret", span, &To::Only(&[Radius]), kind, faults);
    }
}

fn refuse_stranger(key: &str, span: Span, to: &To, kind: CheckType, faults: &mut Faults<'_>) {
    const FEW: usize = 4;
    let what = match to {
        To::Only(kinds) if kinds.contains(&kind) => return,
        To::AllBut(kinds) if !kinds.contains(&kind) => return,
        To::Only(kinds) if kinds.len() <= FEW => {
            let words: Vec<_> = kinds.iter().map(|kind| format!("{:?}", kind.word())).collect();
            let words = match words.as_slice() {
                [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
                words => words.concat(),
            };
            format!("`{key}` belongs to a check of type = {words}")
        }
        _ => format!("`{key}` does not belong to a check of type = {:?}", kind.word()),
    };
    faults.add(span, what);
}

/// The port where the protocol is found (IANA), if it has one.
pub(super) const fn default_port(kind: &CheckKind) -> Option<u16> {
    use crate::config::model::MailTls::Immediate;
    Some(match kind {
        CheckKind::Http(http) if http.tls.is_some() => 443,
        CheckKind::Http(_) => 80,
        CheckKind::Smtp { tls: Immediate(_), .. } => 465,
        CheckKind::Smtp { .. } => 25,
        CheckKind::Dns { .. } => 53,
        CheckKind::Ftp(_) => 21,
        CheckKind::Pop3(_, Immediate(_)) => 995,
        CheckKind::Pop3(..) => 110,
        CheckKind::Imap(_, Immediate(_)) => 993,
        CheckKind::Imap(..) => 143,
        CheckKind::Nntp(Immediate(_)) => 563,
        CheckKind::Nntp(_) => 119,
        CheckKind::Ldap { tls: Some(_), .. } => 636,
        CheckKind::Ldap { .. } => 389,
        CheckKind::Mysql(_) => 3306,
        CheckKind::Pgsql(_) => 5432,
        CheckKind::Radius { .. } => 1812,
        CheckKind::Sip { .. } => 5060,
        _ => return Option::None,
    })
}

/// Whether a port is asked at all.
pub(super) const fn needs_port(kind: &CheckKind) -> bool {
    !matches!(
        kind,
        CheckKind::None | CheckKind::Ping | CheckKind::Arp | CheckKind::Exec { .. } | CheckKind::File { .. }
    )
}
