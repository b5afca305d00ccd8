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
    /// Bursts that have yet to come: second ones, and the rest of one that newer VIPs have interrupted.
    later: Vec<(Instant, Round)>,
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

impl Round {
    fn new(vips: Vec<VirtualAddress>, made: u8, repeat: u8) -> Self {
        let left = if vips.is_empty() { 0 } else { repeat };
        Self { vips, next: 0, made, left }
    }

    /// Leaves out the VIPs that go.
    fn keep(&mut self, stays: impl Fn(&VirtualAddress) -> bool) {
        self.next = self.vips.iter().take(self.next).filter(|vip| stays(vip)).count();
        self.vips.retain(stays);
        if self.vips.is_empty() {
            self.left = 0;
        }
        self.turn();
    }

    fn advance(&mut self) {
        self.next += 1;
        self.turn();
    }

    /// Behind the last VIP comes the first, if any is to come again.
    fn turn(&mut self) {
        if self.next >= self.vips.len() {
            self.next = 0;
            self.made = self.made.saturating_add(1);
            self.left = self.left.saturating_sub(1);
        }
    }
}

impl Pacer {
    /// Silent until told otherwise.
    #[must_use]
    pub fn new(garp: Garp) -> Self {
        Self { garp, round: Round::default(), later: Vec::new(), refresh: None, answered: None, answer: None }
    }

    /// Other numbers for what comes. Bursts go on, with the VIPs that stay: another box may have the rest by now.
    pub fn configure(&mut self, now: Instant, garp: Garp, stays: impl Fn(&VirtualAddress) -> bool) {
        self.round.keep(&stays);
        self.later.iter_mut().for_each(|(_, round)| round.keep(&stays));
        self.later.retain(|(_, round)| round.left > 0);
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

    /// A new master, or new VIPs of an old one: announces `vips` now and after the delay. What was to be announced still waits until
    /// they have been.
    pub fn begin(&mut self, now: Instant, vips: Vec<VirtualAddress>) {
        let Garp { repeat, delay, refresh, .. } = self.garp;
        let interrupted = std::mem::replace(&mut self.round, Round::new(vips.clone(), 0, repeat));
        if interrupted.left > 0 {
            self.later.push((now, interrupted));
        }
        self.later.extend(after(now, delay).map(|at| (at, Round::new(vips, repeat, repeat))));
        if self.refresh.is_none() {
            self.refresh = after(now, refresh);
        }
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
            // All are announced once more then; what is due already is not put off.
            self.later.retain(|(due, _)| *due <= now);
            self.later.push((at, Round::new(vips.clone(), rival_repeat, rival_repeat)));
        }
        self.round = Round::new(vips, 0, rival_repeat);
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
            if let Some(round) = self.due(now) {
                self.round = round;
            } else if due(self.answer) {
                self.answer_claim(now, all());
            } else if due(self.refresh) {
                self.refresh = after(now, self.garp.refresh);
                self.round = Round::new(all(), 0, 1);
            }
        }
        self.next_vip()
    }

    fn due(&mut self, now: Instant) -> Option<Round> {
        let due = self.later.iter().enumerate().filter(|(_, (at, _))| *at <= now);
        let (first, _) = due.min_by_key(|(_, (at, _))| *at)?;
        Some(self.later.remove(first).1)
    }

    /// The next VIP of a burst in progress.
    #[must_use]
    pub fn next_vip(&self) -> Option<&VirtualAddress> {
        self.round.vips.get(self.round.next).filter(|_| self.round.left > 0)
    }

    /// The VIP of [`Self::peek`] has been announced.
    pub fn advance(&mut self) {
        self.round.advance();
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
        let later = self.later.iter().map(|(at, _)| *at);
        later.chain(self.answer).chain(self.refresh).min()
    }
}

fn after(now: Instant, time: Duration) -> Option<Instant> {
    (!time.is_zero()).then(|| now + time)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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

    /// How often each VIP is announced, at which second.
    fn tally(log: &[(u128, String)]) -> BTreeMap<(u128, &str), usize> {
        let mut tally = BTreeMap::new();
        for (ms, vip) in log {
            *tally.entry((ms / 1000, vip.as_str())).or_default() += 1;
        }
        tally
    }

    #[test]
    fn a_vip_that_has_gone_is_announced_no_more() {
        let start = Instant::now();
        let garp = Garp { refresh: Duration::ZERO, ..Garp::default() };
        let mut pacer = Pacer::new(garp);
        pacer.begin(start, vips(3));
        for _ in 0..5 {
            assert!(pacer.peek(start, &vips(3)).is_some());
            pacer.advance();
        }
        // The second one goes, in the second round, after it was announced twice.
        let stays: Vec<_> = vips(3).into_iter().filter(|vip| *vip != vips(3)[1]).collect();
        pacer.configure(start, garp, |vip| stays.contains(vip));
        let log = play(&mut pacer, start, 10_000, &stays);
        assert_eq!(
            log.iter().map(|(_, vip)| vip.as_str()).take(2).collect::<Vec<_>>(),
            ["10.0.0.3", "10.0.0.1"]
        );
        let expected =
            [((0, "10.0.0.1"), 3), ((0, "10.0.0.3"), 4), ((5, "10.0.0.1"), 5), ((5, "10.0.0.3"), 5)];
        assert_eq!(tally(&log), expected.into());
        pacer.begin(start, vips(3));
        pacer.configure(start, garp, |_| false);
        assert_eq!(pacer.deadline(start), None, "all have gone");
    }

    #[test]
    fn the_last_one_of_a_round_that_goes_ends_the_round() {
        let start = Instant::now();
        let garp = Garp { repeat: 2, delay: Duration::ZERO, refresh: Duration::ZERO, ..Garp::default() };
        let mut pacer = Pacer::new(garp);
        pacer.begin(start, vips(2));
        pacer.advance();
        pacer.configure(start, garp, |vip| *vip == vips(1)[0]);
        assert_eq!(play(&mut pacer, start, 0, &vips(1)).len(), 1, "twice in all");
    }

    #[test]
    fn new_vips_come_first_and_cost_the_old_ones_nothing() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Garp { refresh: Duration::ZERO, ..Garp::default() });
        pacer.begin(start, vips(1));
        pacer.advance();
        pacer.begin(start, vips(2).split_off(1));
        let mut log = play(&mut pacer, start, 2_000, &vips(2));
        let order: Vec<&str> = log.iter().map(|(_, vip)| vip.as_str()).collect();
        assert_eq!(order, [["10.0.0.2"; 5].as_slice(), &["10.0.0.1"; 4]].concat());
        pacer.begin(start + Duration::from_secs(2), vips(3).split_off(2));
        log.extend(play(&mut pacer, start, 10_000, &vips(3)));
        let seconds = [
            ((0, "10.0.0.1"), 4),
            ((0, "10.0.0.2"), 5),
            // Played from the start, which is when it is due.
            ((0, "10.0.0.3"), 5),
            ((5, "10.0.0.1"), 5),
            ((5, "10.0.0.2"), 5),
            ((7, "10.0.0.3"), 5),
        ];
        assert_eq!(tally(&log), seconds.into());
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
