//! ICMP echo for people (RFC 792, RFC 4443): `director ping` and the console.
//!
//! Blocking, one question at a time. Packets are smoltcp's.

pub mod icmp; // questions and answers as bytes (pure)
pub(super) mod socket; // the raw socket

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::units::{Refused, show_duration};
use socket::Echo;

/// Whom to ask: an address, a link-local one with its interface as in `fe80::1%eth0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The address.
    pub address: IpAddr,
    /// Index of the interface, 0 = by routing.
    pub scope: u32,
}

impl FromStr for Target {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let (address, link) =
            text.split_once('%').map_or((text, None), |(address, link)| (address, Some(link)));
        let address: IpAddr = address.parse().map_err(|_| {
            Refused(format!(
                "{text:?} is not an address such as \"192.168.61.1\", \"2001:db8::1\" or \"fe80::1%eth0\""
            ))
        })?;
        let scope = match link {
            Some(link) => nix::net::if_::if_nametoindex(link)
                .map_err(|_| Refused(format!("there is no interface {link:?}")))?,
            None => 0,
        };
        Ok(Self { address, scope })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// How often and how patiently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Number of questions.
    pub count: u16,
    /// From one question to the next.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self { count: 4, interval: Duration::from_secs(1), timeout: Duration::from_secs(1) }
    }
}

/// What became of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Answer {
        /// Which, from 1.
        seq: u16,
        /// How long it took.
        time: Duration,
    },
    /// Nobody answered in time.
    Silence {
        /// Which, from 1.
        seq: u16,
        /// How long was waited.
        timeout: Duration,
    },
    /// A router or the host says that it cannot be delivered.
    Refused {
        /// Which, from 1.
        seq: u16,
        /// Who says so.
        from: IpAddr,
        /// In words.
        why: String,
    },
    /// It could not be sent.
    Unsent {
        /// Which, from 1.
        seq: u16,
        /// In words.
        why: String,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { seq, time } => write!(f, "{seq}: answer after {}", millis(*time)),
            Self::Silence { seq, timeout } => {
                write!(f, "{seq}: no answer within {}", show_duration(*timeout))
            }
            Self::Refused { seq, from, why } => write!(f, "{seq}: {why}, says {from}"),
            Self::Unsent { seq, why } => write!(f, "{seq}: not sent: {why}"),
        }
    }
}

/// All questions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Questions.
    pub sent: u32,
    /// Answers.
    pub answered: u32,
    /// The fastest answer.
    pub fastest: Duration,
    /// The slowest answer.
    pub slowest: Duration,
    total: Duration,
}

impl Summary {
    fn count(&mut self, outcome: &Outcome) {
        self.sent += 1;
        if let Outcome::Answer { time, .. } = outcome {
            self.fastest = if self.answered == 0 { *time } else { self.fastest.min(*time) };
            self.slowest = self.slowest.max(*time);
            self.total += *time;
            self.answered += 1;
        }
    }

    /// How long an answer took on average; `None` without any.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        self.total.checked_div(self.answered)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sent, {} answered", self.sent, self.answered)?;
        match self.mean() {
            Some(mean) => write!(
                f,
                "; fastest {}, mean {}, slowest {}",
                millis(self.fastest),
                millis(mean),
                millis(self.slowest)
            ),
            None => Ok(()),
        }
    }
}

fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}

/// Asks `target` as `plan` says and tells `each` what became of each question; `Break` from it ends the series.
///
/// # Errors
/// When no socket can be opened (needs CAP_NET_RAW). A question that cannot be sent is an [`Outcome`].
pub fn ping(
    target: Target,
    plan: Plan,
    mut each: impl FnMut(&Outcome) -> ControlFlow<()>,
) -> io::Result<Summary> {
    let echo = Echo::open(target)?;
    let mut summary = Summary::default();
    for seq in 1..=plan.count {
        let asked = Instant::now();
        let outcome = echo.ask(seq, plan.timeout);
        summary.count(&outcome);
        if each(&outcome).is_break() {
            break;
        }
        if seq < plan.count {
            std::thread::sleep(plan.interval.saturating_sub(asked.elapsed()));
        }
    }
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_say_what_they_want() {
        assert_eq!("127.0.0.1".parse(), Ok(Target { address: "127.0.0.1".parse().unwrap(), scope: 0 }));
        assert_eq!("fe80::1%lo".parse::<Target>().unwrap().scope, 1);
        for bad in ["", "host", "1.2.3", "fe80::1%nosuch", "1.2.3.4/24"] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_summary_counts_answers_only() {
        let mut summary = Summary::default();
        summary.count(&Outcome::Answer { seq: 1, time: Duration::from_millis(3) });
        summary.count(&Outcome::Answer { seq: 2, time: Duration::from_millis(1) });
        summary.count(&Outcome::Silence { seq: 3, timeout: Duration::from_secs(1) });
        let words = "3 sent, 2 answered; fastest 1.000 ms, mean 2.000 ms, slowest 3.000 ms";
        assert_eq!(summary.to_string(), words);
    }

    #[test]
    fn the_loopback_answers_at_once() {
        for target in ["127.0.0.1", "::1"] {
            let plan = Plan { count: 2, interval: Duration::ZERO, timeout: Duration::from_secs(2) };
            match ping(target.parse().unwrap(), plan, |_| ControlFlow::Continue(())) {
                Ok(summary) => assert_eq!(summary.answered, 2, "{target}"),
                Err(error) => eprintln!("skipped: {target}: raw sockets: {error}"),
            }
        }
    }
}
