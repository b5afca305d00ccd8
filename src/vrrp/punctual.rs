//! What the process does to itself so that nothing keeps it from its timers.

use std::io;

use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use tokio::net::UnixStream;

use crate::sys::realtime::round_robin;

/// Above every ordinary process, below the kernel's own real-time threads (50).
const LOOP: i32 = 40;
/// Above every ordinary process, below the loop: listing a thousand links must not keep it from its timers on one processor.
const HELPER: i32 = LOOP - 1;

/// Readable when SIGTERM or SIGINT has arrived.
///
/// # Errors
/// When the kernel gives no sockets. Needs a tokio runtime.
pub fn ended() -> io::Result<UnixStream> {
    let (read, write) = std::os::unix::net::UnixStream::pair()?;
    for signal in [libc::SIGTERM, libc::SIGINT] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    read.set_nonblocking(true)?;
    UnixStream::from_std(read)
}

/// A full log pipe loses lines; it does not stop a failover. Only pipes and sockets: a terminal is shared with others.
pub fn never_wait_for_the_log() {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::sys::stat::{SFlag, fstat};
    let stderr = io::stderr();
    let piped = fstat(&stderr).is_ok_and(|stat| {
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        kind == SFlag::S_IFIFO || kind == SFlag::S_IFSOCK
    });
    if piped && let Ok(flags) = fcntl(&stderr, FcntlArg::F_GETFL) {
        let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
        let _ = fcntl(&stderr, FcntlArg::F_SETFL(flags));
    }
}

/// Puts the calling thread, which works for the loop, into real-time where it may be.
pub fn help_in_real_time() {
    // Where that is not allowed the loop has said so.
    let _ = round_robin(HELPER);
}

/// Real-time and locked in memory, where we may: a busy machine or a slow disk must not cost mastership.
pub fn be_punctual() {
    // Without a limit or the right to ignore it, locking what is yet to come would make memory run out.
    let unlimited = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).is_ok()
        || getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY);
    let future = if unlimited { MlockAllFlags::MCL_FUTURE } else { MlockAllFlags::empty() };
    let locked = mlockall(MlockAllFlags::MCL_CURRENT | future);
    let scheduled = round_robin(LOOP);
    let problems: Vec<String> = [("memory is not locked", locked), ("not real-time", scheduled)]
        .into_iter()
        .filter_map(|(what, result)| result.err().map(|error| format!("{what} ({error})")))
        .collect();
    if !problems.is_empty() {
        log::warn!("less punctual than it could be: {}", problems.join(", "));
    }
}
