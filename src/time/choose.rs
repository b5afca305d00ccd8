//! Whom to believe, of several servers: those whose answers agree, if they are more than half (RFC 5905 section 11.2.1 in small). Pure.

use std::net::IpAddr;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Whose.
    pub server: IpAddr,
    /// How many servers it is away from a clock, from 1.
    pub stratum: u8,
    /// By how much this box is behind, microseconds.
    pub offset_us: i64,
    /// Time to the server and back, microseconds.
    pub delay_us: u64,
    /// How wrong the offset may be, microseconds: half of the way to the clock and back, and what the servers on it allow for.
    pub distance_us: u64,
}

impl Sample {
    fn low(&self) -> i64 {
        self.offset_us.saturating_sub_unsigned(self.distance_us)
    }

    fn holds(&self, offset_us: i64) -> bool {
        (self.low()..=self.offset_us.saturating_add_unsigned(self.distance_us)).contains(&offset_us)
    }
}

/// The nearest of those that agree.
///
/// # Errors
/// There is none, or no more than half of those that answered agree.
pub fn choose(samples: &[Sample]) -> Result<&Sample, String> {
    if samples.is_empty() {
        return Err("no time server answers".to_owned());
    }
    // Where most overlap, one of them begins.
    let agreeing = |point: i64| samples.iter().filter(move |sample| sample.holds(point));
    let best =
        samples.iter().map(Sample::low).max_by_key(|point| agreeing(*point).count()).unwrap_or_default();
    if agreeing(best).count() * 2 <= samples.len() {
        let said = samples
            .iter()
            .map(|sample| format!("{} says {:+.3} s", sample.server, seconds(sample.offset_us)));
        return Err(format!("the time servers disagree: {}", said.collect::<Vec<_>>().join(", ")));
    }
    agreeing(best).min_by_key(|sample| sample.distance_us).ok_or_else(String::new)
}

/// Microseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "for people and metrics")]
#[must_use]
pub fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(last: u8, offset_us: i64, distance_us: u64) -> Sample {
        Sample { server: IpAddr::from([192, 0, 2, last]), stratum: 2, offset_us, delay_us: 100, distance_us }
    }

    fn chosen(samples: &[Sample]) -> Result<i64, String> {
        choose(samples).map(|sample| sample.offset_us)
    }

    #[test]
    fn the_nearest_of_the_majority_is_believed() {
        assert_eq!(chosen(&[sample(1, 500, 9)]), Ok(500));
        let liar = sample(9, 5_000_000, 10);
        let three = [sample(1, 120, 100), liar.clone(), sample(2, 100, 50)];
        assert_eq!(chosen(&three), Ok(100));
        let wide = [sample(1, 0, 10_000_000), liar.clone(), sample(2, 100, 50)];
        assert!(chosen(&wide).is_ok(), "one that knows little agrees with everybody");
    }

    #[test]
    fn without_a_majority_nobody_is() {
        assert_eq!(chosen(&[]), Err("no time server answers".to_owned()));
        let two = [sample(1, 0, 50), sample(2, 2_500_000, 50)];
        assert_eq!(
            chosen(&two),
            Err("the time servers disagree: 192.0.2.1 says +0.000 s, 192.0.2.2 says +2.500 s".to_owned())
        );
        assert_eq!(chosen(&[sample(1, 0, 50), sample(2, 30, 50)]), Ok(0));
    }
}
