//! What the state machine has decided: sent, entered, announced.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::config::model::VirtualAddress;
use crate::ipc::message::{Event as Told, RouterNews, RouterState};
use crate::units::IfName;
use crate::vrrp::auth::AuthField;
use crate::vrrp::effect::Effect;
use crate::vrrp::event::{Action, Announce, Event, Reason};
use crate::vrrp::packet::{self, Addresses, Advertisement, GROUP_V4, GROUP_V6, TTL};
use crate::vrrp::seal::Form;

use super::Instance;

impl Instance {
    pub(super) fn step(&mut self, now: Instant, event: Event, out: &mut Vec<Effect>) {
        let before = self.state();
        let priority = self.router.params().priority;
        for action in self.router.step(now, event) {
            match action {
                Action::Send { priority, interval } => self.send(now, priority, interval, out),
                Action::Claim => out.push(Effect::Addresses),
                Action::Release => {
                    self.pacer.stop();
                    out.push(Effect::Addresses);
                }
                Action::Announce(Announce::Burst) => self.pacer.begin(now, self.vips()),
                Action::Announce(Announce::Claimed) => {
                    self.pacer.claimed(now, self.vips());
                    self.confirmed(now, out);
                }
                Action::Enter { state, reason } => self.enter(now, before, state, reason, out),
            }
        }
        let takes_part = |state| matches!(state, RouterState::Backup | RouterState::Master);
        if priority != self.router.params().priority && takes_part(before) && takes_part(self.state()) {
            self.news(RouterNews::Priority, out);
        }
    }

    pub(super) fn enter(
        &mut self,
        now: Instant,
        before: RouterState,
        state: RouterState,
        reason: Reason,
        out: &mut Vec<Effect>,
    ) {
        self.since = now;
        self.rivals = 0;
        if state != RouterState::Backup && self.lingers.take().is_some() {
            // VIPs that were handed over a moment ago go at once: nobody comes back to them.
            out.push(Effect::Addresses);
        }
        if before == RouterState::Master {
            self.count("release_master");
        }
        if state == RouterState::Master {
            self.late = Duration::ZERO;
            self.count("become_master");
        }
        if reason == Reason::Resumed {
            self.pacer.resume(now);
        }
        // The reason of a fault is known to the caller, who says it.
        if reason != Reason::Failed {
            self.explain(reason.to_string(), out);
        }
    }

    /// A rival was seen off; one that does not hear us says so again and again.
    fn confirmed(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if let Some(rival) = self.router.heard()
            && self.quiet.may_say(now, "confirmed")
        {
            self.news(RouterNews::Confirmed { rival: rival.address }, out);
        }
    }

    fn news(&self, what: RouterNews, out: &mut Vec<Effect>) {
        let (name, priority) = (self.config.name.clone(), self.router.params().priority);
        out.push(Effect::State(Told::RouterNews { name, state: self.state(), priority, what }));
    }

    pub(super) fn explain(&mut self, reason: String, out: &mut Vec<Effect>) {
        self.reason = reason;
        out.push(Effect::State(self.event()));
    }

    pub(super) fn send(&mut self, now: Instant, priority: u8, interval: Duration, out: &mut Vec<Effect>) {
        self.count("advert_sent");
        if priority == 0 {
            self.count("pri_zero_sent");
        }
        let advert = Advertisement {
            version: self.config.version,
            vrid: self.config.vrid.get(),
            priority,
            interval,
            auth: AuthField::for_config(self.config.auth.as_ref()),
            addresses: self.advertised(),
        };
        let source = self.router.params().source;
        let checksum = self.config.checksum.or(self.theirs).unwrap_or_default();
        let made = self.seal.make(now, &self.config, &advert, source, checksum);
        let virtual_mac = self.config.virtual_mac.as_ref().filter(|virtual_mac| virtual_mac.advertises);
        let mut send = |interface: &IfName, destination: IpAddr, ttl: u8| {
            let (form, packet) = made.to(destination, ttl);
            // On the other interfaces nobody looks for the VIPs.
            let mac = virtual_mac.filter(|_| *interface == self.config.interface).map(|found| found.mac);
            // The kernel sends a link-local source on its own link only.
            let form =
                if source.is_ipv6() && *interface != self.config.interface { Form::Frame } else { form };
            out.push(Effect::Send {
                instance: self.config.name.clone(),
                interface: interface.clone(),
                source,
                destination,
                ttl,
                form,
                mac,
                packet: Box::new(packet),
            });
        };
        if self.config.peers.is_empty() {
            let group: IpAddr = if source.is_ipv4() { GROUP_V4.into() } else { GROUP_V6.into() };
            for interface in std::iter::once(&self.config.interface).chain(&self.config.heartbeat) {
                send(interface, group, TTL);
            }
        } else {
            let interface = &self.config.interface;
            self.config.peers.iter().for_each(|peer| send(interface, peer.address, self.config.ttl));
        }
    }

    pub(super) fn vips(&self) -> Vec<VirtualAddress> {
        self.config.vips().cloned().collect()
    }

    /// The VIPs in the order of the wire: link-local first (RFC 9568 section 5.2.9), as many as fit.
    pub(super) fn advertised(&self) -> Addresses {
        let local = |address: &IpAddr| match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(a) => a.is_unicast_link_local(),
        };
        let all = || self.config.addresses.iter().map(|vip| vip.cidr.address);
        all().filter(local).chain(all().filter(|a| !local(a))).take(packet::MAX_ADDRESSES).collect()
    }

    pub(super) fn count(&mut self, name: &'static str) {
        *self.counters.entry(name).or_default() += 1;
    }
}
