//! What a supervisor does to itself and to its children before they are anybody.

use std::io;

use nix::errno::Errno;
use nix::sys::reboot::RebootMode;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

/// Unblocks every signal and gives each its default action; children inherit both across exec.
///
/// # Errors
/// When the mask cannot be set.
pub fn reset_signals() -> io::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default action runs no code of ours; handlers are installed only after this.
        unsafe { sigaction(signal, &default) }?;
    }
    // Rust's own choice, restored in children by `Command`: a write to a closed pipe is an error, not an end.
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: ignoring runs no code of ours.
    unsafe { sigaction(Signal::SIGPIPE, &ignore) }?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// Marks every descriptor from 3 on close-on-exec: what a parent leaked to us does not reach our children.
pub fn close_leaks_on_exec() {
    // SAFETY: only a flag of descriptors changes; none is closed or reused. An old kernel says ENOSYS, and nothing changes.
    unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// Starts a process that calls sync(2) and ends; sync may never return on a broken disk, and the caller must.
///
/// # Errors
/// When there is no room for a process.
pub fn sync_in_child() -> Result<Pid, Errno> {
    in_child(|| {
        nix::unistd::sync();
        0
    })
}

/// Starts a process that calls reboot(2), which may end its caller: PID 1 must never end.
///
/// # Errors
/// When there is no room for a process.
pub fn reboot_in_child(mode: RebootMode) -> Result<Pid, Errno> {
    in_child(|| {
        let _ = nix::sys::reboot::reboot(mode);
        0
    })
}

/// Does `work` in a process of its own and waits for its exit code: the memory that it takes goes with it. 255 if something killed it.
///
/// # Errors
/// When there is no room for a process.
pub fn apart(work: impl FnOnce() -> u8) -> Result<u8, Errno> {
    let child = in_child(work)?;
    loop {
        match waitpid(child, None) {
            Err(Errno::EINTR) => {}
            Ok(WaitStatus::Exited(_, code)) => return Ok(u8::try_from(code).unwrap_or(u8::MAX)),
            other => return other.map(|_| u8::MAX),
        }
    }
}

fn in_child(work: impl FnOnce() -> u8) -> Result<Pid, Errno> {
    // SAFETY: the callers are single-threaded supervisors, so the child may use what it finds; it leaves by
    // _exit, so no destructor or handler of the parent's runs twice.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let code = work();
            // SAFETY: _exit never returns and runs nothing.
            unsafe { libc::_exit(code.into()) }
        }
    }
}
