//! The tables of links and addresses: looked at, compared, made so by the thread beside the loop.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::time::Instant;

use crate::units::IfName;
use crate::vrrp::apply::{Done, Job};
use crate::vrrp::engine::{Lacks, needs};
use crate::vrrp::facts::Link;
use crate::vrrp::socket::places;
use crate::vrrp::vips::Op;
use crate::vrrp::{devices, vips};

use super::question::{Refusal, Refused, renew};
use super::{AGAIN, REST, Worker};

impl Worker {
    /// What the thread has done.
    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Looked(links, took) => {
                self.looking = false;
                self.earliest = Instant::now() + took * REST;
                match links {
                    Ok(links) => self.see(links),
                    Err(error) => {
                        // In a storm the tables do not stand still; soon they will.
                        self.look_at = Some(Instant::now() + AGAIN);
                        if self.quiet.may_say(Instant::now(), "look") {
                            log::error!("cannot look at the network: {error}");
                        }
                    }
                }
            }
            Done::Synced(agreed) => self.synced(agreed),
            Done::Ways(changes) => self.roads_made(changes),
            Done::Applied { results, repair } => {
                let again = self.vips.answered();
                self.applied(results, repair);
                if again {
                    self.agree(false);
                }
                self.engine.hold_announcements(self.vips.is_open());
                self.agree_on_ways();
                self.tell_what_lacks();
            }
        }
    }

    /// Takes links and addresses as they are, and repairs what is not as it should be.
    pub(super) fn see(&mut self, links: BTreeMap<IfName, Link>) {
        let needed = self.engine.instances().iter().flat_map(|instance| places(instance.config())).collect();
        let closed = self.wire.sync(&needed, &links);
        // The kernel takes routes away with a link, and does not bring them back.
        let changed = links != self.engine.facts().links;
        if changed || closed != self.engine.facts().closed {
            self.engine.observe(Instant::now(), |facts| {
                facts.links = links;
                facts.closed = closed;
            });
            self.carry_out();
            self.news_for_peers = true;
        }
        // What is set on a device that was made just now is no repair.
        let made = std::mem::take(&mut self.made);
        self.ways.due |= changed;
        self.agree_on_all(!made);
    }

    pub(super) fn open_sockets(&mut self) {
        let needed = self.engine.instances().iter().flat_map(|instance| places(instance.config())).collect();
        let closed = self.wire.sync(&needed, &self.engine.facts().links);
        if closed != self.engine.facts().closed {
            self.engine.observe(Instant::now(), |facts| facts.closed = closed);
            self.carry_out();
        }
    }

    /// Has VIPs, then routes and rules made to agree with what they should be.
    pub(super) fn agree_on_all(&mut self, repair: bool) {
        self.agree(repair);
        if self.ways.due {
            self.agree_on_ways();
        }
        self.tell_what_lacks();
    }

    /// Has the VIPs of the kernel made to agree with what they should be; later, if they are being changed just now.
    fn agree(&mut self, repair: bool) {
        if self.generation == 0 || !self.vips.may_ask() {
            return;
        }
        let facts = self.engine.facts();
        let indexed = |op: Op| facts.links.get(op.on()).map(|link| link.index).map(|index| (op, index));
        let devices = self.engine.devices();
        let before = devices::before(facts, &devices).into_iter();
        let all =
            before.chain(vips::diff(facts, &self.engine.desired())).chain(devices::after(facts, &devices));
        let ops: Vec<(Op, u32)> = all.filter_map(indexed).collect();
        if ops.is_empty() {
            self.refused = Refused::new();
        } else {
            self.vips.asked(self.jobs.send(Job::Apply { ops, repair }).is_ok());
            self.engine.hold_announcements(self.vips.is_open());
        }
    }

    /// Notes what the kernel has done, and what it has refused.
    pub(super) fn applied(&mut self, results: Vec<(Op, io::Result<()>)>, repair: bool) {
        let mut refused = BTreeMap::new();
        for (op, result) in results {
            match result {
                Ok(()) => {
                    log::debug!("{op}");
                    self.engine.note(&op);
                    if matches!(op, Op::Create { .. } | Op::Delete { .. }) {
                        // What may be set on it, or made in its place, is known when its index is.
                        self.look_at = Some(Instant::now());
                        self.made = true;
                    }
                    // What was refused before is no repair of what others have done.
                    if repair && !self.refused.contains_key(&op) {
                        self.repaired(&op);
                    }
                }
                Err(error) => {
                    refused.insert(op, error.to_string());
                }
            }
        }
        renew(Instant::now(), &mut self.refused, refused);
        if !self.refused.is_empty() {
            // Once more, soon: that refusal counts.
            let soon = Instant::now() + AGAIN;
            self.look_at.get_or_insert(soon);
        }
    }

    /// Tells the virtual routers which VIPs, devices, routes and rules the kernel refuses them, and whether it did before.
    pub(super) fn tell_what_lacks(&mut self) {
        // One that lacks nothing is trusted again: first all is asked for.
        if self.vips.is_open() || self.made || self.ways.due || self.ways.question.is_open() {
            return;
        }
        let mut lacks = Lacks::new();
        for instance in self.engine.masters() {
            let vips = self.refused.iter().filter(|(op, _)| needs(instance, op));
            let ways = self.ways.refused.iter().filter(|(change, _)| change.is_of(instance.config()));
            let vips = vips.map(|(op, refusal)| -> (&dyn Display, &Refusal) { (op, refusal) });
            for (what, Refusal { why, again, .. }) in
                vips.chain(ways.map(|(change, refusal)| (change as _, refusal)))
            {
                let lack = lacks.entry(instance.config().name.clone());
                lack.or_insert_with(|| (format!("cannot {what}: {why}"), *again)).1 |= again;
            }
        }
        if !lacks.is_empty() || self.engine.is_wary() {
            self.engine.lacks(Instant::now(), &lacks);
            self.carry_out();
        }
    }

    /// Somebody else has changed the VIPs, and we have changed them back.
    pub(super) fn repaired(&mut self, op: &Op) {
        let now = Instant::now();
        match op {
            Op::Add { interface, cidr, .. } => {
                if self.quiet.may_say(now, "put back") {
                    log::warn!("VIP put back: interface={interface} address={cidr} reason=it was not there");
                }
                self.engine.restored(now, interface);
            }
            Op::Remove { interface, cidr } => {
                if self.quiet.may_say(now, "taken off") {
                    log::warn!("VIP taken off: interface={interface} address={cidr} reason=not master");
                }
            }
            // A new configuration is compared after the first look: no repair of what others have done.
            Op::Create { .. } | Op::Raise { .. } | Op::Delete { .. } => log::info!("done: {op}"),
        }
    }
}
