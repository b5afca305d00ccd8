//! Real-time scheduling of this thread.

use nix::errno::Errno;

/// Puts the calling thread, not its children, into SCHED_RR with a priority of 1..=99 (sched(7)).
///
/// # Errors
/// What the kernel says; `EPERM` without CAP_SYS_NICE or where a control group gives no real-time.
pub fn round_robin(priority: i32) -> Result<(), Errno> {
    let parameter = libc::c_int::from(priority);
    // By number: musl's `sched_setscheduler` only says ENOSYS.
    // SAFETY: 0 names the calling thread; the third argument is a `struct sched_param`, which is one integer in the kernel
    // (include/uapi/linux/sched/types.h), and the kernel only reads it during the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            libc::SCHED_RR | libc::SCHED_RESET_ON_FORK,
            std::ptr::from_ref(&parameter),
        )
    };
    Errno::result(result).map(drop)
}
