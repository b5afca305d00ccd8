//! What is asked of the worker, and its end.

use std::time::Instant;

use tokio::sync::mpsc;

use crate::ipc::message::{Reply, Request, RouterState, Status, VrrpStatus};
use crate::ipc::server::{self, Call};
use crate::ipvs::daemon::{Daemon, Duty};
use crate::role::Role;
use crate::vrrp::apply::Done;
use crate::vrrp::engine::needs;
use crate::vrrp::exchange::outline::{self, Outline};
use crate::vrrp::sync;
use crate::vrrp::vips::Op;

use super::{PATIENCE, Worker};

impl Worker {
    pub(super) fn answer(&mut self, call: Call) {
        match call.request {
            Request::Hello => call.answer.reply(&server::hello(Role::Vrrp)),
            Request::Status => {
                let status = Status::Vrrp(self.status());
                call.answer.reply(&Reply::Status { status: Box::new(status) });
            }
            Request::Router { order, name, force } => {
                let now = Instant::now();
                let reply = match self.engine.successor(now, order, &name, &self.desk.known(now)) {
                    Err(message) if !force => Reply::Alone { message },
                    Ok(()) | Err(_) => match self.engine.order(now, order, &name) {
                        Ok(()) => Reply::Ok,
                        Err(message) => Reply::Error { message },
                    },
                };
                // On the wire before the answer.
                self.carry_out();
                call.answer.reply(&reply);
            }
            Request::Subscribe => self.subscribers.add(call.answer, &self.engine.events()),
            other => call.answer.reply(&server::not_mine(Role::Vrrp, &other)),
        }
    }

    /// The state of everybody, and what the kernel refuses a master, or the device of a backup.
    pub(super) fn status(&self) -> VrrpStatus {
        let mut status = self.engine.status(Instant::now(), self.generation);
        status.sync = self.sync.running.iter().map(show_daemon).collect();
        status.sync_problem.clone_from(&self.sync.problem);
        status.route_problems = self.ways.problems();
        self.desk.show(Instant::now(), &mut status);
        // A fault of theirs has its own reason.
        for router in status.instances.iter_mut().filter(|router| router.state != RouterState::Fault) {
            let mut instances = self.engine.instances().iter();
            let instance = instances.find(|instance| instance.config().name == router.name);
            let lacks = |op: &Op| instance.is_some_and(|instance| needs(instance, op));
            let missing = self.refused.iter().filter(|(op, _)| lacks(op));
            router.reason.extend(missing.map(|(op, refusal)| format!("; cannot {op}: {}", refusal.why)));
        }
        status
    }

    /// Resigns at once, and waits a little for the VIPs to go.
    pub(super) async fn stop(&mut self, done: &mut mpsc::UnboundedReceiver<Done>) {
        self.engine.stop(Instant::now());
        self.carry_out();
        let gone = async {
            while (self.vips.is_open() || self.ways.question.is_open())
                && let Some(news) = done.recv().await
            {
                self.done(news);
            }
        };
        if tokio::time::timeout(PATIENCE, gone).await.is_err() {
            log::error!(
                "VIPs are left behind: the kernel does not answer within {} ms",
                PATIENCE.as_millis()
            );
        }
        if let Err(error) = self.memory.end(self.engine.facts()) {
            log::warn!("cannot remember: {}: {error}", self.run.state(Role::Vrrp).display());
        }
    }

    /// Has the other boxes told how things are here, if that is new.
    pub(super) fn tell_peers(&mut self) {
        let runs = |duty| self.sync.running.iter().any(|daemon| daemon.duty == duty);
        let outline = Outline {
            generation: u32::try_from(self.generation).unwrap_or(u32::MAX),
            marks: self.marks,
            sends: runs(Duty::Send),
            hears: runs(Duty::Listen),
            ways: outline::ways(self.engine.instances(), self.engine.facts()),
        };
        self.desk.tell(&self.run, outline);
    }
}

pub(super) fn show_daemon(daemon: &Daemon) -> String {
    let Daemon { interface, id, group, port, .. } = daemon;
    format!("{} on {interface}, id {id}, group {group} port {port}", sync::word(daemon.duty))
}
