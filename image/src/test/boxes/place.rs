//! Where the manual's box stands: its network, its disk and a USB stick.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, ensure};

use director_lab::guest::Guest;
use director_lab::machine::{Boot, Machine, Network};
use director_lab::namespace::Namespace;
use director_lab::segment::{Host, Segment};
use director_lab::server::RealServer;
use director_lab::{disk, preflight, scratch};

use super::manual::Manual;

/// Where the manual's box stands: its network with the gateway, two real servers, of which one refuses, and three hops to 192.168.70.9.
pub struct Place {
    pub(super) folder: tempfile::TempDir,
    pub(super) disk: PathBuf,
    pub(super) stick: PathBuf,
    pub(super) segment: Segment,
    pub(super) gateway: Host,
    _hosts: [Host; 2],
    _routers: [Namespace; 2],
    _server: RealServer,
}

impl Place {
    pub(super) fn new(manual: &Manual) -> Result<Place> {
        preflight::taps()?;
        let (folder, segment) = (scratch::folder("menu")?, Segment::new()?);
        let gateway = segment.host("gateway", "192.168.61.1/24")?;
        gateway.address("fe80::1/64")?;
        let routers = beyond(&gateway)?;
        let web = segment.host("web1", "192.168.61.22/24")?;
        // The manual's.
        web.namespace().ip("link set eth0 address 52:54:00:00:00:22")?;
        web.accept_vip("192.168.61.45".parse()?)?;
        let refusing = segment.host("web2", "192.168.61.33/24")?;
        let server = RealServer::start(&web, SocketAddr::from(([0, 0, 0, 0], 80)))?;
        let disk = folder.path().join("disk.img");
        disk::copy(crate::test::image()?, &disk)?;
        let stick = folder.path().join("stick.img");
        disk::usb_stick(&stick, None)?;
        let place = Place {
            folder,
            disk,
            stick,
            segment,
            gateway,
            _hosts: [web, refusing],
            _routers: routers,
            _server: server,
        };
        place.write(&configuration(manual)?)?;
        Ok(place)
    }

    /// The box has the manual's cards, one of them without a cable.
    pub(super) fn power_on(&self) -> Result<Guest> {
        let nic = || Ok::<_, anyhow::Error>(Network::Tap(self.segment.tap()?));
        let machine = Machine::new("box-menu", Boot::Bios(self.disk.clone()))
            .nic(nic()?, "52:54:00:00:00:01")
            .nic(nic()?, "52:54:00:00:01:01");
        let machine = Machine { usb_socket: true, hangs_up: true, ..machine };
        let mut guest = Guest::start(&machine, Some(self.segment.namespace()))?;
        guest.qmp().cable(1, false)?;
        Ok(guest)
    }

    /// The operator's file as it is on the box's disk. The box mounts its partition only while it reads or writes it.
    pub(super) fn file(&self) -> Result<String> {
        disk::read_config(&self.disk, "director.toml")
    }

    pub(super) fn write(&self, text: &str) -> Result<()> {
        disk::put_config(&self.disk, &disk::file(self.folder.path(), "director.toml", text)?, "director.toml")
    }
}

/// Two routers behind the gateway, the second of which has 192.168.70.9.
fn beyond(gateway: &Host) -> Result<[Namespace; 2]> {
    let (first, second) = (Namespace::new("hop2")?, Namespace::new("hop3")?);
    let link = |from: &Namespace, to: &Namespace, near: &str, far: &str| -> Result<()> {
        from.ip(&format!("link add south type veth peer name north netns {}", to.path()))?;
        from.ip(&format!("address add {near}/30 dev south"))?;
        to.ip(&format!("address add {far}/30 dev north"))?;
        from.ip("link set south up")?;
        to.ip("link set north up")?;
        from.ip(&format!("route add 192.168.70.0/24 via {far}"))?;
        to.ip(&format!("route add default via {near}"))?;
        from.sysctl("net/ipv4/ip_forward", "1")
    };
    link(gateway.namespace(), &first, "10.70.0.1", "10.70.0.2")?;
    link(&first, &second, "10.70.0.5", "10.70.0.6")?;
    second.ip("address add 192.168.70.9/32 dev lo")?;
    Ok([first, second])
}

/// The manual's first one, with what its dialogues show besides: the second card, a priority, checks that make packets enough.
fn configuration(manual: &Manual) -> Result<String> {
    let mut text = manual.toml("## The first configuration")?.to_owned();
    for (from, to) in [
        ("vrid      = 51\n", "vrid      = 51\npriority  = 100\n"),
        ("path = \"/\" }", "path = \"/\", interval = \"400ms\", timeout = \"400ms\", fall = 20 }"),
        ("[[route]]\n", "[[interface]]\nname = \"eth1\"\n\n[[route]]\n"),
    ] {
        ensure!(text.contains(from), "the manual's first configuration lacks {from:?}");
        text = text.replacen(from, to, 1);
    }
    Ok(text)
}
