//! `tls` and `starttls` of a check.

use std::time::Duration;

use super::super::super::faults::Faults;
use super::super::super::field::At;
use super::super::super::model::{MailTls, Tls};
use super::super::super::raw::{self, CheckTable, TlsTable};
use super::super::Bounds;
use crate::check::tls::{Fault, validate};

const EXPIRY: Bounds =
    Bounds::new(Duration::ZERO, Duration::from_secs(10 * 365 * 86_400), Duration::from_secs(1));

/// TLS of a type that has it in any case.
pub(super) fn always(table: &CheckTable, faults: &mut Faults<'_>) -> Tls {
    match table.tls.set() {
        Some(At { value: raw::Tls::Table(tls), .. }) => settings(tls, faults),
        Some(At { value: raw::Tls::Switch(false), span }) => {
            let kind = table.kind.get().map_or("", |kind| kind.word());
            faults.add(*span, format!("a check of type = {kind:?} is always by TLS"));
            Tls::default()
        }
        _ => Tls::default(),
    }
}

/// TLS of a type that may have it.
pub(super) fn wanted(table: &CheckTable, faults: &mut Faults<'_>) -> Option<Tls> {
    match table.tls.get()? {
        raw::Tls::Switch(on) => on.then(Tls::default),
        raw::Tls::Table(tls) => Some(settings(tls, faults)),
    }
}

/// TLS of a protocol that begins with it, or upgrades to it.
pub(super) fn mail(table: &CheckTable, immediate: bool, faults: &mut Faults<'_>) -> MailTls {
    if immediate {
        return MailTls::Immediate(always(table, faults));
    }
    if table.starttls.get().copied().unwrap_or(false) {
        return MailTls::Upgrade(wanted(table, faults).unwrap_or_default());
    }
    if let Some(At { value, span }) = table.tls.set()
        && *value != raw::Tls::Switch(false)
        && !table.starttls.is_faulty()
    {
        let kind = table.kind.get().map_or("", |kind| kind.word());
        let help = format!("starttls = true upgrades, type = \"{kind}s\" begins with it");
        faults.add_with_help(*span, "`tls` does not say where it begins", help);
    }
    MailTls::Off
}

/// The settings of a table.
pub(in crate::config::validate) fn settings(table: &TlsTable, faults: &mut Faults<'_>) -> Tls {
    let verify = table.verify.get().copied();
    if let (Some(true), Some(span)) = (verify, table.verify.span())
        && !table.ca.is_given()
    {
        faults.add_with_help(
            span,
            "`verify` needs `ca`",
            "the certificates that may sign the server's, as PEM",
        );
    }
    let identity = match (table.certificate.set(), table.key.set()) {
        (Some(certificate), Some(key)) => Some((certificate.value.clone(), key.value.clone())),
        (Some(At { span, .. }), None) if !table.key.is_faulty() => {
            faults.add(*span, "`certificate` needs its `key`");
            None
        }
        (None, Some(At { span, .. })) if !table.certificate.is_faulty() => {
            faults.add(*span, "`key` needs its `certificate`");
            None
        }
        _ => None,
    };
    let tls = Tls {
        name: table.name.get().cloned(),
        ca: table.ca.get().cloned(),
        identity,
        expiry: EXPIRY.take("expiry", &table.expiry, Duration::ZERO, faults),
    };
    if let Err(fault) = validate(&tls) {
        let span = match fault {
            Fault::Authorities(_) => table.ca.span(),
            Fault::Identity(_) => table.certificate.span(),
            Fault::Name(_) => table.name.span(),
        };
        faults.add(span.unwrap_or(table.at), fault.to_string());
    }
    Tls { ca: tls.ca.filter(|_| verify != Some(false)), ..tls }
}
