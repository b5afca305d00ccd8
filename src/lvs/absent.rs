//! Orders for real servers that the file does not have at the moment. Pure.
//!
//! A file on trial may lack a server, or give it another port, and be taken back: what the operator has drained is drained then as
//! before. So its order waits for as long as a trial can last.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::order::Order;
use super::watched::Watched;

/// The longest trial is a day (`director apply --confirm`).
const WAITS: Duration = Duration::from_secs(25 * 3600);

/// Orders that wait.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Absent {
    /// By service and server, each with the time until which it waits.
    orders: BTreeMap<(String, SocketAddr), (Order, Instant)>,
}

impl Absent {
    /// An order waits from `now` on, or until `until`.
    pub fn add(&mut self, name: (String, SocketAddr), order: Order, until: Option<Instant>, now: Instant) {
        self.orders.entry(name).or_insert_with(|| (order, until.unwrap_or(now + WAITS)));
    }

    /// The servers of these services may be gone soon.
    pub fn leave(&mut self, services: &[Watched], now: Instant) {
        for watched in services {
            for (server, member) in watched.service.servers.iter().zip(&watched.members) {
                if let Some(order) = member.order {
                    self.add((watched.service.name.clone(), server.address), order, None, now);
                }
            }
        }
    }

    /// Gives the servers of these services the orders that waited for them; what has waited too long is forgotten.
    pub fn come_back(&mut self, services: &mut [Watched], now: Instant) {
        self.orders.retain(|_, (_, until)| now < *until);
        if self.orders.is_empty() {
            return;
        }
        for watched in services {
            for (server, member) in watched.service.servers.iter().zip(&mut watched.members) {
                let waited = self.orders.remove(&(watched.service.name.clone(), server.address));
                if let (None, Some((order, _))) = (member.order, waited) {
                    member.order = Some(order);
                }
            }
        }
    }

    /// What waits, and until when.
    pub fn iter(&self) -> impl Iterator<Item = (&str, SocketAddr, Order, Instant)> {
        self.orders
            .iter()
            .map(|((service, server), (order, until))| (service.as_str(), *server, *order, *until))
    }
}
