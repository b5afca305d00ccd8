//! How many connections come each second: from two readings of the kernel's counters. Pure.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::console::snapshot::Snapshot;

/// Shortest time between two readings, milliseconds: the worker reads the kernel once a second at most.
const SPAN_MS: u64 = 2_000;

/// The last two readings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates {
    at_ms: Option<u64>,
    counters: BTreeMap<String, u64>,
    /// Connections each second, times ten.
    tenths: BTreeMap<String, u64>,
}

impl Rates {
    /// Takes what was just heard. The time is that since the start, which nobody sets.
    pub fn take(&mut self, snapshot: &Snapshot) {
        let (Some(init), Some(lvs)) = (&snapshot.init, &snapshot.lvs) else { return };
        let now_ms = init.uptime_ms;
        // A supervisor that was started again counts its time anew.
        let span = self.at_ms.map_or(u64::MAX, |at_ms| now_ms.checked_sub(at_ms).unwrap_or(u64::MAX));
        if span < SPAN_MS {
            return;
        }
        let mut counters = BTreeMap::new();
        for service in &lvs.services {
            counters.insert(service.name.clone(), service.connections);
            let servers = service.servers.iter();
            counters.extend(servers.map(|server| (key(&service.name, &server.address), server.connections)));
        }
        // A counter that was set to zero, or is new, has no rate yet.
        let rate = |(key, now): (&String, &u64)| {
            let more = now.checked_sub(*self.counters.get(key)?)?;
            Some((key.clone(), more.saturating_mul(10_000).checked_div(span)?))
        };
        self.tenths = counters.iter().filter_map(rate).collect();
        self.counters = counters;
        self.at_ms = Some(now_ms);
    }

    /// Of a service: `35`, or `0.4`; `-` before there are two readings.
    #[must_use]
    pub fn of(&self, service: &str) -> String {
        self.text(service)
    }

    /// Of a server of it.
    #[must_use]
    pub fn of_server(&self, service: &str, address: &impl Display) -> String {
        self.text(&key(service, address))
    }

    fn text(&self, key: &str) -> String {
        match self.tenths.get(key) {
            None => "-".to_owned(),
            Some(0) => "0".to_owned(),
            Some(tenths) if *tenths < 100 => format!("{}.{}", tenths / 10, tenths % 10),
            Some(tenths) => (tenths / 10).to_string(),
        }
    }
}

fn key(service: &str, address: &impl Display) -> String {
    format!("{service} {address}")
}
