//! The way to an address, router by router: `director traceroute` and the console.
//!
//! Echo requests with a rising hop limit; each router that drops one says so (RFC 792, RFC 4443). Echoes pass more firewalls than
//! datagrams to closed ports.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use super::ping::Target;
use super::ping::icmp::Heard;
use super::ping::socket::{Echo, Exchange};

/// How far and how patiently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Hops at most, 1 to 255.
    pub hops: u8,
    /// Questions for each hop, 1 to 10.
    pub queries: u8,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self { hops: 30, queries: 3, timeout: Duration::from_secs(1) }
    }
}

/// What one question of a hop came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A router on the way, or the target itself.
    Answer {
        /// Who.
        from: IpAddr,
        /// After how long.
        time: Duration,
    },
    /// Nobody in time.
    Silence,
    /// Somebody says that it goes no further.
    Refused {
        /// Who.
        from: IpAddr,
        /// In words.
        why: String,
    },
    /// It could not be sent, and why.
    Unsent(String),
}

/// So many hops away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// From 1.
    pub number: u8,
    /// What each question came to.
    pub probes: Vec<Probe>,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>2}", self.number)?;
        let mut said = None;
        for probe in &self.probes {
            match probe {
                Probe::Answer { from, time } => {
                    if said != Some(*from) {
                        write!(f, "  {from}")?;
                        said = Some(*from);
                    }
                    write!(f, "  {:.3} ms", time.as_secs_f64() * 1000.0)?;
                }
                Probe::Silence => f.write_str("  *")?,
                Probe::Refused { from, why } => write!(f, "  {from}: {why}")?,
                Probe::Unsent(why) => write!(f, "  not sent: {why}")?,
            }
        }
        Ok(())
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The target answered, so many hops away.
    Reached(u8),
    /// Somebody refused, or the question could not be sent.
    Refused(u8),
    /// So many hops were not enough.
    TooFar(u8),
    /// The caller had enough.
    Stopped,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reached(1) => f.write_str("reached, 1 hop away"),
            Self::Reached(hops) => write!(f, "reached, {hops} hops away"),
            Self::Refused(hops) => write!(f, "not reached: it ends after {hops} hops"),
            Self::TooFar(hops) => write!(f, "not reached within {hops} hops"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// Asks hop by hop, and tells `each` what each came to; `Break` from it ends the trace.
///
/// # Errors
/// No socket can be opened (needs CAP_NET_RAW), or it takes no hop limit.
pub fn trace(target: Target, plan: Plan, mut each: impl FnMut(&Hop) -> ControlFlow<()>) -> io::Result<End> {
    let echo = Echo::open(target)?;
    let mut seq = 0;
    for number in 1..=plan.hops {
        echo.limit_hops(number)?;
        let mut hop = Hop { number, probes: Vec::new() };
        let mut end = None;
        for _ in 0..plan.queries {
            seq += 1;
            let (probe, ends) = judge(echo.exchange(seq, plan.timeout), number);
            hop.probes.push(probe);
            end = end.or(ends);
        }
        if each(&hop).is_break() {
            return Ok(End::Stopped);
        }
        if let Some(end) = end {
            return Ok(end);
        }
    }
    Ok(End::TooFar(plan.hops))
}

fn judge(exchange: Exchange, hop: u8) -> (Probe, Option<End>) {
    match exchange {
        Exchange::Heard { from, time, heard } => match heard {
            Heard::Answer => (Probe::Answer { from, time }, Some(End::Reached(hop))),
            Heard::Expired => (Probe::Answer { from, time }, None),
            Heard::Refused(why) => (Probe::Refused { from, why }, Some(End::Refused(hop))),
        },
        Exchange::Silence => (Probe::Silence, None),
        Exchange::Unsent(why) => (Probe::Unsent(why), Some(End::Refused(hop))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_names_each_router_once() {
        let [first, second]: [IpAddr; 2] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
        let answer = |from| Probe::Answer { from, time: Duration::from_micros(1500) };
        let probes = vec![answer(first), answer(first), Probe::Silence, answer(second)];
        let hop = Hop { number: 3, probes };
        assert_eq!(hop.to_string(), " 3  10.0.0.1  1.500 ms  1.500 ms  *  10.0.0.2  1.500 ms");
        let why = "host unreachable".to_owned();
        let hop = Hop { number: 12, probes: vec![Probe::Refused { from: first, why }] };
        assert_eq!(hop.to_string(), "12  10.0.0.1: host unreachable");
    }

    #[test]
    fn the_loopback_is_one_hop_away() {
        for target in ["127.0.0.1", "::1"] {
            let mut hops = Vec::new();
            let each = |hop: &Hop| {
                hops.push(hop.clone());
                ControlFlow::Continue(())
            };
            match trace(target.parse().unwrap(), Plan { queries: 1, ..Plan::default() }, each) {
                Ok(end) => assert_eq!((end, hops.len()), (End::Reached(1), 1), "{target}"),
                Err(error) => eprintln!("skipped: {target}: raw sockets: {error}"),
            }
        }
    }
}
