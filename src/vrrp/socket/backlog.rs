//! How much is read of each socket in a turn of the loop, and up to when what came in was read. Pure.
//!
//! A backup that slept finds the advertisements of a living master in its buffers, perhaps more than one turn takes: it must not judge the
//! silence of a socket later than that socket was read. Nor may a flood, in which no socket is ever emptied, keep it from taking over: what
//! waits in a socket is bounded by its buffer, so after so many more messages all that waited was read, whatever came meanwhile.

use std::collections::BTreeMap;
use std::time::Instant;

/// Messages taken in one turn: a flood does not keep the timers from their work.
pub(super) const A_TURN: usize = 256;

/// Messages taken from a socket before the next one is looked at: a flood on one keeps no other from being read.
pub(super) const AT_ONCE: usize = 16;

/// The sockets that hold more than was taken of them.
#[derive(Debug)]
pub(super) struct Backlog {
    behind: BTreeMap<u64, Behind>,
    /// When the last turn ended: up to then those were read that were emptied in it.
    last: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Behind {
    /// All that came before this was read.
    read_until: Instant,
    /// All that came before this was read when so many more messages were taken.
    next: Instant,
    left: usize,
}

impl Backlog {
    /// No socket holds anything.
    pub(super) const fn new(now: Instant) -> Self {
        Self { behind: BTreeMap::new(), last: now }
    }

    /// Whether each socket was emptied.
    pub(super) fn is_empty(&self) -> bool {
        self.behind.is_empty()
    }

    /// So many messages were taken from a socket; perhaps no more were there.
    pub(super) fn took(&mut self, key: u64, messages: usize, emptied: bool) {
        if emptied {
            self.behind.remove(&key);
        } else if let Some(behind) = self.behind.get_mut(&key) {
            behind.left = behind.left.saturating_sub(messages);
        }
    }

    /// A turn has ended: these sockets hold more, and so many messages at most; each other one was empty. `now` is before that was seen.
    pub(super) fn end_turn(&mut self, now: Instant, holds_more: &[(u64, usize)]) {
        self.behind.retain(|key, _| holds_more.iter().any(|(holding, _)| holding == key));
        for (key, room) in holds_more {
            let fresh = Behind { read_until: self.last, next: now, left: *room };
            let behind = self.behind.entry(*key).or_insert(fresh);
            if behind.left == 0 {
                *behind = Behind { read_until: behind.next, ..fresh };
            }
        }
        self.last = now;
    }

    /// Up to when a socket was read that holds more; `None` = it was emptied.
    pub(super) fn read_until(&self, key: u64) -> Option<Instant> {
        self.behind.get(&key).map(|behind| behind.read_until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ROOM: usize = 832;

    #[test]
    fn a_socket_that_was_not_emptied_was_read_no_later_than_before_it_filled() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut backlog = Backlog::new(start);
        // Three seconds asleep, and more in both sockets than one turn takes.
        backlog.end_turn(at(3000), &[(1, ROOM), (2, ROOM)]);
        assert_eq!((backlog.read_until(1), backlog.read_until(2)), (Some(start), Some(start)));
        backlog.took(1, 128, false);
        backlog.took(2, 128, false);
        backlog.end_turn(at(3001), &[(2, ROOM)]);
        assert_eq!((backlog.read_until(1), backlog.read_until(2)), (None, Some(start)));
        backlog.end_turn(at(3002), &[]);
        assert_eq!(backlog.read_until(2), None);
    }

    #[test]
    fn a_flood_that_never_ends_holds_silence_back_for_one_buffer_only() {
        let start = Instant::now();
        let at = |turn: u32| start + Duration::from_millis(2) * turn;
        let mut backlog = Backlog::new(start);
        let turns = u32::try_from(ROOM.div_ceil(A_TURN)).unwrap();
        for turn in 1..100 {
            backlog.took(1, A_TURN, false);
            backlog.end_turn(at(turn), &[(1, ROOM)]);
            let until = backlog.read_until(1).unwrap();
            assert!(until >= at(turn.saturating_sub(2 * turns)), "turn {turn}");
            assert!(turn <= turns || until > start, "turn {turn}");
        }
    }

    #[test]
    fn a_socket_that_is_emptied_in_each_turn_is_not_held_back_by_a_flood_on_another() {
        let start = Instant::now();
        let at = |turn: u32| start + Duration::from_millis(2) * turn;
        let mut backlog = Backlog::new(start);
        for turn in 1..100 {
            backlog.took(1, 250, false);
            backlog.took(2, 3, true);
            // Another message has come since it was looked at.
            backlog.end_turn(at(turn), &[(1, ROOM), (2, ROOM)]);
            assert_eq!(backlog.read_until(2), Some(at(turn - 1)));
        }
    }
}
