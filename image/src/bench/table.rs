//! From measurements to medians, ratios and goals.

use std::collections::BTreeMap;
use std::fmt::Write;

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// What was measured.
    pub what: String,
    /// Of whom.
    pub who: String,
    /// How much, in `unit`.
    pub value: f64,
    /// `s`, `MB`, `x` for a count, `us`…
    pub unit: String,
}

/// Us.
pub const OURS: &str = "director";

impl Measurement {
    /// Reads `measured WHAT WHO VALUE UNIT`; `None` for any other line.
    pub fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["measured", what, who, value, unit] = words[..] else { return None };
        let (what, who, unit) = (what.to_owned(), who.to_owned(), unit.to_owned());
        Some(Self { what, who, value: value.parse().ok()?, unit })
    }
}

/// What is hoped for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    what: &'static str,
    /// Of whose value; `None`: in the unit of the measurement.
    of: Option<&'static str>,
    most: f64,
}

impl Goal {
    /// Ours is at most `most` times that of `whose`.
    pub const fn ratio(what: &'static str, whose: &'static str, most: f64) -> Self {
        Self { what, of: Some(whose), most }
    }

    /// Ours is at most `most`.
    pub const fn most(what: &'static str, most: f64) -> Self {
        Self { what, of: None, most }
    }
}

/// A line for each thing and program: median, range, and for the others how much ours is of theirs; then the goals.
pub fn show(measurements: &[Measurement], goals: &[Goal]) -> String {
    let mut values: BTreeMap<(&str, &str), (Vec<f64>, &str)> = BTreeMap::new();
    let mut order: Vec<(&str, &str)> = Vec::new();
    for Measurement { what, who, value, unit } in measurements {
        let key = (what.as_str(), who.as_str());
        let entry = values.entry(key).or_insert_with(|| {
            order.push(key);
            (Vec::new(), unit)
        });
        entry.0.push(*value);
    }
    order.sort_by_key(|(what, who)| {
        let first = measurements.iter().position(|m| m.what == *what);
        (first, *who != OURS, *who)
    });
    let median_of = |what, who| values.get(&(what, who)).map(|(all, _)| median(all));
    let mut text = String::new();
    for (what, who) in order {
        let Some((all, unit)) = values.get(&(what, who)) else { continue };
        let _ = write!(text, "  {what:<30} {who:<12} {:>10}", amount(median(all), unit));
        if all.len() > 1 {
            let least = all.iter().copied().fold(f64::INFINITY, f64::min);
            let most = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let _ = write!(text, "  ({} to {})", amount(least, unit), amount(most, unit));
        }
        let theirs = median(all);
        if let (true, Some(ours)) = (who != OURS && theirs > 0.0, median_of(what, OURS)) {
            let _ = write!(text, "  ours/theirs {}", ratio(ours, theirs));
        }
        text.push('\n');
    }
    for goal in goals {
        let Some(ours) = median_of(goal.what, OURS) else { continue };
        let (is, against) = match goal.of {
            None => (ours, String::new()),
            Some(other) => match median_of(goal.what, other) {
                Some(theirs) if theirs > 0.0 => (ours / theirs, format!(" of {other}'s")),
                _ => continue,
            },
        };
        let verdict = if is <= goal.most { "met" } else { "MISSED" };
        let _ = writeln!(
            text,
            "  goal {}: at most {}{against}: {verdict} ({})",
            goal.what,
            short(goal.most),
            short(is)
        );
    }
    text
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    if sorted.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.wrapping_sub(1)), at(middle)) }
}

fn amount(value: f64, unit: &str) -> String {
    match unit {
        "s" if value.abs() < 1e-3 => format!("{:.0} us", value * 1e6),
        "s" if value < 1.0 => format!("{:.1} ms", value * 1e3),
        "s" => format!("{value:.2} s"),
        "x" => format!("{value:.0}"),
        _ => format!("{value:.2} {unit}"),
    }
}

fn ratio(ours: f64, theirs: f64) -> String {
    if ours > 0.0 && ours < theirs { format!("1/{}", short(theirs / ours)) } else { short(ours / theirs) }
}

fn short(value: f64) -> String {
    if value >= 10.0 || value == value.trunc() { format!("{value:.0}") } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_compared_with_the_peer_and_with_the_goal() {
        let said = "noise\nmeasured load director 0.1 s\nmeasured load peer 3 s\nmeasured load director 0.3 s\n\
                    measured load peer 1 s\nmeasured load peer 2 s\nmeasured load director 0.2 s\nmeasured n director 1 x\n";
        let all: Vec<Measurement> = said.lines().filter_map(Measurement::read).collect();
        let text =
            show(&all, &[Goal::ratio("load", "peer", 0.05), Goal::most("n", 1.0), Goal::most("absent", 1.0)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(
            lines[0].contains("director") && lines[0].contains("200.0 ms  (100.0 ms to 300.0 ms)"),
            "{text}"
        );
        assert!(lines[1].ends_with("2.00 s  (1.00 s to 3.00 s)  ours/theirs 1/10"), "{text}");
        assert_eq!(lines[3], "  goal load: at most 0.050 of peer's: MISSED (0.100)");
        assert_eq!(lines[4], "  goal n: at most 1: met (1)");
    }

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        for (seconds, text) in
            [(2.5, "2.50 s"), (0.0064, "6.4 ms"), (0.000_31, "310 us"), (-0.000_2, "-200 us"), (0.0, "0 us")]
        {
            assert_eq!(amount(seconds, "s"), text);
        }
    }

    #[test]
    fn an_even_number_of_values_has_a_median_too() {
        assert!((median(&[4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
    }
}
