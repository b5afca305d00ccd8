//! Whether enough real servers live.

use crate::ipc::message::Health;

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

/// Judges the weights and verdicts of a service's real servers; it needs a sum of `needed` (1..).
///
/// A sum of zero is never enough: nobody would answer.
#[must_use]
pub fn judge(needed: u32, servers: impl IntoIterator<Item = (u32, Health)>) -> Quorum {
    let (mut live, mut possible) = (0_u64, 0_u64);
    for (weight, health) in servers {
        let weight = u64::from(weight);
        match health {
            Health::Up => {
                live += weight;
                possible += weight;
            }
            Health::Unknown => possible += weight,
            Health::Down => {}
        }
    }
    let needed = u64::from(needed.max(1));
    if live >= needed {
        Quorum::Met
    } else if possible < needed {
        Quorum::Lost
    } else {
        Quorum::Open
    }
}

#[cfg(test)]
mod tests {
    use super::Health::{Down, Unknown, Up};
    use super::*;

    #[test]
    fn the_sum_of_live_weights_counts() {
        for (needed, servers, expected) in [
            (1, &[(1, Up), (1, Down)][..], Quorum::Met),
            (2, &[(1, Up), (1, Down)], Quorum::Lost),
            (2, &[(1, Up), (1, Unknown)], Quorum::Open),
            (3, &[(1, Up), (1, Unknown)], Quorum::Lost),
            (3, &[(3, Up), (1, Unknown)], Quorum::Met),
            (1, &[(0, Up)], Quorum::Lost),
            (1, &[(0, Unknown)], Quorum::Lost),
            (1, &[], Quorum::Lost),
            (u32::MAX, &[(65535, Up), (65535, Unknown)], Quorum::Lost),
        ] {
            assert_eq!(judge(needed, servers.iter().copied()), expected, "{needed} {servers:?}");
        }
    }
}
