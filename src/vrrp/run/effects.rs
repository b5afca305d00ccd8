//! What the virtual routers ask for, done in their order.

use std::io;
use std::net::IpAddr;
use std::time::Instant;

use crate::ipc::message::{Event, RouterNews, RouterState};
use crate::role::Role;
use crate::units::{IfName, Mac};
use crate::vrrp::effect::Effect;
use crate::vrrp::seal::Form;
use crate::vrrp::{arp, nd, seal};

use super::Worker;

impl Worker {
    /// Does what the virtual routers ask for, in their order.
    pub(super) fn carry_out(&mut self) {
        for effect in self.engine.effects() {
            match effect {
                Effect::Send { instance, interface, source, destination, ttl, form, mac, packet } => {
                    let sent = match (form, mac) {
                        (Form::Frame, _) | (_, Some(_)) => {
                            self.send_frame(&interface, mac, source, form, &packet)
                        }
                        (Form::Message | Form::Datagram, None) => {
                            self.wire.send(&interface, (source, destination), ttl, form, &packet)
                        }
                    };
                    match sent {
                        // A memory that cannot be written costs a failover after a crash, no more.
                        Ok(()) => {
                            let sealed = form == Form::Datagram;
                            let sequence = if sealed { self.engine.sequence(&instance) } else { 0 };
                            drop(self.memory.spoke(&instance, sequence));
                        }
                        // That a dead link carries no resignation needs no words.
                        Err(error) => {
                            let alive = self.engine.facts().links.get(&interface).is_some_and(|l| l.running);
                            if alive && self.quiet.may_say(Instant::now(), "send") {
                                log::warn!(
                                    "cannot advertise: name={instance} to={destination} reason={error}"
                                );
                            }
                        }
                    }
                }
                Effect::Addresses => {
                    self.ways.due = true;
                    self.agree_on_all(false);
                }
                Effect::Announce { interface, vip } => self.announce(&interface, vip),
                Effect::Remember => self.unwritten = true,
                Effect::State(event) => self.tell(&event),
            }
        }
        // Together: hundreds become master at once.
        if self.unwritten {
            self.remember();
        }
    }

    /// An advertisement that the kernel would not send so: on another interface under the address of the first, or from a
    /// virtual MAC address.
    pub(super) fn send_frame(
        &self,
        interface: &IfName,
        mac: Option<Mac>,
        source: IpAddr,
        form: Form,
        message: &[u8],
    ) -> io::Result<()> {
        let link = self.engine.facts().links.get(interface);
        match link.and_then(|link| Some((link.index, mac.or(link.mac)?))) {
            Some((index, mac)) => self.wire.announce(index, &seal::frame(mac, source, form, message)),
            None => Err(io::Error::from_raw_os_error(libc::ENODEV)),
        }
    }

    pub(super) fn announce(&mut self, interface: &IfName, vip: IpAddr) {
        let Some(link) = self.engine.facts().links.get(interface) else { return };
        // A link without an Ethernet address has no neighbours to tell.
        let Some(mac) = link.mac else { return };
        let sent = match vip {
            IpAddr::V4(vip) => self.wire.announce(link.index, &arp::gratuitous(mac, vip)),
            IpAddr::V6(vip) => self.wire.announce(link.index, &nd::unsolicited(mac, vip, link.forwards_ipv6)),
        };
        if let Err(error) = sent
            && self.quiet.may_say(Instant::now(), "announce")
        {
            log::warn!("cannot announce: interface={interface} address={vip} reason={error}");
        }
    }

    pub(super) fn tell(&mut self, event: &Event) {
        if let Event::Router { name, state, reason } = event {
            let word = state_name(*state);
            match state {
                RouterState::Fault => log::warn!("router state: name={name} state={word} reason={reason}"),
                RouterState::Initialize | RouterState::Backup | RouterState::Master => {
                    log::info!("router state: name={name} state={word} reason={reason}");
                }
            }
        }
        if let Event::RouterNews { name, priority, what: RouterNews::Priority, .. } = event {
            log::info!("router priority: name={name} priority={priority}");
        }
        self.subscribers.emit(event);
        self.unwritten = true;
        self.news_for_peers = true;
        if self.sync.config.as_ref().is_some_and(|sync| sync.follow.is_some()) {
            self.agree_on_daemons();
        }
    }

    pub(super) fn remember(&mut self) {
        self.remember_at = None;
        self.unwritten = false;
        if let Err(error) = self.memory.keep(self.engine.masters(), self.engine.facts())
            && self.quiet.may_say(Instant::now(), "remember")
        {
            log::warn!("cannot remember: {}: {error}", self.run.state(Role::Vrrp).display());
        }
    }
}

pub(super) const fn state_name(state: RouterState) -> &'static str {
    match state {
        RouterState::Initialize => "initialize",
        RouterState::Backup => "backup",
        RouterState::Master => "master",
        RouterState::Fault => "fault",
    }
}
