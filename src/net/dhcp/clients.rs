//! The clients of all links that ask: started, told of their cable, ended.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::run::{Asker, Update, client};
use crate::net::memory::{Leased, Memory};
use crate::units::IfName;

/// Running clients by the name of their link.
#[derive(Debug)]
pub struct Clients {
    running: BTreeMap<IfName, Running>,
    updates: mpsc::Sender<Update>,
}

#[derive(Debug)]
struct Running {
    asker: Asker,
    carrier: watch::Sender<bool>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Clients {
    /// None yet; what they learn comes out of the returned channel.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Update>) {
        let (updates, received) = mpsc::channel(16);
        (Self { running: BTreeMap::new(), updates }, received)
    }

    /// Makes the clients those of `wanted`, each with whether its link has carrier. A client that begins takes up what
    /// `memory` has for it; the lease of one that ends is forgotten. `true` if so: `memory` has changed.
    pub fn set(&mut self, wanted: Vec<(Asker, bool)>, memory: &mut Memory) -> bool {
        let mut forgotten = false;
        let next = |name: &IfName| wanted.iter().map(|(asker, _)| asker).find(|asker| asker.name == *name);
        self.running.retain(|name, client| {
            let successor = next(name);
            // Another name of the box is no reason to give the lease up.
            let same_link = successor
                .is_some_and(|asker| (asker.index, asker.mac) == (client.asker.index, client.asker.mac));
            forgotten |= !same_link && memory.leases.remove(name).is_some();
            successor == Some(&client.asker)
        });
        for (asker, carrier) in wanted {
            match self.running.get(&asker.name) {
                Some(client) => {
                    client.carrier.send_if_modified(|known| std::mem::replace(known, carrier) != carrier);
                }
                None => self.begin(asker, carrier, memory),
            }
        }
        forgotten
    }

    fn begin(&mut self, asker: Asker, now: bool, memory: &Memory) {
        let (carrier, changes) = watch::channel(now);
        let remembered = memory.leases.get(&asker.name).filter(|leased| leased.mac == asker.mac);
        let lease = remembered.map(|leased| leased.lease.clone());
        let task = tokio::spawn(client(asker.clone(), lease, changes, self.updates.clone())).abort_handle();
        self.running.insert(asker.name.clone(), Running { asker, carrier, task });
    }

    /// Puts what a client has learnt into `memory`; `false` if that client has ended meanwhile.
    pub fn take(&self, update: Update, memory: &mut Memory) -> bool {
        let Some(client) = self.running.get(&update.name) else { return false };
        match update.lease {
            Some(lease) => memory.leases.insert(update.name, Leased { mac: client.asker.mac, lease }),
            None => memory.leases.remove(&update.name),
        };
        true
    }
}
