//! `director support` beside a Director of which nothing answers; what the network tools tell programs.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::path::Path;
use std::process::Command;

use director::paths::RunDir;
use director_lab::{namespace::Namespace, preflight};

const SECRETS: [&str; 3] = ["hunter2-secret", "4711-hash-of-a-pin", "backend-pa55word"];

fn bundle(run: &RunDir, to: &Path) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_director"))
        .args(["support", "--json", "--run-dir"])
        .arg(run.path())
        .arg("--to")
        .arg(to)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_box_without_workers_has_a_bundle_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path().join("run"));
    std::fs::create_dir(run.path()).unwrap();
    let text = format!(
        "version = 1 # mine\n[[vrrp]]\nauth = {{ type = \"hmac\", key = \"{}\" }} # twin\n[console]\npin = \"{}\"\n\
         [[service]]\ncheck = {{ type = \"mysql\", user = \"monitor\", password = \"{}\" }}\n",
        SECRETS[0], SECRETS[1], SECRETS[2]
    );
    std::fs::write(run.active_config(), &text).unwrap();
    // What is told of a faulty file quotes it.
    let report = serde_json::json!({ "report": format!("3 | auth = {{ key = \"{}\" }}", SECRETS[0]) });
    std::fs::write(run.source(), report.to_string()).unwrap();
    let told: serde_json::Value = serde_json::from_str(&bundle(&run, folder.path())).unwrap();
    let file = told["file"].as_str().unwrap();
    let tar = Command::new("tar").arg("-xzf").arg(file).arg("-C").arg(folder.path()).status().unwrap();
    assert!(tar.success());
    let unpacked = Path::new(file.trim_end_matches(".tar.gz"));
    let read = |name: &str| {
        std::fs::read_to_string(unpacked.join(name)).unwrap_or_else(|error| panic!("{name}: {error}: {told}"))
    };
    assert!(read("about.txt").starts_with("director 0.1.0\n"));
    let config = read("config/active.toml");
    assert!(config.contains("# mine") && config.contains("key = \"(removed)\" } # twin"), "{config}");
    assert!(config.contains("user = \"monitor\""), "{config}");
    assert!(read("kernel/meminfo.txt").contains("MemTotal"));
    assert!(read("network/links.txt").contains("lo\n"));
    let why = read("status/vrrp.json.error");
    assert!(why.contains("vrrp does not answer"), "{why}");
    assert!(read("logs.txt.error").contains("no director runs in"));
    let failed = told["failed"].as_array().unwrap();
    assert!(failed.iter().any(|name| name == "status/vrrp.json"), "{told}");
    assert!(told["parts"].as_u64().unwrap() >= 10, "{told}");
    let found = Command::new("grep")
        .args(["-r", "-l", "-e", SECRETS[0], "-e", SECRETS[1], "-e", SECRETS[2]])
        .arg(unpacked)
        .output()
        .unwrap();
    assert!(found.stdout.is_empty(), "secrets in {}", String::from_utf8_lossy(&found.stdout));
}

#[test]
fn a_bundle_that_cannot_be_written_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_director"))
        .args(["support", "--to", "/nonexistent/x.tar.gz", "--run-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    let complaint = String::from_utf8(done.stderr).unwrap();
    assert!(complaint.contains("cannot write: /nonexistent/x.tar.gz"), "{complaint}");
}

/// What `director WORDS` prints inside a namespace, and its exit status.
fn inside(ns: &Namespace, words: &[&str]) -> (String, Option<i32>) {
    let mut verb = Command::new(env!("CARGO_BIN_EXE_director"));
    verb.args(words);
    let done = ns.run(move || verb.output().unwrap()).unwrap();
    (String::from_utf8(done.stdout).unwrap(), done.status.code())
}

#[test]
fn neighbours_of_both_families_are_in_the_bundle() {
    if let Err(why) = preflight::namespaces() {
        return eprintln!("skipped: {why:#}");
    }
    let ns = Namespace::new("near").unwrap();
    ns.ip("link add eth0 type veth peer name far").unwrap();
    ns.ip("link set eth0 up").unwrap();
    for near in ["192.0.2.9", "2001:db8::9"] {
        ns.ip(&format!("neighbour add {near} lladdr 52:54:00:00:00:09 dev eth0 nud permanent")).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let (told, status) = inside(&ns, &["support", "--json", "--run-dir", path, "--to", path]);
    assert_eq!(status, Some(0), "{told}");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let listed = Command::new("tar")
        .args(["-xOzf", told["file"].as_str().unwrap(), "--wildcards", "*/network/neighbours.txt"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(
        lines,
        [
            "192.0.2.9 dev eth0 52:54:00:00:00:09 permanent",
            "2001:db8::9 dev eth0 52:54:00:00:00:09 permanent"
        ]
    );
}

#[test]
fn a_ping_is_told_as_json() {
    if let Err(why) = preflight::namespaces() {
        return eprintln!("skipped: {why:#}");
    }
    let ns = Namespace::new("ping").unwrap();
    let ping = |address: &str| {
        let (told, status) = inside(&ns, &["ping", address, "-c", "2", "-i", "1ms", "-W", "2s", "--json"]);
        (serde_json::from_str::<serde_json::Value>(&told).unwrap(), status)
    };
    let (told, status) = ping("127.0.0.1");
    assert_eq!((&told["target"], &told["answered"], status), (&"127.0.0.1".into(), &2.into(), Some(0)));
    let times: Vec<u64> =
        told["probes"].as_array().unwrap().iter().map(|probe| probe["us"].as_u64().unwrap()).collect();
    assert_eq!(told["fastest_us"].as_u64(), times.iter().min().copied());
    assert_eq!(told["slowest_us"].as_u64(), times.iter().max().copied());
    assert!(told["mean_us"].as_u64().unwrap() >= told["fastest_us"].as_u64().unwrap(), "{told}");
    // There is no way to it.
    let (told, status) = ping("192.0.2.1");
    assert_eq!((&told["answered"], &told["mean_us"], status), (&0.into(), &serde_json::Value::Null, Some(1)));
    assert!(told["probes"][1]["unsent"].as_str().is_some_and(|why| !why.is_empty()), "{told}");
}
