//! What the thread beside the loop was asked for and has not answered, and what the kernel has refused it. Pure.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Instant;

use super::AGAIN;

/// One question of a kind at a time: what is wished for meanwhile is asked for as soon as the answer is in.
#[derive(Debug, Default)]
pub(super) struct Question {
    open: bool,
    again: bool,
}

impl Question {
    /// Whether it may be asked now; if not, [`Self::answered`] says so when it may.
    pub(super) const fn may_ask(&mut self) -> bool {
        self.again |= self.open;
        !self.open
    }

    /// It was asked, or could not be.
    pub(super) const fn asked(&mut self, sent: bool) {
        self.open = sent;
    }

    /// The answer is in: whether the wish may be another one by now, and has to be asked for.
    pub(super) const fn answered(&mut self) -> bool {
        self.open = false;
        std::mem::replace(&mut self.again, false)
    }

    /// Whether an answer is due.
    pub(super) const fn is_open(&self) -> bool {
        self.open
    }
}

/// A change that the kernel has refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Its words.
    pub(super) why: String,
    /// It had refused it before, and not only in the same moment: a link that flaps is told of more than once.
    pub(super) again: bool,
    since: Instant,
}

/// The changes that it refuses.
pub(super) type Refused<T> = BTreeMap<T, Refusal>;

/// Takes what is refused now in place of what was refused before, and says what is new of it.
pub(super) fn renew<T: Ord + Display>(at: Instant, refused: &mut Refused<T>, now: BTreeMap<T, String>) {
    let before = std::mem::take(refused);
    for (what, why) in now {
        let old = before.get(&what);
        if old.is_none_or(|old| old.why != why) {
            log::error!("cannot {what}: {why}");
        }
        let since = old.map_or(at, |old| old.since);
        refused.insert(what, Refusal { why, again: since + AGAIN <= at, since });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_wish_is_asked_for_when_the_answer_is_in() {
        let mut question = Question::default();
        assert!(question.may_ask());
        question.asked(true);
        assert!(!question.answered(), "nothing was wished for meanwhile");
        assert!(question.may_ask());
        question.asked(true);
        assert!(!question.may_ask() && !question.may_ask());
        assert!(question.answered(), "what was wished for while it was open");
        assert!(question.may_ask());
        question.asked(true);
        assert!(question.is_open() && !question.answered(), "it was asked for since");
        question.asked(false);
        assert!(question.may_ask(), "nobody answers what was not asked");
    }

    #[test]
    fn what_is_refused_once_more_counts_and_what_succeeds_is_forgotten() {
        let now = |words: &[(&'static str, &str)]| {
            words.iter().map(|(what, why)| (*what, (*why).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let again = |refused: &Refused<&'static str>| {
            refused.iter().map(|(what, refusal)| (*what, refusal.again)).collect::<Vec<_>>()
        };
        let mut refused = Refused::new();
        let start = Instant::now();
        renew(start, &mut refused, now(&[("a", "busy"), ("b", "busy")]));
        assert_eq!(again(&refused), [("a", false), ("b", false)]);
        renew(start + AGAIN / 2, &mut refused, now(&[("a", "busy"), ("b", "busy")]));
        assert_eq!(again(&refused), [("a", false), ("b", false)], "too soon to be another try");
        renew(start + AGAIN, &mut refused, now(&[("b", "down"), ("c", "busy")]));
        assert_eq!(again(&refused), [("b", true), ("c", false)]);
        assert_eq!(refused["b"].why, "down");
        renew(start + AGAIN * 2, &mut refused, now(&[]));
        assert!(refused.is_empty());
    }
}
