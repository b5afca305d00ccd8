//! What a bundle consists of.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::redact::Redactor;
use super::{Found, LARGEST, neighbours};
use crate::paths::RunDir;

/// How long a verb of ours may take.
const VERB: Duration = Duration::from_secs(10);
/// Records of the kernel's log at most.
const RECORDS: usize = 20_000;

/// One file of the bundle.
pub struct Part {
    /// Its path in the bundle.
    pub name: &'static str,
    from: From,
}

enum From {
    /// Who and what this is.
    About,
    /// Files, one after the other; a folder is each of its files.
    Files(Vec<PathBuf>),
    /// What a verb of Director prints.
    Verb(RunDir, &'static [&'static str]),
    /// The kernel's log.
    Kernel,
    /// Each network card as the kernel shows it.
    Links,
    /// Who is near, IPv4 and IPv6.
    Neighbours,
    /// The boot loader's counters.
    Slots(RunDir),
}

/// Every part, in the order of the bundle.
pub fn all(run: &RunDir) -> Vec<Part> {
    let files =
        |name, paths: &[&str]| Part { name, from: From::Files(paths.iter().map(PathBuf::from).collect()) };
    let verb = |name, words| Part { name, from: From::Verb(run.clone(), words) };
    vec![
        Part { name: "about.txt", from: From::About },
        Part { name: "config/active.toml", from: From::Files(vec![run.active_config()]) },
        Part { name: "config/source.json", from: From::Files(vec![run.source()]) },
        files("config/last-good.toml", &["/data/last-good.toml"]),
        verb("status.txt", &["status"]),
        verb("status/init.json", &["status", "init", "--json"]),
        verb("status/store.json", &["status", "store", "--json"]),
        verb("status/net.json", &["status", "net", "--json"]),
        verb("status/vrrp.json", &["status", "vrrp", "--json"]),
        verb("status/lvs.json", &["status", "lvs", "--json"]),
        verb("logs.txt", &["logs", "-n", "20000"]),
        Part { name: "dmesg.txt", from: From::Kernel },
        verb("ipvs/services.txt", &["ipvs", "services", "--exact"]),
        verb("ipvs/connections.txt", &["ipvs", "connections", "--count"]),
        verb("ipvs/timeouts.txt", &["ipvs", "timeouts"]),
        files("ipvs/kernel.txt", &["/proc/net/ip_vs", "/proc/net/ip_vs_stats"]),
        files("ipvs/settings.txt", &["/proc/sys/net/ipv4/vs"]),
        Part { name: "network/links.txt", from: From::Links },
        files("network/addresses.txt", &["/proc/net/if_inet6", "/proc/net/fib_trie"]),
        files("network/routes.txt", &["/proc/net/route", "/proc/net/ipv6_route"]),
        Part { name: "network/neighbours.txt", from: From::Neighbours },
        files("network/neighbour-counters.txt", &["/proc/net/stat/arp_cache", "/proc/net/stat/ndisc_cache"]),
        files(
            "network/counters.txt",
            &["/proc/net/dev", "/proc/net/snmp", "/proc/net/snmp6", "/proc/net/netstat"],
        ),
        files(
            "network/sockets.txt",
            &["/proc/net/sockstat", "/proc/net/sockstat6", "/proc/net/softnet_stat"],
        ),
        files("network/groups.txt", &["/proc/net/igmp", "/proc/net/dev_mcast"]),
        Part { name: "slots.txt", from: From::Slots(run.clone()) },
        files("kernel/meminfo.txt", &["/proc/meminfo"]),
        files("kernel/load.txt", &["/proc/loadavg", "/proc/stat", "/proc/interrupts", "/proc/softirqs"]),
        files("kernel/disks.txt", &["/proc/partitions", "/proc/mounts", "/proc/diskstats"]),
        files("kernel/cpu.txt", &["/proc/cpuinfo"]),
    ]
}

/// Knows the secrets of the configurations at hand.
pub fn redactor(run: &RunDir) -> Redactor {
    let mut redactor = Redactor::default();
    for path in [run.active_config(), PathBuf::from("/data/last-good.toml")] {
        if let Ok(text) = read(&path) {
            redactor.learn(&String::from_utf8_lossy(&text));
        }
    }
    for entry in std::fs::read_dir(run.secrets()).into_iter().flatten().flatten() {
        if let Ok(secret) = read(&entry.path()) {
            redactor.remember(&String::from_utf8_lossy(&secret));
        }
    }
    redactor
}

impl Part {
    /// Collects it.
    pub fn collect(&self) -> Found {
        match &self.from {
            From::About => Ok(about().into_bytes()),
            From::Files(paths) => files(paths),
            From::Verb(run, words) => verb(run, words),
            From::Kernel => kernel(),
            From::Links => Ok(links(Path::new("/sys/class/net")).into_bytes()),
            From::Neighbours => neighbours::collect(),
            From::Slots(run) => crate::store::boot_environment(run).map(String::into_bytes),
        }
    }
}

fn about() -> String {
    let mut out = format!("director {}\n", env!("CARGO_PKG_VERSION"));
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    let _ = writeln!(out, "time {} s after the epoch", since_epoch.unwrap_or_default().as_secs());
    for path in [
        "/proc/sys/kernel/hostname",
        "/proc/version",
        "/proc/cmdline",
        "/proc/uptime",
        "/sys/class/dmi/id/sys_vendor",
        "/sys/class/dmi/id/product_name",
        "/sys/class/dmi/id/bios_version",
    ] {
        if let Ok(text) = read(Path::new(path)) {
            let _ = writeln!(out, "{path}: {}", String::from_utf8_lossy(&text).trim_end());
        }
    }
    out
}

/// At most as much as a part may have. Files of the kernel have no size before they are read.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn files(paths: &[PathBuf]) -> Found {
    let mut out = Vec::new();
    let mut missing = Vec::new();
    for path in paths {
        let below: Vec<PathBuf> = if path.is_dir() {
            fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
        } else {
            vec![path.clone()]
        };
        for file in below {
            match read(&file) {
                Ok(bytes) => {
                    if paths.len() > 1 || path.is_dir() {
                        out.extend_from_slice(format!("# {}\n", file.display()).as_bytes());
                    }
                    out.extend_from_slice(&bytes);
                }
                Err(error) => missing.push(format!("{}: {error}", file.display())),
            }
        }
    }
    if out.is_empty() { Err(missing.join("\n")) } else { Ok(out) }
}

/// A process of ours, which can be killed when it hangs.
fn verb(run: &RunDir, words: &[&str]) -> Found {
    let ours = std::env::current_exe().map_err(|error| format!("find our own program: {error}"))?;
    let mut child = Command::new(ours)
        .args(words)
        .env("DIRECTOR_RUN", run.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("start {}: {error}", words.join(" ")))?;
    let reads = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read before a failure is better than nothing.
            let _ = pipe.map(|pipe| pipe.take(LARGEST as u64).read_to_end(&mut bytes));
            bytes
        })
    };
    let out = reads(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let complaint = reads(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let started = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Ok(status),
            Ok(None) if started.elapsed() < VERB => std::thread::sleep(Duration::from_millis(20)),
            Ok(None) => break Err(format!("no answer within {} s", VERB.as_secs())),
            Err(error) => break Err(error.to_string()),
        }
    };
    if status.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let out = out.join().unwrap_or_default();
    let complaint = complaint.join().unwrap_or_default();
    match status {
        Ok(status) if status.success() => Ok(out),
        Ok(_) => Err(String::from_utf8_lossy(&complaint).trim_end().to_owned()),
        Err(why) => Err(why),
    }
}

/// Records as the kernel has them: priority, number, microseconds since it started, text.
fn kernel() -> Found {
    let mut log = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open("/dev/kmsg")
        .map_err(|error| format!("/dev/kmsg: {error}"))?;
    let mut out = Vec::new();
    let mut record = vec![0; 8192];
    for _ in 0..RECORDS {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => out.extend_from_slice(record.get(..length).unwrap_or_default()),
            // Overwritten before we came: go on with the oldest that is left.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(_) => break,
        }
    }
    if out.is_empty() { Err("/dev/kmsg: nothing to be read".to_owned()) } else { Ok(out) }
}

fn links(all: &Path) -> String {
    const FACTS: [&str; 9] =
        ["address", "operstate", "carrier", "carrier_changes", "mtu", "speed", "duplex", "type", "flags"];
    let mut out = String::new();
    let mut names: Vec<PathBuf> =
        fs::read_dir(all).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    names.sort();
    for link in names {
        let _ = writeln!(out, "{}", link.file_name().unwrap_or_default().display());
        for fact in FACTS {
            if let Ok(value) = read(&link.join(fact)) {
                let _ = writeln!(out, "  {fact} {}", String::from_utf8_lossy(&value).trim_end());
            }
        }
        if let Ok(driver) = fs::read_link(link.join("device/driver")) {
            let _ = writeln!(out, "  driver {}", driver.file_name().unwrap_or_default().display());
        }
        let counters = fs::read_dir(link.join("statistics")).into_iter().flatten().flatten();
        for counter in counters {
            let value = read(&counter.path()).unwrap_or_default();
            let value = String::from_utf8_lossy(&value);
            if value.trim() != "0" {
                let _ = writeln!(out, "  {} {}", counter.file_name().display(), value.trim());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_several_files_says_which_is_which() {
        let paths = ["/proc/loadavg", "/proc/nosuch", "/proc/uptime"].map(PathBuf::from);
        let text = String::from_utf8(files(&paths).unwrap()).unwrap();
        assert!(text.starts_with("# /proc/loadavg\n") && text.contains("\n# /proc/uptime\n"), "{text}");
        let why = files(&paths[1..2]).unwrap_err();
        assert!(why.starts_with("/proc/nosuch: "), "{why}");
    }

    #[test]
    fn the_loopback_is_among_the_links() {
        assert!(links(Path::new("/sys/class/net")).contains("lo\n  address 00:00:00:00:00:00\n"));
    }
}
