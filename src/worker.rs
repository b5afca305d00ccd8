//! The processes that the supervisor starts: one entry point for each role.

use std::error::Error;
use std::path::PathBuf;

use crate::paths::RunDir;
use crate::role::Role;

/// What a worker is told on its command line; everything else it reads from the run directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerArgs {
    /// Where the processes of this Director meet.
    pub run_dir: RunDir,
    /// The terminal of a console, without `/dev/`: `ttyS0`, `tty1`.
    pub tty: Option<String>,
    /// The configuration file of `director run`; `None` on the appliance, where `store` finds it.
    pub file: Option<PathBuf>,
    /// Where `director run` keeps what outlives it: configurations that ran, and a change that waits.
    pub state: Option<PathBuf>,
    /// Whether the clock is this Director's to set: on the appliance. Under `director run` the host has one, and somebody who keeps it.
    pub set_clock: bool,
    /// `vrrp` takes off what an earlier life has left in the kernel, and ends.
    pub withdraw: bool,
}

/// Runs a worker until it is told to end (`Ok`) or cannot go on.
pub type Entry = fn(&WorkerArgs) -> Result<(), Box<dyn Error>>;

/// The entry point of `role`; `None` for the supervisor, which is no worker.
#[must_use]
pub const fn entry(role: Role) -> Option<Entry> {
    match role {
        Role::Net => Some(crate::net::run::run),
        Role::Lvs => Some(crate::lvs::run::run),
        Role::Console => Some(crate::console::run::run),
        Role::Store => Some(crate::store::run),
        Role::Vrrp => Some(crate::vrrp::run::run),
        Role::Api => Some(crate::api::run::run),
        Role::Notify => Some(crate::notify::run::run),
        Role::Time => Some(crate::time::run::run),
        Role::Init => None,
    }
}

/// What every worker does first: log lines to the supervisor, and an end when the supervisor dies.
///
/// `DIRECTOR_LOG` (`error`, `warn`, `info`, `debug`, `trace`) sets how much is logged; without it, `info`.
pub fn prepare() {
    let level = std::env::var("DIRECTOR_LOG").ok().and_then(|word| word.parse().ok());
    crate::logging::init(level.unwrap_or(log::LevelFilter::Info));
    // An orphan would go on owning kernel objects beside those of the next supervisor. As PID 1 dies the kernel does.
    if let Err(error) = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM) {
        log::warn!("ask for SIGTERM at the supervisor's death: prctl: {error}");
    }
}
