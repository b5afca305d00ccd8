//! How the others that claimed to be master stand to us, for who has to compare groups.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Peer;

/// Who was last heard that stays master where we are, too, who that does not, and who that resigned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rank {
    better: Option<Word>,
    worse: Option<Word>,
    resigned: Option<Word>,
}

#[derive(Debug, Clone, Copy)]
struct Word {
    at: Instant,
    by: IpAddr,
}

impl Rank {
    pub(super) const NOBODY: Self = Self { better: None, worse: None, resigned: None };

    /// Since `begun`: whether somebody claimed to be master who is better than we are; `None` when nobody claimed.
    pub(super) fn outdone(&self, begun: Instant) -> Option<bool> {
        let since = |word: Option<Word>| word.is_some_and(|word| word.at >= begun);
        match (since(self.better), since(self.worse)) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }

    /// Who resigns claims nothing: neither what it said before counts, nor its last word but one, should that be overtaken.
    pub(super) fn hear(&mut self, now: Instant, peer: Peer, own: &Peer, interval: Duration) {
        let by = peer.address;
        let word = Some(Word { at: now, by });
        if peer.priority == 0 {
            self.resigned = word;
            self.better.take_if(|word| word.by == by);
            self.worse.take_if(|word| word.by == by);
        } else if !self.resigned.is_some_and(|word| word.by == by && now < word.at + interval) {
            *(if peer.beats(own) { &mut self.better } else { &mut self.worse }) = word;
        }
    }
}
