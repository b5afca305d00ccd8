//! The life of a configuration on an ordinary host: applied on trial, confirmed, taken back, whoever dies meanwhile.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use director::config::active;
use director::ipc::client::ask;
use director::ipc::message::{Reply, Request, Status, StoreStatus};
use director::paths::RunDir;
use director::role::Role;

const PATIENCE: Duration = Duration::from_secs(60);

/// A file that one line tells from others.
fn text(priority: u8) -> String {
    format!(
        "version = 1 # mine\n[[interface]]\nname = \"eth0\"\naddresses = [\"10.0.0.2/8\"]\n[[vrrp]]\nname = \"VI_1\"\n\
         interface = \"eth0\"\nvrid = 51\npriority = {priority}\naddresses = [\"10.0.0.9/32\"]\n\
         [node.lb2]\nmatch = {{ hostname = \"no-such-host\" }}\nvrrp = [{{ name = \"VI_1\", priority = 7 }}]\n"
    )
}

struct Box {
    run: RunDir,
    file: PathBuf,
    state: PathBuf,
    store: Child,
    dir: tempfile::TempDir,
}

impl Box {
    fn start(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (file, state) = (dir.path().join("director.toml"), dir.path().join("state"));
        fs::write(&file, text).unwrap();
        let run = RunDir::new(dir.path().join("run"));
        fs::create_dir(run.path()).unwrap();
        let store = spawn(&run, &file, &state);
        let it = Self { run, file, state, store, dir };
        it.until("it runs", |status| status.life.number.is_some());
        it
    }

    /// As after kill -9: the supervisor, which is this test, starts another.
    fn kill(&mut self) {
        self.store.kill().unwrap();
        self.store.wait().unwrap();
    }

    fn again(&mut self) {
        self.store = spawn(&self.run, &self.file, &self.state);
    }

    fn status(&self) -> Option<StoreStatus> {
        match ask(&self.run, Role::Store, &Request::Status, PATIENCE) {
            Ok(Reply::Status { status }) => match *status {
                Status::Store(status) => Some(status),
                other => panic!("{other:?}"),
            },
            _ => None,
        }
    }

    #[track_caller]
    fn until(&self, what: &str, wanted: impl Fn(&StoreStatus) -> bool) -> StoreStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.status() {
                Some(status) if wanted(&status) => return status,
                status => assert!(Instant::now() < deadline, "never: {what}: {status:?}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Priority of the virtual router that runs.
    fn priority(&self) -> u8 {
        active(&self.run).unwrap().unwrap().checked.config.vrrp[0].priority.get()
    }

    #[track_caller]
    fn until_priority(&self, wanted: u8) {
        self.until(&format!("priority {wanted}"), |_| self.priority() == wanted);
    }

    fn other(&self, text: &str) -> String {
        let path = self.dir.path().join("other.toml");
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn file(&self) -> String {
        fs::read_to_string(&self.file).unwrap()
    }

    /// Exit status, standard output, standard error.
    fn verb(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_director"));
        let output = command.args(args).env("DIRECTOR_RUN", self.run.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    #[track_caller]
    fn good(&self, args: &[&str]) -> String {
        let (code, out, err) = self.verb(args);
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}: {out}");
        out
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        let _ = self.store.kill();
        let _ = self.store.wait();
    }
}

fn spawn(run: &RunDir, file: &PathBuf, state: &PathBuf) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_director"));
    command.args(["worker", "store", "--run-dir"]).arg(run.path()).arg("--file").arg(file);
    command.arg("--state").arg(state).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_change_is_told_tried_and_confirmed() {
    let it = Box::start(&text(100));
    let new = it.other(&text(50));
    assert_eq!(it.good(&["diff", &new]), format!("{new}:\n~ vrrp VI_1: priority: 100 -> 50\n"));
    let shown = it.good(&["diff", &new, "--text"]);
    assert!(shown.contains("\n-priority = 100\n+priority = 50\n"), "{shown}");
    assert_eq!(it.priority(), 100, "a diff changes nothing");

    let told = it.good(&["apply", &new, "--confirm", "1h"]);
    assert!(told.contains("priority: 100 -> 50\napplied on trial: `director confirm` within 1h"), "{told}");
    it.until_priority(50);
    let pending = it.until("it waits", |status| status.life.pending.is_some()).life.pending.unwrap();
    assert!(pending.left_ms > 3_500_000 && pending.origin == "command line", "{pending:?}");
    assert_eq!(it.file(), text(100), "not confirmed, not written");
    for refused in [&["apply", &new][..], &["reload"], &["rollback", "1"]] {
        let (code, _, err) = it.verb(refused);
        assert!(code == 1 && err.contains("waits for its confirmation"), "{refused:?}: {err}");
    }
    assert!(it.good(&["status", "store"]).contains("unless confirmed\n  ~ vrrp VI_1: priority: 100 -> 50\n"));

    assert_eq!(it.good(&["confirm"]), format!("{new} stays: it is configuration 2\n"));
    assert_eq!((it.file(), it.priority()), (text(50), 50));
    let (code, _, err) = it.verb(&["confirm"]);
    assert!(code == 1 && err.contains("no change waits"), "{err}");
    let prev = fs::read_to_string(it.file.with_extension("toml.prev")).unwrap();
    assert_eq!(prev, text(100), "what was there is kept beside it");
}

#[test]
fn a_change_looks_as_the_manual_shows_it() {
    let with = |address: &str, priority: u8| {
        format!(
            "version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"{address}\"]\n[[vrrp]]\nname = \"VI_1\"\n\
             interface = \"eth0\"\nvrid = 51\npriority = {priority}\naddresses = [\"192.168.61.45/32\"]\n"
        )
    };
    let it = Box::start(&with("192.168.61.44/24", 100));
    let new = it.other(&with("192.168.61.50/24", 120));
    let applied = it.good(&["apply", &new]);
    it.until_priority(120);
    let shown = format!(
        "```text\n$ director apply new.toml\n{applied}$ director confirm\n{}```\n",
        it.good(&["confirm"])
    );
    let shown = shown.replace(&new, "/root/new.toml").replace("configuration 2\n", "configuration 12\n");
    assert!(include_str!("../doc/manual.md").contains(&shown), "{shown}");
}

#[test]
fn what_nobody_confirms_is_taken_back_even_by_the_next_life() {
    let mut it = Box::start(&text(100));
    let new = it.other(&text(50));
    it.good(&["apply", &new, "--confirm", "3s"]);
    it.until_priority(50);
    it.until_priority(100);
    let status = it.until("the end", |status| status.life.pending.is_none());
    assert!(status.why.contains("not confirmed in time"), "{}", status.why);
    assert_eq!(it.file(), text(100));

    // The worker dies, and its time passes while nobody is there.
    it.good(&["apply", &new, "--confirm", "5s"]);
    it.until_priority(50);
    it.kill();
    it.again();
    it.until("taken up", |status| status.life.pending.is_some() || it.priority() == 100);
    it.until_priority(100);
    it.until("forgotten", |_| !it.state.join("pending.json").exists());

    // It dies right after its answer.
    it.good(&["apply", &new, "--confirm", "1h"]);
    it.kill();
    it.again();
    it.until_priority(50);
    assert!(it.good(&["rollback"]).contains("taken back by the operator"));
    it.until_priority(100);
}

#[test]
fn what_was_taken_back_stays_so_whoever_dies_meanwhile() {
    let mut it = Box::start(&text(100));
    let new = it.other(&text(50));
    it.good(&["apply", &new, "--confirm", "1h"]);
    it.until_priority(50);
    let waits = fs::read(it.state.join("pending.json")).unwrap();
    it.good(&["rollback"]);
    it.until("it is forgotten", |_| !it.state.join("pending.json").exists());
    it.kill();
    // As if it had died before it could forget the change, and then before it had what was before.
    fs::write(it.state.join("pending.json"), &waits).unwrap();
    it.again();
    it.until("it is forgotten again", |_| !it.state.join("pending.json").exists());
    assert_eq!(it.priority(), 100);
    it.kill();
    fs::write(it.state.join("pending.json"), &waits).unwrap();
    fs::write(it.run.active_config(), text(50)).unwrap();
    it.again();
    it.until_priority(100);
    it.until("nothing waits", |status| {
        status.life.pending.is_none() && !it.state.join("pending.json").exists()
    });
}

#[test]
fn a_final_change_that_was_answered_is_made_whoever_dies_and_whatever_follows() {
    let mut it = Box::start(&text(100));
    let (new, newer) = (it.other(&text(50)), it.dir.path().join("newer.toml"));
    it.good(&["apply", &new, "--confirm", "never"]);
    it.kill();
    it.again();
    it.until_priority(50);
    assert_eq!(it.file(), text(50));
    it.until("settled", |_| !it.run.path().join("change.unsettled").exists());

    // Another order follows at once, and is taken back: to the final one.
    fs::write(&new, text(60)).unwrap();
    fs::write(&newer, text(70)).unwrap();
    it.good(&["apply", &new, "--confirm", "never"]);
    it.good(&["apply", newer.to_str().unwrap(), "--confirm", "1h"]);
    it.until_priority(70);
    it.good(&["rollback"]);
    it.until_priority(60);
    assert_eq!(it.file(), text(60));
}

#[test]
fn an_end_of_the_supervisor_is_no_confirmation() {
    let mut it = Box::start(&text(100));
    // The operator edits the file itself.
    fs::write(&it.file, text(50)).unwrap();
    it.good(&["apply", "--confirm", "1h"]);
    it.until_priority(50);
    it.kill();
    director::store::recover(&it.file, &it.state).unwrap();
    assert_eq!(it.file(), text(100));
    let aside = it.dir.path().join("director.toml.unconfirmed");
    assert_eq!(fs::read_to_string(aside).unwrap(), text(50), "nothing is lost");
}

#[test]
fn history_goes_back_and_forth() {
    let it = Box::start(&text(100));
    for priority in [50, 60] {
        let new = it.other(&text(priority));
        let told = it.good(&["apply", &new, "--confirm", "never"]);
        assert!(told.ends_with("\napplied\n"), "{told}");
        it.until_priority(priority);
        assert_eq!(it.file(), text(priority));
        it.until("kept", |status| status.life.number.is_some());
    }
    let history = it.good(&["history"]);
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines.len(), 3, "{history}");
    assert!(lines[0].starts_with("*3 ") && lines[0].ends_with("command line"), "{history}");
    assert!(lines[2].starts_with(" 1 ") && lines[2].ends_with("start"), "{history}");
    assert!(it.good(&["history", "--json"]).contains("\"sha256\""));

    assert!(it.good(&["rollback"]).starts_with("configuration 2:\n~ vrrp VI_1: priority: 60 -> 50\n"));
    it.until_priority(50);
    assert!(it.good(&["confirm"]).contains("it is configuration 4"));
    assert!(it.good(&["rollback", "1", "--confirm", "never"]).contains("50 -> 100"));
    it.until_priority(100);
    let (code, _, err) = it.verb(&["rollback", "99"]);
    assert!(code == 1 && err.contains("there is no configuration 99"), "{err}");
    assert_eq!(it.good(&["show", "2"]), text(50));
}

#[test]
fn a_change_that_is_none_and_one_with_faults() {
    let it = Box::start(&text(100));
    let words = it.other(&text(100).replace("# mine", "# yours"));
    let told = it.good(&["apply", &words]);
    assert_eq!(told, format!("{words}: nothing but its words differs\napplied\n"));
    it.until("written", |_| it.file().contains("# yours"));
    let faulty = it.other("version = 1\n[[vrrp]]\nvrid = 300\n");
    for verb in ["diff", "apply"] {
        let (code, _, err) = it.verb(&[verb, &faulty]);
        assert!(code == 1 && err.contains("faults: nothing is changed\n") && err.contains(":3:8: "), "{err}");
    }
    for (what, why) in
        [("/", "it is a directory"), ("/dev/zero", "not an ordinary file"), ("/none", "no such file")]
    {
        let (code, _, err) = it.verb(&["apply", what]);
        assert!(code == 1 && err.contains(why), "{err}");
    }
    for (args, why) in [
        (&["apply", "--confirm", "soon"][..], "--confirm: duration"),
        (&["rollback", "x"], "no number of the history"),
        (&["reset"], "say --yes"),
    ] {
        let (code, _, err) = it.verb(args);
        assert!(code == 2 && err.contains(why), "{args:?}: {err}");
    }
    for (args, why) in [
        (&["apply", "--confirm", "2d"][..], "out of range: 1s to 1d"),
        (&["apply", "stick"], "only an appliance"),
        (&["export"], "only an appliance"),
        (&["reset", "--yes"], "an ordinary process"),
    ] {
        let (code, _, err) = it.verb(args);
        assert!(code == 1 && err.contains(why), "{args:?}: {err}");
    }
}

#[test]
fn a_node_is_shown_as_it_sees_the_file() {
    let it = Box::start(&text(100));
    assert_eq!(it.good(&["show"]), text(100));
    let node = it.good(&["show", "--node", "lb2"]);
    assert!(node.contains("\npriority  = 7\n") && !node.contains("node"), "{node}");
    let origin = it.good(&["show", "--node", "lb2", "--origin"]);
    assert!(
        origin.contains("priority  = 7  # line 13 [node.lb2]\n") && origin.contains("# line 8\n"),
        "{origin}"
    );
    let file = it.other(&node);
    assert!(it.good(&["check", &file]).contains("no fault"));
    assert_eq!(
        it.good(&["show", it.file.to_str().unwrap(), "--node", "lb2"]),
        node,
        "a file needs no running box"
    );
    let (code, _, err) = it.verb(&["show", "--node", "lb3"]);
    assert!(code == 1 && err.contains("no section [node.lb3]: it has lb2"), "{err}");
}

#[test]
fn a_changed_file_is_taken_by_itself_where_it_says_so() {
    let auto = |priority| format!("{}[system]\nautoreload = true\n", text(priority));
    let it = Box::start(&auto(100));
    fs::write(&it.file, auto(60)).unwrap();
    it.until_priority(60);
    fs::write(&it.file, "version = 1\nx = 1\n").unwrap();
    let status = it.until("it is refused", |status| status.candidates[0].verdict == "faulty");
    assert!(status.life.notice.unwrap().contains("the running configuration goes on"));
    assert_eq!(it.priority(), 60);
    fs::write(&it.file, text(70)).unwrap();
    it.until_priority(70);
    assert!(it.good(&["history"]).contains("autoreload"));
}

/// Kills at random moments stand for cuts of the power: what was renamed is whole, what was not is not there.
#[test]
fn whatever_is_cut_short_leaves_the_old_file_or_the_new_one() {
    let mut it = Box::start(&text(1));
    let mut dice = 0x2545_f491_u32;
    let (mut moved, mut kept) = (0, 0);
    // On a busy machine more rounds are needed until both have happened.
    for round in 2..=99_u8 {
        if moved > 0 && kept > 0 && round > 21 {
            break;
        }
        let before = it.file();
        let new = it.other(&text(round));
        let mut command = Command::new(env!("CARGO_BIN_EXE_director"));
        command.args(["apply", &new, "--confirm", "never", "--run-dir"]).arg(it.run.path());
        let mut apply = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // From before the request arrives to after all is written.
        std::thread::sleep(Duration::from_micros(u64::from(dice >> 15)));
        it.kill();
        let _ = apply.wait();
        let now = it.file();
        assert!(now == before || now == text(round), "round {round}: a third thing:\n{now}");
        if now == before {
            kept += 1
        } else {
            moved += 1
        }
        for entry in fs::read_dir(it.state.join("generations")).unwrap() {
            let path = entry.unwrap().path();
            let whole = path.extension().is_some_and(|it| it == "toml");
            let text = fs::read_to_string(&path).unwrap();
            assert!(!whole || text.ends_with("priority = 7 }]\n"), "round {round}: {}", path.display());
        }
        // The next boot: nothing in the run directory, the file as it is.
        fs::remove_dir_all(it.run.path()).unwrap();
        fs::create_dir(it.run.path()).unwrap();
        director::store::recover(&it.file, &it.state).unwrap();
        it.again();
        it.until("it runs again", |status| status.generation > 0 && status.life.number.is_some());
        let runs = it.priority();
        assert_eq!(it.file(), text(runs), "round {round}: what runs is what is in the file");
    }
    assert!(moved > 0 && kept > 0, "the moments were not random: {moved} new, {kept} old");
}
