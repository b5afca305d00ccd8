//! Random tables that the kernel takes: every family, protocol, method, tunnel, flag and limit. Used against the kernel here, and
//! by the unit tests of `src/lvs/diff.rs` against a model of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::ipvs::{Command, Family, Forward, Name, Persistence, Server, Service, ServiceId, Tunnel};
use super::state::{ServiceState, State};

/// xorshift64*: the same tables in every run.
pub struct Dice(pub u64);

impl Dice {
    fn roll(&mut self, below: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        u32::try_from(number % u64::from(below)).unwrap()
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let last = u32::try_from(all.len()).unwrap();
        all[usize::try_from(self.roll(last)).unwrap()]
    }

    fn family(&mut self) -> Family {
        self.one_of(&[Family::V4, Family::V4, Family::V6])
    }

    fn id(&mut self) -> ServiceId {
        let family = self.family();
        if self.roll(4) == 0 {
            return ServiceId::Fwmark { mark: 1 + self.roll(3), family };
        }
        let address = match family {
            Family::V4 => format!("192.0.2.{}:80", 1 + self.roll(3)),
            Family::V6 => format!("[2001:db8::{}]:80", 1 + self.roll(3)),
        };
        let protocol = self.one_of(&[ServiceId::TCP, ServiceId::UDP, ServiceId::SCTP]);
        ServiceId::Address { address: address.parse().unwrap(), protocol }
    }

    fn service(&mut self, id: &ServiceId) -> Service {
        let scheduler = self.one_of(&["rr", "wlc", "sh", "mh"]);
        let udp = matches!(id, ServiceId::Address { protocol: ServiceId::UDP, .. });
        let persistence = (self.roll(3) == 0).then(|| Persistence {
            timeout: 50 + self.roll(3),
            mask: match id.family() {
                Family::V4 => self.one_of(&[u32::MAX, 0xffff_ff00]),
                Family::V6 => self.one_of(&[128, 64]),
            },
        });
        let engine =
            persistence.filter(|_| udp && self.roll(2) == 0).and_then(|_| Name::try_from("sip").ok());
        let single = if udp { self.one_of(&[0, 0x04]) } else { 0 };
        let flags = single | self.one_of(&[0, 0x08, 0x10, 0x18]);
        Service { scheduler: Name::try_from(scheduler).unwrap(), flags, persistence, engine }
    }

    fn server(&mut self, forward: Forward) -> Server {
        let upper = self.one_of(&[0, 0, 100, 200]);
        let lower = if upper == 0 { 0 } else { self.one_of(&[0, 50]) };
        let tunnel = match (forward, self.roll(3)) {
            (Forward::Tunnel, 1) => {
                Tunnel { kind: 1, port: 6080, flags: self.one_of(&[0, 1, 2]).try_into().unwrap() }
            }
            (Forward::Tunnel, 2) => {
                Tunnel { kind: 2, port: 0, flags: self.one_of(&[0, 1]).try_into().unwrap() }
            }
            _ => Tunnel::default(),
        };
        Server { forward, weight: self.one_of(&[0, 1, 7, 65_535]), upper, lower, tunnel }
    }

    fn servers(&mut self, family: Family) -> BTreeMap<SocketAddr, Server> {
        let mut servers = BTreeMap::new();
        for _ in 0..self.roll(7) {
            let forward = self.one_of(&[Forward::Route, Forward::Masquerade, Forward::Tunnel]);
            // Only a tunnel joins the families.
            let v6 = (family == Family::V6) != (forward == Forward::Tunnel && self.roll(4) == 0);
            let last = 1 + self.roll(6);
            let address = if v6 { format!("[fd00::{last}]:80") } else { format!("10.0.0.{last}:80") };
            servers.insert(address.parse().unwrap(), self.server(forward));
        }
        servers
    }

    /// A table of up to seven services.
    pub fn state(&mut self) -> State {
        let mut state = State::default();
        for _ in 0..self.roll(8) {
            let id = self.id();
            let service = self.service(&id);
            let servers = self.servers(id.family());
            state.services.insert(id, ServiceState { service, servers });
        }
        state
    }

    /// A table as an operator's edit makes it of `from`: most is as it was.
    pub fn edited(&mut self, from: &State) -> State {
        let mut state = from.clone();
        let other = self.state();
        state.services.retain(|_, _| self.roll(6) > 0);
        for (id, service) in other.services {
            if self.roll(3) == 0 {
                state.services.insert(id, service);
            }
        }
        for (id, there) in &mut state.services {
            if self.roll(3) == 0 {
                there.service = self.service(id);
            }
            there.servers.retain(|_, _| self.roll(5) > 0);
            for server in there.servers.values_mut() {
                if self.roll(3) == 0 {
                    // A server of the other family has no other way than a tunnel: the method stays.
                    *server = self.server(server.forward);
                }
            }
        }
        state
    }
}

/// That nothing is taken away and put back, which would drop its connections.
pub fn assert_edits(commands: &[Command]) {
    for deletion in commands {
        let back = match deletion {
            Command::DeleteService(id) => {
                commands.iter().find(|c| matches!(c, Command::AddService(other, _) if other == id))
            }
            Command::DeleteServer(id, at) => commands
                .iter()
                .find(|c| matches!(c, Command::AddServer(other, address, _) if (other, address) == (id, at))),
            _ => None,
        };
        assert!(back.is_none(), "taken away and put back: {deletion}");
    }
}
