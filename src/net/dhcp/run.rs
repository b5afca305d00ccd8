//! One client as a task: the machine, its socket and its timer.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::Ipv4Addr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use socket2::Socket;
use tokio::sync::{mpsc, watch};

use super::fsm::{Action, Client, Event};
use super::lease::Lease;
use super::message::{Asking, Outgoing};
use super::socket::{PacketSocket, unicast};
use crate::units::{Cidr, IfName, Mac, show_duration};

/// A socket that failed is opened again after so long: the link may be down for a moment.
const REOPEN: Duration = Duration::from_secs(1);
/// Seconds without an answer after which people are told.
const SILENCE: u16 = 10;

/// A link that asks. Another index or address is another link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// Its name.
    pub name: IfName,
    /// Its index.
    pub index: u32,
    /// Its hardware address.
    pub mac: Mac,
    /// Name of the box, told to the server.
    pub hostname: Option<String>,
}

/// What a client has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Which link.
    pub name: IfName,
    /// Its lease.
    pub lease: Option<Lease>,
}

/// Time since the kernel started, sleep included: leases count in it.
#[must_use]
pub fn boot_time() -> Duration {
    // The clock exists since Linux 2.6.39; reading it cannot fail.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// Keeps a lease for `asker` alive for ever; abort the task to end it. Changes go to `updates`.
pub async fn client(
    asker: Asker,
    remembered: Option<Lease>,
    mut carrier: watch::Receiver<bool>,
    updates: mpsc::Sender<Update>,
) {
    let seed = RandomState::new().build_hasher().finish();
    let told = remembered.as_ref().map(|lease| lease.address);
    let fsm = Client::new(boot_time(), asker.mac, asker.hostname.clone(), seed, remembered);
    let mut task = Task { asker, fsm, socket: None, unicast: None, updates, told, complained: false };
    let mut event = Event::Carrier(*carrier.borrow_and_update());
    loop {
        let actions = task.fsm.step(boot_time(), event);
        task.perform(actions).await;
        event = tokio::select! {
            () = until(task.fsm.deadline()) => Event::Timer,
            received = receive(&mut task.socket, task.asker.index) => Event::Received(received),
            changed = carrier.changed() => match changed {
                Ok(()) => Event::Carrier(*carrier.borrow_and_update()),
                Err(_) => return,
            },
        };
    }
}

struct Task {
    asker: Asker,
    fsm: Client,
    socket: Option<Option<PacketSocket>>,
    /// Lives while a renewal is answered.
    unicast: Option<Socket>,
    updates: mpsc::Sender<Update>,
    /// The address that was last logged: renewals are no news.
    told: Option<Cidr>,
    /// Nobody answers, and that was said.
    complained: bool,
}

impl Task {
    async fn perform(&mut self, actions: Vec<Action>) {
        if !self.fsm.listening() {
            (self.socket, self.unicast) = (None, None);
        } else if self.socket.is_none() {
            self.socket = Some(open(&self.asker));
        }
        for action in actions {
            match action {
                Action::Broadcast(message) => self.broadcast(&message),
                Action::Unicast(server, message) => self.unicast(server, &message),
                Action::Gained(lease) => self.gained(lease).await,
                Action::Lost(why) => {
                    log::warn!("dhcp lease lost: link={} reason={why}", self.asker.name);
                    self.told = None;
                    self.update(None).await;
                }
            }
        }
    }

    fn broadcast(&mut self, message: &Outgoing) {
        if message.kind == Asking::Discover && message.secs >= SILENCE && !self.complained {
            self.complained = true;
            log::warn!("no dhcp server answers: link={} for={}s", self.asker.name, message.secs);
        }
        let sent = match (&self.socket, message.encode()) {
            (Some(Some(socket)), Some(bytes)) => socket.broadcast(&bytes, message.using),
            _ => return,
        };
        if let Err(error) = sent {
            log::debug!("dhcp send failed: link={} reason={error}", self.asker.name);
        }
    }

    fn unicast(&mut self, server: Ipv4Addr, message: &Outgoing) {
        let Some(bytes) = message.encode() else { return };
        match unicast(&self.asker.name, message.using, server, &bytes) {
            Ok(socket) => self.unicast = Some(socket),
            Err(error) => {
                log::info!("dhcp renewal not sent: link={} server={server} reason={error}", self.asker.name);
            }
        }
    }

    async fn gained(&mut self, lease: Lease) {
        self.complained = false;
        let news = self.told.replace(lease.address) != Some(lease.address);
        let level = if news { log::Level::Info } else { log::Level::Debug };
        log::log!(
            level,
            "dhcp lease: link={} address={} server={} for={}",
            self.asker.name,
            lease.address,
            lease.server,
            left(&lease, boot_time())
        );
        self.update(Some(lease)).await;
    }

    async fn update(&self, lease: Option<Lease>) {
        // Nobody listens any more: the worker ends.
        let _ = self.updates.send(Update { name: self.asker.name.clone(), lease }).await;
    }
}

/// How much longer a lease lasts, in words.
#[must_use]
pub fn left(lease: &Lease, now: Duration) -> String {
    match lease.expires_at {
        Duration::MAX => "ever".to_owned(),
        at => show_duration(Duration::from_secs(at.saturating_sub(now).as_secs())),
    }
}

fn open(asker: &Asker) -> Option<PacketSocket> {
    PacketSocket::open(asker.index)
        .inspect_err(|error| log::warn!("dhcp cannot listen: link={} reason={error}", asker.name))
        .ok()
}

async fn until(deadline: Option<Duration>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.saturating_sub(boot_time())).await,
        None => std::future::pending().await,
    }
}

/// The next message; a socket that fails is opened again after a pause. Cancel safe but for the pause.
async fn receive(socket: &mut Option<Option<PacketSocket>>, index: u32) -> super::message::Incoming {
    loop {
        match socket {
            None => std::future::pending().await,
            Some(None) => {
                tokio::time::sleep(REOPEN).await;
                *socket = Some(PacketSocket::open(index).ok());
            }
            Some(Some(open)) => match open.receive().await {
                Ok(message) => return message,
                Err(_) => *socket = Some(None),
            },
        }
    }
}
