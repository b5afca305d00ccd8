//! What a supervisor is made of, and what its loop ends with.

use std::time::Instant;

use super::button::Button;
use super::kernel_log::KernelLog;
use super::signals::Signals;
use super::sink::Sink;
use super::spawn::Spawner;
use super::supervise::Key;
use super::watchdog::Watchdog;
use crate::ipc::message::PowerAction;

/// What a supervisor is made of.
#[derive(Debug)]
pub struct Setup {
    /// Who is to run.
    pub workers: Vec<Key>,
    /// How they are started.
    pub spawner: Spawner,
    /// Installed before anything else.
    pub signals: Signals,
    /// Where lines go besides the rings.
    pub sink: Sink,
    /// The hardware watchdog.
    pub watchdog: Option<Watchdog>,
    /// The kernel's complaints, on the appliance.
    pub kernel_log: Option<KernelLog>,
    /// The power button, on the appliance.
    pub button: Option<Button>,
    /// What [`crate::ipc::message::InitStatus`] says of this boot.
    pub boot: Boot,
}

/// What is known of this boot.
#[derive(Debug, Clone)]
pub struct Boot {
    /// Firmware version.
    pub version: String,
    /// Slot that booted; `None` outside the appliance.
    pub slot: Option<String>,
    /// What the boot loader wants.
    pub mode: String,
    /// When the kernel started, or the supervisor outside the appliance.
    pub since: Instant,
    /// Whether this process is PID 1 and may switch the power off.
    pub appliance: bool,
}

/// Why the loop ended; nobody is left running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Told to stop, outside the appliance.
    Stopped,
    /// The box is to do this now.
    Power(PowerAction),
}
