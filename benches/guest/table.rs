//! The table that everybody is to make, and how it is written in each program's words.

use std::fmt::Write;

use director::ipvs::{Command, Forward, Name, Server, Service, ServiceId, Tunnel};

/// The address of all services; each has a port of its own.
pub const VIP: [u8; 4] = [10, 79, 0, 10];
/// The first service's port.
const FIRST_PORT: u16 = 10_000;

/// Services with ten servers each.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    pub services: u16,
    pub scheduler: &'static str,
    /// Of the fifth server of the service in the middle; all others have 1.
    pub odd_weight: u32,
    /// Seconds between two TCP checks of a server; `None` = nobody is checked.
    pub check: Option<u32>,
}

/// Servers of each service.
pub const SERVERS: u8 = 10;

impl Table {
    /// 1000 services, 10,000 servers.
    pub const LARGE: Self = Self { services: 1000, scheduler: "wlc", odd_weight: 1, check: None };

    /// How many services and servers it has.
    pub fn objects(self) -> usize {
        usize::from(self.services) * (1 + usize::from(SERVERS))
    }

    /// The kernel's name for a service.
    pub fn id(self, at: u16) -> ServiceId {
        let address = (VIP, FIRST_PORT + at).into();
        ServiceId::Address { address, protocol: ServiceId::TCP }
    }

    /// The service with the odd weight.
    pub const fn middle(self) -> u16 {
        self.services / 2
    }

    /// The real server `server` (1..=10) of service `at`.
    pub fn rip(at: u16, server: u8) -> [u8; 4] {
        let [high, low] = at.to_be_bytes();
        [10, 128 + high, low, server]
    }

    fn weight(self, at: u16, server: u8) -> u32 {
        if (at, server) == (self.middle(), 5) { self.odd_weight } else { 1 }
    }

    /// The commands that make it from nothing.
    pub fn commands(self) -> Vec<Command> {
        let mut commands = Vec::with_capacity(self.objects());
        for at in 0..self.services {
            let scheduler = Name::try_from(self.scheduler).unwrap();
            let service = Service { scheduler, flags: 0, persistence: None, engine: None };
            commands.push(Command::AddService(self.id(at), service));
            for server in 1..=SERVERS {
                let weight = self.weight(at, server);
                let forward = Forward::Masquerade;
                let set = Server { forward, weight, upper: 0, lower: 0, tunnel: Tunnel::default() };
                commands.push(Command::AddServer(self.id(at), (Self::rip(at, server), 80).into(), set));
            }
        }
        commands
    }

    /// `director.toml`.
    pub fn director(self) -> String {
        let check = match self.check {
            Some(seconds) => format!("type = \"tcp\", interval = \"{seconds}s\", timeout = \"{seconds}s\""),
            None => "type = \"none\"".to_owned(),
        };
        let vip = std::net::Ipv4Addr::from(VIP);
        let mut text = format!("version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"{vip}/16\"]\n");
        for at in 0..self.services {
            let (port, scheduler) = (FIRST_PORT + at, self.scheduler);
            writeln!(text, "[[service]]\nname = \"s{at}\"\nlisten = \"{vip}:{port}\"").unwrap();
            writeln!(text, "scheduler = \"{scheduler}\"\nmethod = \"nat\"\ncheck = {{ {check} }}").unwrap();
            for server in 1..=SERVERS {
                let (rip, weight) =
                    (std::net::Ipv4Addr::from(Self::rip(at, server)), self.weight(at, server));
                writeln!(text, "[[service.server]]\naddress = \"{rip}:80\"\nweight = {weight}").unwrap();
            }
        }
        text
    }

    /// `keepalived.conf`.
    pub fn keepalived(self) -> String {
        let vip = std::net::Ipv4Addr::from(VIP);
        let mut text = String::new();
        for at in 0..self.services {
            let (port, scheduler) = (FIRST_PORT + at, self.scheduler);
            writeln!(text, "virtual_server {vip} {port} {{\nlb_algo {scheduler}\nlb_kind NAT\nprotocol TCP")
                .unwrap();
            if let Some(seconds) = self.check {
                writeln!(text, "delay_loop {seconds}").unwrap();
            }
            for server in 1..=SERVERS {
                let (rip, weight) =
                    (std::net::Ipv4Addr::from(Self::rip(at, server)), self.weight(at, server));
                // As long as the interval: on an emulated machine nobody is to be taken out for being slow.
                let check =
                    self.check.map(|seconds| format!("TCP_CHECK {{\nconnect_timeout {seconds}\n}}\n"));
                let check = check.unwrap_or_default();
                writeln!(text, "real_server {rip} 80 {{\nweight {weight}\n{check}}}").unwrap();
            }
            text += "}\n";
        }
        text
    }

    /// What `ipvsadm -R` reads.
    pub fn ipvsadm(self) -> String {
        let vip = std::net::Ipv4Addr::from(VIP);
        let mut text = String::new();
        for at in 0..self.services {
            let port = FIRST_PORT + at;
            writeln!(text, "-A -t {vip}:{port} -s {}", self.scheduler).unwrap();
            for server in 1..=SERVERS {
                let (rip, weight) =
                    (std::net::Ipv4Addr::from(Self::rip(at, server)), self.weight(at, server));
                writeln!(text, "-a -t {vip}:{port} -r {rip}:80 -m -w {weight}").unwrap();
            }
        }
        text
    }
}
