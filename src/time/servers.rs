//! Those that are asked: whom, when, and what they said. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::ask::Failure;
use super::choose::Sample;
use crate::ipc::message::TimeServerStatus;

/// Pause for a server that wants to be asked less often: the first, doubled each time, and the longest.
const SLOWER: Duration = Duration::from_secs(128);
const SLOWEST: Duration = Duration::from_secs(3600 * 4);

/// A server, and what is known of it.
#[derive(Debug, Default)]
struct Server {
    sample: Option<Sample>,
    problem: Option<String>,
    banned: bool,
    pause: Duration,
    not_before: Option<Instant>,
}

/// All of them, in the order of the file or of the leases.
#[derive(Debug, Default)]
pub struct Servers {
    order: Vec<IpAddr>,
    known: BTreeMap<IpAddr, Server>,
}

impl Servers {
    /// Takes `wanted` in place of those that are asked now; of one that stays is kept what is known.
    pub fn follow(&mut self, wanted: Vec<IpAddr>) {
        self.known.retain(|server, _| wanted.contains(server));
        for server in &wanted {
            self.known.entry(*server).or_default();
        }
        self.order = wanted;
    }

    /// The addresses.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.order
    }

    /// Whom to ask now: whoever has not refused.
    #[must_use]
    pub fn due(&self, now: Instant) -> Vec<IpAddr> {
        let may = |server: &Server| !server.banned && server.not_before.is_none_or(|at| at <= now);
        self.known.iter().filter(|(_, server)| may(server)).map(|(address, _)| *address).collect()
    }

    /// `address` was asked, and said `answer`, which is nothing of use if it is a time before `earliest` (microseconds by which the
    /// clock would have to go).
    pub fn note(&mut self, address: IpAddr, answer: Result<Sample, Failure>, earliest: i128, now: Instant) {
        let Some(server) = self.known.get_mut(&address) else { return };
        (server.sample, server.problem) = (None, None);
        match answer {
            Ok(sample) if i128::from(sample.offset_us) >= earliest => {
                server.pause = Duration::ZERO;
                server.sample = Some(sample);
            }
            Ok(_) => server.problem = Some("it says a time before this firmware was built".to_owned()),
            Err(Failure::Trouble(why)) => server.problem = Some(why),
            Err(Failure::Banned(why)) => {
                server.banned = true;
                server.problem = Some(why);
            }
            Err(Failure::Slower) => {
                server.pause = (server.pause * 2).clamp(SLOWER, SLOWEST);
                server.not_before = Some(now + server.pause);
                let seconds = server.pause.as_secs();
                server.problem = Some(format!("it wants to be asked less often: in {seconds} s"));
            }
        }
    }

    /// The answers of the last round that count; whoever was not asked has none.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        self.known.values().filter_map(|server| server.sample.clone()).collect()
    }

    /// In the words of the status; `chosen` is the one that the clock follows.
    #[must_use]
    pub fn status(&self, source: &str, chosen: Option<IpAddr>) -> Vec<TimeServerStatus> {
        let one = |(address, server): (&IpAddr, &Server)| TimeServerStatus {
            address: *address,
            name: None,
            source: source.to_owned(),
            chosen: chosen == Some(*address),
            stratum: server.sample.as_ref().map(|sample| sample.stratum),
            offset_us: server.sample.as_ref().map(|sample| sample.offset_us),
            delay_us: server.sample.as_ref().map(|sample| sample.delay_us),
            problem: server.problem.clone(),
        };
        self.order.iter().filter_map(|address| self.known.get_key_value(address)).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn sample(last: u8, offset_us: i64) -> Result<Sample, Failure> {
        Ok(Sample { server: ip(last), stratum: 2, offset_us, delay_us: 100, distance_us: 1000 })
    }

    fn problem(servers: &Servers, at: usize) -> Option<String> {
        servers.status("file", None)[at].problem.clone()
    }

    #[test]
    fn whoever_refuses_is_left_alone() {
        let (mut servers, now) = (Servers::default(), Instant::now());
        servers.follow(vec![ip(3), ip(1), ip(2)]);
        assert_eq!(servers.due(now), [ip(1), ip(2), ip(3)]);
        servers.note(ip(1), sample(1, 5), i128::MIN, now);
        servers.note(ip(2), Err(Failure::Slower), i128::MIN, now);
        servers.note(ip(3), Err(Failure::Banned("no".to_owned())), i128::MIN, now);
        assert_eq!(servers.samples(), [sample(1, 5).unwrap()]);
        assert_eq!(servers.due(now), [ip(1)]);
        let later = now + SLOWER;
        assert_eq!(servers.due(later), [ip(1), ip(2)]);
        servers.note(ip(2), Err(Failure::Slower), i128::MIN, later);
        assert_eq!(problem(&servers, 2).as_deref(), Some("it wants to be asked less often: in 256 s"));
        assert_eq!(servers.due(later + SLOWER), [ip(1)]);
        servers.note(ip(2), sample(2, 7), i128::MIN, later + SLOWER * 2);
        servers.note(ip(2), Err(Failure::Slower), i128::MIN, later + SLOWER * 3);
        assert_eq!(problem(&servers, 2).as_deref(), Some("it wants to be asked less often: in 128 s"));
        // The file is read again: a refusal still counts.
        servers.follow(vec![ip(3)]);
        assert!(servers.due(later).is_empty());
        assert_eq!((servers.addresses(), problem(&servers, 0).as_deref()), (&[ip(3)][..], Some("no")));
    }

    #[test]
    fn a_time_before_the_firmware_is_none() {
        let (mut servers, now) = (Servers::default(), Instant::now());
        servers.follow(vec![ip(1)]);
        servers.note(ip(1), sample(1, -5_000_001), -5_000_000, now);
        assert_eq!(servers.samples(), []);
        assert_eq!(problem(&servers, 0).as_deref(), Some("it says a time before this firmware was built"));
        servers.note(ip(1), sample(1, -5_000_000), -5_000_000, now);
        assert_eq!((servers.samples().len(), problem(&servers, 0)), (1, None));
        servers.note(ip(9), sample(9, 0), i128::MIN, now);
        assert_eq!(servers.samples().len(), 1, "nobody that is asked");
    }
}
