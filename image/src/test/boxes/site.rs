//! Where one box is tested: a segment with a client and a real server, and disks for the box.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use director_lab::client;
use director_lab::guest::Guest;
use director_lab::machine::{Boot, Machine, Network};
use director_lab::segment::{Host, Segment};
use director_lab::server::RealServer;
use director_lab::{disk, preflight, scratch};

use crate::test::ourselves;

/// How long a box may take to boot and to do what its file says.
pub const BOOT: Duration = Duration::from_secs(120);

/// How long anything else may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The client's address.
pub const CLIENT: &str = "10.79.0.1";

/// A file for the box: its own address, one VIP, one service with the site's real server.
pub fn config(hostname: &str, vip: IpAddr) -> String {
    format!(
        "version = 1\n\n[system]\nhostname = \"{hostname}\"\n\n[[interface]]\nname = \"eth0\"\naddresses = [\"10.79.0.11/24\"]\n\n\
         [[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 79\npriority = 200\ninterval = \"100ms\"\naddresses = [\"{vip}/32\"]\n\n\
         [[service]]\nname = \"web\"\nlisten = \"{vip}:80\"\nscheduler = \"rr\"\nmethod = \"dr\"\n\
         check = {{ type = \"tcp\", interval = \"500ms\", timeout = \"400ms\" }}\n\n[[service.server]]\naddress = \"10.79.0.21:80\"\n"
    )
}

/// The VIP that the site's real server has, by its last byte.
pub fn vip(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 79, 0, last).into()
}

/// The place; dropping it ends everything in it.
pub struct Site {
    /// The client.
    pub client: Host,
    folder: tempfile::TempDir,
    segment: Segment,
    first: Host,
    _server: RealServer,
}

impl Site {
    /// A client, and a real server with the VIPs 10.79.0.100 and .101.
    ///
    /// # Errors
    /// When namespaces cannot be made.
    pub fn new() -> Result<Site> {
        preflight::taps()?;
        let (folder, segment) = (scratch::folder("box")?, Segment::new()?);
        let client = segment.host("client", &format!("{CLIENT}/24"))?;
        let host = segment.host("web1", "10.79.0.21/24")?;
        host.accept_vip(vip(100))?;
        host.accept_vip(vip(101))?;
        let server = RealServer::start(&host, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 80))?;
        Ok(Site { client, folder, segment, first: host, _server: server })
    }

    /// The host of the site's real server.
    pub const fn first(&self) -> &Host {
        &self.first
    }

    /// One more host.
    ///
    /// # Errors
    /// As [`Segment::host`].
    pub fn host(&self, name: &str, address: &str) -> Result<Host> {
        self.segment.host(name, address)
    }

    /// A copy of the disk image as it is built.
    ///
    /// # Errors
    /// When the image cannot be built or copied.
    pub fn disk(&self) -> Result<PathBuf> {
        let copy = self.folder.path().join("disk.img");
        disk::copy(crate::test::image()?, &copy)?;
        Ok(copy)
    }

    /// A disk of 1 GiB that was flashed with the image.
    ///
    /// # Errors
    /// When `cargo image flash` fails.
    pub fn flashed(&self) -> Result<PathBuf> {
        let disk = self.folder.path().join("flashed.img");
        ourselves::flash(&disk)?;
        Ok(disk)
    }

    /// Puts `text` as director.toml onto the operator's partition of `disk`.
    ///
    /// # Errors
    /// When mtools fail.
    pub fn configure(&self, disk: &Path, text: &str) -> Result<()> {
        disk::put_config(disk, &disk::file(self.folder.path(), "director.toml", text)?, "director.toml")
    }

    /// A USB stick with `text` as director.toml.
    ///
    /// # Errors
    /// When dosfstools or mtools fail.
    pub fn stick(&self, text: &str) -> Result<PathBuf> {
        let stick = self.folder.path().join("stick.img");
        disk::usb_stick(&stick, Some(&disk::file(self.folder.path(), "stick.toml", text)?))?;
        Ok(stick)
    }

    /// Switches a box on: `name` names its log.
    ///
    /// # Errors
    /// As [`Guest::start`].
    pub fn power_on(&self, name: &str, boot: Boot, usb: &[PathBuf]) -> Result<Guest> {
        self.start(&Machine { usb: usb.to_vec(), ..self.machine(name, boot)? })
    }

    /// A machine with a card on the segment.
    ///
    /// # Errors
    /// When the kernel refuses a tap.
    pub fn machine(&self, name: &str, boot: Boot) -> Result<Machine> {
        Ok(Machine::new(name, boot).nic(Network::Tap(self.segment.tap()?), "52:54:00:79:00:01"))
    }

    /// Switches it on.
    ///
    /// # Errors
    /// As [`Guest::start`].
    pub fn start(&self, machine: &Machine) -> Result<Guest> {
        Guest::start(machine, Some(self.segment.namespace()))
    }

    /// Where disks and sticks may lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// That the real server answers at `vip`, now.
    ///
    /// # Errors
    /// When it does not.
    pub fn answers(&self, vip: IpAddr) -> Result<()> {
        let target = SocketAddr::new(vip, 80);
        let sample = self.client.namespace().run(move || client::ask(target, "/", Duration::from_secs(5)))?;
        match sample.answer {
            Ok(name) if name == "web1" => Ok(()),
            other => bail!("{target} does not answer: {other:?}"),
        }
    }

    /// Asks `vip` until the real server answers; returns how long after power-on of `guest` that was.
    ///
    /// # Errors
    /// When it does not within [`BOOT`], or the guest died.
    pub fn await_answer(&self, vip: IpAddr, guest: &mut Guest) -> Result<Duration> {
        let (target, end) = (SocketAddr::new(vip, 80), Instant::now() + BOOT);
        loop {
            guest.check()?;
            let sample =
                self.client.namespace().run(move || client::ask(target, "/", Duration::from_millis(250)))?;
            match sample.answer {
                Ok(name) if name == "web1" => {
                    return Ok(sample.done.saturating_duration_since(guest.powered()));
                }
                _ if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
                other => bail!("{target} does not answer after {BOOT:?}: {other:?}"),
            }
        }
    }

    /// That nobody answers at `vip`.
    ///
    /// # Errors
    /// When somebody does.
    pub fn expect_silence(&self, vip: IpAddr) -> Result<()> {
        let target = SocketAddr::new(vip, 80);
        let sample = self.client.namespace().run(move || client::ask(target, "/", Duration::from_secs(2)))?;
        match sample.answer {
            Ok(answer) => bail!("{vip} answers ({answer}), which nobody may claim"),
            Err(_) => Ok(()),
        }
    }

    /// Pings `address` from the client until it answers.
    ///
    /// # Errors
    /// When it does not within [`PATIENCE`].
    pub fn await_ping(&self, address: IpAddr) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !self.client.pings(address) {
            if Instant::now() > end {
                bail!("{address} does not answer ping");
            }
        }
        Ok(())
    }
}
