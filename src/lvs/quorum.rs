//! Whether enough real servers live.

use crate::config::model::{self, Need};

/// What can be said about the quorum of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quorum {
    /// The servers known to live suffice.
    Met,
    /// Even if every server without a verdict lived, they would not suffice.
    Lost,
    /// It hangs on servers without a verdict.
    Open,
}

/// What one real server contributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vote {
    /// It answers, and takes new connections.
    Lives,
    /// Nobody knows; whether it is in the table and takes new connections.
    Open {
        /// Whether it does.
        present: bool,
    },
    /// It does not answer, or shall take no new connections.
    Out,
}

/// A judgement, with the numbers behind it in the unit of the quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// The quorum.
    pub quorum: Quorum,
    /// What lives, or has no verdict and is in the table: weight, servers, or per cent of all weights (rounded down).
    pub live: u64,
    /// What `live` has to reach, or to keep where the quorum was there before.
    pub needed: u64,
    /// Whether `live` does.
    pub reached: bool,
}

/// Judges the configured weights and the votes of a service's real servers; `had` is whether the quorum was there before, which
/// decides about the side on which the hysteresis counts.
///
/// A sum of zero is never enough: nobody would answer.
#[must_use]
pub fn judge(quorum: model::Quorum, had: bool, servers: impl IntoIterator<Item = (u32, Vote)>) -> Judgement {
    let (mut total, mut known, mut assumed, mut possible) = (0_u64, 0_u64, 0_u64, 0_u64);
    for (weight, vote) in servers {
        let share = match quorum.need {
            Need::Weight(_) | Need::Percent(_) => u64::from(weight),
            Need::Servers(_) => u64::from(weight.min(1)),
        };
        total += share;
        match vote {
            Vote::Lives => (known, assumed, possible) = (known + share, assumed + share, possible + share),
            Vote::Open { present } => {
                possible += share;
                assumed += if present { share } else { 0 };
            }
            Vote::Out => {}
        }
    }
    // Per cent are compared as hundredths of the total, so that nothing is rounded.
    let (unit, whole) = match quorum.need {
        Need::Weight(_) | Need::Servers(_) => (1, total),
        Need::Percent(_) => (100, 100),
    };
    let need = match quorum.need {
        Need::Weight(need) | Need::Servers(need) => u64::from(need),
        Need::Percent(need) => u64::from(need),
    };
    let margin = u64::from(quorum.hysteresis);
    // More than everything cannot be asked of what comes back.
    let needed = if had { need.saturating_sub(margin) } else { (need + margin).min(need.max(whole)) }.max(1);
    let enough = |sum: u64| {
        let bar = if unit == 100 { needed * total } else { needed };
        sum > 0 && sum * unit >= bar
    };
    let state = match (enough(known), enough(possible)) {
        (true, _) => Quorum::Met,
        (false, false) => Quorum::Lost,
        (false, true) => Quorum::Open,
    };
    let live = if unit == 100 { (assumed * 100).checked_div(total).unwrap_or(0) } else { assumed };
    Judgement { quorum: state, live, needed, reached: enough(assumed) }
}

#[cfg(test)]
mod tests {
    use super::Vote::{Lives, Out};
    use super::*;

    const UNKNOWN: Vote = Vote::Open { present: false };

    fn state(need: Need, hysteresis: u32, had: bool, servers: &[(u32, Vote)]) -> Quorum {
        judge(model::Quorum { need, hysteresis }, had, servers.iter().copied()).quorum
    }

    #[test]
    fn the_sum_of_live_weights_counts() {
        for (needed, servers, expected) in [
            (1, &[(1, Lives), (1, Out)][..], Quorum::Met),
            (2, &[(1, Lives), (1, Out)], Quorum::Lost),
            (2, &[(1, Lives), (1, UNKNOWN)], Quorum::Open),
            (3, &[(1, Lives), (1, UNKNOWN)], Quorum::Lost),
            (3, &[(3, Lives), (1, UNKNOWN)], Quorum::Met),
            (1, &[(0, Lives)], Quorum::Lost),
            (1, &[(0, UNKNOWN)], Quorum::Lost),
            (1, &[], Quorum::Lost),
            (u32::MAX, &[(65535, Lives), (65535, UNKNOWN)], Quorum::Lost),
        ] {
            assert_eq!(state(Need::Weight(needed), 0, false, servers), expected, "{needed} {servers:?}");
        }
    }

    #[test]
    fn servers_are_counted_unless_their_weight_is_zero() {
        let servers = [(5, Lives), (9, Lives), (0, Lives), (3, Out)];
        assert_eq!(state(Need::Servers(2), 0, false, &servers), Quorum::Met);
        assert_eq!(state(Need::Servers(3), 0, false, &servers), Quorum::Lost);
    }

    #[test]
    fn per_cent_are_a_share_of_all_weights_without_rounding() {
        let third = [(1, Lives), (1, Out), (1, Out)];
        assert_eq!(state(Need::Percent(33), 0, false, &third), Quorum::Met);
        assert_eq!(state(Need::Percent(34), 0, false, &third), Quorum::Lost);
        let all = [(1, Lives), (2, Lives)];
        assert_eq!(state(Need::Percent(100), 0, false, &all), Quorum::Met);
        let judged = judge(model::Quorum { need: Need::Percent(34), hysteresis: 0 }, false, third);
        assert_eq!((judged.live, judged.needed), (33, 34));
    }

    #[test]
    fn hysteresis_makes_it_hard_to_gain_and_hard_to_lose() {
        let live = |n: usize| -> Vec<(u32, Vote)> {
            (0..10).map(|at| (1, if at < n { Lives } else { Out })).collect()
        };
        for (had, n, expected) in [
            (false, 6, Quorum::Lost),
            (false, 7, Quorum::Met),
            (true, 4, Quorum::Lost),
            (true, 3, Quorum::Lost),
            (true, 5, Quorum::Met),
            (true, 6, Quorum::Met),
        ] {
            for (need, hysteresis) in [(Need::Weight(6), 1), (Need::Servers(6), 1), (Need::Percent(60), 10)] {
                assert_eq!(state(need, hysteresis, had, &live(n)), expected, "{need:?} {had} {n}");
            }
        }
        assert_eq!(state(Need::Weight(1), 5, true, &live(0)), Quorum::Lost, "nothing is never enough");
        assert_eq!(state(Need::Weight(9), 3, false, &live(10)), Quorum::Met, "all of them always are");
    }
}
