//! `[[notify]]`.

use std::time::Duration;

use hyper::Uri;

use super::super::faults::Faults;
use super::super::field::{At, Field, List};
use super::super::model::{Host, HostPort, Login, Mail, MailTls, Notify, NotifyWay, Tls, Webhook};
use super::super::raw::{self, NotifyType};
use super::super::report::Span;
use super::check::tls;
use super::{Bounds, Unique, all, host, items, list, name, secret_place};
use crate::ipc::message::AlarmKind;
use crate::notify::hook;
use crate::secret;

const MS: Duration = Duration::from_millis(1);
const TIMEOUT: Bounds = Bounds::new(Duration::from_secs(1), Duration::from_secs(300), MS);
const DIGEST: Bounds = Bounds::new(Duration::ZERO, Duration::from_secs(3600), MS);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_DIGEST: Duration = Duration::from_secs(10);

/// `hooks`: whether `[system]` allows programs.
pub(super) fn notify(raw: &Field<List<raw::Notify>>, hooks: bool, faults: &mut Faults<'_>) -> Vec<Notify> {
    let mut names = Unique::new();
    items(raw).iter().filter_map(|at| one(&at.value, hooks, &mut names, faults)).collect()
}

fn one(
    raw: &raw::Notify,
    hooks: bool,
    names: &mut Unique<String>,
    faults: &mut Faults<'_>,
) -> Option<Notify> {
    let name = name(&raw.name, raw.at, "name = \"operators\"", faults);
    if let (Some(name), Some(span)) = (&name, raw.name.span()) {
        names.claim(name.clone(), span, format_args!("receiver `{name}`"), faults);
    }
    let timeout = TIMEOUT.take("timeout", &raw.timeout, DEFAULT_TIMEOUT, faults);
    let events = events(raw, faults);
    let kind = *raw.kind.required(raw.at, "type", "type = \"mail\"", faults)?;
    strangers(raw, kind.value, faults);
    let way = match kind.value {
        NotifyType::Mail => NotifyWay::Mail(Box::new(mail(raw, faults)?)),
        NotifyType::Webhook => NotifyWay::Webhook(Box::new(webhook(raw, faults)?)),
        NotifyType::Exec => exec(raw, hooks, kind.span, faults)?,
        NotifyType::Syslog => {
            let example = "target = \"udp://192.168.61.9:514\"";
            let At { value, span } = raw.target.required(raw.at, "target", example, faults)?;
            host(&value.address.host, *span, "syslog server", faults);
            NotifyWay::Syslog(value.clone())
        }
    };
    Some(Notify { name: name?, events, timeout, way })
}

fn events(raw: &raw::Notify, faults: &mut Faults<'_>) -> Vec<AlarmKind> {
    let mut kinds = Vec::new();
    for At { value, span } in items(&raw.events) {
        match AlarmKind::ALL.into_iter().find(|(word, _)| word == value) {
            Some((_, kind)) => kinds.push(kind),
            None => {
                let known = list(AlarmKind::ALL.map(|(word, _)| word));
                faults.add_with_help(*span, format!("event {value:?} is unknown"), known);
            }
        }
    }
    if raw.events.is_given() && items(&raw.events).is_empty() && !raw.events.is_faulty() {
        faults.add(raw.events.span().unwrap_or(raw.at), "`events` is empty: it would be told nothing");
    }
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() { AlarmKind::ALL.map(|(_, kind)| kind).into() } else { kinds }
}

/// Keys that mean nothing to this type.
fn strangers(raw: &raw::Notify, kind: NotifyType, faults: &mut Faults<'_>) {
    let (mail, webhook) = (kind == NotifyType::Mail, kind == NotifyType::Webhook);
    for (key, span, fits) in [
        ("server", raw.server.span(), mail),
        ("from", raw.from.span(), mail),
        ("to", raw.to.span(), mail),
        ("starttls", raw.starttls.span(), mail),
        ("user", raw.user.span(), mail),
        ("password", raw.password.span(), mail),
        ("helo", raw.helo.span(), mail),
        ("digest", raw.digest.span(), mail),
        ("tls", raw.tls.span(), mail || webhook),
        ("url", raw.url.span(), webhook),
        ("address", raw.address.span(), webhook),
        ("secret", raw.secret.span(), webhook),
        ("command", raw.command.span(), kind == NotifyType::Exec),
        ("target", raw.target.span(), kind == NotifyType::Syslog),
    ] {
        if let (Some(span), false) = (span, fits) {
            faults.add(span, format!("`{key}` means nothing to type = {:?}", kind.word()));
        }
    }
}

fn mail(raw: &raw::Notify, faults: &mut Faults<'_>) -> Option<Mail> {
    let server = raw.server.required(raw.at, "server", "server = \"192.168.61.9:25\"", faults);
    let from = raw.from.required(raw.at, "from", "from = \"lb1@example.com\"", faults);
    raw.to.required(raw.at, "to", "to = [\"operators@example.com\"]", faults);
    if let Some(At { value, span }) = server {
        host(&value.host, *span, "mail server", faults);
    }
    for At { value, span } in from.into_iter().chain(all(&raw.to)) {
        mailbox(value, *span, faults);
    }
    if raw.to.set().is_some_and(|to| to.value.0.complete) && all(&raw.to).is_empty() {
        faults.add(raw.to.span().unwrap_or(raw.at), "`to` is empty: there is nobody to write to");
    }
    if let Some(At { value, span }) = raw.helo.set() {
        word("helo", value, *span, faults);
    }
    let mut tls = mail_tls(raw, faults);
    let login = login(raw, &tls, faults);
    let server = server?.value.clone();
    if let (MailTls::Immediate(tls) | MailTls::Upgrade(tls), Some(called)) = (&mut tls, server.host.name()) {
        tls.name.get_or_insert_with(|| called.to_owned());
    }
    Some(Mail {
        server,
        from: from?.value.clone(),
        to: all(&raw.to).iter().map(|at| at.value.clone()).collect(),
        tls,
        login,
        helo: raw.helo.get().cloned(),
        digest: DIGEST.take("digest", &raw.digest, DEFAULT_DIGEST, faults),
    })
}

fn mail_tls(raw: &raw::Notify, faults: &mut Faults<'_>) -> MailTls {
    let tls = tls_of(raw, faults);
    match (raw.starttls.get().copied().unwrap_or(false), tls) {
        (true, tls) => MailTls::Upgrade(tls.unwrap_or_default()),
        (false, Some(tls)) => MailTls::Immediate(tls),
        (false, None) => MailTls::Off,
    }
}

fn login(raw: &raw::Notify, tls: &MailTls, faults: &mut Faults<'_>) -> Option<Login> {
    match (raw.user.set(), raw.password.set()) {
        (Some(user), Some(password)) => {
            if *tls == MailTls::Off && !raw.tls.is_faulty() && !raw.starttls.is_faulty() {
                let help = "`starttls = true`, or `tls = true` for a server that begins with it";
                faults.add_with_help(password.span, "`password` would be sent in clear text", help);
            }
            if let Some(place) = secret::file(&password.value) {
                secret_place(place, password.span, faults);
            }
            Some(Login { user: user.value.clone(), password: password.value.clone() })
        }
        (Some(At { span, .. }), None) if !raw.password.is_faulty() => {
            faults.add(*span, "`user` needs its `password`");
            None
        }
        (None, Some(At { span, .. })) if !raw.user.is_faulty() => {
            faults.add(*span, "`password` needs its `user`");
            None
        }
        _ => None,
    }
}

fn tls_of(raw: &raw::Notify, faults: &mut Faults<'_>) -> Option<Tls> {
    match raw.tls.get()? {
        raw::Tls::Switch(on) => on.then(Tls::default),
        raw::Tls::Table(table) => Some(tls::settings(table, faults)),
    }
}

/// An address as it stands between `<` and `>` (RFC 5321 section 4.1.2), of the usual characters.
fn mailbox(text: &str, span: Span, faults: &mut Faults<'_>) {
    let plain = |c: char| c.is_ascii_graphic() && !"<>()[],;:\\\"".contains(c);
    let good = text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        && text.len() <= 254
        && text.chars().all(plain);
    if !good {
        faults.add_with_help(
            span,
            format!("{text:?} is no mail address"),
            "for example \"operators@example.com\"",
        );
    }
}

fn word(key: &str, text: &str, span: Span, faults: &mut Faults<'_>) {
    if text.is_empty() || text.len() > 255 || !text.chars().all(|c| c.is_ascii_graphic()) {
        faults.add(span, format!("`{key}` {text:?} is not one word of printable ASCII"));
    }
}

fn webhook(raw: &raw::Notify, faults: &mut Faults<'_>) -> Option<Webhook> {
    const FORM: &str = "for example url = \"https://192.168.61.9/hook\"";
    let At { value, span } =
        raw.url.required(raw.at, "url", "url = \"https://192.168.61.9/hook\"", faults)?;
    let uri: Option<Uri> = value.parse().ok();
    let parts =
        uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?, uri.path_and_query()?)));
    let Some((scheme @ ("http" | "https"), authority, path)) = parts else {
        faults.add_with_help(*span, format!("{value:?} is no address of a webhook"), FORM);
        return None;
    };
    if authority.as_str().contains('@') {
        faults.add(*span, "`url` has a user in it: that is not sent");
    }
    let port = authority.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    let bare = authority.host().trim_start_matches('[').trim_end_matches(']');
    let (found, at) = match (raw.address.set(), bare.parse()) {
        (Some(address), _) => (Some(Host::Address(address.value)), address.span),
        (None, Ok(found)) => (Some(found), *span),
        (None, Err(_)) => {
            if !raw.address.is_faulty() {
                faults.add(
                    *span,
                    format!("`url` has the host {bare:?}, which is neither an address nor a name"),
                );
            }
            (None, *span)
        }
    };
    if let Some(found) = &found {
        host(found, at, "webhook", faults);
    }
    if let Some(At { value, span }) = raw.secret.set()
        && let Some(place) = secret::file(value)
    {
        secret_place(place, *span, faults);
    }
    let given = tls_of(raw, faults);
    if scheme == "http"
        && let Some(span) = raw.tls.span()
    {
        faults.add(span, "`tls` needs `https://` in `url`");
    }
    let tls = (scheme == "https").then(|| given.unwrap_or_default());
    Some(Webhook {
        server: HostPort { host: found?, port },
        host: authority.as_str().to_owned(),
        path: path.as_str().to_owned(),
        tls,
        secret: raw.secret.get().cloned(),
    })
}

fn exec(raw: &raw::Notify, hooks: bool, kind: Span, faults: &mut Faults<'_>) -> Option<NotifyWay> {
    if !hooks {
        let help = "`hooks = true` in [system] allows programs of the operator's";
        faults.add_with_help(kind, "type = \"exec\" is not allowed on this box", help);
    }
    let At { value, span } =
        raw.command.required(raw.at, "command", "command = [\"hooks/notify\", \"--quick\"]", faults)?;
    match value.0.items.first() {
        Some(program) if !program.value.starts_with('/') && hook::name(&program.value).is_none() => {
            let text = format!("program {:?} is neither an absolute path nor hooks/NAME", program.value);
            faults.add(program.span, text);
        }
        None if value.0.complete => faults.add(*span, "`command` is empty"),
        _ => {}
    }
    for At { value, span } in all(&raw.command) {
        if value.contains('\0') {
            faults.add(*span, "a word of `command` has a NUL in it");
        }
    }
    Some(NotifyWay::Exec { command: all(&raw.command).iter().map(|at| at.value.clone()).collect() })
}
