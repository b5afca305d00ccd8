//! From the keys of a check to what it asks.

use std::net::IpAddr;

use super::super::super::faults::Faults;
use super::super::super::field::{At, Field};
use super::super::super::model::{CheckKind, Database, Dialogue, Login};
use super::super::super::raw::{CheckTable, CheckType, Transport};
use super::super::all;
use super::{Shared, request, tls};
use crate::check::dns::Question;
use crate::pattern::Pattern;

/// What a check of this type asks; `None` = nothing, or what was refused.
pub(super) fn kind(
    kind: CheckType,
    table: &CheckTable,
    shared: &mut Shared<'_>,
    faults: &mut Faults<'_>,
) -> Option<CheckKind> {
    Some(match kind {
        CheckType::None => return None,
        CheckType::Tcp => CheckKind::Tcp(dialogue(table, shared, faults)),
        CheckType::Tls => CheckKind::Tls(dialogue(table, shared, faults), tls::always(table, faults)),
        CheckType::Http | CheckType::Https => {
            CheckKind::Http(Box::new(request::http(table, kind, shared, faults)))
        }
        CheckType::Proxy => CheckKind::Proxy(Box::new(request::http(table, kind, shared, faults))),
        CheckType::Smtp | CheckType::Smtps => {
            let helo = match table.helo.set() {
                Some(At { value, span }) => {
                    if value.is_empty() || !visible(value) {
                        faults.add_with_help(
                            *span,
                            "`helo` is not a name",
                            "for example \"lb1.example.com\"",
                        );
                    }
                    value.clone()
                }
                None => shared.hostname.to_owned(),
            };
            CheckKind::Smtp { helo, tls: tls::mail(table, kind == CheckType::Smtps, faults) }
        }
        CheckType::Dns => dns(table, faults),
        CheckType::Udp => {
            let Dialogue { send, expect } = dialogue(table, shared, faults);
            CheckKind::Udp { send, reply: expect }
        }
        CheckType::Ping => CheckKind::Ping,
        CheckType::Arp => CheckKind::Arp,
        CheckType::Sctp => CheckKind::Sctp,
        CheckType::Exec => return exec(table, faults),
        CheckType::File => return file(table, faults),
        CheckType::Agent => {
            table.port.required(table.at, "port", "port = 3333, where the agent listens", faults);
            CheckKind::Agent { send: bytes(table, faults) }
        }
        CheckType::Ftp => CheckKind::Ftp(login(table, false, faults)),
        CheckType::Pop3 | CheckType::Pop3s => {
            let tls = tls::mail(table, kind == CheckType::Pop3s, faults);
            CheckKind::Pop3(login(table, true, faults), tls)
        }
        CheckType::Imap | CheckType::Imaps => {
            let tls = tls::mail(table, kind == CheckType::Imaps, faults);
            CheckKind::Imap(login(table, true, faults), tls)
        }
        CheckType::Nntp | CheckType::Nntps => {
            CheckKind::Nntp(tls::mail(table, kind == CheckType::Nntps, faults))
        }
        CheckType::Ldap | CheckType::Ldaps => CheckKind::Ldap {
            login: login(table, true, faults),
            base: table.base.get().cloned(),
            tls: (kind == CheckType::Ldaps).then(|| tls::always(table, faults)),
        },
        CheckType::Mysql => CheckKind::Mysql(database(table, faults)),
        CheckType::Pgsql => CheckKind::Pgsql(database(table, faults)),
        CheckType::Radius => radius(table, faults)?,
        CheckType::Sip => sip(table, faults),
    })
}

fn radius(table: &CheckTable, faults: &mut Faults<'_>) -> Option<CheckKind> {
    let example = "secret = \"…\", the one that the server knows for this box";
    let secret = table.secret.required(table.at, "secret", example, faults);
    let login = login(table, true, faults);
    let At { value: secret, span } = secret?;
    if secret.is_empty() {
        faults.add(*span, "`secret` is empty");
    }
    for (key, text, most) in [("user", table.user.set(), 253), ("password", table.password.set(), 128)] {
        if let Some(At { value, span }) = text
            && value.len() > most
        {
            faults.add(*span, format!("`{key}` of RADIUS is at most {most} bytes long"));
        }
    }
    Some(CheckKind::Radius { login, secret: secret.clone() })
}

/// ASCII without blanks and control characters.
pub(super) fn visible(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

/// Text that stands on one line of a protocol.
fn one_line(key: &str, field: &Field<String>, faults: &mut Faults<'_>) {
    if let Some(At { value, span }) = field.set()
        && value.contains(['\r', '\n', '\0'])
    {
        faults.add(*span, format!("`{key}` has a character that ends the line"));
    }
}

fn bytes(table: &CheckTable, faults: &mut Faults<'_>) -> Vec<u8> {
    if let (Some(_), Some(span)) = (table.send.span(), table.send_hex.span()) {
        faults.add(span, "a check sends either `send` or `send_hex`");
    }
    match (table.send.get(), table.send_hex.get()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(hex)) => hex.0.clone(),
        (None, None) => Vec::new(),
    }
}

fn dialogue(table: &CheckTable, shared: &mut Shared<'_>, faults: &mut Faults<'_>) -> Dialogue {
    Dialogue { send: bytes(table, faults), expect: expect(table, shared, faults) }
}

/// The one expression that must be found.
pub(super) fn expect(
    table: &CheckTable,
    shared: &mut Shared<'_>,
    faults: &mut Faults<'_>,
) -> Option<Pattern> {
    let At { value, span } = table.expect.set()?;
    let [one] = value.0.items.as_slice() else {
        if value.0.complete {
            let help = "(?s)a.*b finds one after the other, a|b finds either";
            faults.add_with_help(
                *span,
                "`expect` is one regular expression; a list is for type = \"dns\"",
                help,
            );
        }
        return None;
    };
    shared.pattern(&one.value).map_err(|refused| faults.add(one.span, format!("`expect` {refused}"))).ok()
}

/// User and password, where a user is given.
pub(super) fn login(table: &CheckTable, password_needed: bool, faults: &mut Faults<'_>) -> Option<Login> {
    one_line("user", &table.user, faults);
    one_line("password", &table.password, faults);
    if table.password.is_given() {
        table.user.required(table.at, "user", "user = \"director\", whose `password` it is", faults);
    }
    let At { value: user, span } = table.user.set()?;
    if user.is_empty() {
        faults.add(*span, "`user` is empty");
    }
    if password_needed {
        table.password.required(table.at, "password", "password = \"…\"", faults);
    }
    let password = table.password.get().cloned().unwrap_or_default();
    Some(Login { user: user.clone(), password })
}

fn dns(table: &CheckTable, faults: &mut Faults<'_>) -> CheckKind {
    let name = table.name.get().map_or(".", String::as_str);
    let absolute = if name.ends_with('.') { name.to_owned() } else { format!("{name}.") };
    // A name is asked for its address, and what has no name for what every server can tell of the root.
    let default = if table.name.is_given() { "A" } else { "SOA" };
    let record = table.record.get().map_or(default, String::as_str).to_ascii_uppercase();
    if let Some(span) = table.name.span()
        && Question::new(&absolute, "A", &[], 0).is_err()
    {
        let help = "for example \"www.example.com\"";
        faults.add_with_help(span, format!("`name` {name:?} is not a domain name"), help);
    }
    if let Some(span) = table.record.span()
        && Question::new(".", &record, &[], 0).is_err()
    {
        let help = "for example \"A\", \"AAAA\", \"MX\" or \"TYPE65\"";
        faults.add_with_help(span, format!("`record` {record:?} is not a type of record"), help);
    }
    for At { value, span } in all(&table.expect) {
        let address = value.parse::<IpAddr>();
        let wrong = match record.as_str() {
            "A" => !address.is_ok_and(|address| address.is_ipv4()),
            "AAAA" => !address.is_ok_and(|address| address.is_ipv6()),
            _ => value.trim().is_empty(),
        };
        if wrong {
            faults.add(*span, format!("`expect` {value:?} is never the data of a record of type {record}"));
        }
    }
    CheckKind::Dns {
        name: absolute,
        record,
        expect: all(&table.expect).iter().map(|at| at.value.clone()).collect(),
        tcp: table.transport.get() == Some(&Transport::Tcp),
    }
}

fn exec(table: &CheckTable, faults: &mut Faults<'_>) -> Option<CheckKind> {
    let example = "command = \"/bin/check-it --quick\"";
    let given = table.command.required(table.at, "command", example, faults)?;
    let items = &given.value.0.items;
    // A single string is a line of words, a list has one word in each element.
    let line = items.first().filter(|at| at.span == given.span).map(|at| at.value.split_whitespace());
    let words: Vec<String> = match line {
        Some(words) => words.map(str::to_owned).collect(),
        None => items.iter().map(|at| at.value.clone()).collect(),
    };
    let mut words = words.into_iter();
    let command = words.next().unwrap_or_default();
    if given.value.0.complete && (!command.starts_with('/') || command.contains('\0')) {
        let help = "the program by its absolute path, then its arguments";
        faults.add_with_help(given.span, format!("`command` {command:?} is not the path of a program"), help);
    }
    let weight = table.weight.get().copied().unwrap_or(false);
    let endpoints = table.endpoints.get().copied().unwrap_or(true);
    Some(CheckKind::Exec { command, args: words.collect(), endpoints, weight })
}

fn file(table: &CheckTable, faults: &mut Faults<'_>) -> Option<CheckKind> {
    let given = table.path.required(table.at, "path", "path = \"/run/state\"", faults)?;
    let path = given.value.0.items.first().map(|at| at.value.clone()).unwrap_or_default();
    if given.value.0.complete
        && (given.value.0.items.len() != 1 || !path.starts_with('/') || path.contains('\0'))
    {
        faults.add_with_help(given.span, "`path` is not the path of a file", "for example \"/run/state\"");
    }
    Some(CheckKind::File { path })
}

fn database(table: &CheckTable, faults: &mut Faults<'_>) -> Database {
    let login = login(table, false, faults);
    let given = [("database", &table.database), ("query", &table.query)];
    for (key, field) in given {
        if let Some(At { value, span }) = field.set() {
            if value.is_empty() || value.contains('\0') {
                faults.add(*span, format!("`{key}` cannot be sent"));
            }
            if !table.user.is_given() {
                faults.add_with_help(
                    *span,
                    format!("`{key}` needs a log-in"),
                    "give it `user` and `password`",
                );
            }
        }
    }
    Database {
        login,
        database: table.database.get().cloned(),
        query: table.query.get().cloned(),
        tls: tls::wanted(table, faults),
    }
}

fn sip(table: &CheckTable, faults: &mut Faults<'_>) -> CheckKind {
    const DEFAULT: &str = "director";
    if let Some(At { value, span }) = table.user.set() {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/%".contains(&b);
        if value.is_empty() || !value.bytes().all(plain) {
            faults.add(*span, format!("`user` {value:?} cannot be the user of a SIP URI"));
        }
    }
    CheckKind::Sip {
        user: table.user.get().map_or(DEFAULT, String::as_str).to_owned(),
        tcp: table.transport.get() == Some(&Transport::Tcp),
    }
}
