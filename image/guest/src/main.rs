//! First process of the QEMU guests in which kernel tests run (`cargo image test --only kernel`).
//!
//! It mounts what a test may expect, runs every test of every binary in `/tests` by itself, and switches the machine off.
//! Each test gets a process and an empty network namespace of its own, so none can spoil the next one; whatever it leaves
//! running is killed. Reports go to the second serial line, one line each, around the test's own output:
//!
//! ```text
//! ##begin BINARY TEST
//! (what the test and its children print)
//! ##end BINARY TEST status=0 ms=1234
//! ##done
//! ```
//!
//! A test that takes too long is killed; before that the report says what each thread of the guest is doing.
//!
//! On the kernel's command line `director.filter=TEXT` runs only the tests with TEXT in `BINARY/TEST`, and
//! `director.patience=SECONDS` is how long one test may take. A test finds each `DIRECTOR_…=` of it in its environment, where the kernel puts
//! what it does not know itself.

mod stuck;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

const REPORT: &str = "/dev/ttyS1";
const TESTS: &str = "/tests";

fn main() {
    if std::process::id() != 1 {
        eprintln!(
            "director-guest: this is the first process of a test guest; `cargo image test --only kernel` starts it"
        );
        return;
    }
    if let Err(error) = mount_all().and_then(|()| run_all()) {
        println!("director-guest: {error}");
    }
    let _ = io::stdout().flush();
    let _ = reboot(RebootMode::RB_POWER_OFF);
}

fn mount_all() -> io::Result<()> {
    const MOUNTS: [(&str, &str, &str); 7] = [
        ("proc", "/proc", ""),
        ("sysfs", "/sys", ""),
        ("devtmpfs", "/dev", ""),
        ("tmpfs", "/run", "mode=0755"),
        ("tmpfs", "/tmp", "mode=1777"),
        ("tmpfs", "/var", "mode=0755"),
        ("tmpfs", "/root", "mode=0700"),
    ];
    for (kind, place, options) in MOUNTS {
        match mount(Some(kind), place, Some(kind), MsFlags::empty(), Some(options)) {
            Ok(()) | Err(Errno::EBUSY) => {}
            Err(error) => return Err(io::Error::other(format!("mounting {place}: {error}"))),
        }
    }
    for folder in ["/dev/pts", "/dev/shm", "/var/log/nginx", "/var/lib/nginx", "/run/keepalived"] {
        fs::create_dir_all(folder)?;
    }
    let _ =
        mount(Some("devpts"), "/dev/pts", Some("devpts"), MsFlags::empty(), Some("mode=0620,ptmxmode=0666"));
    let _ = mount(Some("tmpfs"), "/dev/shm", Some("tmpfs"), MsFlags::empty(), Some("mode=1777"));
    Ok(())
}

fn run_all() -> io::Result<()> {
    let order = Order::read(&fs::read_to_string("/proc/cmdline")?);
    let mut report = OpenOptions::new().write(true).open(REPORT)?;
    let mut binaries: Vec<PathBuf> = fs::read_dir(TESTS)?.flatten().map(|entry| entry.path()).collect();
    binaries.sort();
    for binary in &binaries {
        let name = binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for test in list(binary)? {
            if format!("{name}/{test}").contains(&order.filter) {
                writeln!(report, "##begin {name} {test}")?;
                let begun = Instant::now();
                let status = run_one(binary, &test, &report, order.patience);
                let status =
                    status.map_or_else(|error| error.to_string().replace(' ', "_"), |code| code.to_string());
                writeln!(report, "\n##end {name} {test} status={status} ms={}", begun.elapsed().as_millis())?;
            }
        }
    }
    writeln!(report, "##done")
}

/// What the kernel's command line asks for.
struct Order {
    filter: String,
    patience: Duration,
}

impl Order {
    fn read(command_line: &str) -> Order {
        let value = |key: &str| {
            command_line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        };
        let patience = value("director.patience").and_then(|text| text.parse().ok()).unwrap_or(120);
        Order {
            filter: value("director.filter").unwrap_or("").to_owned(),
            patience: Duration::from_secs(patience),
        }
    }
}

/// The names of the tests in `binary`.
fn list(binary: &Path) -> io::Result<Vec<String>> {
    let out = Command::new(binary).args(["--list", "--format=terse"]).stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Runs one test and returns its exit code, or 128 + N when it was killed by signal N.
fn run_one(binary: &Path, test: &str, report: &File, patience: Duration) -> io::Result<i32> {
    let mut command = Command::new(binary);
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .current_dir("/tmp")
        .process_group(0)
        .env_clear();
    command.envs(std::env::vars().filter(|(name, _)| name.starts_with("DIRECTOR_")));
    command.envs([
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/root"),
        ("TMPDIR", "/tmp"),
        ("RUST_BACKTRACE", "1"),
        ("DIRECTOR_KERNEL_TEST", "1"),
        ("DIRECTOR_BIN", "/sbin/director"),
    ]);
    command.stdin(Stdio::null()).stdout(report.try_clone()?).stderr(report.try_clone()?);
    let child = in_namespace(command)?;
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let (ended, end) = mpsc::channel::<()>();
    let mut onlooker = report.try_clone()?;
    let limit = std::thread::spawn(move || {
        if end.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = stuck::tell(&mut onlooker);
            let _ = killpg(group, Signal::SIGKILL);
        }
    });
    let status = reap(group);
    drop(ended);
    let _ = limit.join();
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL); // whatever the test left running: everybody but us
    while waitpid(None, None).is_ok() {}
    Ok(status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1))
}

/// Starts `command` in a network namespace of its own, with `lo` up.
fn in_namespace(mut command: Command) -> io::Result<Child> {
    let start = move || {
        unshare(CloneFlags::CLONE_NEWNET)?;
        let mut lo = Command::new("/sbin/ip").args(["link", "set", "lo", "up"]).spawn()?;
        lo.wait()?;
        command.spawn()
    };
    std::thread::spawn(start).join().map_err(|_| io::Error::other("the starting thread panicked"))?
}

/// Waits for `child`, and for the orphans that the first process inherits.
fn reap(child: Pid) -> ExitStatus {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => return ExitStatus::from_raw(code << 8),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return ExitStatus::from_raw(signal as i32);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return ExitStatus::from_raw(255 << 8),
        }
    }
}
