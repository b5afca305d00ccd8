//! What the demonstration plays on: a segment with a client, two real servers and sockets for two boxes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use director_lab::client::{self, Sample};
use director_lab::guest::Guest;
use director_lab::machine::{Boot, Machine, Network};
use director_lab::segment::{Host, Segment};
use director_lab::server::RealServer;
use director_lab::{disk, preflight, scratch};

/// The operator's file that both boxes get.
pub const CONFIG: &str = include_str!("director.toml");

/// The virtual IP of that file.
pub const VIP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 0, 100)), 80);

/// The advertisement interval of that file.
pub const INTERVAL: Duration = Duration::from_millis(200);

/// The weights of the two real servers, `web1` and `web2`.
pub const WEIGHTS: [usize; 2] = [1, 2];

/// One of the two boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// `lb1`: priority 150.
    First,
    /// `lb2`: priority 100.
    Second,
}

impl Which {
    /// The box's name.
    pub fn name(self) -> &'static str {
        match self {
            Which::First => "lb1",
            Which::Second => "lb2",
        }
    }

    /// Its priority in the file.
    pub fn priority(self) -> u32 {
        match self {
            Which::First => 150,
            Which::Second => 100,
        }
    }

    fn mac(self) -> &'static str {
        match self {
            Which::First => "52:54:00:77:00:01",
            Which::Second => "52:54:00:77:00:02",
        }
    }
}

/// How long a backup waits before it takes over from a master that fell silent (RFC 9568 section 6.1).
pub fn master_down(backup: Which) -> Duration {
    INTERVAL * 3 + INTERVAL * (256 - backup.priority()) / 256
}

/// The stage, set: nothing has power yet.
#[derive(Debug)]
pub struct Stage {
    /// The real servers `web1` and `web2`, running.
    pub servers: [RealServer; 2],
    /// The client.
    pub client: Host,
    segment: Segment,
    folder: tempfile::TempDir,
    end: Instant,
}

/// How long the whole play may take.
const WHOLE: Duration = Duration::from_secs(180);

impl Stage {
    /// Sets the stage with copies of `image` that carry [`CONFIG`].
    ///
    /// # Errors
    /// When namespaces cannot be made, or the image cannot be copied or has no operator's partition.
    pub fn set(image: &Path) -> Result<Stage> {
        preflight::taps()?;
        let folder = scratch::folder("pair")?;
        let file = disk::file(folder.path(), "director.toml", CONFIG)?;
        for which in [Which::First, Which::Second] {
            let copy = disk_of(folder.path(), which);
            disk::copy(image, &copy)?;
            disk::put_config(&copy, &file, "director.toml")?;
        }
        let segment = Segment::new()?;
        let client = segment.host("client", "10.77.0.1/24")?;
        let server = |name, address: &str| {
            let host = segment.host(name, address)?;
            host.accept_vip(VIP.ip())?;
            RealServer::start(&host, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), VIP.port()))
        };
        let servers = [server("web1", "10.77.0.21/24")?, server("web2", "10.77.0.22/24")?];
        Ok(Stage { servers, client, segment, folder, end: Instant::now() + WHOLE })
    }

    /// Switches a box on. Its disk is as it was left.
    ///
    /// # Errors
    /// As [`Guest::start`].
    pub fn power_on(&self, which: Which) -> Result<Guest> {
        let boot = Boot::Bios(disk_of(self.folder.path(), which));
        let machine = Machine::new(which.name(), boot).nic(Network::Tap(self.segment.tap()?), which.mac());
        Guest::start(&machine, Some(self.segment.namespace()))
    }

    /// How long to wait for something that may take `limit`: not beyond the end of the play.
    pub fn patience(&self, limit: Duration) -> Duration {
        limit.min(self.end.saturating_duration_since(Instant::now()))
    }

    /// Asks the VIP once from the client.
    ///
    /// # Errors
    /// Only when the client's namespace is gone; what became of the request is in the sample.
    pub fn ask(&self, patience: Duration) -> Result<Sample> {
        self.client.namespace().run(move || client::ask(VIP, "/", patience))
    }

    /// Which box the client sends packets for the VIP to: the last one that announced it.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn master(&self) -> Result<Option<Which>> {
        let neighbour = self.client.namespace().ip(&format!("neighbour show {}", VIP.ip()))?;
        Ok([Which::First, Which::Second].into_iter().find(|which| neighbour.contains(which.mac())))
    }

    /// Asks again and again until a real server answers through the box `which`, booting in `guest`. Returns when that was.
    ///
    /// # Errors
    /// When that did not happen within `limit`, or the guest died.
    pub fn await_vip(&self, which: Which, guest: &mut Guest, limit: Duration) -> Result<Instant> {
        let patience = self.patience(limit);
        let end = Instant::now() + patience;
        let mut last = "nothing was asked".to_owned();
        while Instant::now() < end {
            guest.check()?;
            let sample = self.ask(Duration::from_millis(250))?;
            let master = self.master()?;
            match sample.answer {
                Ok(name)
                    if master == Some(which) && self.servers.iter().any(|server| server.name() == name) =>
                {
                    return Ok(sample.done);
                }
                answer => last = format!("answer {answer:?}, master {master:?}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the VIP does not answer through {} after {patience:?}: {last}", which.name())
    }
}

fn disk_of(folder: &Path, which: Which) -> PathBuf {
    folder.join(format!("{}.img", which.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_what_the_code_expects() {
        assert!(CONFIG.contains(&format!("interval  = \"{}ms\"", INTERVAL.as_millis())));
        assert!(CONFIG.contains(&format!("listen    = \"{VIP}\"")));
        assert!(CONFIG.contains(Which::Second.mac()));
        for which in [Which::First, Which::Second] {
            assert!(
                CONFIG
                    .lines()
                    .any(|line| line.contains("priority") && line.contains(&which.priority().to_string()))
            );
        }
    }

    #[test]
    fn a_backup_waits_three_intervals_and_its_skew() {
        assert_eq!(master_down(Which::Second), Duration::from_micros(600_000 + 121_875));
    }
}
