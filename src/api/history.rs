//! The last day in a ring: what the sparklines of the status page show. Pure.
//!
//! A fresh box is looked at closely: its ring holds 45 minutes. Each time that it is full, two neighbours become one and the next ones
//! come half as often, until it holds a day.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::collect::Everything;

/// Time between two samples at first; 32 times that is [`PERIOD`].
pub const FIRST_PERIOD: Duration = Duration::from_millis(9_375);
/// Time between two samples in the end.
pub const PERIOD: Duration = Duration::from_secs(300);
/// Samples kept: a day of [`PERIOD`].
pub const SAMPLES: usize = 288;
/// Services that have a line of their own; 1000 of them take 1.2 MB.
const MOST_SERVICES: usize = 1000;

/// Values of equal distance in time, the newest last; `None` where nothing is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series(VecDeque<Option<f32>>);

impl Series {
    /// Adds the newest; the oldest makes room.
    pub fn push(&mut self, value: Option<f32>) {
        if self.0.len() == SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    /// Two neighbours become their mean, beginning with the newest.
    fn halve(&mut self) {
        let values: Vec<Option<f32>> = self.0.drain(..).collect();
        self.0.extend(values.rchunks(2).rev().map(mean));
    }

    /// The same in at most `most` values.
    pub fn condensed(&self, most: usize) -> impl ExactSizeIterator<Item = Option<f32>> {
        let values: Vec<Option<f32>> = self.0.iter().copied().collect();
        let together = SAMPLES.div_ceil(most.max(1));
        let means: Vec<_> = values.rchunks(together).rev().map(mean).collect();
        means.into_iter()
    }

    /// Oldest first.
    pub fn values(&self) -> impl ExactSizeIterator<Item = Option<f32>> {
        self.0.iter().copied()
    }
}

fn mean(values: &[Option<f32>]) -> Option<f32> {
    let (sum, count) =
        values.iter().flatten().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// What is kept.
#[derive(Debug)]
pub struct History {
    /// New connections a second, by service.
    pub services: BTreeMap<String, Series>,
    /// New connections a second, of all.
    pub connections: Series,
    /// Active connections, of all.
    pub active: Series,
    /// Real servers that live.
    pub live: Series,
    /// The kernel's counters at the last sample.
    counted: BTreeMap<String, u64>,
    period: Duration,
}

impl Default for History {
    fn default() -> Self {
        Self {
            services: BTreeMap::new(),
            connections: Series::default(),
            active: Series::default(),
            live: Series::default(),
            counted: BTreeMap::new(),
            period: FIRST_PERIOD,
        }
    }
}

impl History {
    /// When the next sample is due after the last one.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// How far the ring reaches back once it is full.
    #[must_use]
    pub fn span(&self) -> Duration {
        self.period * u32::try_from(SAMPLES).unwrap_or(u32::MAX)
    }

    /// Takes a sample, `since` the last one.
    pub fn sample(&mut self, everything: &Everything, since: Duration) {
        if self.active.0.len() == SAMPLES && self.period < PERIOD {
            let all = [&mut self.connections, &mut self.active, &mut self.live];
            all.into_iter().chain(self.services.values_mut()).for_each(Series::halve);
            self.period *= 2;
        }
        let Some(lvs) = everything.overview() else { return self.gap() };
        let (mut total, mut known) = (0.0, false);
        let mut counted = BTreeMap::new();
        let mut lines = std::mem::take(&mut self.services);
        for (at, service) in lvs.services.iter().map(|it| &it.service).enumerate() {
            let before = self.counted.get(&service.name).copied();
            counted.insert(service.name.clone(), service.connections);
            // The counter begins anew when the kernel gets the service anew.
            let new =
                before.map(|before| service.connections.checked_sub(before).unwrap_or(service.connections));
            let rate = new.map(|new| rate(new, since));
            total += rate.unwrap_or(0.0);
            known |= rate.is_some();
            if at < MOST_SERVICES {
                let mut line = lines.remove(&service.name).unwrap_or_default();
                line.push(rate);
                self.services.insert(service.name.clone(), line);
            }
        }
        self.counted = counted;
        self.connections.push(known.then_some(total));
        self.active.push(Some(float(lvs.services.iter().map(|it| it.active).sum())));
        let live: usize = lvs.services.iter().map(|it| it.live).sum();
        self.live.push(Some(float(live.try_into().unwrap_or(u64::MAX))));
    }

    fn gap(&mut self) {
        let all = [&mut self.connections, &mut self.active, &mut self.live];
        all.into_iter().chain(self.services.values_mut()).for_each(|series| series.push(None));
        self.counted.clear();
    }
}

fn rate(new: u64, since: Duration) -> f32 {
    float(new) / since.as_secs_f32().max(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "a line of a few dozen pixels")]
const fn float(value: u64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::page::tests::overview;

    #[test]
    fn rates_are_of_the_time_between_and_a_new_counter_is_no_fall() {
        let mut history = History::default();
        for (connections, rate) in [(1000, None), (1600, Some(2.0)), (300, Some(1.0)), (300, Some(0.0))] {
            history.sample(&overview(connections), PERIOD);
            assert_eq!(history.services["web"].values().last(), Some(rate), "{connections}");
            assert_eq!(history.connections.values().last(), Some(rate));
        }
        assert_eq!(history.active.values().last(), Some(Some(12.0)));
        assert_eq!(history.live.values().last(), Some(Some(1.0)));
    }

    #[test]
    fn a_day_is_kept_and_silence_is_a_gap() {
        let mut history = History::default();
        let nobody = Everything::new(std::time::SystemTime::UNIX_EPOCH, Vec::new(), Vec::new());
        history.sample(&overview(1), PERIOD);
        history.sample(&nobody, PERIOD);
        history.sample(&overview(5), PERIOD);
        assert_eq!(
            history.services["web"].values().collect::<Vec<_>>(),
            [None, None, None],
            "unknown, not zero"
        );
        for n in 0..1000 {
            history.sample(&overview(n), PERIOD);
        }
        assert!(history.services["web"].values().len() <= SAMPLES);
        assert_eq!(history.active.values().len(), history.services["web"].values().len());
    }

    #[test]
    fn a_full_ring_reaches_back_twice_as_far_until_it_is_a_day() {
        let mut history = History::default();
        let mut spans = vec![history.span().as_secs() / 60];
        let mut counter = 0;
        for n in 0..5000_u64 {
            // 2 a second in the first half of each pair, 4 in the other.
            counter += if n % 2 == 0 { 2 } else { 4 } * 300;
            history.sample(&overview(counter), Duration::from_secs(300));
            let span = history.span().as_secs() / 60;
            if spans.last() != Some(&span) {
                assert_eq!(history.active.values().len(), SAMPLES / 2 + 1);
                let line: Vec<_> = history.services["web"].values().collect();
                assert!(line[1..SAMPLES / 2].iter().all(|mean| *mean == Some(3.0)), "{line:?}");
                spans.push(span);
            }
        }
        assert_eq!(spans, [45, 90, 180, 360, 720, 1440]);
        assert_eq!((history.period(), history.active.values().len()), (PERIOD, SAMPLES));
        assert_eq!(history.active.condensed(72).len(), 72);
        assert!(history.active.condensed(72).all(|value| value == Some(12.0)));
    }
}
