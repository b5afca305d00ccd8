//! Every question of the console and what it offers, and which of that somebody has answered. Pure.

use std::collections::BTreeSet;

/// A question, with `*` for figures and names, and the words that it offers. A question that is not here, or offers something
/// else than it did, is one that nobody has tried.
const QUESTIONS: &[(&str, &[&str])] = &[
    ("Choose a number, h for help, an empty line to leave: ", &[]),
    ("Choose a number, h for help, an empty line = back: ", &[]),
    ("(every 2 s; f = full screen, a = page by page; any other key = back) ", &["f", "a", "q"]),
    ("-- * more lines: space = next page, q = back --", &["space", "q"]),
    ("* any key = back.", &["q"]),
    (
        "r, f, d, u, c, b, h or e; ? explains them (empty line = back): ",
        &["r", "f", "d", "u", "c", "b", "h", "e", "?"],
    ),
    ("Apply it for 5 minutes on trial? (yes, no or a time: 30s; empty line = back): ", &["yes", "no", "10s"]),
    ("Apply what ran before, on trial? (yes or no, empty line = back): ", &["yes", "no"]),
    ("Number to be applied again (empty line = back): ", &[]),
    ("Number (empty line = back): ", &[]),
    ("How many lines, or f to follow, and a text? (empty line = back): ", &["f"]),
    ("Service (number or name, l = list all, empty line = back): ", &["l"]),
    ("Server (1-*, its address, or all, empty line = back): ", &["all"]),
    ("drain, disable, enable or why (empty line = back): ", &["drain", "disable", "enable", "why"]),
    ("Virtual router (number or name, empty line = back): ", &[]),
    ("failover, resign, hold or release (empty line = back): ", &["failover", "resign", "hold", "release"]),
    ("Do it? (yes or no, empty line = back): ", &["yes", "no"]),
    ("Do it all the same? (yes or no, empty line = back): ", &["yes", "no"]),
    ("Address or name (empty line = back): ", &[]),
    ("Address, perhaps with an interface (empty line = back): ", &[]),
    ("Interface (1-*, empty line = back): ", &[]),
    ("Packets: all, or host ADDRESS, port NUMBER (empty line = back): ", &["all", "host", "port"]),
    ("At most, such as 1000 30s (empty line = back): ", &[]),
    ("Where to: usb or data (empty line = back): ", &["usb", "data"]),
    ("b = blink, w = watch cables, a = assign, an empty line = back: ", &["b", "w", "a"]),
    ("Card of * (number, keep, empty line = back): ", &["keep"]),
    ("Worker (1-*, empty line = back): ", &[]),
    ("*: restart, hold or release (empty line = back): ", &["restart", "hold", "release"]),
    ("Address with prefix such as 192.168.61.44/24, or dhcp (empty line = back): ", &["dhcp"]),
    ("Default gateway, or none (empty line = back): ", &["none"]),
    ("Name of this box, such as lb1 (empty line = back): ", &[]),
    ("Name servers (DNS), or none (empty line = back): ", &["none"]),
    ("Time servers, or none (empty line = back): ", &["none"]),
    ("Address shared with another box, or none (empty line = back): ", &["none"]),
    ("Virtual router number, the same on both boxes (1-255, empty line = back): ", &[]),
    ("Priority: 150 on the first box, 100 on the other (1-254, empty line = back): ", &[]),
    ("Address of the other box, or none for multicast (empty line = back): ", &["none"]),
    ("Address of the other box, or none (empty line = back): ", &["none"]),
    ("u = update from a USB stick, o = the other slot next, an empty line = back: ", &["u", "o"]),
    ("Write it into the slot that does not run? (yes or no, empty line = back): ", &["yes", "no"]),
    ("Let the next start take the other slot? (yes or no, empty line = back): ", &["yes", "no"]),
    // What these words do ends the box: image/manual plays all but the last.
    ("Reboot this box? (yes or no): ", &["yes", "no"]),
    ("Start this box again in safe mode? (yes or no): ", &["yes", "no"]),
    ("Erase the configuration and all that was kept? (yes or no): ", &["yes", "no"]),
    ("Power this box off? (yes or no): ", &["yes", "no"]),
    ("Its VIPs will leave it. To go on, type *: ", &[]),
    ("Nothing brings it back. To go on, type erase: ", &[]),
];

/// What was asked in which entry of a menu, and what was answered.
#[derive(Debug, Default)]
pub struct Questions {
    asked: BTreeSet<(String, &'static str)>,
    answered: BTreeSet<(String, &'static str, String)>,
    noisy: BTreeSet<&'static str>,
    unknown: BTreeSet<String>,
}

impl Questions {
    /// `entry` asked `question`, a whole line.
    pub fn heard(&mut self, entry: &str, question: &str) {
        match find(question) {
            Some((pattern, _)) => drop(self.asked.insert((entry.to_owned(), pattern))),
            None => drop(self.unknown.insert(question.to_owned())),
        }
    }

    /// Somebody answered; whether there was noise before.
    pub fn answered(&mut self, entry: &str, question: &str, answer: &str, noisy: bool) {
        let Some((pattern, _)) = find(question) else { return };
        let words = answer.split_whitespace().map(|word| (entry.to_owned(), *pattern, word.to_lowercase()));
        self.answered.extend(words);
        if noisy {
            self.noisy.insert(pattern);
        }
    }

    /// What nobody has tried: a question that is not in the table, a word that it offers, or noise at it.
    pub fn missed(&self) -> Vec<String> {
        let unknown = self.unknown.iter().map(|question| format!("nobody knows this question: {question}"));
        let words = self.asked.iter().flat_map(|(entry, pattern)| {
            let offered = find(pattern).map(|(_, words)| *words).unwrap_or_default();
            let open = offered
                .iter()
                .filter(|word| !self.answered.contains(&(entry.clone(), *pattern, (**word).to_owned())));
            open.map(move |word| format!("{entry}: {pattern}{word}"))
        });
        let asked: BTreeSet<&str> = self.asked.iter().map(|(_, pattern)| *pattern).collect();
        let calm = asked.difference(&self.noisy).map(|pattern| format!("{pattern}without noise"));
        unknown.chain(words).chain(calm).collect()
    }
}

fn find(question: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    QUESTIONS.iter().find(|(pattern, _)| fits(pattern, question))
}

/// Whether a line is what a pattern with at most one `*` says.
fn fits(pattern: &str, line: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == line,
        Some((before, after)) => {
            line.len() >= before.len() + after.len() && line.starts_with(before) && line.ends_with(after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: &str = "lvs: restart, hold or release (empty line = back): ";

    #[test]
    fn each_word_wants_an_answer_in_each_entry_and_noise_before_it() {
        let mut questions = Questions::default();
        questions.heard("8", WORKER);
        questions.answered("8", WORKER, "restart", false);
        questions.answered("8", "net: restart, hold or release (empty line = back): ", "hold", false);
        let said = |word| format!("*: restart, hold or release (empty line = back): {word}");
        assert_eq!(questions.missed(), [format!("8: {}", said("release")), said("without noise")]);
        questions.answered("8", WORKER, "Release", true);
        assert_eq!(questions.missed(), Vec::<String>::new());
        questions.heard("9", WORKER);
        assert_eq!(questions.missed().len(), 3);
    }

    #[test]
    fn a_question_that_offers_something_new_is_unknown() {
        let mut questions = Questions::default();
        questions.heard("8", "lvs: restart, hold, release or kill (empty line = back): ");
        assert!(questions.missed()[0].starts_with("nobody knows this question: lvs: restart, hold, release"));
    }

    #[test]
    fn no_question_is_two() {
        for (pattern, _) in QUESTIONS {
            let alike = QUESTIONS.iter().filter(|(other, _)| fits(other, pattern));
            assert_eq!(alike.count(), 1, "{pattern}");
        }
    }
}
