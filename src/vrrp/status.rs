//! The state of a virtual router for people and programs.

use std::time::Instant;

use crate::config::model::{VrrpChecksum, VrrpVersion};
use crate::ipc::message::{Event, RouterState, RouterStatus};

use super::facts::Facts;
use super::instance::Instance;
use super::track::trackers;

impl Instance {
    /// The present state as an event.
    #[must_use]
    pub fn event(&self) -> Event {
        Event::Router { name: self.config.name.clone(), state: self.state(), reason: self.reason.clone() }
    }

    /// The present state for people; what it waits for is the engine's to say.
    #[must_use]
    pub fn status(&self, now: Instant, facts: &Facts) -> RouterStatus {
        let master = self.state() == RouterState::Master;
        let heard = self.router.heard().filter(|peer| peer.priority != 0);
        let own = *self.router.params();
        let (address, priority) = if master {
            (Some(own.source), Some(own.priority))
        } else {
            (heard.map(|peer| peer.address), heard.map(|peer| peer.priority))
        };
        RouterStatus {
            name: self.config.name.clone(),
            interface: self.config.interface.clone(),
            vrid: self.config.vrid.get(),
            version: match self.config.version {
                VrrpVersion::V2 => 2,
                VrrpVersion::V3 => 3,
            },
            state: self.state(),
            reason: self.reason.clone(),
            since_ms: u64::try_from(now.saturating_duration_since(self.since).as_millis())
                .unwrap_or(u64::MAX),
            base_priority: self.config.priority.get(),
            priority: own.priority,
            master: address,
            master_priority: priority,
            interval_us: u64::try_from(self.router.interval().as_micros()).unwrap_or(u64::MAX),
            addresses: self.config.vips().map(|vip| vip.cidr).collect(),
            trackers: trackers(&self.config, facts),
            waits: None,
            order: order(&self.config.name, facts).map(str::to_owned),
            late_us: u64::try_from(self.late.as_micros()).unwrap_or(u64::MAX),
            peer_checksum: self.theirs.map(|form| word(form).to_owned()),
            counters: self.counters.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
        }
    }
}

fn order(name: &str, facts: &Facts) -> Option<&'static str> {
    if facts.held.contains(name) { Some("held") } else { facts.yielding.contains(name).then_some("yields") }
}

/// The word of the file for a checksum.
#[must_use]
pub const fn word(checksum: VrrpChecksum) -> &'static str {
    match checksum {
        VrrpChecksum::Rfc9568 => "rfc9568",
        VrrpChecksum::PseudoHeader => "pseudo-header",
    }
}
