//! Addresses of names that a worker needs again and again. What was found once is kept while DNS is silent.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{resolve, servers};
use crate::config::model::{Host, HostPort};
use crate::paths::RunDir;

/// How long an address is used before its name is asked for again.
const FRESH: Duration = Duration::from_secs(300);
/// The same while nobody answers: each question may take some seconds.
const RETRY: Duration = Duration::from_secs(30);
/// The same when the host did not answer at its address.
const SOON: Duration = Duration::from_secs(1);

/// The names of one worker.
#[derive(Debug)]
pub struct Book {
    run: RunDir,
    entries: Mutex<BTreeMap<String, Entry>>,
}

/// What is known of a name. Pure.
#[derive(Debug, Default)]
struct Entry {
    current: Option<IpAddr>,
    /// When the name is asked for again.
    again: Option<Instant>,
    asked: Option<Instant>,
    /// The host did not answer at `current`.
    failed: bool,
    /// The log knows that nobody answers.
    told: bool,
}

impl Book {
    /// An empty one; name servers are those that `net` tells.
    #[must_use]
    pub const fn new(run: RunDir) -> Self {
        Self { run, entries: Mutex::new(BTreeMap::new()) }
    }

    /// Where `host` is. May take some seconds for each name server.
    ///
    /// # Errors
    /// In words, why its name has no address, and never had one.
    pub async fn address(&self, host: &Host) -> Result<IpAddr, String> {
        let name = match host {
            Host::Address(address) => return Ok(*address),
            Host::Name(name) => name,
        };
        if let Some(address) = self.with(name, |entry| entry.known(Instant::now())) {
            return Ok(address);
        }
        let found = resolve(&servers::asked(&self.run).await, name).await;
        self.with(name, |entry| entry.take(name, found, Instant::now()))
    }

    /// The same with the port.
    ///
    /// # Errors
    /// As [`Self::address`].
    pub async fn socket(&self, host: &HostPort) -> Result<SocketAddr, String> {
        Ok(SocketAddr::new(self.address(&host.host).await?, host.port))
    }

    /// `host` did not answer: its name is asked for again, and the next of its addresses is tried.
    pub fn failed(&self, host: &Host) {
        if let Some(name) = host.name() {
            self.with(name, Entry::fail);
        }
    }

    fn with<T>(&self, name: &str, work: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        work(entries.entry(name.to_owned()).or_default())
    }
}

impl Entry {
    fn known(&self, now: Instant) -> Option<IpAddr> {
        self.current.filter(|_| self.again.is_some_and(|again| now < again))
    }

    fn fail(&mut self) {
        self.failed = true;
        let soon = self.asked.map(|asked| asked + SOON);
        self.again = self.again.min(soon);
    }

    /// What the name servers said.
    fn take(
        &mut self,
        name: &str,
        found: Result<Vec<IpAddr>, String>,
        now: Instant,
    ) -> Result<IpAddr, String> {
        self.asked = Some(now);
        match found {
            Ok(list) => {
                let at = list.iter().position(|address| Some(*address) == self.current);
                let at = at.map_or(0, |at| if self.failed { (at + 1) % list.len() } else { at });
                let address = *list.get(at).ok_or_else(|| format!("{name}: it has no address"))?;
                if self.current.replace(address) != Some(address) || self.told {
                    log::info!("name resolved: name={name} address={address}");
                }
                (self.failed, self.told, self.again) = (false, false, Some(now + FRESH));
                Ok(address)
            }
            Err(why) => {
                (self.failed, self.again) = (false, Some(now + RETRY));
                let Some(address) = self.current else { return Err(why) };
                if !std::mem::replace(&mut self.told, true) {
                    log::warn!(
                        "name not resolved, its last address is used: name={name} address={address} reason={why}"
                    );
                }
                Ok(address)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn an_address_is_kept_until_it_fails_and_while_nobody_answers() {
        let (mut entry, now) = (Entry::default(), Instant::now());
        assert_eq!(entry.known(now), None);
        assert_eq!(entry.take("x", Err("no answer".to_owned()), now), Err("no answer".to_owned()));
        assert_eq!(entry.known(now), None, "who never had one is asked for each time");
        assert_eq!(entry.take("x", Ok(vec![ip(1), ip(2)]), now), Ok(ip(1)));
        assert_eq!((entry.known(now + FRESH / 2), entry.known(now + FRESH)), (Some(ip(1)), None));
        // Another order is no other address; a failure is a reason for the next one.
        assert_eq!(entry.take("x", Ok(vec![ip(2), ip(1)]), now), Ok(ip(1)));
        entry.fail();
        assert_eq!((entry.known(now), entry.known(now + SOON)), (Some(ip(1)), None));
        assert_eq!(entry.take("x", Ok(vec![ip(2), ip(1)]), now), Ok(ip(2)));
        // DNS is dead: the last address stays, and is not asked for each time.
        entry.fail();
        assert_eq!(entry.take("x", Err("no answer".to_owned()), now), Ok(ip(2)));
        assert_eq!((entry.known(now + RETRY / 2), entry.known(now + RETRY)), (Some(ip(2)), None));
        // The name has moved.
        assert_eq!(entry.take("x", Ok(vec![ip(3)]), now), Ok(ip(3)));
        assert!(entry.take("x", Ok(Vec::new()), now).is_err());
    }
}
