//! From the kernel's hands to a box in which workers can be started.

use std::fs;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::{mounts, sysctl};
use crate::sys::loopback;

/// Descriptors of each process: a check of each of ten thousand servers may be on its way.
pub const MAX_FILES: u64 = 65_536;

/// A console where there is one, before anything else can go wrong.
pub fn first() {
    umask(Mode::from_bits_truncate(0o022));
    mounts::devices();
    reopen_standard_streams();
}

/// Everything that the workers find when they start.
pub fn rest(built: u64) {
    mounts::rest();
    sysctl::apply(Path::new("/proc/sys"));
    for (what, limit) in [(Resource::RLIMIT_NOFILE, MAX_FILES), (Resource::RLIMIT_CORE, 0)] {
        if let Err(error) = setrlimit(what, limit, limit) {
            log::warn!("limit not set: {what:?}={limit}: {error}");
        }
    }
    // Until `store` knows the file's.
    if let Err(error) = nix::unistd::sethostname("director") {
        log::warn!("host name not set: {error}");
    }
    if let Err(error) = loopback::set_up() {
        log::error!("loopback is down: {error}");
    }
    floor_the_clock(built);
}

/// The kernel started us without a console when `/dev` was empty.
fn reopen_standard_streams() {
    // Non-blocking: a serial line that nobody drains must not stop the box.
    let open = |path| {
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK).open(path)
    };
    if let Ok(file) = open("/dev/console").or_else(|_| open("/dev/null")) {
        let _ = dup2_stdin(&file);
        let _ = dup2_stdout(&file);
        let _ = dup2_stderr(&file);
    }
}

/// A box without a battery starts in 1970 and would trust no certificate and date no log line. `store` knows better later.
fn floor_the_clock(built: u64) {
    let floor = Duration::from_secs(built);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if now < floor {
        match clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from(floor)) {
            Ok(()) => log::warn!("clock was before the firmware was built: set to that: seconds={built}"),
            Err(error) => log::error!("clock not set: {error}"),
        }
    }
}

/// When the kernel started, as far as the monotonic clock reaches.
#[must_use]
pub fn kernel_start(now: Instant) -> Instant {
    let up = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    now.checked_sub(up).unwrap_or(now)
}

/// The value of `name=` on the kernel's command line, the last one.
#[must_use]
pub fn argument(command_line: &str, name: &str) -> Option<String> {
    let given = |word: &str| word.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
    command_line.split_whitespace().filter_map(given).next_back()
}

/// The real terminals behind `/dev/console`, which cannot be anybody's controlling terminal.
#[must_use]
pub fn terminals() -> Vec<String> {
    real_terminals(&fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default())
}

fn real_terminals(active: &str) -> Vec<String> {
    let mut names = Vec::new();
    for name in active.split_whitespace() {
        // tty0 is whichever virtual terminal is in front.
        let name = if name == "tty0" { "tty1" } else { name };
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_the_kernel() {
        let line = "root=/dev/dm-0 director.slot=A director.mode=normal quiet director.mode=rescue\n";
        assert_eq!(argument(line, "director.mode").as_deref(), Some("rescue"));
        assert_eq!(argument(line, "director.slot").as_deref(), Some("A"));
        assert_eq!(argument(line, "director"), None);
        assert_eq!(argument(line, "quiet"), None);
    }

    #[test]
    fn each_terminal_gets_one_console() {
        assert_eq!(real_terminals("tty0 ttyS0\n"), ["tty1", "ttyS0"]);
        assert_eq!(real_terminals("tty1 tty0 hvc0"), ["tty1", "hvc0"]);
        assert!(real_terminals("").is_empty());
    }
}
