//! A service of the file with what is known of it, and what it should be in the kernel. Pure.
//!
//! Unknown changes nothing: a real server without a verdict stays as it was, present with its weight or absent, and a service
//! whose quorum hangs on such servers stays with its real servers or its sorry servers, whichever it had.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use super::admin::drained;
use super::desired::{here, keys, local_page, server_of, service_of};
use super::member::{Cause, Fate, Member, Rules, Verdicts, scaled};
use super::quorum::{Judgement, Quorum, judge};
use super::ramp::{Ramp, STEPS};
use super::state::{ServiceState, State, address_at, id_of};
use crate::check::Target;
use crate::config::model::{OnFail, Server, Service, Sorry, SorryMode};
use crate::ipc::message::{Event, Health};
use crate::ipvs::{self, ServiceId};

/// A service.
#[derive(Debug, Clone)]
pub struct Watched {
    /// As the file has it.
    pub service: Service,
    /// Its names in the kernel, one for each key.
    pub ids: Vec<ServiceId>,
    /// Its real servers, in the order of the file.
    pub members: Vec<Member>,
    /// Its sorry servers, in the order of the file.
    pub substitutes: Vec<Member>,
    /// Whether it has its quorum; `None` = nobody knows yet, so nobody is told.
    pub up: Option<bool>,
    /// Whether every server that may take connections had a verdict once.
    pub primed: bool,
    /// Whether the sorry servers answer.
    pub sorry: bool,
    /// What was judged last; `None` before the first time.
    pub judgement: Option<Judgement>,
    /// What it should be, for each of `ids`; empty before the first conclusion.
    pub states: Vec<ServiceState>,
    /// When something changes without anybody saying anything.
    pub wake: Option<Instant>,
    /// Whether it had its quorum when this process came: as the last one wrote down, or else as the table looked.
    pub had: Option<bool>,
}

impl Watched {
    /// A service that nobody knows anything of.
    #[must_use]
    pub fn new(service: Service) -> Self {
        let members = |servers: &[Server]| -> Vec<Member> {
            servers.iter().map(|server| Member::new(service.key, server)).collect()
        };
        Self {
            ids: keys(&service).map(id_of).collect(),
            members: members(&service.servers),
            substitutes: members(sorry_servers(&service)),
            up: None,
            primed: false,
            sorry: false,
            judgement: None,
            states: Vec::new(),
            wake: None,
            had: None,
            service,
        }
    }

    /// The same service by another file: what is known of it and of servers that stay, stays.
    #[must_use]
    pub fn succeed(self, service: Service) -> Self {
        let Self { service: old, members, substitutes, up, primed, sorry, had, .. } = self;
        let heirs = |servers: &[Server], old: &[Server], mut members: Vec<Member>| -> Vec<Member> {
            if servers.iter().map(|server| server.address).eq(old.iter().map(|server| server.address)) {
                for ((member, before), server) in members.iter_mut().zip(old).zip(servers) {
                    member.go_on(service.key, before, server);
                }
                return members;
            }
            let known = old.iter().zip(members).map(|(before, member)| (before.address, (before, member)));
            let mut known: BTreeMap<SocketAddr, (&Server, Member)> = known.collect();
            let heir = |server: &Server| match known.remove(&server.address) {
                Some((before, mut member)) => {
                    member.go_on(service.key, before, server);
                    member
                }
                None => Member { new: true, ..Member::new(service.key, server) },
            };
            servers.iter().map(heir).collect()
        };
        Self {
            ids: keys(&service).map(id_of).collect(),
            members: heirs(&service.servers, &old.servers, members),
            substitutes: heirs(sorry_servers(&service), sorry_servers(&old), substitutes),
            up: up.filter(|_| old.name == service.name),
            primed: primed && old.name == service.name,
            sorry,
            judgement: None,
            states: Vec::new(),
            wake: None,
            had,
            service,
        }
    }

    /// The targets of all its servers; some may be equal.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.members.iter().chain(&self.substitutes).flat_map(|member| &member.targets)
    }

    /// The targets of those that take connections by the table.
    pub fn serving(&self) -> impl Iterator<Item = &Target> {
        let real = self.members.iter().filter(|member| member.present.is_some_and(|weight| weight > 0));
        let stand_ins = self.substitutes.iter().filter(|_| self.sorry);
        real.chain(stand_ins).flat_map(|member| &member.targets)
    }

    /// Takes the table as it is found when this process comes: servers without a verdict stay as it shows them.
    pub fn adopt(&mut self, table: &State) {
        let there: Vec<_> =
            keys(&self.service).zip(&self.ids).map(|(key, id)| (key, table.services.get(id))).collect();
        let weight = |server: &Server| {
            there.iter().find_map(|(key, state)| {
                Some(state.as_ref()?.servers.get(&address_at(key, server.address))?.weight)
            })
        };
        let alive = |server: &Server| weight(server).is_some_and(|weight| weight > 0);
        let is_substitute = |server: &Server| {
            sorry_servers(&self.service).iter().any(|other| other.address == server.address)
        };
        let page = keys(&self.service).filter_map(|key| Some(here(local_page(&self.service, key)?).0));
        let page: Vec<SocketAddr> = page.collect();
        let page_answers = there.iter().any(|(_, state)| {
            state.is_some_and(|state| page.iter().any(|page| state.servers.contains_key(page)))
        });
        let real = self.service.servers.iter().any(|server| alive(server) && !is_substitute(server));
        // With both in the table it was without quorum, where both may be there at all.
        let real = real && self.service.sorry_mode == SorryMode::Replace;
        self.sorry = !real && (page_answers || sorry_servers(&self.service).iter().any(alive));
        self.had = self.had.or_else(|| Some(!self.sorry && self.service.servers.iter().any(alive)));
        for (server, member) in self.service.servers.iter().zip(&mut self.members) {
            member.present = weight(server).filter(|_| !(self.sorry && is_substitute(server)));
        }
    }

    /// Concludes anew what the service should be. Gives what subscribers do not know yet.
    pub fn conclude(&mut self, verdicts: &impl Verdicts, now: Instant) -> Vec<Event> {
        let mut events = self.hear(verdicts, now);
        let rules = self.rules();
        let servers = || self.service.servers.iter().zip(&self.members);
        let fates: Vec<Fate> = servers().map(|(server, member)| member.fate(rules, server, now)).collect();
        let votes =
            self.service.servers.iter().zip(&fates).map(|(server, fate)| (server.weight.get(), fate.vote));
        let judgement = judge(self.service.quorum, self.up.or(self.had).unwrap_or(false), votes);
        let substitutes = self.live_substitutes();
        self.sorry = substitutes
            && match judgement.quorum {
                Quorum::Met => false,
                Quorum::Lost => true,
                Quorum::Open => self.sorry,
            };
        let up = match judgement.quorum {
            Quorum::Met => Some(true),
            Quorum::Lost => Some(false),
            Quorum::Open if !self.sorry && judgement.reached => Some(true),
            Quorum::Open => self.up,
        };
        if let Some(up) = up.filter(|_| up != self.up) {
            events.push(Event::Service { service: self.service.name.clone(), up });
        }
        self.up = up;
        if !self.primed && self.is_known() {
            self.primed = true;
            events.push(Event::Primed { service: self.service.name.clone() });
        }
        self.judgement = Some(judgement);
        let causes: Vec<Cause> = self.members.iter().map(|member| member.cause).collect();
        self.enter(&fates);
        let drained = causes.into_iter().enumerate().filter_map(|(at, cause)| drained(self, at, cause, now));
        events.extend(drained.collect::<Vec<_>>());
        self.wake = self.members.iter().filter_map(|member| member.wake(now)).min();
        events
    }

    /// Takes what the checks say, and begins a slow start for those who have recovered, or are new, beside others that serve.
    fn hear(&mut self, verdicts: &impl Verdicts, now: Instant) -> Vec<Event> {
        let mut events = Vec::new();
        let mut recovered = Vec::new();
        let mut others = false;
        let (scale, length) = (scale(&self.service), self.service.slow_start);
        let all = self.service.servers.iter().zip(&mut self.members);
        for (at, (server, member)) in all.enumerate() {
            let first = !member.decided;
            let before = member.hear(verdicts);
            member.ramp =
                member.ramp.filter(|ramp| member.health != Health::Down && ramp.tenths(now) < STEPS);
            if before.is_some() {
                events.extend(turned(&self.service.name, server, member, verdicts, now));
            }
            let comes = member.serves(server) && std::mem::take(&mut member.new);
            match (before, member.health) {
                (Some(Health::Down), Health::Up) => recovered.push(at),
                _ if comes => recovered.push(at),
                (Some(Health::Unknown), Health::Up) if first => {
                    member.ramp = member.left_over(scaled(server.weight.get(), scale), length, now);
                }
                (Some(_), _) => {}
                (None, _) => others |= member.serves(server),
            }
        }
        let sorry = sorry_servers(&self.service).iter().zip(&mut self.substitutes);
        for (server, member) in sorry {
            if member.hear(verdicts).is_some() {
                events.extend(turned(&self.service.name, server, member, verdicts, now));
            }
        }
        if others {
            for at in recovered {
                if let Some(member) = self.members.get_mut(at) {
                    member.ramp = Ramp::new(now, length);
                }
            }
        }
        events
    }

    /// Whether every server that may take connections has or had a verdict.
    fn is_known(&self) -> bool {
        let mut servers = self.service.servers.iter().zip(&self.members);
        servers.all(|(server, member)| member.decided || !server.enabled || member.order.is_some())
    }

    /// Whether anybody would answer in place of the real servers; a sorry server without a verdict is taken to.
    fn live_substitutes(&self) -> bool {
        let servers = sorry_servers(&self.service).iter().zip(&self.substitutes);
        keys(&self.service).any(|key| local_page(&self.service, key).is_some())
            || servers.into_iter().any(|(server, member)| stands_in(server, member))
    }

    /// Makes the tables for all keys of what becomes of each server.
    fn enter(&mut self, fates: &[Fate]) {
        let Self { service, members, substitutes, sorry, .. } = self;
        let sorry = *sorry;
        let stand_ins: Vec<&Server> = sorry_servers(service)
            .iter()
            .zip(substitutes.iter())
            .filter(|(server, member)| sorry && stands_in(server, member))
            .map(|(server, _)| server)
            .collect();
        for ((server, member), fate) in service.servers.iter().zip(members.iter_mut()).zip(fates) {
            let on_fail = server.on_fail.unwrap_or(service.on_fail);
            let stays = !sorry || service.sorry_mode == SorryMode::Add;
            let weight = match (stays, on_fail, fate.cause) {
                (true, ..) => fate.weight,
                (false, OnFail::Quiesce, _) | (false, _, Cause::Drains | Cause::Off) => {
                    fate.weight.map(|_| 0)
                }
                (false, OnFail::Remove, _) => None,
            };
            member.cause = fate.cause;
            member.present = weight.filter(|_| stand_ins.iter().all(|other| other.address != server.address));
        }
        // Beside real servers they have the share that the file gives them; alone any measure is good.
        let scale = if service.sorry_mode == SorryMode::Add { scale(service) } else { 1 };
        let states = keys(service).map(|key| {
            let real = service.servers.iter().zip(members.iter());
            let real = real.filter_map(|(server, member)| Some((server, member.present?)));
            let stand_ins = stand_ins.iter().map(|server| (*server, scaled(server.weight.get(), scale)));
            let enter = |(server, weight): (&Server, u32)| {
                (address_at(key, server.address), server_of(server, weight))
            };
            let page = local_page(service, key).filter(|_| sorry).map(here);
            let page = page.map(|(address, page)| (address, ipvs::Server { weight: scale, ..page }));
            let servers = real.chain(stand_ins).map(enter).chain(page).collect();
            ServiceState { service: service_of(service, key), servers }
        });
        let states = states.collect();
        self.states = states;
    }

    fn rules(&self) -> Rules {
        Rules { on_fail: self.service.on_fail, start: self.service.start, scale: scale(&self.service) }
    }
}

/// By what all weights are multiplied in the kernel: a slow start of weights below its number of steps would be none.
#[must_use]
pub fn scale(service: &Service) -> u32 {
    let weights = service.servers.iter().map(|server| server.weight.get());
    let least = weights.filter(|weight| *weight > 0).min();
    if !service.slow_start.is_zero() && least.is_some_and(|least| least < STEPS) { STEPS } else { 1 }
}

/// The sorry servers of the file.
#[must_use]
pub fn sorry_servers(service: &Service) -> &[Server] {
    match &service.sorry {
        Sorry::Servers(servers) => servers,
        Sorry::None | Sorry::Local => &[],
    }
}

/// Whether a sorry server is used; one without a verdict is.
fn stands_in(server: &Server, member: &Member) -> bool {
    server.enabled && member.health != Health::Down
}

/// Notes and tells another verdict.
fn turned(
    service: &str,
    server: &Server,
    member: &mut Member,
    verdicts: &impl Verdicts,
    now: Instant,
) -> Option<Event> {
    let what = match member.health {
        Health::Unknown => return None,
        Health::Up => "up",
        Health::Down => "down",
    };
    let reason = member.reason(verdicts);
    member.history.note(now, what, reason.clone());
    Some(Event::Server {
        service: service.to_owned(),
        server: server.address,
        health: member.health,
        reason: reason.into_owned(),
    })
}

#[cfg(test)]
mod tests;
