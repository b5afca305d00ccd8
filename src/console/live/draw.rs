//! A picture as cells of ratatui. Pure.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::{SMALLEST, Tone, View};

/// Draws `view`. The last column stays free: many terminals go to the next line after it.
pub fn draw(frame: &mut Frame<'_>, view: &View) {
    let area = frame.area();
    let (width, bottom) = (area.width.saturating_sub(1), area.height.saturating_sub(1));
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        put(frame, 0, 0, width, "too small: q = leave", Style::new());
        return;
    }
    bar(frame, 0, width, &view.title);
    for (number, (here, cells)) in view.body.iter().enumerate() {
        let Some(y) = u16::try_from(number + 1).ok().filter(|y| *y < bottom) else { break };
        if *here {
            put(frame, 0, y, width, ">", Style::new());
        }
        let mut x = 1;
        for cell in cells {
            x = put(frame, x, y, width, &cell.text, style(cell.tone));
        }
    }
    bar(frame, bottom, width, &view.bar);
    let caret = view.caret.and_then(|at| u16::try_from(at).ok()).map_or(width, |at| (at + 1).min(width));
    frame.set_cursor_position((caret, bottom));
}

const fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Head => Style::new().add_modifier(Modifier::BOLD),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Bad => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        Tone::Odd => Style::new().fg(Color::Yellow),
    }
}

/// A line in reverse from edge to edge, with something at its right end if there is room.
fn bar(frame: &mut Frame<'_>, y: u16, width: u16, (left, right): &(String, String)) {
    let style = Style::new().add_modifier(Modifier::REVERSED);
    frame.buffer_mut().set_style(Rect::new(0, y, width, 1), style);
    let end = put(frame, 1, y, width, left, style);
    let length = u16::try_from(right.len()).unwrap_or(u16::MAX);
    if let Some(x) = width.checked_sub(length.saturating_add(1)).filter(|x| *x > end) {
        put(frame, x, y, width, right, style);
    }
}

/// Puts a text up to the column `width`, and gives the column behind it.
fn put(frame: &mut Frame<'_>, x: u16, y: u16, width: u16, text: &str, style: Style) -> u16 {
    let room = usize::from(width.saturating_sub(x));
    frame.buffer_mut().set_stringn(x, y, text, room, style).0
}
