//! What the person sees of a long step: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between two plain lines of one step.
const PLAIN_INTERVAL: Duration = Duration::from_secs(30);

/// One step of the work, named; ends with [`Step::done`] or by being dropped on an error.
pub struct Step {
    name: String,
    bar: ProgressBar,
    plain: bool,
    begun: Instant,
    spoke: Instant,
}

impl Step {
    /// Begins a step whose length is not known.
    pub fn begin(name: &str) -> Self {
        Self::with(name, ProgressBar::no_length(), "{spinner} {prefix}: {msg} {elapsed}")
    }

    /// Begins a step of `total` pieces.
    pub fn count(name: &str, total: u64) -> Self {
        Self::with(name, ProgressBar::new(total), "{spinner} {prefix}: {wide_bar} {pos}/{len} {elapsed}")
    }

    /// Begins a step that moves `total` bytes.
    pub fn bytes(name: &str, total: u64) -> Self {
        let template = "{spinner} {prefix}: {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        Self::with(name, ProgressBar::new(total), template)
    }

    /// Says how far the step is, in pieces or bytes.
    pub fn at(&mut self, position: u64) {
        self.bar.set_position(position);
        if self.plain && self.spoke.elapsed() >= PLAIN_INTERVAL {
            self.spoke = Instant::now();
            let share = position.saturating_mul(100) / self.bar.length().unwrap_or(position).max(1);
            eprintln!("{}: {share} %", self.name);
        }
    }

    /// Adds a word on what is happening.
    pub fn note(&mut self, text: &str) {
        if self.plain {
            eprintln!("{}: {text}", self.name);
        } else {
            self.bar.set_message(text.to_owned());
        }
    }

    /// Ends the step; `result` is what remains to be read of it.
    pub fn done(self, result: &str) {
        self.bar.finish_and_clear();
        let time = self.begun.elapsed();
        if time >= Duration::from_millis(100) {
            eprintln!("{}: {result} ({:.1} s)", self.name, time.as_secs_f64());
        } else {
            eprintln!("{}: {result}", self.name);
        }
    }

    fn with(name: &str, bar: ProgressBar, template: &str) -> Self {
        let plain = !std::io::stderr().is_terminal();
        if plain {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        } else {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        let now = Instant::now();
        Self { name: name.to_owned(), bar, plain, begun: now, spoke: now }
    }
}
