//! Starts a program of the operator's, as cheaply as posix_spawn does but with less power than we have.
//!
//! The child shares our memory until it executes (`CLONE_VM`, `CLONE_VFORK`), so that a large process does not pay for a copy
//! of its page tables with each program. musl's and Rust's own ways do not take a user without a real fork.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::Pid;

/// Bytes of stack for the child until it executes.
const STACK: usize = 64 * 1024;
/// Highest signal of the kernel (asm/signal.h, `_NSIG`).
const SIGNALS: c_int = 64;
/// Bytes of the kernel's signal set.
const SIGNAL_SET: usize = 8;

/// What to start.
#[derive(Debug)]
pub struct Program<'a> {
    /// Absolute path.
    pub path: &'a CStr,
    /// All arguments, the name of the program first.
    pub arguments: &'a [CString],
    /// The whole environment, `NAME=value` each.
    pub environment: &'a [CString],
    /// User and group that it becomes, with no other groups; `None` = ours.
    pub user: Option<(u32, u32)>,
    /// Its standard input.
    pub input: BorrowedFd<'a>,
    /// Its standard output and error.
    pub output: BorrowedFd<'a>,
}

/// Starts it as leader of a session of its own in `/`, with no other descriptor, every signal at its default, and killed by
/// the kernel when the calling thread ends. Returns its number and a descriptor that is readable once it has ended
/// (pidfd_open(2)); somebody must then wait for it.
///
/// # Errors
/// There is no room for a process, or the program cannot be executed.
pub fn start(program: &Program) -> io::Result<(Pid, OwnedFd)> {
    if program.input.as_raw_fd() <= 2 || program.output.as_raw_fd() <= 2 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    let (arguments, environment) = (pointers(program.arguments), pointers(program.environment));
    let mut order = Order {
        path: program.path.as_ptr(),
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
        user: program.user,
        input: program.input.as_raw_fd(),
        output: program.output.as_raw_fd(),
        error: 0,
    };
    let mut stack = vec![0_u8; STACK];
    let mut pidfd: c_int = -1;
    // No handler of ours may run in the child, which has our memory.
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: the stack grows down from the end of a buffer that outlives the child's use of it, as do `order` and what it
    // points to: CLONE_VFORK suspends this thread until the child has executed or ended. The child runs `execute`, which
    // makes system calls only. `pidfd` is where CLONE_PIDFD writes the descriptor (clone(2)).
    let pid = unsafe {
        libc::clone(
            execute,
            stack.as_mut_ptr().add(STACK).cast(),
            flags,
            (&raw mut order).cast(),
            &raw mut pidfd,
        )
    };
    let cloned = io::Error::last_os_error();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    if pid < 0 {
        return Err(cloned);
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    let ended = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // SAFETY: a plain integer that lives here; volatile, because the child has written it behind the compiler's back.
    let error = unsafe { ptr::read_volatile(&raw const order.error) };
    let pid = Pid::from_raw(pid);
    if error != 0 {
        nix::sys::wait::waitpid(pid, None)?;
        return Err(io::Error::from_raw_os_error(error));
    }
    Ok((pid, ended))
}

fn pointers(words: &[CString]) -> Vec<*const c_char> {
    words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect()
}

/// What the child needs, in memory that it shares with us.
struct Order {
    path: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    user: Option<(u32, u32)>,
    input: c_int,
    output: c_int,
    error: c_int,
}

/// The child: raw system calls only, because musl's own wrappers may talk to threads that are not here (setuid) or take locks.
extern "C" fn execute(order: *mut c_void) -> c_int {
    let order = order.cast::<Order>();
    // SAFETY: `start` passes a pointer to its `Order`, which it neither touches nor frees before this function has ended or
    // the program runs. Each call gets pointers and lengths that are valid for it, or integers.
    unsafe {
        let step = become_program(&*order);
        ptr::write_volatile(&raw mut (*order).error, step);
        libc::syscall(libc::SYS_exit, 127);
    }
    127
}

/// Returns the error that kept it from executing.
///
/// # Safety
/// Only in a child of `clone` that is about to execute or end; `order` is valid.
unsafe fn become_program(order: &Order) -> c_int {
    // The kernel's `struct sigaction` (handler, flags, restorer, mask), all zero: the default.
    let default = [0_u64; 4];
    let nothing = 0_u64;
    let null = ptr::null::<c_void>();
    // SAFETY: as the caller promises; every pointer is to something above or in `order`.
    unsafe {
        for signal in 1..=SIGNALS {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), null, SIGNAL_SET);
        }
        let mask = &raw const nothing;
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, mask, null, SIGNAL_SET);
        libc::syscall(libc::SYS_setsid);
        libc::syscall(libc::SYS_umask, 0o022);
        for (from, to) in [(order.input, 0), (order.output, 1), (order.output, 2)] {
            if libc::syscall(libc::SYS_dup3, from, to, 0) < 0 {
                return *libc::__errno_location();
            }
        }
        libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        libc::syscall(libc::SYS_chdir, c"/".as_ptr());
        if let Some((user, group)) = order.user
            && (libc::syscall(libc::SYS_setgroups, 0_usize, null) < 0
                || libc::syscall(libc::SYS_setresgid, group, group, group) < 0
                || libc::syscall(libc::SYS_setresuid, user, user, user) < 0)
        {
            return *libc::__errno_location();
        }
        // After the change of user, which would clear it.
        libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
        libc::syscall(libc::SYS_execve, order.path, order.arguments, order.environment);
        *libc::__errno_location()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use nix::sys::wait::{WaitStatus, waitpid};

    use super::*;

    fn run(words: &[&str], user: Option<(u32, u32)>) -> io::Result<(WaitStatus, String)> {
        let arguments: Vec<CString> = words.iter().map(|word| CString::new(*word).unwrap()).collect();
        let (mut reader, writer) = io::pipe()?;
        let input = std::fs::File::open("/dev/null")?;
        let program = Program {
            path: &arguments[0],
            arguments: &arguments,
            environment: &[c"A=b".to_owned()],
            user,
            input: input.as_fd(),
            output: writer.as_fd(),
        };
        let (pid, _ended) = start(&program)?;
        drop(writer);
        let mut said = String::new();
        reader.read_to_string(&mut said)?;
        Ok((waitpid(pid, None)?, said))
    }

    #[test]
    fn it_has_what_it_is_given_and_nothing_else() {
        let (status, said) =
            run(&["/bin/sh", "-c", "pwd; ls /proc/self/fd; echo $A $PATH $1; exit 7", "sh", "x"], None)
                .unwrap();
        assert!(matches!(status, WaitStatus::Exited(_, 7)), "{status:?}");
        // 3 is the folder that `ls` reads.
        assert!(said.starts_with("/\n0\n1\n2\n3\nb"), "{said}");
        let (_, said) = run(&["/bin/sh", "-c", "cat /proc/self/status"], None).unwrap();
        for line in ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"] {
            assert!(said.contains(line), "{said}");
        }
    }

    #[test]
    fn it_becomes_another_user() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return;
        }
        let (_, said) = run(&["/usr/bin/id"], Some((65534, 65534))).unwrap();
        assert_eq!(said, "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)\n");
        let (_, said) = run(&["/bin/cat", "/proc/self/status"], Some((65534, 65534))).unwrap();
        assert!(said.contains("CapEff:\t0000000000000000"), "{said}");
    }

    #[test]
    fn what_cannot_be_executed_says_why() {
        for (path, error) in [("/no/such/program", libc::ENOENT), ("/etc/passwd", libc::EACCES)] {
            assert_eq!(run(&[path], None).unwrap_err().raw_os_error(), Some(error), "{path}");
        }
    }
}
