//! Secrets that lie in files of their own beside the configuration.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use director::console::snapshot::Snapshot;
use director::ipc::client::ask;
use director::ipc::message::{Reply, Request, Status};
use director::role::Role;
use hmac::{Hmac, KeyInit, Mac};

use crate::notify::webhook;
use crate::rig::{Director, PATIENCE, namespace};

const CONFIG: &str = "[[interface]]\nname = \"lo\"\n[[vrrp]]\nname = \"VI_1\"\ninterface = \"lo\"\nvrid = 51\naddresses = [\"10.0.0.45/32\"]\n\
    auth = { type = \"hmac\", key = \"file:vrrp.key\" }\n\
    [[notify]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:8080/hook\"\nsecret = \"file:hook\"\n";

fn lacks(director: &Director) -> Option<String> {
    let Some(Status::Vrrp(status)) = director.status(Role::Vrrp) else { return None };
    let told = serde_json::to_string(&status).unwrap();
    told.contains("key 1 from vrrp.key: it could not be read").then_some(told)
}

#[test]
fn a_key_and_a_signature_come_from_files_and_are_in_no_bundle() {
    let Some(ns) = namespace("secrets") else { return };
    let posts = webhook(&ns);
    let director = Director::start(ns, CONFIG);
    director.until("the key is missing", lacks);
    assert!(
        director.log().contains("cannot read secret: vrrp.key: there is no such file"),
        "{}",
        director.log()
    );

    // The file has not changed: a look at it brings them.
    let folder = director.dir.path().join("secrets");
    fs::create_dir(&folder).unwrap();
    for (name, text) in
        [("vrrp.key", "as many characters as it takes: 32 at least\n"), ("hook", "correct horse\n")]
    {
        fs::write(folder.join(name), text).unwrap();
        fs::set_permissions(folder.join(name), Permissions::from_mode(0o600)).unwrap();
    }
    director.reload(CONFIG);
    let test = Request::NotifyTest { target: Some("hook".to_owned()) };
    let answer = ask(&director.run_dir, Role::Notify, &test, PATIENCE).unwrap();
    assert!(matches!(answer, Reply::Notified { .. }), "{answer:?}");
    director.until("it is signed", |_| {
        posts
            .lock()
            .unwrap()
            .iter()
            .any(|post| {
                let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"correct horse").unwrap();
                mac.update(&post.body);
                let sum: String =
                    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                post.head.contains(&format!("x-director-signature: sha256={sum}\r\n"))
            })
            .then_some(())
    });
    director.until("the key is there without a restart", |it| {
        let told = it.status(Role::Vrrp).is_some();
        (told && lacks(it).is_none()).then_some(())
    });
    // A worker that is started anew finds its key where `store` has put it.
    ask(&director.run_dir, Role::Init, &Request::Restart { role: Role::Vrrp }, PATIENCE).unwrap();
    director.until("the key is there", |it| {
        let told = it.status(Role::Vrrp).is_some();
        (told && lacks(it).is_none()).then_some(())
    });
    assert!(!director.log().contains("secret that others may read"), "{}", director.log());
    let brought = director.run_dir.secrets();
    assert_eq!(fs::metadata(brought).unwrap().permissions().mode() & 0o777, 0o700);
}

/// Everything that leaves the box, or is shown without a PIN.
fn told(director: &Director) -> String {
    let (_, status) = director.until("status", |it| it.get("127.0.0.1:9100", "/status"));
    let Some(Status::Store(store)) = director.status(Role::Store) else { panic!("no status") };
    let snapshot = Snapshot { store: Some(store.clone()), ..Snapshot::default() };
    let banner = director::console::announce::banner(&snapshot).join("\n");
    format!("{}\n{status}\n{}\n{banner}", director.log(), serde_json::to_string(&store).unwrap())
}

#[test]
fn no_secret_leaves_the_box_with_what_is_told_of_changes_and_faults() {
    let Some(ns) = namespace("leaks") else { return };
    let config = |password: &str, key: &str| {
        format!(
            "[api]\nlisten = \"127.0.0.1:9100\"\nallow = [\"127.0.0.0/8\"]\n[[interface]]\nname = \"lo\"\n\
             [[vrrp]]\nname = \"VI_1\"\ninterface = \"lo\"\nvrid = 51\nversion = 2\naddresses = [\"10.0.0.45/32\"]\n\
             auth = {{ type = \"pass\", key = \"{key}\" }}\n\
             [[notify]]\nname = \"ops\"\ntype = \"mail\"\nserver = \"127.0.0.1:25\"\nfrom = \"a@example.org\"\n\
             to = [\"b@example.org\"]\nuser = \"u\"\npassword = \"{password}\"\nstarttls = true\n"
        )
    };
    let director = Director::start(ns, &config("old-passw0rd", "k3y"));
    director.until("it runs", |it| it.get("127.0.0.1:9100", "/healthz"));
    let file = director.dir.path().join("new.toml");
    let verb = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_director"));
        let done = command.args(args).env("DIRECTOR_RUN", director.run_dir.path()).output().unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
    };
    fs::write(&file, format!("version = 1\n{}", config("new-passw0rd", "kEy"))).unwrap();
    let applied = verb(&["apply", file.to_str().unwrap(), "--confirm", "1h"]);
    assert!(applied.contains("~ notify ops: password: (hidden) -> (hidden)"), "{applied}");
    director.until("it is on trial", |it| it.log().contains("change applied").then_some(()));
    let mut all = told(&director);
    assert!(all.contains("password: (hidden)"), "{all}");
    all += &verb(&["rollback"]);
    // Nine characters are one too many.
    let faulty = format!("version = 1\n{}", config("new-passw0rd", "kkkkkkkkk"));
    fs::write(director.dir.path().join("director.toml"), faulty).unwrap();
    all += &verb(&["reload"]);
    director.until("it is refused", |it| it.log().contains("1 to 8 bytes long").then_some(()));
    all += &told(&director);
    assert!(all.contains("the line is not shown: it may have a secret"), "{all}");
    let bundle = verb(&["support", "--json", "--to", director.dir.path().to_str().unwrap()]);
    let bundle: serde_json::Value = serde_json::from_str(&bundle).unwrap();
    let bundle = bundle["file"].as_str().unwrap();
    let unpacked = std::process::Command::new("tar").arg("-xOzf").arg(bundle).output().unwrap();
    assert!(unpacked.status.success());
    all += &String::from_utf8_lossy(&unpacked.stdout);
    for secret in ["passw0rd", "k3y", "kEy", "kkkkkkkkk"] {
        let at = all.find(secret).map(|at| all[..at].chars().rev().take(300).collect::<Vec<_>>());
        let before: Option<String> = at.map(|before| before.into_iter().rev().collect());
        assert_eq!(before, None, "{secret} is told");
    }
}

#[test]
fn the_check_says_which_file_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("director.toml");
    fs::write(&file, format!("version = 1\n{CONFIG}")).unwrap();
    let out =
        std::process::Command::new(env!("CARGO_BIN_EXE_director")).arg("check").arg(&file).output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{said}");
    for name in ["vrrp.key", "hook"] {
        assert!(said.contains(&format!("warning: secret file:{name}: ")), "{said}");
    }
}
