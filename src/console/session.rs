//! A terminal's session: bytes, answers and ticks in, text and commands out. Pure.

mod full; // the live view that fills the screen
mod gate; // Enter and the PIN
mod idle; // the terminal that nobody uses
mod news; // messages of the kernel
mod typing; // keys

use std::collections::VecDeque;
use std::time::Duration;

use super::announce::{Announcer, INVITATION};
use super::ascii::clean;
use super::editor::Editor;
use super::keys::{Decoder, Key};
use super::live::stage::Stage;
use super::screens::{Input, Screen, Step};
use super::snapshot::Snapshot;
use super::tool::Tool;
use crate::ipc::message::{Reply, Request};
use crate::pin::PinHash;
use crate::role::Role;

/// What a screen wants done; each is answered by [`Session::answer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ask these roles for their status and put it into the snapshot.
    Look(Vec<Role>),
    /// Do something here, printing what comes on the way.
    Do(Tool),
    /// See whether this is the PIN.
    Verify {
        /// Of the right one.
        hash: PinHash,
        /// What was typed.
        pin: String,
    },
    /// Ask a role something else.
    Ask(Role, Request),
}

/// The answer to a [`Command`].
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The snapshot is fresh.
    Looked,
    /// The reply.
    Reply(Reply),
    /// Done, with these last words.
    Told(String),
    /// There is none, or a refusal: why.
    Failed(String),
}

/// Time without a key after which the console is left, so that the next person starts at the banner, milliseconds.
const IDLE_MS: u64 = 10 * 60 * 1000;

/// Time after which an escape that nothing followed was the key of that name, milliseconds.
const ESCAPE_MS: u64 = 100;
/// How often a question that waits for its answer looks for messages of the kernel, milliseconds.
const NEWS_MS: u64 = 2_000;

/// The state of one terminal.
#[derive(Debug)]
pub struct Session {
    /// What is known of the box.
    pub snapshot: Snapshot,
    screen: Screen,
    decoder: Decoder,
    editor: Editor,
    announcer: Announcer,
    input: VecDeque<Key>,
    waiting: bool,
    clears: bool,
    now_ms: u64,
    key_ms: u64,
    due_ms: u64,
    escape_ms: Option<u64>,
    /// Wrong PINs in a row, and until when no other is taken.
    wrong: u32,
    shut_ms: u64,
    /// It was opened while nobody knew whether there is a PIN.
    unasked: bool,
    stage: Stage,
    /// Number of the last message of the kernel that was shown, when to look for others, and whether that is under way.
    heard: u64,
    news_ms: u64,
    aside: bool,
    /// Nothing but the live view, which ends the session.
    only: bool,
    ended: bool,
    out: String,
}

impl Session {
    /// A session that nobody uses yet. `clears`: the terminal understands ANSI's "clear screen".
    #[must_use]
    pub fn new(clears: bool) -> Self {
        Self {
            snapshot: Snapshot::default(),
            screen: Screen::Idle,
            decoder: Decoder::default(),
            editor: Editor::default(),
            announcer: Announcer::default(),
            input: VecDeque::new(),
            waiting: false,
            clears,
            now_ms: 0,
            key_ms: 0,
            due_ms: 0,
            escape_ms: None,
            wrong: 0,
            shut_ms: 0,
            unasked: false,
            stage: Stage::default(),
            heard: 0,
            news_ms: 0,
            aside: false,
            only: false,
            ended: false,
            out: String::new(),
        }
    }

    /// A session of the live view alone: full screen, or line by line for a terminal that understands nothing else.
    #[must_use]
    pub fn watching(full: bool) -> Self {
        let mut session = Self { only: true, ..Self::new(false) };
        let step = if full { Screen::live() } else { Screen::status() };
        session.screen = step.screen;
        session.enter(full);
        session
    }

    /// Whether it is over ([`Self::watching`]).
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// The size of the terminal in columns and lines, as far as the kernel knows it.
    pub fn window(&mut self, size: Option<(u16, u16)>) {
        self.stage.window(size);
    }

    /// What puts the terminal back when the process ends.
    pub fn farewell(&mut self) -> String {
        self.stage.leave()
    }

    /// Bytes from the terminal.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.input.extend(self.decoder.byte(*byte));
        }
    }

    /// Takes what is to be printed, lines ended by `\n`.
    pub fn take_output(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// How long to wait for bytes before the next [`Self::advance`]; `None` = for ever.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        if self.decoder.pending() {
            return Some(Duration::from_millis(ESCAPE_MS));
        }
        let tick = self.period().map(|_| self.due_ms.saturating_sub(self.now_ms));
        let leave = self.leaves().then(|| (self.key_ms + IDLE_MS).saturating_sub(self.now_ms));
        let news = self.asks_aside().then(|| self.news_ms.saturating_sub(self.now_ms));
        tick.into_iter().chain(leave).chain(news).min().map(Duration::from_millis)
    }

    /// Goes on until something must be done outside or nothing is left to do; `now_ms` counts from the session's start.
    pub fn advance(&mut self, now_ms: u64) -> Option<Command> {
        self.now_ms = now_ms;
        self.settle();
        while !self.waiting {
            if let Some(key) = self.input.pop_front() {
                let idle = now_ms >= self.key_ms + IDLE_MS;
                self.key_ms = now_ms;
                if let Some(command) = self.key(key, idle) {
                    return Some(command);
                }
            } else if self.leaves() && now_ms >= self.key_ms + IDLE_MS {
                self.out.push('\n');
                self.leave();
            } else if let Some(period) = self.period().filter(|_| now_ms >= self.due_ms) {
                self.due_ms = now_ms + period;
                return self.input(Input::Tick);
            } else if self.asks_aside() && now_ms >= self.news_ms {
                self.news_ms = now_ms + NEWS_MS;
                (self.aside, self.waiting) = (true, true);
                return Some(Command::Look(vec![Role::Init]));
            } else {
                return None;
            }
        }
        None
    }

    /// Tells the time after a command that took its own: a wrong PIN shuts the console from its answer on.
    pub const fn took_until(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// The answer to the last command.
    pub fn answer(&mut self, answer: Answer) -> Option<Command> {
        self.waiting = false;
        let aside = std::mem::take(&mut self.aside);
        if self.shuts() {
            return None;
        }
        self.tell(aside);
        if aside {
            return None;
        }
        if self.screen == Screen::Locked {
            self.count(&answer);
        }
        self.input(Input::Answer(answer))
    }

    /// The terminal was hung up and is there again: nobody is logged in any more.
    pub fn reopened(&mut self) {
        let (now_ms, wrong, shut_ms) = (self.now_ms, self.wrong, self.shut_ms);
        // What is known of the box stays, the PIN above all.
        let snapshot = std::mem::take(&mut self.snapshot);
        *self = Self { now_ms, wrong, shut_ms, snapshot, ..Self::new(self.clears) };
    }

    /// A live view may be watched for hours; a menu that nobody answers is left.
    fn leaves(&self) -> bool {
        self.screen != Screen::Idle && self.screen.period_ms().is_none()
    }

    fn settle(&mut self) {
        if !self.decoder.pending() {
            self.escape_ms = None;
        } else if self.now_ms >= *self.escape_ms.get_or_insert(self.now_ms) + ESCAPE_MS {
            self.input.extend(self.decoder.settle());
            self.escape_ms = None;
        }
    }

    fn period(&self) -> Option<u64> {
        match self.screen {
            Screen::Idle if !self.announcer.ready() && self.now_ms < 30_000 => Some(50),
            Screen::Idle => Some(1_000),
            _ => self.screen.period_ms(),
        }
    }

    fn input(&mut self, input: Input) -> Option<Command> {
        if self.screen == Screen::Idle {
            return self.idle(&input);
        }
        if matches!(self.screen, Screen::Live(_)) {
            return self.live(&input);
        }
        let screen = std::mem::replace(&mut self.screen, Screen::Idle);
        let step = screen.step(input, &self.snapshot);
        self.go(step)
    }

    fn go(&mut self, step: Step) -> Option<Command> {
        let entered = step.screen.mode() != self.screen.mode();
        let full = matches!(step.screen, Screen::Live(_));
        if !full {
            self.out.push_str(&self.stage.leave());
        }
        self.ended = self.only && matches!(step.screen, Screen::Menu(_) | Screen::Idle);
        if self.ended {
            return None;
        }
        if step.redraws && self.clears {
            self.out.push_str("\x1b[H\x1b[2J");
        }
        if !step.text.is_empty() {
            self.print(&step.text);
        }
        self.screen = step.screen;
        if entered {
            self.editor.clear();
        }
        if let Some(period) = self.screen.period_ms() {
            self.due_ms = self.now_ms + period;
        }
        self.enter(full);
        if self.screen == Screen::Idle {
            self.leave();
        } else if step.command.is_none() {
            self.prompt();
        }
        self.waiting = step.command.is_some();
        step.command
    }

    fn leave(&mut self) {
        self.screen = Screen::Idle;
        self.editor.clear();
        self.due_ms = self.now_ms;
        self.print(INVITATION);
    }

    fn prompt(&mut self) {
        let prompt = self.screen.prompt(&self.snapshot);
        self.out.push_str(&clean(&prompt));
    }

    fn print(&mut self, text: &str) {
        self.out.push_str(&clean(text));
        if !text.ends_with('\n') {
            self.out.push('\n');
        }
    }
}
