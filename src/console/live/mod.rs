//! The live view that fills the screen: state and key → state, state and snapshot → picture. Pure.
//!
//! ```text
//! snapshot ─▶ rows ─▶ Live::view (fold, filter, scroll) ─▶ draw (ratatui's buffer) ─▶ painter: what changed, as escape codes
//! ```

mod alarms;
pub mod draw;
pub mod painter;
mod rates;
mod rows;
pub mod stage;

use std::collections::BTreeSet;

use self::rates::Rates;
use self::rows::{Row, Section};
use super::ascii::clean;
use super::keys::Key;
use super::snapshot::Snapshot;
use crate::ctl::status;
use crate::ipc::message::LvsStatus;
use crate::role::Role;

pub use self::rows::{Cell, Tone};

/// What is asked of a terminal to learn its size: the cursor goes as far right and down as it can, tells where that is
/// (ECMA-48 section 8.3.35, device status report 6), and comes back.
pub const QUESTION: &str = "\x1b7\x1b[999;999H\x1b[6n\x1b8";
/// How long a terminal may take to answer, milliseconds: at 9600 baud the question alone takes 20.
pub const PATIENCE_MS: u64 = 1_500;
/// How often the view is drawn anew, milliseconds.
pub const PERIOD_MS: u64 = 1_000;
/// Smallest size that it is drawn in, columns and lines.
pub const SMALLEST: (u16, u16) = (40, 8);

/// From so many real servers on, they are asked for less often: their status is megabytes.
const MANY: usize = 1_000;
/// So much less often.
const SELDOM: u64 = 5;
/// Longest text to filter by.
const LONGEST: usize = 40;

/// What `?` tells.
pub const HELP: &[&str] = &[
    "arrows, j k     one line down or up      Space b, PgDn PgUp   a page",
    "g G, Home End   the first, the last line",
    "Enter           opens or closes a service: its real servers",
    "e               opens or closes all of them",
    "/               shows only what has a text: type it, then Enter; Esc = all again",
    "Ctrl-L          draws everything anew, in the size that the terminal has now",
    "q, Ctrl-C       leaves",
    "",
    "live   real servers that answer, of all      act    active connections",
    "new/s  new connections each second, over the last seconds",
    "late   by how much an advertisement was sent too late, at most, as master",
    "",
    "Any key leads back.",
];

/// What a key leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The view is drawn again.
    Stay,
    /// It is left.
    Leave,
    /// Everything is drawn anew, after asking the terminal for its size.
    Measure,
}

/// What the person has made of the view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// Names of the services whose servers are shown.
    open: BTreeSet<String>,
    filter: String,
    typing: bool,
    help: bool,
    /// The row of the cursor, and the first one on the screen.
    at: String,
    cursor: usize,
    top: usize,
    /// Every row of the last view, and lines for them.
    shown: Vec<Shown>,
    height: usize,
    rates: Rates,
    turns: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    id: String,
    service: Option<String>,
}

/// A picture without a size of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The first line: left and right.
    pub title: (String, String),
    /// The lines between, each with whether the cursor is there.
    pub body: Vec<(bool, Vec<Cell>)>,
    /// The last line: left and right.
    pub bar: (String, String),
    /// Where in the last line somebody types.
    pub caret: Option<usize>,
}

impl Live {
    /// Whom to ask before the next picture.
    #[must_use]
    pub fn roles(&mut self, snapshot: &Snapshot) -> Vec<Role> {
        let servers = |lvs: &LvsStatus| lvs.services.iter().map(|service| service.servers.len()).sum();
        let many = snapshot.lvs.as_ref().map_or(0, servers) > MANY;
        let mut roles = vec![Role::Init, Role::Store, Role::Net, Role::Vrrp, Role::Time];
        if !many || self.turns.is_multiple_of(SELDOM) {
            roles.push(Role::Lvs);
        }
        self.turns += 1;
        roles
    }

    /// They have answered.
    pub fn heard(&mut self, snapshot: &Snapshot) {
        self.rates.take(snapshot);
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key) -> Act {
        if self.help && key != Key::Interrupt {
            self.help = false;
            return Act::Stay;
        }
        if self.typing {
            self.typed(key);
            return Act::Stay;
        }
        let page = self.height.saturating_sub(1).max(1);
        match key {
            Key::Char('q' | 'Q') | Key::Interrupt | Key::End => return Act::Leave,
            Key::Redraw => return Act::Measure,
            Key::Char('?' | 'h') => self.help = true,
            Key::Char('/') => self.typing = true,
            Key::Escape => self.filter.clear(),
            Key::Char('j') | Key::Down => self.go(self.cursor.saturating_add(1)),
            Key::Char('k') | Key::Up => self.go(self.cursor.saturating_sub(1)),
            Key::Char(' ') | Key::PageDown => self.go(self.cursor.saturating_add(page)),
            Key::Char('b') | Key::PageUp => self.go(self.cursor.saturating_sub(page)),
            Key::Char('g') | Key::Home => self.go(0),
            Key::Char('G') | Key::Last => self.go(usize::MAX),
            Key::Enter => self.fold(),
            Key::Char('e') => self.fold_all(),
            Key::Char(_) | Key::Erase | Key::EraseLine | Key::Position { .. } => {}
        }
        Act::Stay
    }

    fn typed(&mut self, key: Key) {
        match key {
            Key::Char(c) if self.filter.len() < LONGEST => self.filter.push(c),
            Key::Erase => {
                self.filter.pop();
            }
            Key::EraseLine => self.filter.clear(),
            Key::Enter => self.typing = false,
            Key::Escape | Key::Interrupt | Key::End => {
                self.typing = false;
                self.filter.clear();
            }
            _ => {}
        }
    }

    fn go(&mut self, to: usize) {
        self.cursor = to.min(self.shown.len().saturating_sub(1));
        if let Some(shown) = self.shown.get(self.cursor) {
            self.at.clone_from(&shown.id);
        }
    }

    fn fold(&mut self) {
        let Some(name) = self.shown.get(self.cursor).and_then(|shown| shown.service.clone()) else { return };
        self.at = rows::service_id(&name);
        if !self.open.remove(&name) {
            self.open.insert(name);
        }
    }

    fn fold_all(&mut self) {
        let all: BTreeSet<String> = self.shown.iter().filter_map(|shown| shown.service.clone()).collect();
        self.open = if all.is_subset(&self.open) { BTreeSet::new() } else { all };
    }

    /// The picture for `lines` lines in all.
    pub fn view(&mut self, snapshot: &Snapshot, lines: u16) -> View {
        self.height = usize::from(lines).saturating_sub(2);
        let title = title(snapshot);
        if self.help {
            let cells = |line: &&str| (false, vec![Cell { text: (*line).to_owned(), tone: Tone::Plain }]);
            let body = HELP.iter().take(self.height).map(cells).collect();
            return View { title, body, bar: (String::new(), String::new()), caret: None };
        }
        let rows = self.filtered(rows::sections(snapshot, &self.open, &self.rates));
        self.shown =
            rows.iter().map(|row| Shown { id: row.id.clone(), service: row.service.clone() }).collect();
        self.follow();
        let last = (self.top + self.height).min(rows.len());
        let place = if rows.len() > self.height {
            format!("{}-{last} of {}", self.top + 1, rows.len())
        } else {
            String::new()
        };
        let body = rows.into_iter().enumerate().skip(self.top).take(self.height);
        let body = body.map(|(number, row)| (number == self.cursor, row.cells)).collect();
        let (left, caret) = self.bar();
        View { title, body, bar: (left, place), caret }
    }

    fn bar(&self) -> (String, Option<usize>) {
        if self.typing {
            let left = format!("Only what has: {}", self.filter);
            let caret = left.len();
            return (left, Some(caret));
        }
        let left = "q leave  ? help  / filter  Enter open  e open all";
        let filter = if self.filter.is_empty() { String::new() } else { format!("  [{}]", self.filter) };
        (format!("{left}{filter}"), None)
    }

    /// The cursor stays at its row, wherever that has gone; what is scrolled comes to rest in the middle, so that few lines
    /// have to be sent again.
    fn follow(&mut self) {
        let found = self.shown.iter().position(|shown| shown.id == self.at);
        self.go(found.unwrap_or(self.cursor));
        if self.cursor < self.top || self.cursor >= self.top + self.height {
            self.top = self.cursor.saturating_sub(self.height / 2);
        }
        self.top = self.top.min(self.shown.len().saturating_sub(self.height));
    }

    /// The rows that have the text, with the heads of their sections and the services of their servers.
    fn filtered(&self, sections: Vec<Section>) -> Vec<Row> {
        let wanted = self.filter.to_lowercase();
        let mut out = Vec::new();
        for Section { head, mut rows } in sections {
            if !wanted.is_empty() {
                let hits: BTreeSet<String> = rows
                    .iter()
                    .filter(|row| row.has(&wanted))
                    .filter_map(|row| row.service.clone())
                    .collect();
                rows.retain(|row| {
                    row.has(&wanted)
                        || (row.leads && row.service.as_ref().is_some_and(|it| hits.contains(it)))
                });
            }
            if !rows.is_empty() || wanted.is_empty() {
                out.push(head);
                out.extend(rows);
            }
        }
        out
    }
}

fn title(snapshot: &Snapshot) -> (String, String) {
    let mut left = snapshot.hostname().to_owned();
    if let Some(init) = &snapshot.init {
        left.push_str(&format!("  Director {}", init.version));
        if let Some(slot) = &init.slot {
            left.push_str(&format!("  slot {slot}"));
        }
        left.push_str(&format!("  up {}", up(init.uptime_ms)));
    }
    if let Some(store) = &snapshot.store {
        left.push_str(&format!("  config {}", store.generation));
    }
    (clean(&left), snapshot.clock().unwrap_or_default())
}

/// Whole minutes, which change seldom.
fn up(milliseconds: u64) -> String {
    let minutes = milliseconds / 60_000;
    if minutes < 60 { format!("{minutes} m") } else { status::age(minutes * 60_000) }
}
