//! The dialogues of doc/manual.md, turn by turn, and whether a box says the same. Pure.

use anyhow::{Context, Result, ensure};

/// What ends each prompt that takes a line.
const PROMPTS: [&str; 9] = [
    "empty line = back): ",
    "empty line = back: ",
    "empty line to leave: ",
    "(yes or no): ",
    "type reboot: ",
    "type poweroff: ",
    "type erase: ",
    "type safe: ",
    "PIN: ",
];

/// The VIP of the manual's box.
const VIP: &str = "192.168.61.45/32";

/// The manual.
pub struct Manual {
    text: String,
}

/// One exchange: what the box shows, its prompt, and what the operator answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The lines before the prompt.
    pub shown: Vec<String>,
    /// The whole prompt, with the space at its end; empty at the end of a dialogue that ends without one.
    pub prompt: String,
    /// The answer; `None` where the dialogue ends.
    pub answer: Option<String>,
}

impl Manual {
    /// The manual of this checkout.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read() -> Result<Manual> {
        let path = crate::project::root().join("doc/manual.md");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Manual { text })
    }

    /// The first block of TOML below a heading.
    ///
    /// # Errors
    /// When there is none.
    pub fn toml(&self, heading: &str) -> Result<&str> {
        let find = || {
            let below = self.text.split_once(&format!("\n{heading}\n"))?.1;
            Some(below.split_once("```toml\n")?.1.split_once("```")?.0)
        };
        find().with_context(|| format!("the manual has no TOML below {heading:?}"))
    }

    /// The names of its dialogues, in order.
    pub fn names(&self) -> Vec<&str> {
        self.text.lines().filter_map(|line| line.strip_prefix("```console ")).collect()
    }

    /// The dialogue of this name, turn by turn.
    ///
    /// # Errors
    /// When it has none.
    pub fn dialogue(&self, name: &str) -> Result<Vec<Turn>> {
        let begin = format!("```console {name}\n");
        let block = self.text.split_once(&begin).and_then(|(_, rest)| rest.split_once("```"));
        let (block, _) = block.with_context(|| format!("the manual has no dialogue {name:?}"))?;
        Ok(turns(block))
    }
}

fn turns(block: &str) -> Vec<Turn> {
    let (mut turns, mut shown) = (Vec::new(), Vec::new());
    for line in block.lines() {
        match prompt(line) {
            Some((prompt, answer)) => turns.push(Turn { shown: std::mem::take(&mut shown), prompt, answer }),
            None => shown.push(line.to_owned()),
        }
    }
    if !shown.is_empty() {
        turns.push(Turn { shown, prompt: String::new(), answer: None });
    }
    turns
}

/// A line's prompt and what was answered to it: at the end of a block no space is left behind it, and nothing.
pub(super) fn prompt(line: &str) -> Option<(String, Option<String>)> {
    let closed = format!("{line} ");
    let split = |text: &str| {
        let ends = PROMPTS.iter().filter_map(|prompt| Some(text.find(prompt)? + prompt.len()));
        let (prompt, answer) = text.split_at_checked(ends.max()?)?;
        Some((prompt.to_owned(), answer.to_owned()))
    };
    match (split(line), split(&closed)) {
        (Some((prompt, answer)), _) => Some((prompt, Some(answer))),
        (None, Some((prompt, _))) => Some((prompt, None)),
        (None, None) => None,
    }
}

/// How wide a line is that the box wrote by itself: what was typed behind a prompt is not its own.
pub fn width(line: &str) -> usize {
    prompt(line)
        .map_or(line, |(prompt, _)| line.get(..prompt.len().min(line.len())).unwrap_or(line))
        .trim_end()
        .len()
}

/// That a box said what the manual shows. Times, counts, sizes and how a process ended may differ, and where a line is wrapped;
/// words, addresses and states may not.
///
/// # Errors
/// Both, and the first word that differs.
pub fn agree(manual: &[String], said: &str) -> Result<()> {
    let manual = manual.join("\n");
    // Said a moment after a configuration has come into force.
    let lasting = |text: &str| text.replace("\nkept as the last good one", "");
    // Whether a time server answers is the network's matter.
    let is_clock = |line: &str| line.starts_with("clock: ") || line.starts_with("! clock");
    // How many lines tell how far something is depends on its size.
    let lasting = |text: &str| {
        lasting(text).lines().filter(|line| !is_bar(line) && !is_clock(line)).collect::<Vec<_>>().join("\n")
    };
    let (wanted, found) = (figureless(&lasting(&manual)), figureless(&lasting(said)));
    let differs = wanted.iter().zip(&found).find(|(wanted, found)| wanted != found);
    ensure!(
        wanted == found,
        "the manual shows:\n{manual}\nthe box says:\n{said}\nfirst difference: {differs:?}"
    );
    Ok(())
}

/// The words, with `#` for each figure, each time and each end of a process.
fn figureless(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let bare = word.trim_end_matches([',', ';', ':', ')']);
        let tail = word.get(bare.len()..).unwrap_or("");
        let last = words.last().map(String::as_str);
        match bare {
            // `5 m 0 s` is as long as `4 m 59 s`, or `59 s`.
            "d" | "h" | "m" | "s" | "ms" | "us" if last == Some("#") => {
                words.pop();
                if words.last().is_none_or(|before| before != "#time") {
                    words.push("#time".to_owned());
                }
                if !tail.is_empty() {
                    words.push(tail.to_owned());
                }
            }
            // The kernel has found nobody else with it, or not yet; the box is master, or not yet.
            bare if bare.starts_with("fe80::") || bare == VIP => {
                if let Some(before) = words.last_mut() {
                    before.truncate(before.trim_end_matches(',').len());
                }
            }
            // A slow box shows it a moment longer.
            "stopping" => words.push(format!("running{tail}")),
            bare if is_figure(bare) => words.push(format!("#{tail}")),
            bare if bare == "-" || bare.starts_with("SIG") => words.push("#end".to_owned()),
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// `written [########............]  40 %`
fn is_bar(line: &str) -> bool {
    let bar = line.split_once(" [").and_then(|(_, rest)| rest.split_once(']'));
    bar.is_some_and(|(bar, rest)| rest.ends_with('%') && bar.chars().all(|c| matches!(c, '#' | '.')))
}

/// `12`, `1.73`, `2026-11-21`, `18:05:33`; no address of either kind.
fn is_figure(word: &str) -> bool {
    let count = |wanted: char| word.chars().filter(|c| *c == wanted).count();
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ':' | '-'))
        && count('.') != 3
        && count(':') != 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialogue_is_cut_into_turns() {
        let block = "Choose a number, h for help, an empty line to leave: 0\n\n--- lb1 ---\n 1  Reboot\n\
                     Reboot this box? (yes or no): yes\nIts VIPs will leave it. To go on, type reboot: reboot\nGoing down.\n";
        let all = turns(block);
        let answers: Vec<_> = all.iter().map(|turn| turn.answer.as_deref()).collect();
        assert_eq!(answers, [Some("0"), Some("yes"), Some("reboot"), None]);
        assert_eq!(all[1].shown, ["", "--- lb1 ---", " 1  Reboot"]);
        assert_eq!(all[1].prompt, "Reboot this box? (yes or no): ");
        assert_eq!((all[3].shown.as_slice(), all[3].prompt.as_str()), (&["Going down.".to_owned()][..], ""));
        let open = turns("Address (empty line = back):\n");
        assert_eq!((open[0].prompt.as_str(), &open[0].answer), ("Address (empty line = back): ", &None));
    }

    #[test]
    fn figures_may_differ_and_words_may_not() {
        let manual = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        for (shown, said) in [
            ("  1  192.168.61.22:80  UP  15 connections", "  1  192.168.61.22:80    UP    0 connections"),
            ("within 5 m 0 s, or", "within 59 s, or"),
            ("time: 2026-11-21 18:05:33 UTC", "time: 2027-01-02 00:00:00 UTC"),
            ("ready 1.73 s after", "ready 12.1 s after"),
            ("weight 1  15 connections  200 OK", "weight 1  0\n     connections  200 OK"),
            ("checked [##########..........]  50 %\nDone.", "checked [####................]  20 %\n\nDone."),
            ("lvs  running  102  5 ms  1  SIGTERM", "lvs  running  89  1 m 36 s  2  -"),
        ] {
            agree(&manual(shown), said).unwrap();
        }
        for (shown, said) in [
            ("192.168.61.22:80  UP", "192.168.61.23:80  UP"),
            ("192.168.61.22:80  UP", "192.168.61.22:80  DOWN"),
            ("eth0  52:54:00:00:00:01", "eth0  52:54:00:00:00:02"),
            ("one\ntwo", "one"),
        ] {
            assert!(agree(&manual(shown), said).is_err(), "{said}");
        }
    }

    #[test]
    fn the_manual_has_dialogues_with_answers() {
        let manual = Manual::read().unwrap();
        assert!(manual.names().len() > 10);
        for name in manual.names() {
            let turns = manual.dialogue(name).unwrap();
            assert!(!turns.is_empty(), "{name}");
        }
        assert!(manual.toml("## The first configuration").unwrap().contains("hostname"));
    }
}
