//! The text format of Prometheus, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::{Display, Write};

use hyper::body::Bytes;

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

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Family<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is.
    pub kind: Kind,
    /// What it says, in a sentence.
    pub help: &'a str,
}

impl<'a> Family<'a> {
    /// One that only grows.
    #[must_use]
    pub const fn counter(name: &'a str, help: &'a str) -> Self {
        Self { name, kind: Kind::Counter, help }
    }

    /// One that goes up and down.
    #[must_use]
    pub const fn gauge(name: &'a str, help: &'a str) -> Self {
        Self { name, kind: Kind::Gauge, help }
    }

    fn begin(self, out: &mut String) {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let Self { name, help, .. } = self;
        // A string takes whatever is written to it.
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(self, out: &mut String, labels: &str, value: f64) {
        // By pieces: with 10,000 servers these are 100,000 lines.
        out.push_str(self.name);
        out.push_str(labels);
        out.push(' ');
        match whole(value) {
            Some(whole) => digits(out, whole),
            None => drop(write!(out, "{value}")),
        }
        out.push('\n');
    }
}

/// Families that tell of the same objects. Whoever comes by one object after the other adds its samples to all of them at once,
/// and the samples of each stay together.
#[derive(Debug)]
pub struct Table<const N: usize> {
    families: [Family<'static>; N],
    samples: [String; N],
}

impl<const N: usize> Table<N> {
    /// Without samples.
    #[must_use]
    pub fn new(families: [Family<'static>; N]) -> Self {
        Self { families, samples: std::array::from_fn(|_| String::new()) }
    }

    /// Adds an object with a value for each family, as far as there is one.
    pub fn add(&mut self, labels: &str, values: [Option<f64>; N]) {
        for ((family, samples), value) in self.families.iter().zip(&mut self.samples).zip(values) {
            let Some(value) = value else { continue };
            if samples.is_empty() {
                family.begin(samples);
            }
            family.sample(samples, labels, value);
        }
    }
}

/// Families of metrics, one after the other.
#[derive(Debug, Default)]
pub struct Exposition {
    full: Vec<Bytes>,
    text: String,
}

impl Exposition {
    /// All samples of one metric: labels as [`labels`] writes them, and the value. Without samples there is no family.
    pub fn family<'a>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        samples: impl IntoIterator<Item = (&'a str, f64)>,
    ) {
        let family = Family { name, kind, help };
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        family.begin(&mut self.text);
        samples.for_each(|(labels, value)| family.sample(&mut self.text, labels, value));
    }

    /// The families of a table; where it lies, for it may have megabytes.
    pub fn table<const N: usize>(&mut self, table: Table<N>) {
        self.full.push(std::mem::take(&mut self.text).into());
        self.full.extend(table.samples.map(Bytes::from));
    }

    /// A metric of the box as a whole.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help, [("", value)]);
    }

    /// The whole text, in pieces.
    #[must_use]
    pub fn into_pieces(mut self) -> Vec<Bytes> {
        self.full.push(self.text.into());
        self.full
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

/// `{name="value",…}` in the making: what several objects have in common is written once.
#[derive(Debug, Default)]
pub struct Labels(String);

impl Labels {
    /// Adds a label.
    pub fn add(&mut self, name: &str, value: &str) {
        self.open(name);
        if value.bytes().any(|byte| matches!(byte, b'\\' | b'"' | b'\n')) {
            for c in value.chars() {
                match c {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    c => self.0.push(c),
                }
            }
        } else {
            self.0.push_str(value);
        }
        self.0.push('"');
    }

    /// Adds one whose value has nothing to escape: an address, a number.
    pub fn show(&mut self, name: &str, value: impl Display) {
        self.open(name);
        let _ = write!(self.0, "{value}\"");
    }

    /// How much there is by now, to come back to.
    #[must_use]
    pub const fn mark(&self) -> usize {
        self.0.len()
    }

    /// Forgets what came after `mark`.
    pub fn back_to(&mut self, mark: usize) {
        self.0.truncate(mark);
    }

    /// All, until more is added behind a mark.
    pub fn text(&mut self) -> &str {
        if !self.0.ends_with('}') {
            self.0.push('}');
        }
        &self.0
    }

    fn open(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(name);
        self.0.push_str("=\"");
    }
}

/// `{name="value",…}`.
#[must_use]
pub fn labels(pairs: &[(&str, &str)]) -> String {
    let mut labels = Labels::default();
    pairs.iter().for_each(|(name, value)| labels.add(name, value));
    labels.text();
    labels.0
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

    fn text(exposition: Exposition) -> String {
        exposition.into_pieces().iter().map(|piece| std::str::from_utf8(piece).unwrap()).collect()
    }

    #[test]
    fn a_table_keeps_each_family_together() {
        let mut table = Table::new([
            Family::gauge("a_up", "Alive."),
            Family::counter("b_total", "Bytes."),
            Family::gauge("never", "Nothing."),
        ]);
        let mut labels = Labels::default();
        labels.add("service", "web");
        let mark = labels.mark();
        for (port, up) in [(80, None), (443, Some(1.0))] {
            labels.back_to(mark);
            labels.show("port", port);
            table.add(labels.text(), [up, Some(7.0), None]);
        }
        let mut out = Exposition::default();
        out.single("before", Kind::Gauge, "First.", 1.0);
        out.table(table);
        out.single("after", Kind::Gauge, "Last.", 0.0);
        assert_eq!(
            text(out),
            "# HELP before First.\n# TYPE before gauge\nbefore 1\n\
             # HELP a_up Alive.\n# TYPE a_up gauge\na_up{service=\"web\",port=\"443\"} 1\n\
             # HELP b_total Bytes.\n# TYPE b_total counter\n\
             b_total{service=\"web\",port=\"80\"} 7\nb_total{service=\"web\",port=\"443\"} 7\n\
             # HELP after Last.\n# TYPE after gauge\nafter 0\n"
        );
    }

    #[test]
    fn families_labels_and_numbers() {
        let mut out = Exposition::default();
        out.single("a_seconds", Kind::Gauge, "How old.", seconds(1500));
        out.family("none_total", Kind::Counter, "Nothing.", std::iter::empty());
        let label = labels(&[("name", "a\"b\\c\nd"), ("x", "y")]);
        out.family("b_total", Kind::Counter, "How many.", [(label.as_str(), count(1 << 50))]);
        for value in [0.0, 7.0, 10.0, -0.5, 1e300, f64::NAN] {
            out.single("c", Kind::Gauge, "Odd.", value);
        }
        assert_eq!(
            text(out),
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
