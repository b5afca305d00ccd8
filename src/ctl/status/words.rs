//! Times, tables and lists in words. Pure.

use std::time::Duration;

/// A span of time in its two largest units: `850 ms`, `12 s`, `3 m 20 s`, `5 h 1 m`, `12 d 4 h`.
#[must_use]
pub fn age(milliseconds: u64) -> String {
    let seconds = Duration::from_millis(milliseconds).as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds) {
        (0, 0, 0, 0) => format!("{milliseconds} ms"),
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} m {} s", s % 60),
        (0, h, m, _) => format!("{h} h {m} m"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

/// A short span of time: `1.2 ms`, `17 ms`.
#[must_use]
pub fn latency(microseconds: u64) -> String {
    if microseconds < 10_000 {
        format!("{}.{} ms", microseconds / 1_000, microseconds / 100 % 10)
    } else {
        format!("{} ms", microseconds / 1_000)
    }
}

/// Columns of equal width, two spaces apart, nothing after the last word of a line.
#[must_use]
pub fn table(rows: Vec<Vec<String>>) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let wide = widths.iter().map(|width| width + 2).sum();
    let line = |row: &Vec<String>| {
        let mut line = String::with_capacity(wide);
        // Where the next column begins; blanks are written when something follows them.
        let (mut at, mut written) = (0, 0);
        for (cell, width) in row.iter().zip(&widths) {
            let cell = cell.trim_end();
            if !cell.is_empty() {
                line.extend(std::iter::repeat_n(' ', at - written));
                line.push_str(cell);
                written = at + cell.chars().count();
            }
            at += width + 2;
        }
        line
    };
    rows.iter().map(line).collect()
}

pub(super) fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn ages_use_two_units() {
        for (ms, text) in [(850, "850 ms"), (12_345, "12 s"), (200_000, "3 m 20 s"), (18_060_000, "5 h 1 m")]
        {
            assert_eq!(age(ms), text);
        }
        assert_eq!(age(1_051_200_000), "12 d 4 h");
    }
}
