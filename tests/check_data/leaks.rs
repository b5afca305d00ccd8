//! Many probes of every kind leave no descriptor, no process and no memory behind.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use director::check::Target;
use director::check::probe;
use director::check::tls::Clients;
use director::config::model::{Check, CheckKind};

use crate::ask::{block_on, local};
use crate::bad::{kinds, serve};
use crate::programs::{exec, script};

/// Set to say how many probes: DIRECTOR_PROBES=100000. Fewer by default, so that the tests end soon.
fn probes() -> usize {
    std::env::var("DIRECTOR_PROBES").ok().and_then(|number| number.parse().ok()).unwrap_or(4000)
}

/// Resident memory in KiB.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Children of this process that have ended and that nobody has waited for.
fn zombies() -> usize {
    let ours = format!(") Z {} ", std::process::id());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|p| fs::read_to_string(p.path().join("stat")).is_ok_and(|s| s.contains(&ours))).count()
}

/// Each test has a process of its own where this runs alone; others of this program come and go otherwise.
#[test]
fn many_probes_leave_nothing_behind() {
    let hangs = serve(|stream| {
        // As long as the client is there.
        let _ = std::io::copy(&mut &stream, &mut std::io::sink());
    });
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap();
    let (_folder, quick) = script("exit 0");
    let (_slow_folder, slow) = script("exec sleep 60");
    let mut targets: Vec<(CheckKind, std::net::SocketAddr)> =
        kinds().into_iter().map(|(_, kind)| (kind, hangs)).collect();
    let udp = || CheckKind::Udp { send: b"x".to_vec(), reply: None };
    let dns = CheckKind::Dns { name: "a".into(), record: "A".into(), expect: Vec::new(), tcp: false };
    let radius = CheckKind::Radius { login: None, secret: "secret".into() };
    targets.extend([(udp(), silent_port), (dns, silent_port), (radius, silent_port), (udp(), local(9))]);
    targets.extend([(CheckKind::Ping, local(0)), (CheckKind::Arp, local(0)), (CheckKind::Sctp, local(9))]);
    targets.extend([(exec(&quick, &[], false), local(80)), (exec(&slow, &[], false), local(80))]);
    targets.push((CheckKind::File { path: "/etc/hostname".into() }, local(80)));
    let targets: Vec<Target> = targets
        .into_iter()
        .map(|(kind, address)| {
            Target::new(address, Arc::new(Check { timeout: Duration::from_millis(20), ..Check::new(kind) }))
        })
        .collect();
    let clients = Clients::default();
    let round = async |number: usize| {
        // Many at a time, as the runner has them, each ended after a while at the latest.
        let ask = targets
            .iter()
            .cycle()
            .take(number)
            .map(|target| tokio::time::timeout(target.check.timeout, probe::probe(target, &clients)));
        futures_util::future::join_all(ask).await;
    };
    let descriptors = || fs::read_dir(Path::new("/proc/self/fd")).unwrap().count();
    block_on(async {
        for _ in 0..5 {
            round(200).await;
        }
        let before = (descriptors(), memory());
        for _ in 0..probes() / 200 {
            round(200).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let after = (descriptors(), memory());
        eprintln!("{} probes: descriptors and KiB before {before:?}, after {after:?}", probes());
        // The other tests of this process have some open, too.
        assert!(after.0 < before.0 + 100, "{before:?} {after:?}");
        assert!(after.1 < before.1 + 16 * 1024, "{before:?} {after:?}");
        assert!(zombies() < 20, "{}", zombies());
    });
}
