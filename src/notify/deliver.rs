//! Deliveries to one receiver: in order, one at a time, each with its end in time.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::queue::Queue;
use super::syslog::line::message;
use super::syslog::wire::Wire;
use super::{hook, mail, webhook};
use crate::check::tls::Clients;
use crate::check::{Outcome, exec};
use crate::config::model::{self, HostPort, Login, NotifyWay, SyslogTarget};
use crate::ipc::message::{Alarm, Attempt, LogLine};
use crate::names::book::Book;
use crate::paths::RunDir;
use crate::role::Role;
use crate::secret;
use crate::store::pending::since_boot;

/// Alarms in one mail, one request, one batch of datagrams.
const TOGETHER: usize = 100;
/// How long a hook may take to be where it may run.
const PLACED: Duration = Duration::from_secs(5);
/// Pauses after failures: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A receiver's queue, and who is told that something has changed in it.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The queue.
    pub queue: Arc<Mutex<Queue>>,
    /// Something waits.
    pub filled: Arc<Notify>,
    /// There is something to be written down.
    pub moved: Arc<Notify>,
}

impl Shared {
    /// Works on the queue.
    pub fn with<T>(&self, work: impl FnOnce(&mut Queue) -> T) -> T {
        work(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Delivers what is in the queue, for as long as this is polled.
pub async fn forever(target: model::Notify, shared: Shared, run: RunDir, book: Arc<Book>) {
    let clients = Clients::default();
    loop {
        let most = if matches!(target.way, NotifyWay::Exec { .. }) { 1 } else { TOGETHER };
        let batch = shared.with(|queue| {
            queue.expire(since_boot_ms());
            queue.batch(most)
        });
        if batch.is_empty() {
            shared.filled.notified().await;
            // What comes at the same moment goes together; who tries is not kept waiting.
            let wait = if let NotifyWay::Mail(mail) = &target.way { mail.digest } else { Duration::ZERO };
            if !shared.with(|queue| queue.has_test()) {
                tokio::select! {
                    () = sleep(wait) => {}
                    () = tried(&shared) => {}
                }
            }
            continue;
        }
        let id = batch.last().map_or(0, |alarm| alarm.id);
        let sent = timeout(target.timeout, send(&target.way, &clients, &batch, &run, &book)).await;
        let sent = sent.unwrap_or_else(|_| Err(format!("no end within {} s", target.timeout.as_secs_f32())));
        let ok = sent.is_ok();
        if let (false, Some(server)) = (ok, server(&target.way)) {
            book.failed(&server.host);
        }
        let text = sent.unwrap_or_else(|why| why);
        let again = !matches!(target.way, NotifyWay::Exec { .. });
        let failures = shared.with(|queue| {
            queue.done(Attempt { time_ms: now_ms(), id, ok, text: text.clone() }, again);
            queue.failures
        });
        shared.moved.notify_one();
        if !ok {
            tell(&target.name, &text, failures);
            if again {
                sleep(pause(failures)).await;
            }
        }
    }
}

/// Comes back when somebody tries the receiver.
async fn tried(shared: &Shared) {
    loop {
        shared.filled.notified().await;
        if shared.with(|queue| queue.has_test()) {
            return;
        }
    }
}

/// The first failure of a row, and then each that doubles their number.
fn tell(name: &str, text: &str, failures: u32) {
    if failures.is_power_of_two() {
        log::warn!("alarm not delivered: target={name} failures={failures} reason={text}");
    }
}

fn pause(failures: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX))
        .min(LONGEST_PAUSE)
}

const fn server(way: &NotifyWay) -> Option<&HostPort> {
    match way {
        NotifyWay::Mail(mail) => Some(&mail.server),
        NotifyWay::Webhook(webhook) => Some(&webhook.server),
        NotifyWay::Syslog(target) => Some(&target.address),
        NotifyWay::Exec { .. } => None,
    }
}

async fn send(
    way: &NotifyWay,
    clients: &Clients,
    batch: &[Alarm],
    run: &RunDir,
    book: &Book,
) -> Result<String, String> {
    let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
    match way {
        NotifyWay::Mail(mail) => {
            let server = book.socket(&mail.server).await?;
            let login = match &mail.login {
                Some(login) => {
                    Some(Login { password: secret::reveal(run, &login.password)?, ..login.clone() })
                }
                None => None,
            };
            mail::send(mail, server, login.as_ref(), clients, &host, batch, now_ms()).await.map_err(mail::why)
        }
        NotifyWay::Webhook(webhook) => {
            let server = book.socket(&webhook.server).await?;
            let secret = webhook.secret.as_ref().map(|text| secret::reveal(run, text)).transpose()?;
            webhook::send(webhook, server, secret.as_deref(), clients, &host, batch).await
        }
        NotifyWay::Exec { command } => program(command, batch, &run.hooks()).await,
        NotifyWay::Syslog(target) => {
            let address = book.socket(&target.address).await?;
            syslog(target, address, &host, batch).await.map_err(|error| error.to_string())
        }
    }
}

/// Runs the program with its own arguments and the words of the first alarm.
async fn program(command: &[String], batch: &[Alarm], hooks: &Path) -> Result<String, String> {
    let (Some((program, own)), Some(alarm)) = (command.split_first(), batch.first()) else {
        return Err("no program".to_owned());
    };
    let program = match hook::name(program) {
        Some(name) => placed(&hooks.join(name)).await?,
        None => program.clone(),
    };
    match exec::run(&program, own.iter().chain(&alarm.words).map(String::as_str)).await {
        Outcome::Success(said) => Ok(said.into_owned()),
        other => Err(mail::why(other)),
    }
}

/// Where a hook really is; `store` puts it there behind the configuration.
async fn placed(path: &Path) -> Result<String, String> {
    let end = Instant::now() + PLACED;
    loop {
        match path.canonicalize() {
            Ok(path) => return Ok(path.to_string_lossy().into_owned()),
            Err(_) if Instant::now() < end => sleep(PLACED / 50).await,
            Err(error) => return Err(format!("no hook to run: {}: {error}", path.display())),
        }
    }
}

async fn syslog(
    target: &SyslogTarget,
    address: SocketAddr,
    host: &str,
    batch: &[Alarm],
) -> std::io::Result<String> {
    let mut wire = Wire::open(target, address).await?;
    for alarm in batch {
        let Alarm { id, time_ms, kind, subject, state, severity, text, .. } = alarm;
        let text = format!("alarm {kind}: id={id} subject={subject} state={state} text={text}");
        let line = LogLine { time_ms: *time_ms, role: Role::Notify, severity: *severity, text };
        wire.send(&message(&line, host, Wire::longest(target))).await?;
    }
    Ok("sent".to_owned())
}

/// Milliseconds since the start of the kernel.
#[must_use]
pub fn since_boot_ms() -> u64 {
    u64::try_from(since_boot().as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since the epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_five_minutes() {
        let seconds: Vec<u64> = [1, 2, 3, 9, 10, 40].map(|n| pause(n).as_secs()).into();
        assert_eq!(seconds, [1, 2, 4, 256, 300, 300]);
    }
}
