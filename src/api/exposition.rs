//! The text format of Prometheus, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::Write;

/// Its content type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, but for a new beginning at zero; its name ends in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// Families of metrics, one after the other.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// All samples of one metric: labels as [`labels`] writes them, and the value. Without samples there is no family.
    pub fn family<'a>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        samples: impl IntoIterator<Item = (&'a str, f64)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // A string takes whatever is written to it.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in samples {
            // By pieces: with 10,000 servers these are 100,000 lines.
            [name, labels, " "].into_iter().for_each(|part| self.0.push_str(part));
            match whole(value) {
                Some(whole) => digits(&mut self.0, whole),
                None => drop(write!(self.0, "{value}")),
            }
            self.0.push('\n');
        }
    }

    /// A metric of the box as a whole.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help, [("", value)]);
    }

    /// The whole text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

/// The value as a whole number that a float has exactly, if it is one, as nearly all are.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within the bounds that are looked at"
)]
fn whole(value: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    ((0.0..EXACT).contains(&value) && value.fract() == 0.0 && value.is_sign_positive())
        .then_some(value as u64)
}

fn digits(out: &mut String, number: u64) {
    if number < 10 {
        out.extend(char::from_digit(u32::try_from(number).unwrap_or_default(), 10));
    } else {
        // A string takes whatever is written to it.
        let _ = write!(out, "{number}");
    }
}

/// `{name="value",…}`.
#[must_use]
pub fn labels(pairs: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(64);
    for (name, value) in pairs {
        text.push(if text.is_empty() { '{' } else { ',' });
        text.push_str(name);
        text.push_str("=\"");
        if value.contains(['\\', '"', '\n']) {
            for c in value.chars() {
                match c {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    c => text.push(c),
                }
            }
        } else {
            text.push_str(value);
        }
        text.push('"');
    }
    text.push('}');
    text
}

/// A count as Prometheus keeps it, exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "the format has no other numbers")]
#[must_use]
pub const fn count(value: u64) -> f64 {
    value as f64
}

/// 1 or 0.
#[must_use]
pub const fn flag(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

/// Milliseconds in the base unit.
#[must_use]
pub fn seconds(milliseconds: u64) -> f64 {
    count(milliseconds) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_labels_and_numbers() {
        let mut text = Exposition::default();
        text.single("a_seconds", Kind::Gauge, "How old.", seconds(1500));
        text.family("none_total", Kind::Counter, "Nothing.", std::iter::empty());
        let label = labels(&[("name", "a\"b\\c\nd"), ("x", "y")]);
        text.family("b_total", Kind::Counter, "How many.", [(label.as_str(), count(1 << 50))]);
        for value in [0.0, 7.0, 10.0, -0.5, 1e300, f64::NAN] {
            text.single("c", Kind::Gauge, "Odd.", value);
        }
        assert_eq!(
            text.into_text(),
            "# HELP a_seconds How old.\n# TYPE a_seconds gauge\na_seconds 1.5\n\
             # HELP b_total How many.\n# TYPE b_total counter\n\
             b_total{name=\"a\\\"b\\\\c\\nd\",x=\"y\"} 1125899906842624\n"
                .to_owned()
                + &[0.0, 7.0, 10.0, -0.5, 1e300, f64::NAN]
                    .map(|value| format!("# HELP c Odd.\n# TYPE c gauge\nc {value}\n"))
                    .concat()
        );
    }
}
