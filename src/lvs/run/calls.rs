//! What the worker is asked, and what it answers.

use std::time::{Duration, Instant};

use super::Worker;
use crate::ipc::message::{AdminOrder, Event, Health, LvsOverview, LvsStatus, Reply, Request, ServiceStatus};
use crate::ipc::report::Report;
use crate::ipc::server::{self, Answer, Call};
use crate::lvs::admin::{select, select_among};
use crate::lvs::status;
use crate::lvs::watched::sorry_servers;
use crate::lvs::why::{why, why_sorry};
use crate::role::Role;

/// How old the counters in a status may be.
const FRESH: Duration = Duration::from_secs(1);

impl Worker {
    pub(super) fn answer(&mut self, call: Call) {
        match call.request {
            Request::Hello => call.answer.reply(&server::hello(Role::Lvs)),
            Request::Status => {
                let status = self.status();
                call.answer.encoded(Report::line(&status, self.services()));
            }
            Request::Overview { servers, service } => {
                self.refresh();
                let problem = self.problem.clone();
                let overview = LvsOverview::of(self.services(), problem, servers, service.as_deref());
                call.answer.reply(&Reply::Overview { overview });
            }
            Request::Subscribe => {
                let present: Vec<Event> = self.present();
                self.subscribers.add(call.answer, &present);
            }
            Request::Administer { service, server, order } => {
                self.administer(&service, &server, order, call.answer);
            }
            Request::Summary => {
                let summary =
                    status::summary(self.core.services(), &self.table, self.checks.plan(), Instant::now());
                call.answer.reply(&Reply::Summary { summary });
            }
            Request::Why { service, server } => call.answer.reply(&self.why(&service, &server)),
            other => call.answer.reply(&server::not_mine(Role::Lvs, &other)),
        }
    }

    /// Notes an order, for the next life too; the answer follows when it is in the table.
    fn administer(&mut self, service: &str, server: &str, order: AdminOrder, answer: Answer) {
        match self.core.administer(service, server, order, Instant::now()) {
            Ok((servers, events)) => {
                self.tell(&events);
                self.ordered.push((answer, Reply::Servers { servers }));
            }
            Err(message) => answer.reply(&Reply::Error { message }),
        }
    }

    fn why(&mut self, service: &str, server: &str) -> Reply {
        self.refresh();
        let (all, plan, now) = (self.core.services(), self.checks.plan(), Instant::now());
        let real = select(all, service, server);
        let sorry = real.is_err().then(|| select_among(all, sorry_servers, service, server).ok()).flatten();
        let found = match (real, sorry) {
            (Ok(places), _) => {
                places.into_iter().filter_map(|at| why(all, at, &self.table, plan, now)).collect()
            }
            (Err(_), Some(places)) => {
                places.into_iter().filter_map(|at| why_sorry(all, at, &self.table, plan, now)).collect()
            }
            (Err(message), None) => return Reply::Error { message },
        };
        Reply::Why { servers: found }
    }

    /// The state of everything as events: services first, somebody waits for them.
    fn present(&self) -> Vec<Event> {
        let servers = self.core.services().iter().flat_map(|watched| {
            let both = watched.service.servers.iter().zip(&watched.members);
            let told = both.filter(|(_, it)| it.health != Health::Unknown && !it.targets.is_empty());
            told.map(|(server, member)| Event::Server {
                service: watched.service.name.clone(),
                server: server.address,
                health: member.health,
                reason: member.reason(self.checks.plan()).into_owned(),
            })
        });
        self.core.told().chain(servers).chain(self.orders()).collect()
    }

    /// The operator's orders as events.
    fn orders(&self) -> impl Iterator<Item = Event> {
        let now = Instant::now();
        self.core.services().iter().flat_map(move |watched| {
            let both = watched.service.servers.iter().zip(&watched.members);
            both.filter_map(move |(server, member)| {
                let admin = status::admin(&member.order?, now).state;
                Some(Event::Admin { service: watched.service.name.clone(), server: server.address, admin })
            })
        })
    }

    /// Reads the table again where what is known of it is old.
    pub(super) fn refresh(&mut self) {
        if !self.core.is_blind() && self.read.is_none_or(|read| read.elapsed() > FRESH) {
            match self.kernel.observe() {
                Ok(table) => {
                    self.table = table;
                    self.read = Some(Instant::now());
                }
                Err(error) => {
                    self.core.lost_sight();
                    self.trouble(Some(error.to_string()));
                }
            }
        }
    }

    /// But for the services.
    fn status(&mut self) -> LvsStatus {
        self.refresh();
        LvsStatus {
            services: Vec::new(),
            problem: self.problem.clone(),
            foreign_changes: self.core.foreign(),
            generation: self.generation,
            table_size: self.kernel.table_size(self.table_bits),
        }
    }

    fn services(&self) -> impl Iterator<Item = ServiceStatus> {
        status::services(self.core.services(), &self.table, self.checks.plan(), Instant::now())
    }
}
