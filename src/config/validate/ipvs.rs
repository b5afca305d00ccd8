//! `[ipvs]`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::faults::Faults;
use super::super::field::Field;
use super::super::model::Ipvs;
use super::super::raw::{self, Sysctls};
use super::{Bounds, Unique};
use crate::ctl::closest;

/// Whole seconds in an `int` of the kernel's (include/uapi/linux/ip_vs.h, `IPVS_CMD_ATTR_TIMEOUT_*`); a month is plenty.
const TIMEOUT: Bounds =
    Bounds::new(Duration::from_secs(1), Duration::from_secs(31 * 86_400), Duration::from_secs(1));

/// What a setting may be.
#[derive(Clone, Copy)]
enum Kind {
    /// A whole number from … to ….
    Number(i64, i64),
    /// `sync_threshold`: two numbers, the first less than the second.
    Threshold,
    /// `est_cpulist`: CPUs such as `0-3,8`.
    Cpus,
}

const INT: i64 = 2_147_483_647;

/// Settings of `net.ipv4.vs` in Linux 6.12 (net/netfilter/ipvs/ip_vs_ctl.c, `vs_vars`; Documentation/networking/ipvs-sysctl.rst).
const SETTINGS: [(&str, Kind); 31] = [
    ("am_droprate", Kind::Number(1, INT)),
    ("amemthresh", Kind::Number(0, INT)),
    ("backup_only", Kind::Number(0, 1)),
    ("cache_bypass", Kind::Number(0, 1)),
    ("conn_reuse_mode", Kind::Number(0, 3)),
    ("conntrack", Kind::Number(0, 1)),
    ("drop_entry", Kind::Number(0, 3)),
    ("drop_packet", Kind::Number(0, 3)),
    ("est_cpulist", Kind::Cpus),
    ("est_nice", Kind::Number(-20, 19)),
    ("expire_nodest_conn", Kind::Number(0, 1)),
    ("expire_quiescent_template", Kind::Number(0, 1)),
    ("ignore_tunneled", Kind::Number(0, 1)),
    ("lblc_expiration", Kind::Number(1, INT / 1000)),
    ("lblcr_expiration", Kind::Number(1, INT / 1000)),
    ("nat_icmp_send", Kind::Number(0, 1)),
    ("pmtu_disc", Kind::Number(0, 1)),
    ("run_estimation", Kind::Number(0, 1)),
    ("schedule_icmp", Kind::Number(0, 1)),
    ("secure_tcp", Kind::Number(0, 3)),
    ("sloppy_sctp", Kind::Number(0, 1)),
    ("sloppy_tcp", Kind::Number(0, 1)),
    ("snat_reroute", Kind::Number(0, 1)),
    ("sync_persist_mode", Kind::Number(0, 1)),
    ("sync_ports", Kind::Number(1, 64)),
    ("sync_qlen_max", Kind::Number(1, INT)),
    ("sync_refresh_period", Kind::Number(0, 86_400)),
    ("sync_retries", Kind::Number(0, 3)),
    ("sync_sock_size", Kind::Number(0, INT)),
    ("sync_threshold", Kind::Threshold),
    ("sync_version", Kind::Number(0, 1)),
];

pub(super) fn ipvs(raw: &raw::Ipvs, faults: &mut Faults<'_>) -> Ipvs {
    let mut timeout = |key: &str, field: Option<&Field<Duration>>| {
        let field = field?;
        let given = *field.get()?;
        Some(TIMEOUT.take(key, field, given, faults))
    };
    let table = raw.timeout.get();
    Ipvs {
        tcp: timeout("tcp", table.map(|table| &table.tcp)),
        tcp_fin: timeout("tcp_fin", table.map(|table| &table.tcp_fin)),
        udp: timeout("udp", table.map(|table| &table.udp)),
        sysctls: raw.sysctl.get().map(|settings| sysctls(settings, faults)).unwrap_or_default(),
        table_bits: raw.table_bits.get().map(|bits| bits.to(u8::MAX)),
    }
}

fn sysctls(raw: &Sysctls, faults: &mut Faults<'_>) -> BTreeMap<String, String> {
    let mut seen = Unique::new();
    let mut settings = BTreeMap::new();
    for (given, value) in &raw.0 {
        let name = given.value.strip_prefix("net.ipv4.vs.").unwrap_or(&given.value);
        let Some((name, kind)) = SETTINGS.into_iter().find(|(known, _)| *known == name) else {
            let names = SETTINGS.map(|(name, _)| name);
            let near =
                closest(name, names).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
            let what = format!("net.ipv4.vs has no setting `{}`", name.escape_debug());
            faults.add_with_help(given.span, what, format!("{near}one of {}", names.join(", ")));
            continue;
        };
        if let Some(wants) = refused(kind, &value.value) {
            faults.add(value.span, format!("`{name}` {:?} is not {wants}", value.value));
        }
        seen.claim(name, given.span, format_args!("setting `{name}`"), faults);
        settings.insert(name.to_owned(), words(&value.value));
    }
    settings
}

/// As the kernel prints it: one space between two numbers.
fn words(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What would be accepted in place of `value`.
fn refused(kind: Kind, value: &str) -> Option<String> {
    let number = |text: &str| text.parse::<i64>().ok().filter(|_| !text.starts_with('+'));
    match kind {
        Kind::Number(least, most) => {
            let good = number(value).is_some_and(|number| (least..=most).contains(&number));
            (!good).then(|| format!("a whole number from {least} to {most}"))
        }
        Kind::Threshold => {
            let numbers: Option<Vec<i64>> = value.split_whitespace().map(number).collect();
            let good = matches!(numbers.as_deref(), Some([first, period])
                if *first >= 0 && *period <= INT && (*period == 0 || first < period));
            (!good).then(|| "two numbers such as \"3 50\", the first less than the second".to_owned())
        }
        Kind::Cpus => {
            let cpu = |text: &str| text.parse::<u16>().ok();
            let range = |text: &str| match text.split_once('-') {
                Some((first, last)) => cpu(first).zip(cpu(last)).is_some_and(|(first, last)| first <= last),
                None => cpu(text).is_some(),
            };
            (!value.split(',').all(range)).then(|| "a list of CPUs such as \"0-3,8\"".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_every_setting() {
        let manual = include_str!("../../../doc/config.md");
        let missing: Vec<_> = SETTINGS
            .iter()
            .filter(|(name, _)| !manual.contains(&format!("`{name}`")))
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn each_setting_has_its_range() {
        let refused = |name: &str, value: &str| {
            SETTINGS.into_iter().find(|(known, _)| *known == name).and_then(|(_, kind)| refused(kind, value))
        };
        for (name, good) in [
            ("conn_reuse_mode", "2"),
            ("est_nice", "-20"),
            ("sync_threshold", "3 50"),
            ("sync_threshold", "0 0"),
            ("est_cpulist", "0-3,8"),
            ("sync_ports", "64"),
        ] {
            assert_eq!(refused(name, good), None, "{name} = {good}");
        }
        for (name, bad) in [
            ("conn_reuse_mode", "4"),
            ("est_nice", "20"),
            ("sync_threshold", "50 3"),
            ("sync_threshold", "3"),
            ("est_cpulist", ""),
            ("sync_ports", "0"),
            ("drop_entry", "+1"),
            ("conntrack", "yes"),
        ] {
            assert!(refused(name, bad).is_some(), "{name} = {bad}");
        }
    }
}
