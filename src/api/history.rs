//! The last day in a ring: what the sparklines of the status page show. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::collect::Everything;
use crate::ipc::message::Health;

/// Time between two samples.
pub const PERIOD: Duration = Duration::from_secs(300);
/// Samples kept: a day.
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

    /// Oldest first.
    pub fn values(&self) -> impl ExactSizeIterator<Item = Option<f32>> {
        self.0.iter().copied()
    }
}

/// What is kept.
#[derive(Debug, Default)]
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
}

impl History {
    /// Takes a sample, `since` the last one.
    pub fn sample(&mut self, everything: &Everything, since: Duration) {
        let Some(lvs) = everything.lvs() else { return self.gap() };
        let (mut total, mut known) = (0.0, false);
        let mut counted = BTreeMap::new();
        let mut lines = std::mem::take(&mut self.services);
        for (at, service) in lvs.services.iter().enumerate() {
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
        let servers = lvs.services.iter().flat_map(|service| &service.servers);
        self.active.push(Some(float(servers.clone().map(|server| u64::from(server.active)).sum())));
        let live = servers.filter(|server| server.health == Health::Up && !server.sorry).count();
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
    use crate::api::page::tests::everything;

    #[test]
    fn rates_are_of_the_time_between_and_a_new_counter_is_no_fall() {
        let mut history = History::default();
        for (connections, rate) in [(1000, None), (1600, Some(2.0)), (300, Some(1.0)), (300, Some(0.0))] {
            history.sample(&everything(connections), PERIOD);
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
        history.sample(&everything(1), PERIOD);
        history.sample(&nobody, PERIOD);
        history.sample(&everything(5), PERIOD);
        assert_eq!(
            history.services["web"].values().collect::<Vec<_>>(),
            [None, None, None],
            "unknown, not zero"
        );
        for n in 0..1000 {
            history.sample(&everything(n), PERIOD);
        }
        assert_eq!(history.services["web"].values().len(), SAMPLES);
        assert_eq!(history.active.values().len(), SAMPLES);
    }
}
