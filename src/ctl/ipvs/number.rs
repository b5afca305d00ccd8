//! Counters for people. Pure.

/// How counters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digits {
    /// Three digits and k, M, G, T (powers of 1000) from 10,000 on.
    Short,
    /// Every digit.
    Exact,
}

impl Digits {
    /// A counter.
    #[must_use]
    pub fn write(self, number: u64) -> String {
        const SUFFIXES: [&str; 6] = ["k", "M", "G", "T", "P", "E"];
        if self == Self::Exact || number < 10_000 {
            return number.to_string();
        }
        // Thousandths of the unit, cut off and not rounded: 999,999 must not become "1000k".
        let (mut thousandths, mut suffixes) = (number, SUFFIXES.iter());
        let mut suffix = suffixes.next();
        while thousandths >= 1_000_000 {
            thousandths /= 1_000;
            suffix = suffixes.next();
        }
        let (whole, rest) = (thousandths / 1_000, thousandths % 1_000);
        let suffix = suffix.copied().unwrap_or_default();
        match whole {
            0..10 => format!("{whole}.{:02}{suffix}", rest / 10),
            10..100 => format!("{whole}.{}{suffix}", rest / 100),
            _ => format!("{whole}{suffix}"),
        }
    }

    /// A counter of what the director may not see.
    #[must_use]
    pub fn write_seen(self, number: Option<u64>) -> String {
        number.map_or_else(|| "not seen".to_owned(), |number| self.write(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_enough() {
        for (number, short) in [
            (0, "0"),
            (9_999, "9999"),
            (10_000, "10.0k"),
            (99_999, "99.9k"),
            (999_999, "999k"),
            (1_000_000, "1.00M"),
            (12_345_678, "12.3M"),
            (1_234_567_890_123, "1.23T"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(Digits::Short.write(number), short);
            assert_eq!(Digits::Exact.write(number), number.to_string());
        }
        assert_eq!(Digits::Exact.write_seen(None), "not seen");
    }
}
