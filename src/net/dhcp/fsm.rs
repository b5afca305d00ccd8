//! The states of a client (RFC 2131 section 4.4, figure 5), without clock and socket.
//!
//! Where it differs from the RFC: the first question is asked at once and repeated after 1 s, 2 s, 4 s … 64 s (not after
//! 4 s), since a box that boots waits for the answer; a link that gets its carrier back has its lease confirmed but keeps
//! the address meanwhile; a NAK is followed by a pause that doubles.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::lease::Lease;
use super::message::{Answer, Asking, Incoming, Outgoing};
use crate::units::Mac;

const SECOND: Duration = Duration::from_secs(1);
/// Questions about an offer, or about a remembered lease, before it is given up.
const PATIENCE: u32 = 4;
/// Least time between two renewals (section 4.4.5).
const RENEW_FLOOR: Duration = Duration::from_secs(60);
/// From this repetition on the server is asked to broadcast: some networks cannot deliver to an address without owner.
const BROADCAST_FROM: u32 = 2;

/// A client of one link. Times are boot time.
#[derive(Debug, Clone)]
pub struct Client {
    mac: Mac,
    hostname: Option<String>,
    random: u64,
    state: State,
    /// `None` until it is known.
    carrier: Option<bool>,
    xid: u32,
    started: Duration,
    /// When the question that is being answered was first sent: a lease counts from there.
    asked: Duration,
    tries: u32,
    naks: u32,
    wake: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Init,
    Selecting,
    Requesting { address: Ipv4Addr, server: Ipv4Addr },
    Rebooting(Lease),
    Bound(Lease),
    Renewing(Lease),
    Rebinding(Lease),
}

/// What happens to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// [`Client::deadline`] has come.
    Timer,
    /// A server's message, of anybody's transaction.
    Received(Incoming),
    /// The link has carrier, or has not.
    Carrier(bool),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Say this to everybody on the link, with the source address that the message uses.
    Broadcast(Outgoing),
    /// Say this to the server, by the address of the lease.
    Unicast(Ipv4Addr, Outgoing),
    /// There is a lease, new or extended.
    Gained(Lease),
    /// The lease is over, and why.
    Lost(&'static str),
}

impl Client {
    /// A client that takes up `remembered` where it is still valid at `now`. `seed` is any random number.
    #[must_use]
    pub fn new(
        now: Duration,
        mac: Mac,
        hostname: Option<String>,
        seed: u64,
        remembered: Option<Lease>,
    ) -> Self {
        let state = remembered.filter(|lease| now < lease.expires_at).map_or(State::Init, State::Bound);
        let mut client = Self {
            mac,
            hostname,
            random: seed | 1,
            state,
            carrier: None,
            xid: 0,
            started: now,
            asked: now,
            tries: 0,
            naks: 0,
            wake: None,
        };
        client.xid = client.draw();
        if let State::Bound(lease) = &client.state {
            client.wake = Some(lease.renew_at);
        }
        client
    }

    /// When [`Event::Timer`] is due; `None` while there is nothing to wait for.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.wake.filter(|wake| *wake != Duration::MAX)
    }

    /// The lease held.
    #[must_use]
    pub const fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Rebooting(lease)
            | State::Bound(lease)
            | State::Renewing(lease)
            | State::Rebinding(lease) => Some(lease),
            State::Init | State::Selecting | State::Requesting { .. } => None,
        }
    }

    /// Whether an answer is awaited: only then a socket has to be open.
    #[must_use]
    pub const fn listening(&self) -> bool {
        !matches!(self.state, State::Init | State::Bound(_))
    }

    /// Takes an event at `now`.
    pub fn step(&mut self, now: Duration, event: Event) -> Vec<Action> {
        match event {
            Event::Timer if self.deadline().is_none_or(|deadline| now < deadline) => Vec::new(),
            Event::Timer => self.timer(now),
            Event::Carrier(carrier) => self.carrier(now, carrier),
            Event::Received(message) if message.xid != self.xid || message.mac != self.mac => Vec::new(),
            Event::Received(message) => self.received(now, &message),
        }
    }

    fn carrier(&mut self, now: Duration, carrier: bool) -> Vec<Action> {
        let before = self.carrier.replace(carrier);
        if before == Some(carrier) {
            return Vec::new();
        }
        match (carrier, self.state.clone()) {
            (false, State::Init | State::Selecting | State::Requesting { .. }) => {
                (self.state, self.wake) = (State::Init, None);
                Vec::new()
            }
            (false, State::Rebooting(lease)) => {
                self.rest(lease);
                Vec::new()
            }
            (false, State::Bound(_) | State::Renewing(_) | State::Rebinding(_)) => Vec::new(),
            (true, State::Init | State::Selecting | State::Requesting { .. }) => self.discover(now),
            // A process that takes up a lease learns of the carrier: nothing has happened to the link.
            (true, State::Bound(_)) if before.is_none() => Vec::new(),
            (true, State::Bound(lease) | State::Renewing(lease) | State::Rebinding(lease)) => {
                self.begin(now);
                self.state = State::Rebooting(lease);
                self.ask(now)
            }
            (true, State::Rebooting(_)) => Vec::new(),
        }
    }

    fn timer(&mut self, now: Duration) -> Vec<Action> {
        if self.lease().is_some_and(|lease| now >= lease.expires_at) {
            return self.lose(now, "it has expired");
        }
        match self.state.clone() {
            State::Init => self.discover(now),
            State::Selecting => self.ask(now),
            State::Requesting { .. } if self.tries >= PATIENCE => self.discover(now),
            State::Requesting { .. } => self.ask(now),
            State::Rebooting(lease) if self.tries >= PATIENCE => {
                self.rest(lease);
                Vec::new()
            }
            State::Rebooting(_) => self.ask(now),
            State::Bound(lease) | State::Renewing(lease) | State::Rebinding(lease) => self.extend(now, lease),
        }
    }

    fn received(&mut self, now: Duration, message: &Incoming) -> Vec<Action> {
        match (self.state.clone(), message.kind) {
            (State::Selecting, Answer::Offer) => match (Lease::granted(message, now), message.server) {
                (Some(_), Some(server)) => {
                    self.tries = 0;
                    self.asked = now;
                    self.state = State::Requesting { address: message.address, server };
                    self.ask(now)
                }
                _ => Vec::new(),
            },
            (State::Requesting { server, .. }, Answer::Ack | Answer::Nak)
                if message.server.is_some_and(|from| from != server) =>
            {
                Vec::new()
            }
            (State::Requesting { .. }, Answer::Nak) => {
                self.refused(now);
                Vec::new()
            }
            (
                State::Requesting { .. } | State::Rebooting(_) | State::Renewing(_) | State::Rebinding(_),
                Answer::Ack,
            ) => match Lease::granted(message, self.asked) {
                Some(lease) => {
                    self.naks = 0;
                    self.rest(lease.clone());
                    vec![Action::Gained(lease)]
                }
                None => Vec::new(),
            },
            (State::Rebooting(_) | State::Renewing(_) | State::Rebinding(_), Answer::Nak) => {
                self.refused(now);
                vec![Action::Lost("the server refuses it")]
            }
            (State::Init | State::Selecting | State::Bound(_), _) | (_, Answer::Offer) => Vec::new(),
        }
    }

    /// Begins to look for a server.
    fn discover(&mut self, now: Duration) -> Vec<Action> {
        self.begin(now);
        self.state = State::Selecting;
        self.ask(now)
    }

    fn begin(&mut self, now: Duration) {
        self.xid = self.draw();
        (self.started, self.asked, self.tries) = (now, now, 0);
    }

    /// Bound to `lease` until its T1.
    fn rest(&mut self, lease: Lease) {
        self.wake = Some(lease.renew_at);
        self.state = State::Bound(lease);
    }

    fn lose(&mut self, now: Duration, why: &'static str) -> Vec<Action> {
        let mut actions = vec![Action::Lost(why)];
        if self.carrier == Some(true) {
            actions.extend(self.discover(now));
        } else {
            (self.state, self.wake) = (State::Init, None);
        }
        actions
    }

    fn refused(&mut self, now: Duration) {
        let pause = SECOND.saturating_mul(1 << self.naks.min(6));
        self.naks = self.naks.saturating_add(1);
        self.state = State::Init;
        self.wake = Some(now + pause);
    }

    /// T1 has passed: asks the server, after T2 everybody.
    fn extend(&mut self, now: Duration, lease: Lease) -> Vec<Action> {
        if !matches!(self.state, State::Renewing(_) | State::Rebinding(_)) {
            self.begin(now);
        }
        self.asked = now;
        let rebinding = now >= lease.rebind_at;
        let limit = if rebinding { lease.expires_at } else { lease.rebind_at };
        let pause = (limit.saturating_sub(now) / 2).max(RENEW_FLOOR);
        self.wake = Some(now.saturating_add(pause).min(limit));
        let message = self.message(now, Asking::Request, lease.ip(), None, None);
        let server = lease.server;
        self.tries = self.tries.saturating_add(1);
        self.state = if rebinding { State::Rebinding(lease) } else { State::Renewing(lease) };
        vec![if rebinding { Action::Broadcast(message) } else { Action::Unicast(server, message) }]
    }

    /// Asks what the state wants to know, and again after a pause that doubles.
    fn ask(&mut self, now: Duration) -> Vec<Action> {
        let (kind, requested, server) = match &self.state {
            State::Requesting { address, server } => (Asking::Request, Some(*address), Some(*server)),
            State::Rebooting(lease) => (Asking::Request, lease.ip(), None),
            _ => (Asking::Discover, None, None),
        };
        let message = self.message(now, kind, None, requested, server);
        let pause = self.jitter(SECOND.saturating_mul(1 << self.tries.min(6)));
        self.tries = self.tries.saturating_add(1);
        self.wake = Some(now + pause);
        vec![Action::Broadcast(message)]
    }

    fn message(
        &self,
        now: Duration,
        kind: Asking,
        using: Option<Ipv4Addr>,
        requested: Option<Ipv4Addr>,
        server: Option<Ipv4Addr>,
    ) -> Outgoing {
        Outgoing {
            kind,
            xid: self.xid,
            secs: u16::try_from(now.saturating_sub(self.started).as_secs()).unwrap_or(u16::MAX),
            mac: self.mac,
            using: using.unwrap_or(Ipv4Addr::UNSPECIFIED),
            requested,
            server,
            broadcast: using.is_none() && self.tries >= BROADCAST_FROM,
            hostname: self.hostname.clone(),
        }
    }

    /// The next of a series of random numbers (xorshift64*).
    #[allow(clippy::cast_possible_truncation, reason = "the upper half is wanted")]
    const fn draw(&mut self) -> u32 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// Within a tenth of `pause`.
    fn jitter(&mut self, pause: Duration) -> Duration {
        let tenth = pause / 10;
        pause - tenth + (tenth / 512) * (self.draw() % 1024)
    }
}

#[cfg(test)]
mod tests;
