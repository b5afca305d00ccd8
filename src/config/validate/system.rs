//! `[system]`.

use super::super::faults::Faults;
use super::super::field::At;
use super::super::model::System;
use super::super::raw;
use super::{host, host_address, items};

/// Longest host name of the kernel (HOST_NAME_MAX, utsname(7)).
const LONGEST_NAME: usize = 64;

pub(super) fn system(raw: &raw::System, faults: &mut Faults<'_>) -> System {
    if let Some(At { value, span }) = raw.hostname.set()
        && !is_hostname(value)
    {
        faults.add_with_help(
            *span,
            format!("host name {value:?} cannot be used"),
            "letters, digits and `-`, in parts of 1 to 63 characters between dots, at most 64 in all",
        );
    }
    for At { value, span } in items(&raw.dns) {
        host_address(*value, *span, "name server", faults);
    }
    for At { value, span } in items(&raw.ntp) {
        host(value, *span, "time server", faults);
    }
    for At { value, span } in items(&raw.syslog) {
        host(&value.address.host, *span, "syslog server", faults);
    }
    System {
        hostname: raw.hostname.get().cloned(),
        dns: items(&raw.dns).iter().map(|at| at.value).collect(),
        ntp: items(&raw.ntp).iter().map(|at| at.value.clone()).collect(),
        hooks: raw.hooks.get().copied().unwrap_or(false),
        syslog: items(&raw.syslog).iter().map(|at| at.value.clone()).collect(),
        autoreload: raw.autoreload.get().copied().unwrap_or(false),
    }
}

/// RFC 1123 section 2.1.
fn is_hostname(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.len() <= LONGEST_NAME && name.split('.').all(label)
}
