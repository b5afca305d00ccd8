//! `director realserver` on hosts of their own: network namespaces of this machine's kernel. Traffic: `tests/kernel_realserver.rs`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use director_lab::command;
use director_lab::namespace::Namespace;

/// A host and its run directory, or `None` where there are no namespaces.
fn host(name: &str) -> Option<(Namespace, tempfile::TempDir)> {
    if let Err(why) = director_lab::preflight::namespaces() {
        println!("skipped: {why:#}");
        return None;
    }
    Some((Namespace::new(name).unwrap(), tempfile::tempdir().unwrap()))
}

fn realserver(host: &Namespace, run: &Path, words: &str) -> (i32, String, String) {
    let mut program = command::bound(env!("CARGO_BIN_EXE_director"));
    program.arg("realserver").args(words.split_whitespace()).arg("--run-dir").arg(run);
    let out = host.run(move || program.output()).unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

fn sysctl(host: &Namespace, path: &'static str) -> String {
    let read = move || std::fs::read_to_string(Path::new("/proc/sys/net/ipv4/conf").join(path)).unwrap();
    host.run(read).unwrap().trim().to_owned()
}

#[test]
fn up_is_idempotent_and_down_takes_back_what_up_did() {
    let Some((host, run)) = host("web1") else { return };
    let run = run.path();
    host.sysctl("net/ipv4/conf/lo/arp_announce", "1").unwrap();
    host.sysctl("net/ipv4/conf/all/arp_ignore", "2").unwrap();
    let both = "--vip 192.0.2.1 --vip 2001:db8::1";

    let (code, shown, _) = realserver(&host, run, &format!("show --check {both}"));
    assert_eq!(code, 1);
    assert_eq!(
        shown,
        "ok       net.ipv4.conf.all.arp_ignore=1\n\
         is 0     net.ipv4.conf.all.arp_announce=2\n\
         is 0     net.ipv4.conf.lo.arp_ignore=1\n\
         is 1     net.ipv4.conf.lo.arp_announce=2\n\
         missing  192.0.2.1/32 on lo\n\
         missing  2001:db8::1/128 on lo\n"
    );

    let (code, shown, errors) = realserver(&host, run, &format!("up {both}"));
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(
        shown,
        "net.ipv4.conf.all.arp_announce=2 (was 0)\n\
         net.ipv4.conf.lo.arp_ignore=1 (was 0)\n\
         net.ipv4.conf.lo.arp_announce=2 (was 1)\n\
         192.0.2.1/32 on lo\n\
         2001:db8::1/128 on lo\n"
    );
    let addresses = host.ip("-o address show dev lo").unwrap();
    assert!(addresses.contains("inet 192.0.2.1/32 scope host lo:vip"), "{addresses}");
    assert!(addresses.contains("inet6 2001:db8::1/128 scope global nodad deprecated"), "{addresses}");
    assert_eq!(realserver(&host, run, &format!("show --check {both}")).0, 0);

    assert_eq!(realserver(&host, run, &format!("up {both}")).1, "nothing to change\n");
    assert_eq!(
        realserver(&host, run, "up --vip 192.0.2.2 --json").1,
        "{\n  \"changed\": [\n    \"192.0.2.2/32 on lo\"\n  ]\n}\n"
    );

    let (code, shown, _) = realserver(&host, run, &format!("down {both}"));
    assert_eq!(
        (code, shown.as_str()),
        (0, "no longer 2001:db8::1/128 on lo\nno longer 192.0.2.1/32 on lo\n")
    );
    assert_eq!(sysctl(&host, "lo/arp_announce"), "2", "192.0.2.2 needs it");

    // Somebody else has another opinion since: that stays.
    host.sysctl("net/ipv4/conf/lo/arp_ignore", "8").unwrap();
    assert_eq!(realserver(&host, run, "down --vip 192.0.2.2").0, 0);
    let now = ["lo/arp_announce", "lo/arp_ignore", "all/arp_announce", "all/arp_ignore"];
    assert_eq!(now.map(|path| sysctl(&host, path)), ["1", "8", "0", "2"]);
    assert!(!host.ip("-o address show dev lo").unwrap().contains("192.0.2."));
    assert!(!run.join("realserver.json").exists());
    assert_eq!(realserver(&host, run, "down --vip 192.0.2.2").1, "nothing to change\n");
}

#[test]
fn what_up_did_not_do_is_left_as_it_is() {
    let Some((host, run)) = host("web2") else { return };
    host.ip("address add 192.0.2.1/32 dev lo").unwrap();
    let (code, shown, _) = realserver(&host, run.path(), "up --vip 192.0.2.1");
    assert!(code == 0 && !shown.contains("192.0.2.1"), "it is there already: {shown}");
    assert_eq!(realserver(&host, run.path(), "down --vip 192.0.2.1").0, 0);
    assert!(host.ip("-o address show dev lo").unwrap().contains("192.0.2.1/32"));
    let (code, _, errors) = realserver(&host, run.path(), "down --vip 192.0.2.1");
    assert!(code == 1 && errors.contains("has not put it there"), "{errors}");
}

#[test]
fn what_is_shown_for_hosts_without_director() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/realserver");
    let update = std::env::var_os("UPDATE").is_some();
    for (name, words) in [
        ("dr.txt", "show --vip 192.168.61.45 --vip 2001:db8::45"),
        ("gue.txt", "show --vip 192.168.61.45 --method tun --tunnel gue"),
        ("dr.json", "show --vip 192.168.61.45 --json"),
    ] {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_director"))
            .arg("realserver")
            .args(words.split_whitespace())
            .output()
            .unwrap();
        let shown = String::from_utf8(out.stdout).unwrap();
        if update {
            std::fs::write(folder.join(name), &shown).unwrap();
        }
        let golden = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert_eq!(shown, golden, "{name}: UPDATE=1 rewrites it");
    }
}

/// Runs the shown commands by a shell: afterwards nothing is missing.
#[test]
fn the_shown_commands_do_the_same() {
    let Some((host, run)) = host("web3") else { return };
    let vips = "--vip 192.0.2.1 --vip 2001:db8::1";
    let (_, shown, _) = realserver(&host, run.path(), &format!("show --json {vips}"));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let commands: Vec<&str> =
        shown["commands"].as_array().unwrap().iter().filter_map(|line| line.as_str()).collect();
    let mut shell = command::bound("sh");
    shell.arg("-ec").arg(commands.join("\n"));
    let out = host.run(move || shell.output()).unwrap().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let (code, shown, _) = realserver(&host, run.path(), &format!("show --check {vips}"));
    assert_eq!(code, 0, "{shown}");
}
