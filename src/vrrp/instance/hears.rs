//! What comes in: accepted or rejected, and what is odd about it.

use std::net::IpAddr;
use std::time::Instant;

use crate::config::model::VrrpChecksum;
use crate::ipc::message::RouterState;
use crate::units::IfName;
use crate::vrrp::accept::accept;
use crate::vrrp::effect::Effect;
use crate::vrrp::event::{Event, Peer};
use crate::vrrp::packet::{self, Addresses, Envelope, Packet, Reject};
use crate::vrrp::status::word;

use super::{Instance, OVERLAP};

impl Instance {
    /// A message for this virtual router's interface and number.
    pub fn receive(
        &mut self,
        now: Instant,
        interface: &IfName,
        envelope: Envelope,
        payload: &[u8],
        out: &mut Vec<Effect>,
    ) {
        if !self.config.heartbeat.is_empty() && self.came_before(now, interface, envelope.source, payload) {
            return;
        }
        let accepted = packet::decode(envelope, payload).and_then(|decoded| {
            accept(&self.config, self.router.params(), &envelope, &decoded)?;
            self.seal.verify(now, &self.config, &envelope, &decoded, payload).map(|()| decoded)
        });
        match accepted {
            Ok(decoded) => {
                let advert = &decoded.advert;
                self.met = Some(now);
                self.count("advert_rcvd");
                if advert.priority == 0 {
                    self.count("pri_zero_rcvd");
                } else if self.state() == RouterState::Master {
                    self.second_master(now, envelope.source, advert.priority);
                } else if let Some(until) = &mut self.lingers {
                    *until = (*until).min(now + OVERLAP);
                }
                self.compare_list(envelope.source, &advert.addresses);
                self.learn(envelope.source, decoded.checksum, out);
                let peer = Peer { address: envelope.source, priority: advert.priority };
                self.step(now, Event::Advert { peer, interval: advert.interval }, out);
            }
            Err(reject) => {
                if matches!(reject, Reject::Stale { .. }) {
                    self.stale(now, envelope.source);
                }
                self.reject(now, envelope.source, reject);
            }
        }
    }

    /// A master lives, and one of the two clocks is wrong: a box that has just started waits once, for a bounded time, for its own to
    /// be set, before it becomes a second master.
    fn stale(&mut self, now: Instant, source: IpAddr) {
        let fresh = self.state() == RouterState::Backup && self.router.heard().is_none();
        if fresh && self.doubt.is_none() && !self.config.start_wait.is_zero() {
            self.doubt = Some(now + self.config.start_wait);
            log::warn!(
                "waits for the clock: name={} from={source} seconds={} reason=it signs rightly, at another time than ours",
                self.config.name,
                self.config.start_wait.as_secs_f32()
            );
        }
    }

    /// Whether this is what another interface has just brought.
    pub(super) fn came_before(
        &mut self,
        now: Instant,
        interface: &IfName,
        source: IpAddr,
        payload: &[u8],
    ) -> bool {
        let recent = self.router.interval() / 2;
        let same = |(at, from, whose, said): &(Instant, IfName, IpAddr, Packet)| {
            from != interface
                && *whose == source
                && now.saturating_duration_since(*at) < recent
                && said.as_slice() == payload
        };
        if self.last.iter().any(same) {
            return true;
        }
        let said = payload.iter().copied().take(packet::MAX_LENGTH).collect();
        if self.last.is_full() {
            self.last.pop_front();
        }
        // There is room: one has just left.
        let _ = self.last.push_back((now, interface.clone(), source, said));
        false
    }

    /// Counts a message that another part of the worker rejected on this instance's behalf.
    pub fn reject(&mut self, now: Instant, source: IpAddr, reject: Reject) {
        self.count(reject.name());
        if self.quiet.may_say(now, reject.name()) {
            let kind = reject.name();
            log::warn!(
                "advertisement rejected: name={} from={source} kind={kind} reason={reject}",
                self.config.name
            );
        }
    }

    /// Two masters: ordinary once at a take-over, where the loser says a last word; a fault of the network when it goes on.
    pub(super) fn second_master(&mut self, now: Instant, source: IpAddr, priority: u8) {
        self.count("second_master_rcvd");
        self.rivals = self.rivals.saturating_add(1);
        if self.rivals > 1 && self.quiet.may_say(now, "second_master_rcvd") {
            let own = self.router.params().priority;
            log::warn!(
                "second master: name={} from={source} priority={priority} ours={own}",
                self.config.name
            );
        }
    }

    /// Notes how the others sum, and does the same unless the file says otherwise.
    pub(super) fn learn(&mut self, source: IpAddr, theirs: Option<VrrpChecksum>, out: &mut Vec<Effect>) {
        let before = self.theirs;
        self.theirs = theirs.or(before);
        if self.theirs != before {
            out.push(Effect::Remember);
        }
        let ours = self.config.checksum.or(before).unwrap_or_default();
        if let Some(theirs) = self.theirs.filter(|theirs| *theirs != ours)
            && self.config.checksum.is_none()
        {
            log::info!(
                "checksum as the peer's: name={} from={source} checksum={}",
                self.config.name,
                word(theirs)
            );
        }
    }

    /// Another list of addresses is said once, and never a reason to drop: two masters would be the result of every
    /// change of the list (RFC 9568 section 7.1: MAY verify).
    pub(super) fn compare_list(&mut self, source: IpAddr, theirs: &Addresses) {
        let ours = self.advertised();
        let same = ours.len() == theirs.len() && ours.iter().all(|address| theirs.contains(address));
        if !same {
            self.count("addr_list_err");
            if !self.odd_list {
                log::warn!(
                    "addresses differ: name={} from={source} theirs={theirs:?} ours={ours:?}",
                    self.config.name
                );
            }
        }
        self.odd_list = !same;
    }
}
