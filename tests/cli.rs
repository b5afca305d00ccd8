//! Wrong use gets one clear sentence and exit code 2, failure exit code 1.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

#[allow(clippy::unwrap_used)]
fn director(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_director")).args(args).env_remove("DIRECTOR_RUN").output();
    let Output { status, stdout, stderr } = output.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn wrong(args: &[&str], sentence: &str) {
    let (code, stdout, stderr) = director(args);
    assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
    assert!(stderr.starts_with("director: ") && stderr.contains(sentence), "{args:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn wrong_use() {
    wrong(&[], "no verb given: one of check, schema, run, ");
    wrong(&["statsu"], "unknown verb `statsu`: did you mean `status`?");
    wrong(&["explode"], "unknown verb `explode`: one of ");
    wrong(&["help", "statsu"], "did you mean `status`?");
    wrong(&["status", "lsv"], "did you mean `lvs`?");
    wrong(&["status", "--jsn"], "invalid option '--jsn'");
    wrong(&["restart"], "restart: which role is missing");
    wrong(&["logs", "-n", "many"], "number of lines `many`: a whole number is needed");
    wrong(&["reboot", "now"], "unexpected argument \"now\"");
    wrong(&["run"], "run: --config FILE is missing");
    wrong(&["run", "--config"], "missing argument");
    wrong(&["worker"], "which role is missing");
    wrong(&["worker", "init"], "init is not a worker");
    wrong(&["init"], "only the kernel starts it, as PID 1");
    wrong(&["check"], "no file given");
    wrong(&["realserver"], "realserver: what to do is missing: one of show, up, down");
    wrong(&["realserver", "pu"], "did you mean `up`?");
    wrong(&["realserver", "up"], "realserver: --vip ADDRESS is missing");
    wrong(&["realserver", "up", "--vip", "192.0.2.1/32"], "an address without prefix length is needed");
    wrong(&["realserver", "up", "--vip", "127.0.0.1"], "it cannot be a VIP");
    wrong(
        &["realserver", "up", "--vip", "192.0.2.1", "--method", "nat"],
        "its way back through the director",
    );
    wrong(&["realserver", "up", "--vip", "192.0.2.1", "--port", "80"], "--port is for --tunnel gue");
    wrong(&["realserver", "up", "--vip", "192.0.2.1", "--tunnel", "vxlan"], "one of ipip, gre, gue");
    wrong(&["import"], "import: whose file is missing: one of keepalived, ldirectord, ipvsadm");
    wrong(&["import", "ipvsadm"], "import: which file is missing");
    wrong(
        &["ipvs"],
        "ipvs: what to show is missing: one of services, connections, rates, timeouts, zero, clear",
    );
    wrong(&["ipvs", "servces"], "ipvs: unknown word `servces`: did you mean `services`?");
    wrong(&["ipvs", "services", "--watch"], "invalid option '--watch'");
    wrong(&["ipvs", "connections", "--server", "web1"], "192.168.61.22:80");
    wrong(&["ipvs", "zero", "--json"], "invalid option '--json'");
    wrong(&["ipvs", "clear", "web"], "unexpected argument \"web\"");
    wrong(&["why", "web"], "why: which server is missing");
    wrong(&["drain"], "drain: which service is missing");
    wrong(&["drain", "web", "all", "--timeout", "soon"], "--timeout: duration \"soon\" is not a number");
    wrong(&["disable", "web", "all", "--wait"], "invalid option '--wait'");
}

#[test]
fn files_that_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("not.toml"), "#!/bin/sh\necho hello\n").unwrap();
    for verb in [&["run", "--config"][..], &["check"][..]] {
        let with = |file: &str| director(&[verb, &[file]].concat());
        let (code, _, text) = with(&at("missing.toml"));
        assert!(code == 2 && text.contains("missing.toml: there is no such file"), "{verb:?}: {code} {text}");
        let (code, _, text) = with(dir.path().to_str().unwrap());
        assert!(code == 2 && text.contains("directory"), "{verb:?}: {code} {text}");
        let (code, _, text) = with(&at("not.toml"));
        assert!(code == 2 && text.contains("not.toml:2:"), "{verb:?}: {code} {text}");
    }
}

#[test]
fn a_file_without_permission() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("director.toml");
    fs::write(&file, "version = 1\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Root may read everything, so somebody else has to try; the binary is copied to where he can reach it.
    let binary = dir.path().join("director");
    fs::copy(env!("CARGO_BIN_EXE_director"), &binary).unwrap();
    let mut command = Command::new(&binary);
    command.arg("check").arg(&file);
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    // Another test's child may, for a moment, hold the copy open for writing.
    let output = loop {
        match command.output() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            other => break other.unwrap(),
        }
    };
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("no permission to read it"), "{text}");
}

#[test]
fn nobody_there_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let run_dir = dir.path().to_str().unwrap();
    for verb in ["status", "logs", "reboot"] {
        let (code, _, text) = director(&[verb, "--run-dir", run_dir]);
        assert_eq!(code, 1, "{text}");
        assert!(text.starts_with("director: no director runs in "), "{text}");
    }
    let (code, _, text) = director(&["reload", "--run-dir", run_dir]);
    assert!(code == 1 && text.contains("store does not answer"), "{text}");
}

#[test]
fn help_is_no_failure() {
    for args in [
        &["help"][..],
        &["--help"],
        &["help", "run"],
        &["run", "--help"],
        &["ipvs", "--help"],
        &["realserver", "--help"],
        &["version"],
        &["--version"],
    ] {
        let (code, stdout, stderr) = director(args);
        assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}");
        assert!(stdout.lines().all(|line| line.chars().count() <= 100), "{stdout}");
    }
}

#[test]
fn a_link_is_its_verb() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("version");
    std::os::unix::fs::symlink(Path::new(env!("CARGO_BIN_EXE_director")), &link).unwrap();
    let output = Command::new(link).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("director "));
}

#[test]
#[allow(clippy::unwrap_used)]
fn check_says_which_program_an_appliance_cannot_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("director.toml");
    let text = "version = 1\n[system]\nhooks = true\n[[notify]]\nname = \"tell\"\ntype = \"exec\"\ncommand = [\"hooks/tell\"]\n";
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let (code, _, stderr) = director(&["check", file]);
    assert!(code == 0 && stderr.contains("warning: hooks/tell does not run on an appliance: "), "{stderr}");
    assert!(stderr.contains("No such file"), "{stderr}");

    fs::create_dir(folder.path().join("hooks")).unwrap();
    let tell = folder.path().join("hooks/tell");
    fs::write(&tell, "#!/bin/sh\n").unwrap();
    let (_, json, _) = director(&["check", "--json", file]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let warning = json["warnings"][0].as_str().unwrap();
    assert!(json["ok"] == true && warning.contains("an appliance has no \"/bin/sh\""), "{json}");

    fs::write(&tell, "#!/run/director-hooks/busybox sh\n").unwrap();
    let (code, _, stderr) = director(&["check", file]);
    assert_eq!((code, stderr.as_str()), (0, ""));

    fs::write(file, text.replace("hooks/tell", "hooks/../tell")).unwrap();
    let (code, _, stderr) = director(&["check", file]);
    assert!(code == 2 && stderr.contains("is neither an absolute path nor hooks/NAME"), "{stderr}");
}
