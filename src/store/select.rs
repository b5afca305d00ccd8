//! Which of the offered configurations counts, and why. Pure.

use crate::config::{Before, Checked, NodeFacts, check_again};
use crate::ipc::message::{Candidate, Source};

/// What was found at one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Which source.
    pub source: Source,
    /// Partition or path, for people.
    pub place: String,
    /// What its reports call the file.
    pub name: String,
    /// What is there.
    pub found: Found,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing; in words, what is missing: "no USB stick".
    Absent(String),
    /// Something that cannot be read, and why.
    Unreadable(String),
    /// A text.
    Text(Vec<u8>),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The one to run; `None`: what runs goes on (or nothing can run yet).
    pub chosen: Option<Chosen>,
    /// In a sentence, why.
    pub why: String,
    /// Everything that was looked at, in order of precedence.
    pub candidates: Vec<Candidate>,
}

/// The configuration to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Where it comes from.
    pub source: Source,
    /// Partition or path, for people.
    pub place: String,
    /// Its text, as it was read.
    pub text: Vec<u8>,
    /// What it says.
    pub checked: Checked,
}

/// Chooses among `offers`, which are in order of precedence.
///
/// The first valid one of the operator counts (USB, partition, file). Without one, a configuration that runs goes on;
/// on a box where none runs yet, the last good one and then the built-in one follow. `before` is the one that runs, which makes
/// checking one like it quick.
#[must_use]
pub fn choose(offers: Vec<Offer>, facts: &NodeFacts, runs_already: bool, before: Option<&Before>) -> Choice {
    let mut chosen: Option<Chosen> = None;
    let mut candidates = Vec::with_capacity(offers.len());
    let mut passed_over = Vec::new();
    for Offer { source, place, name, found } in offers {
        let fallback = matches!(source, Source::LastGood | Source::Safe);
        let (verdict, report) = match found {
            Found::Absent(what) => {
                passed_over.extend(Some(what).filter(|_| chosen.is_none() && !fallback));
                ("absent", String::new())
            }
            Found::Unreadable(why) => {
                passed_over.extend(chosen.is_none().then(|| format!("{}: {why}", title(source, &place))));
                ("unreadable", why)
            }
            Found::Text(text) => match check_again(&text, &name, facts, before) {
                Err(report) => {
                    let what = format!("{} has {}", title(source, &place), faults(report.problems().len()));
                    passed_over.extend(Some(what).filter(|_| chosen.is_none()));
                    ("faulty", report.to_string())
                }
                Ok(_) if chosen.is_some() || (fallback && runs_already) => ("valid", String::new()),
                Ok(checked) => {
                    chosen = Some(Chosen { source, place: place.clone(), text, checked });
                    ("used", String::new())
                }
            },
        };
        candidates.push(Candidate { source, place, verdict: verdict.to_owned(), report });
    }
    let why = explain(chosen.as_ref(), &passed_over, runs_already);
    Choice { chosen, why, candidates }
}

fn faults(count: usize) -> String {
    if count == 1 { "1 fault".to_owned() } else { format!("{count} faults") }
}

fn explain(chosen: Option<&Chosen>, passed_over: &[String], runs_already: bool) -> String {
    let rest = passed_over.join(", ");
    let because = if rest.is_empty() { String::new() } else { format!(": {rest}") };
    let besides = if rest.is_empty() { String::new() } else { format!("; {rest}") };
    match chosen.map(|chosen| (chosen.source, &chosen.place)) {
        Some((source @ Source::Usb, place)) => {
            format!("{} comes first and is without fault", title(source, place))
        }
        Some((source @ (Source::Partition | Source::File), place)) => {
            format!("{} is without fault{besides}", title(source, place))
        }
        Some((source @ (Source::LastGood | Source::Safe), place)) => {
            format!("{} is used{because}", title(source, place))
        }
        None if runs_already => format!("the running configuration goes on{because}"),
        None => format!("no configuration can be used{because}"),
    }
}

fn title(source: Source, place: &str) -> String {
    match source {
        Source::Usb => format!("the file on USB stick {}", place.split(':').next().unwrap_or_default()),
        Source::Partition => "the file on partition DIRECTOR".to_owned(),
        Source::LastGood => "the last good configuration".to_owned(),
        Source::Safe => "the built-in configuration".to_owned(),
        Source::File => place.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "version = 1\n";
    const BAD: &str = "version = 1\n[[vrrp]]\n";

    fn offer(source: Source, text: Option<&str>) -> Offer {
        let place = format!("{source:?}").to_lowercase();
        let found = text.map_or_else(
            || Found::Absent(format!("no {place}")),
            |text| match text {
                "?" => Found::Unreadable("input/output error".to_owned()),
                text => Found::Text(text.as_bytes().to_vec()),
            },
        );
        Offer { source, name: format!("{place}.toml"), place, found }
    }

    /// One line for each candidate, then what is used and why.
    fn outcome(texts: [Option<&str>; 4], runs_already: bool) -> String {
        let sources = [Source::Usb, Source::Partition, Source::LastGood, Source::Safe];
        let offers = sources.into_iter().zip(texts).map(|(source, text)| offer(source, text)).collect();
        let choice = choose(offers, &NodeFacts::default(), runs_already, None);
        let verdicts: Vec<_> = choice.candidates.iter().map(|candidate| candidate.verdict.as_str()).collect();
        let used = choice.chosen.map_or_else(|| "nothing".to_owned(), |chosen| chosen.place);
        format!("{} -> {used}: {}", verdicts.join(" "), choice.why)
    }

    #[test]
    fn the_first_valid_one_counts() {
        for (texts, expected) in [
            (
                [Some(GOOD), Some(GOOD), Some(GOOD), Some(GOOD)],
                "used valid valid valid -> usb: the file on USB stick usb comes first and is without fault",
            ),
            (
                [None, Some(GOOD), None, Some(GOOD)],
                "absent used absent valid -> partition: the file on partition DIRECTOR is without fault; no usb",
            ),
            (
                [Some(BAD), Some(GOOD), Some(GOOD), Some(GOOD)],
                "faulty used valid valid -> partition: the file on partition DIRECTOR is without fault; the file on USB stick usb has 4 faults",
            ),
            (
                [None, Some(BAD), Some(GOOD), Some(GOOD)],
                "absent faulty used valid -> lastgood: the last good configuration is used: no usb, the file on partition DIRECTOR has 4 faults",
            ),
            (
                [Some("?"), Some(BAD), Some(BAD), Some(GOOD)],
                "unreadable faulty faulty used -> safe: the built-in configuration is used: \
                 the file on USB stick usb: input/output error, the file on partition DIRECTOR has 4 faults, the last good configuration has 4 faults",
            ),
            (
                [None, None, None, Some(GOOD)],
                "absent absent absent used -> safe: the built-in configuration is used: no usb, no partition",
            ),
        ] {
            assert_eq!(outcome(texts, false), expected);
        }
    }

    #[test]
    fn a_faulty_file_never_changes_a_running_box() {
        assert_eq!(
            outcome([None, Some(BAD), Some(GOOD), Some(GOOD)], true),
            "absent faulty valid valid -> nothing: the running configuration goes on: no usb, the file on partition DIRECTOR has 4 faults"
        );
        assert_eq!(
            outcome([None, Some(GOOD), Some(GOOD), Some(GOOD)], true),
            "absent used valid valid -> partition: the file on partition DIRECTOR is without fault; no usb"
        );
    }

    #[test]
    fn the_report_of_a_faulty_one_names_its_file() {
        let choice = choose(vec![offer(Source::File, Some(BAD))], &NodeFacts::default(), false, None);
        assert!(choice.candidates[0].report.starts_with("file.toml:2:1: "));
        assert_eq!(choice.why, "no configuration can be used: file has 4 faults");
    }
}
