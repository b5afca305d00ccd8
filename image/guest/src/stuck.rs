//! What everybody is doing when a test has taken too long.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc::O_NONBLOCK;

/// As much of the kernel's log as is of use.
const LOG_LINES: usize = 100;

/// Writes each thread with where in the kernel it waits, and what the kernel says of those that nothing can wake.
pub fn tell(report: &mut impl Write) -> io::Result<()> {
    writeln!(
        report,
        "\nthe test takes too long; process, thread, name, state, place in the kernel, system call:"
    )?;
    for process in numbers(Path::new("/proc")) {
        let threads = Path::new("/proc").join(process.to_string()).join("task");
        for thread in numbers(&threads) {
            if let Some(doing) = doing(&threads.join(thread.to_string())) {
                writeln!(report, "{process} {thread} {doing}")?;
            }
        }
    }
    // `w` is the back traces of blocked threads, `l` those of what runs on each processor.
    for key in ["w", "l"] {
        let _ = fs::write("/proc/sysrq-trigger", key);
    }
    let log = kernel_log();
    let lines: Vec<&str> = log.lines().collect();
    for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
        writeln!(report, "{line}")?;
    }
    Ok(())
}

/// The entries of a folder that are numbers, in order.
fn numbers(folder: &Path) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut numbers: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// A thread in one line. Idle threads of the kernel are left out, and one that ended while it was looked at.
fn doing(thread: &Path) -> Option<String> {
    let read = |name: &str| fs::read_to_string(thread.join(name)).unwrap_or_default().trim().to_owned();
    let stat = read("stat");
    let state = stat.rsplit_once(") ")?.1.split(' ').next()?;
    let idle = matches!(state, "S" | "I") && read("cmdline").is_empty();
    (!idle).then(|| format!("{} {state} {} {}", read("comm"), read("wchan"), read("syscall")))
}

/// The messages of the kernel, one a line, without their numbers.
fn kernel_log() -> String {
    let Ok(mut log) = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open("/dev/kmsg") else {
        return String::new();
    };
    let mut text = String::new();
    while let Some(message) = next(&mut log) {
        text.push_str(message.split_once(';').map_or(message.as_str(), |(_, said)| said));
    }
    text
}

/// One read is one message.
fn next(log: &mut File) -> Option<String> {
    let mut buffer = [0; 8192];
    let length = log.read(&mut buffer).ok().filter(|length| *length > 0)?;
    buffer.get(..length).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}
