//! Programs, files and agents.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use director::check::{Feedback, Outcome};
use director::config::model::CheckKind;
use director::ipc::message::Health;

use crate::ask::{ask, bad, good, local, verdict};
use crate::bad::serve;

/// A folder that nobody may enter, too, and in it a program.
pub fn script(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let path = folder.path().join("check");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    (folder, path)
}

pub fn exec(path: &Path, args: &[&str], weight: bool) -> CheckKind {
    let args = args.iter().map(|&arg| arg.to_owned()).collect();
    CheckKind::Exec { command: path.to_str().unwrap().to_owned(), args, endpoints: true, weight }
}

#[test]
fn a_program_is_told_whom_to_ask_and_is_believed() {
    let (_folder, path) = script("echo noise; echo \"$@\"; exit ${5:-0}");
    let of = |args: &[&str], weight| ask(local(80), exec(&path, args, weight));
    assert_eq!(of(&[], false), good("exit status 0: \"127.0.0.1 80 127.0.0.1 80\""));
    assert_eq!(of(&["1"], true), bad("exit status 1: \"127.0.0.1 80 127.0.0.1 80 1\""));
    let why = "exit status 52: \"127.0.0.1 80 127.0.0.1 80 52\"";
    assert_eq!(of(&["52"], true), Outcome::Feedback(Feedback::Weight(50), why.into()));
    assert_eq!(of(&["52"], false), bad(why));
}

/// Programs written for keepalived's `MISC_CHECK` have a command line of their own.
#[test]
fn a_program_has_its_own_arguments_alone_where_that_is_asked_for() {
    let (_folder, path) = script("echo \"$# $@\"");
    let command = path.to_str().unwrap().to_owned();
    let alone = |args: &[&str]| {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        ask(local(80), CheckKind::Exec { command: command.clone(), args, endpoints: false, weight: false })
    };
    assert_eq!(alone(&[]), good("exit status 0: \"0\""));
    assert_eq!(alone(&["--url", "a b"]), good("exit status 0: \"2 --url a b\""));
}

#[test]
fn a_program_has_little_power_and_an_empty_environment() {
    let (_folder, path) = script("id -u; env | sort | tr '\\n' ' '; pwd; exit 1");
    let nothing = "HOME=/ LANG=C PATH=/usr/sbin:/usr/bin:/sbin:/bin PWD=/ /";
    assert_eq!(ask(local(80), exec(&path, &[], false)), bad(format!("exit status 1: \"{nothing}\"")));
    let (_folder, path) = script("id -u");
    let user = if nix::unistd::geteuid().is_root() { 65534 } else { nix::unistd::geteuid().as_raw() };
    assert_eq!(ask(local(80), exec(&path, &[], false)), good(format!("exit status 0: \"{user}\"")));
}

#[test]
fn what_cannot_be_run_says_nothing_about_the_server() {
    let outcome = ask(local(80), exec(Path::new("/no/such/check"), &[], false));
    let wanted = "cannot run /no/such/check: no such file or directory";
    assert_eq!(outcome, Outcome::Inconclusive(wanted.into()));
}

#[test]
fn a_program_that_hangs_dies_with_all_it_has_started() {
    let (folder, path) = script("sleep 60 & echo $$ $! > $5; wait");
    let pids = folder.path().join("pids");
    let kind = exec(&path, &[pids.to_str().unwrap()], false);
    assert_eq!(verdict(local(80), kind), (Health::Down, "no answer within 300ms".into()));
    let pids = std::fs::read_to_string(&pids).unwrap();
    for pid in pids.split_whitespace() {
        gone(pid);
    }
}

#[test]
fn what_a_program_leaves_behind_dies_with_it_and_a_chatty_one_is_ended() {
    let (folder, path) = script("sleep 60 & echo $! > $5");
    let pids = folder.path().join("pids");
    let kind = exec(&path, &[pids.to_str().unwrap()], false);
    assert_eq!(ask(local(80), kind), good("exit status 0"));
    gone(std::fs::read_to_string(&pids).unwrap().trim());
    let (_folder, path) = script("while :; do echo and another thing; done");
    assert_eq!(ask(local(80), exec(&path, &[], false)), bad("wrote more than 64 KiB"));
    let (_folder, path) = script("kill -SEGV $$");
    assert_eq!(ask(local(80), exec(&path, &[], false)), bad("killed by SIGSEGV"));
}

/// Waits until no process has this number, or only a zombie of somebody else.
fn gone(pid: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let status = format!("/proc/{pid}/stat");
    while std::fs::read_to_string(&status).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < deadline, "{pid} lives");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_file_and_an_agent_say_how_much_a_server_can_take() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weight");
    let file = || CheckKind::File { path: path.to_str().unwrap().to_owned() };
    assert_eq!(ask(local(80), file()), bad(format!("{} is missing", path.display())));
    std::fs::write(&path, "drain\n").unwrap();
    assert_eq!(ask(local(80), file()), Outcome::Feedback(Feedback::Drain, "says \"drain\"".into()));

    let agent = |send: &str| CheckKind::Agent { send: send.as_bytes().to_vec() };
    let greets = serve(|mut stream| {
        use std::io::Write;
        // In pieces, and the connection stays open.
        for piece in ["up 7", "5%", "\nmore"] {
            stream.write_all(piece.as_bytes()).unwrap();
        }
        std::thread::sleep(Duration::from_secs(5));
    });
    let wanted = Outcome::Feedback(Feedback::Percent(75), "says \"up 75%\"".into());
    assert_eq!(ask(greets, agent("")), wanted);
    let answers = serve(|mut stream| {
        use std::io::{Read, Write};
        let mut question = [0; 4];
        stream.read_exact(&mut question).unwrap();
        let answer: &[u8] = if &question == b"how\n" { b"down#too hot\n" } else { b"up\n" };
        stream.write_all(answer).unwrap();
    });
    assert_eq!(ask(answers, agent("how\n")), bad("says \"down\": \"too hot\""));
    assert_eq!(ask(answers, agent("who\n")), good("says \"up\""));
}
