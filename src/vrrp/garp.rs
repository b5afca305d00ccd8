//! When the VIPs are announced (RFC 9568 sections 6.4.2 and 6.4.3 ask for it once): at once and repeated, again after a delay, then refreshed now and then. Pure.
//!
//! A lost announcement would leave a switch or a router with the old owner for hours, hence the repetitions.

use std::time::{Duration, Instant};

use crate::config::model::{Garp, VirtualAddress};

/// Least time between two bursts that answer somebody else's claim: a router that does not hear us must not make us shout.
const ANSWER_EVERY: Duration = Duration::from_secs(1);

/// The announcements of one instance.
#[derive(Debug, Clone)]
pub struct Pacer {
    garp: Garp,
    round: Round,
    second: Option<(Instant, Vec<VirtualAddress>, u8)>,
    refresh: Option<Instant>,
    /// When the last claim of somebody else was answered, and when one that has come since will be.
    answered: Option<Instant>,
    answer: Option<Instant>,
}

/// A burst in progress: every VIP once, then every VIP again.
#[derive(Debug, Clone, Default)]
struct Round {
    vips: Vec<VirtualAddress>,
    next: usize,
    made: u8,
    left: u8,
}

impl Pacer {
    /// Silent until told otherwise.
    #[must_use]
    pub fn new(garp: Garp) -> Self {
        Self { garp, round: Round::default(), second: None, refresh: None, answered: None, answer: None }
    }

    /// Other numbers for what comes; a burst in progress goes on.
    pub fn configure(&mut self, now: Instant, garp: Garp) {
        if self.garp.refresh != garp.refresh && self.refresh.is_some() {
            self.refresh = after(now, garp.refresh);
        }
        self.garp = garp;
    }

    /// Least time between two announcements on one interface, if the file has one.
    #[must_use]
    pub const fn interval(&self) -> Option<Duration> {
        self.garp.interval
    }

    /// A new master, or new VIPs of an old one: announces `vips` now and after the delay.
    pub fn begin(&mut self, now: Instant, vips: Vec<VirtualAddress>) {
        let Garp { repeat, delay, refresh, .. } = self.garp;
        self.second = after(now, delay).map(|at| (at, vips.clone(), repeat));
        if self.refresh.is_none() {
            self.refresh = after(now, refresh);
        }
        self.run(vips, 0, repeat);
    }

    /// Somebody else has just claimed `vips`, or one was missing for a moment: announces them now and after the delay; or later, if
    /// the last time was a moment ago, for what comes last is what the segment believes.
    pub fn claimed(&mut self, now: Instant, vips: Vec<VirtualAddress>) {
        let soonest = self.answered.map(|at| at + ANSWER_EVERY).filter(|at| *at > now);
        if soonest.is_some() || self.round.left > 0 {
            let at = soonest.unwrap_or(now);
            self.answer.get_or_insert(at);
        } else {
            self.answer_claim(now, vips);
        }
    }

    fn answer_claim(&mut self, now: Instant, vips: Vec<VirtualAddress>) {
        let Garp { rival_repeat, rival_delay, .. } = self.garp;
        (self.answered, self.answer) = (Some(now), None);
        if let Some(at) = after(now, rival_delay) {
            self.second = Some((at, vips.clone(), rival_repeat));
        }
        self.run(vips, 0, rival_repeat);
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
            let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            let all = || vips.into_iter().cloned().collect::<Vec<_>>();
            if let Some((_, again, repeat)) = self.second.take_if(|(at, ..)| *at <= now) {
                self.run(again, repeat, repeat);
            } else if due(self.answer) {
                self.answer_claim(now, all());
            } else if due(self.refresh) {
                self.refresh = after(now, self.garp.refresh);
                self.run(all(), 0, 1);
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
            self.round.made = self.round.made.saturating_add(1);
            self.round.left = self.round.left.saturating_sub(1);
        }
    }

    /// How often every VIP of the burst in progress has been announced: who has less comes first.
    #[must_use]
    pub const fn rounds(&self) -> u8 {
        self.round.made
    }

    /// When [`Self::peek`] has something: `now` during a burst.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.round.left > 0 {
            return Some(now);
        }
        let second = self.second.as_ref().map(|(at, ..)| *at);
        second.into_iter().chain(self.answer).chain(self.refresh).min()
    }

    fn run(&mut self, vips: Vec<VirtualAddress>, made: u8, repeat: u8) {
        let left = if vips.is_empty() { 0 } else { repeat };
        self.round = Round { vips, next: 0, made, left };
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

    fn brief() -> Garp {
        Garp { refresh: Duration::ZERO, rival_repeat: 1, rival_delay: Duration::ZERO, ..Garp::default() }
    }

    #[test]
    fn the_last_claim_is_always_answered() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut pacer = Pacer::new(brief());
        let mut log = Vec::new();
        for ms in [0, 5, 700] {
            pacer.claimed(at(ms), vips(1));
            log.extend(play(&mut pacer, at(ms), 1, &vips(1)).len().ne(&0).then_some(ms));
        }
        assert_eq!(log, [0], "no more than once a second");
        assert_eq!(pacer.deadline(at(700)), Some(at(1000)));
        assert_eq!(play(&mut pacer, at(700), 5000, &vips(1)), [(300, "10.0.0.1".to_owned())], "and no less");
    }

    #[test]
    fn a_claim_is_answered_like_a_take_over() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Garp { refresh: Duration::ZERO, ..Garp::default() });
        pacer.claimed(start, vips(2));
        let log = play(&mut pacer, start, 10_000, &vips(2));
        assert_eq!(log.iter().map(|(ms, _)| *ms).collect::<Vec<_>>(), [[0; 10], [5000; 10]].concat());
    }

    #[test]
    fn a_claim_during_a_burst_is_answered_after_it() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Garp { delay: Duration::ZERO, repeat: 2, ..brief() });
        pacer.begin(start, vips(2));
        assert!(pacer.peek(start, &vips(2)).is_some());
        pacer.advance();
        pacer.claimed(start, vips(2));
        assert_eq!(play(&mut pacer, start, 5_000, &vips(2)).len(), 3 + 2);
    }

    #[test]
    fn claims_of_others_are_answered_once_a_second() {
        let start = Instant::now();
        let mut pacer = Pacer::new(brief());
        let mut count = 0;
        for ms in (0..3000).step_by(10) {
            let now = start + Duration::from_millis(ms);
            pacer.claimed(now, vips(1));
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
