//! A series as a small line. Pure.

use std::fmt::{self, Write};

use super::history::Series;

/// Units of a line's height, its stroke included.
const HEIGHT: f32 = 300.0;
/// The room that the stroke needs above and below.
const MARGIN: f32 = 12.0;
/// Points of a line: more than it has pixels are of no use, and a thousand services have a thousand lines.
const POINTS: usize = 72;

/// Three digits that matter.
pub fn number(value: f32) -> String {
    if value >= 100.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// A series as a line above its shade; gaps are gaps. The left end is [`super::history::History::span`] ago, the right end is now.
pub struct Spark<'a>(pub &'a Series);

impl fmt::Display for Spark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.0.values().flatten().fold(0.0_f32, f32::max);
        let points = self.0.condensed(POINTS);
        let first = POINTS.saturating_sub(points.len());
        let mut line = String::new();
        let mut shade = String::new();
        // Where the present piece of the line began, and where it is.
        // A string takes whatever is written to it.
        let mut piece: Option<(usize, usize)> = None;
        for (at, value) in points.enumerate() {
            let at = first + at;
            let Some(value) = value else {
                close(&mut shade, piece.take());
                continue;
            };
            let share = if most > 0.0 { value / most } else { 0.0 };
            let y = whole(HEIGHT - MARGIN - share * (HEIGHT - 2.0 * MARGIN));
            if let Some((_, end)) = &mut piece {
                *end = at + 1;
                let _ = write!(line, "L{} {y}", at + 1);
                let _ = write!(shade, "L{} {y}", at + 1);
            } else {
                // A single value is a dash.
                let _ = write!(line, "M{at} {y}h1");
                let _ = write!(shade, "M{at} {y}h1");
                piece = Some((at, at + 1));
            }
        }
        close(&mut shade, piece);
        write!(
            f,
            "<svg viewBox=\"0 0 {POINTS} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"at most {}\">\
             <path class=\"a\" d=\"{shade}\"/><path d=\"{line}\"/></svg>",
            number(most)
        )
    }
}

/// Down to the ground and back.
fn close(shade: &mut String, piece: Option<(usize, usize)>) {
    if let Some((begin, _)) = piece {
        let _ = write!(shade, "V{HEIGHT}H{begin}Z");
    }
}

#[expect(clippy::cast_possible_truncation, reason = "within the height of the line")]
const fn whole(y: f32) -> i32 {
    y.round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_gaps_and_ends_now() {
        let mut series = Series::default();
        let text = |series: &Series| Spark(series).to_string();
        assert!(text(&series).contains("<path d=\"\"/>"), "{}", text(&series));
        // Four of them are one point.
        for value in [Some(2.0), Some(2.0), Some(2.0), Some(2.0), None, None, None, None] {
            series.push(value);
        }
        for _ in 0..8 {
            series.push(Some(4.0));
        }
        let drawn = text(&series);
        assert!(drawn.contains("<path d=\"M68 150h1M70 12h1L72 12\"/>"), "{drawn}");
        assert!(drawn.contains("M68 150h1V300H68ZM70 12h1L72 12V300H70Z"), "{drawn}");
        assert!(drawn.contains("at most 4"), "{drawn}");
    }
}
