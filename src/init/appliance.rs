//! PID 1: from the kernel's hands to the supervisor's loop, and from there to reboot(2). It never returns.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::reboot::{RebootMode, set_cad_enabled};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::button::Button;
use super::foreground::workers;
use super::kernel_log::KernelLog;
use super::release::Release;
use super::run::Init;
use super::setup::{Boot, Ending, Setup};
use super::signals::Signals;
use super::sink::Sink;
use super::spawn::Spawner;
use super::watchdog::Watchdog;
use super::{boot, mounts, own_log};
use crate::ipc::message::PowerAction;
use crate::paths::RunDir;
use crate::sys::process;

/// A broken disk may keep sync(2) for ever.
const SYNC_LIMIT: Duration = Duration::from_secs(10);
/// Time to read the last words before the box starts again.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// Between two looks at a child that is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// Is PID 1 until the power is off or the box starts again.
pub fn main() -> ! {
    own_log::install();
    boot::first();
    std::panic::set_hook(Box::new(|info| give_up(&format!("supervisor panicked: {info}"))));
    match supervise() {
        Ok((ending, watchdog)) => finish(ending, watchdog),
        Err(error) => give_up(&format!("cannot supervise: {error}")),
    }
}

fn supervise() -> io::Result<(Ending, Option<Watchdog>)> {
    let release = Release::read();
    process::reset_signals()?;
    let signals = Signals::install()?;
    // Ctrl-Alt-Del becomes a SIGINT to us, and an orderly reboot.
    if let Err(error) = set_cad_enabled(false) {
        log::warn!("Ctrl-Alt-Del not caught: {error}");
    }
    let watchdog = Watchdog::arm(Instant::now()).unwrap_or_else(|error| {
        log::error!("watchdog not armed: {error}");
        None
    });
    boot::rest(release.built);
    let run_dir = RunDir::default();
    DirBuilder::new().recursive(true).mode(0o700).create(run_dir.path())?;
    let command_line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let since = boot::kernel_start(Instant::now());
    log::info!(
        "director started: version={} kernel_seconds={:.2} cmdline={}",
        release.version,
        since.elapsed().as_secs_f32(),
        command_line.trim()
    );
    let setup = Setup {
        workers: workers(boot::terminals()),
        spawner: Spawner { run_dir, file: None, state: None },
        signals,
        sink: Sink::kmsg().unwrap_or(Sink::None),
        watchdog,
        kernel_log: KernelLog::open().ok(),
        button: Button::listen().inspect_err(|error| log::info!("no power button: {error}")).ok(),
        boot: Boot {
            version: release.version,
            slot: boot::argument(&command_line, "director.slot"),
            mode: boot::argument(&command_line, "director.mode").unwrap_or_else(|| "normal".to_owned()),
            since,
            appliance: true,
        },
    };
    Init::new(setup)?.run()
}

/// The supervisor cannot go on: what can still be done in order is, and the box starts again.
///
/// From a panic too: the release binary aborts after the hook, and nothing is unwound.
fn give_up(why: &str) -> ! {
    // The watchdog runs on, unfed: if even this hangs, it ends it.
    last_words(&format!("{why}: the box starts again in {} s", LAST_WORDS.as_secs()));
    // VRRP resigns: the twin need not wait for the end of this.
    let _ = kill(Pid::from_raw(-1), Signal::SIGTERM);
    sync(None);
    std::thread::sleep(LAST_WORDS);
    leave(RebootMode::RB_AUTOBOOT)
}

/// Nobody of ours runs any more: disks off, power off.
fn finish(ending: Ending, mut watchdog: Option<Watchdog>) -> ! {
    let (mode, what) = match ending {
        Ending::Power(PowerAction::PowerOff) => (RebootMode::RB_POWER_OFF, "powering off"),
        Ending::Power(PowerAction::Reboot) | Ending::Stopped => (RebootMode::RB_AUTOBOOT, "starting again"),
    };
    last_words(what);
    // Orphans that came to us.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    sync(watchdog.as_mut());
    mounts::take_off();
    if mode == RebootMode::RB_POWER_OFF
        && let Some(watchdog) = watchdog.take()
    {
        watchdog.disarm();
    }
    // A watchdog that is left is not closed but fed no more: it is the last resort of a reboot that hangs.
    leave(mode)
}

fn sync(mut watchdog: Option<&mut Watchdog>) {
    let Ok(child) = process::sync_in_child() else { return };
    let limit = Instant::now() + SYNC_LIMIT;
    while matches!(waitpid(child, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive) | Err(Errno::EINTR))
    {
        if Instant::now() > limit {
            last_words("the disks do not take what is to be written: going on without");
            return;
        }
        if let Some(watchdog) = &mut watchdog {
            watchdog.feed(Instant::now());
        }
        std::thread::sleep(LOOK);
    }
}

/// A child makes the call: PID 1 must not end, whatever the kernel does to its caller.
fn leave(mode: RebootMode) -> ! {
    if process::reboot_in_child(mode).is_err() {
        let _ = nix::sys::reboot::reboot(mode);
    }
    loop {
        std::thread::sleep(LAST_WORDS);
    }
}

/// To the kernel's log and to every terminal, with all that was logged and not shown yet. Neither makes us wait.
fn last_words(text: &str) {
    for (severity, line) in own_log::take() {
        say("/dev/kmsg", &format!("<{}>director[init]: {line}\n", 3 << 3 | severity));
    }
    say("/dev/kmsg", &format!("<{}>director[init]: {text}\n", 3 << 3 | 5));
    let terminals = boot::terminals();
    let terminals = if terminals.is_empty() { vec!["console".to_owned()] } else { terminals };
    for name in terminals {
        say(&format!("/dev/{name}"), &format!("\r\ndirector: {text}\r\n"));
    }
}

fn say(device: &str, text: &str) {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    if let Ok(mut file) = OpenOptions::new().write(true).custom_flags(flags).open(device) {
        let _ = file.write_all(text.as_bytes());
    }
}
