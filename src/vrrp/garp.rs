//! When the VIPs are announced (RFC 9568 sections 6.4.2 and 6.4.3 ask for it once): at once and repeated, again after a delay, then refreshed now and then. Pure.
//!
//! A lost announcement would leave a switch or a router with the old owner for hours, hence the repetitions.

use std::time::{Duration, Instant};

use crate::config::model::{Garp, VirtualAddress};

/// Least time between two rounds that answer somebody else's claim: a router that does not hear us must not make us shout.
const ONCE_EVERY: Duration = Duration::from_secs(1);

/// The announcements of one instance.
#[derive(Debug, Clone)]
pub struct Pacer {
    garp: Garp,
    round: Round,
    second: Option<(Instant, Vec<VirtualAddress>)>,
    refresh: Option<Instant>,
    claimed: Option<Instant>,
}

/// A burst in progress: every VIP once, then every VIP again.
#[derive(Debug, Clone, Default)]
struct Round {
    vips: Vec<VirtualAddress>,
    next: usize,
    left: u8,
}

impl Pacer {
    /// Silent until told otherwise.
    #[must_use]
    pub fn new(garp: Garp) -> Self {
        Self { garp, round: Round::default(), second: None, refresh: None, claimed: None }
    }

    /// Other numbers for what comes; a burst in progress goes on.
    pub fn configure(&mut self, now: Instant, garp: Garp) {
        if self.garp.refresh != garp.refresh && self.refresh.is_some() {
            self.refresh = after(now, garp.refresh);
        }
        self.garp = garp;
    }

    /// Least time between two announcements on one interface.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.garp.interval
    }

    /// A new master, or new VIPs of an old one: announces `vips` now and after the delay.
    pub fn begin(&mut self, now: Instant, vips: Vec<VirtualAddress>) {
        self.second = after(now, self.garp.delay).map(|at| (at, vips.clone()));
        if self.refresh.is_none() {
            self.refresh = after(now, self.garp.refresh);
        }
        self.run(vips, self.garp.repeat);
    }

    /// One announcement each, because somebody else has just claimed the VIPs, or one was missing for a moment.
    pub fn once(&mut self, now: Instant, vips: Vec<VirtualAddress>) {
        let recent = self.claimed.is_some_and(|at| now.saturating_duration_since(at) < ONCE_EVERY);
        if !recent && self.round.left == 0 {
            self.claimed = Some(now);
            self.run(vips, 1);
        }
    }

    /// A master that was never away: the refreshes go on.
    pub fn resume(&mut self, now: Instant) {
        self.refresh = after(now, self.garp.refresh);
    }

    /// Not master any more: nothing more is announced.
    pub fn stop(&mut self) {
        *self = Self::new(self.garp);
    }

    /// The VIP to announce now, if any; [`Self::advance`] follows when it has been. `vips` are those of the instance.
    pub fn peek<'v>(
        &mut self,
        now: Instant,
        vips: impl IntoIterator<Item = &'v VirtualAddress>,
    ) -> Option<&VirtualAddress> {
        if self.round.left == 0 {
            if let Some((_, again)) = self.second.take_if(|(at, _)| *at <= now) {
                self.run(again, self.garp.repeat);
            } else if self.refresh.is_some_and(|at| at <= now) {
                self.refresh = after(now, self.garp.refresh);
                self.run(vips.into_iter().cloned().collect(), 1);
            }
        }
        self.next_vip()
    }

    /// The next VIP of a burst in progress.
    #[must_use]
    pub fn next_vip(&self) -> Option<&VirtualAddress> {
        self.round.vips.get(self.round.next).filter(|_| self.round.left > 0)
    }

    /// The VIP of [`Self::peek`] has been announced.
    pub fn advance(&mut self) {
        self.round.next += 1;
        if self.round.next >= self.round.vips.len() {
            self.round.next = 0;
            self.round.left = self.round.left.saturating_sub(1);
        }
    }

    /// When [`Self::peek`] has something: `now` during a burst.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.round.left > 0 {
            return Some(now);
        }
        let second = self.second.as_ref().map(|(at, _)| *at);
        second.into_iter().chain(self.refresh).min()
    }

    fn run(&mut self, vips: Vec<VirtualAddress>, repeat: u8) {
        let left = if vips.is_empty() { 0 } else { repeat };
        self.round = Round { vips, next: 0, left };
    }
}

fn after(now: Instant, time: Duration) -> Option<Instant> {
    (!time.is_zero()).then(|| now + time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Cidr;

    fn vips(n: u8) -> Vec<VirtualAddress> {
        (1..=n).map(|i| VirtualAddress::from(format!("10.0.0.{i}").parse::<Cidr>().unwrap())).collect()
    }

    /// Plays the pacer for a time; gives (milliseconds, last octet) of each announcement.
    fn play(
        pacer: &mut Pacer,
        start: Instant,
        until_ms: u64,
        vips: &[VirtualAddress],
    ) -> Vec<(u128, String)> {
        let mut log = Vec::new();
        let mut now = start;
        while let Some(at) = pacer.deadline(now).filter(|at| *at <= start + Duration::from_millis(until_ms)) {
            now = at.max(now);
            while let Some(vip) = pacer.peek(now, vips) {
                log.push(((now - start).as_millis(), vip.cidr.address.to_string()));
                pacer.advance();
            }
        }
        log
    }

    #[test]
    fn a_new_master_repeats_at_once_after_the_delay_and_refreshes() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Garp { repeat: 2, ..Garp::default() });
        pacer.begin(start, vips(2));
        let log = play(&mut pacer, start, 125_000, &vips(2));
        let expect = |ms: u128, count: usize| log.iter().filter(|(at, _)| *at == ms).count() == count;
        assert!(expect(0, 4) && expect(5_000, 4) && expect(60_000, 2) && expect(120_000, 2), "{log:?}");
        assert_eq!(log.len(), 12);
        assert_eq!(
            log[..4].iter().map(|(_, a)| a.as_str()).collect::<Vec<_>>(),
            ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2"]
        );
    }

    #[test]
    fn a_restarted_master_only_refreshes() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Garp::default());
        pacer.resume(start);
        assert_eq!(play(&mut pacer, start, 59_999, &vips(2)), []);
        assert_eq!(play(&mut pacer, start, 60_000, &vips(2)).len(), 2);
    }

    #[test]
    fn claims_of_others_are_answered_once_a_second() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Garp { refresh: Duration::ZERO, ..Garp::default() });
        let mut count = 0;
        for ms in (0..3000).step_by(10) {
            let now = start + Duration::from_millis(ms);
            pacer.once(now, vips(1));
            while pacer.peek(now, &vips(1)).is_some() {
                pacer.advance();
                count += 1;
            }
        }
        assert_eq!(count, 3);
    }

    #[test]
    fn who_is_not_master_is_silent() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Garp::default());
        pacer.begin(start, vips(3));
        pacer.stop();
        assert_eq!(pacer.deadline(start), None);
        assert_eq!(pacer.peek(start, &vips(3)), None);
    }

    #[test]
    fn no_vips_no_burst() {
        let start = Instant::now();
        let mut pacer =
            Pacer::new(Garp { refresh: Duration::ZERO, delay: Duration::ZERO, ..Garp::default() });
        pacer.begin(start, Vec::new());
        assert_eq!(pacer.deadline(start), None);
    }
}
