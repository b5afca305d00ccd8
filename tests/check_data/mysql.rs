//! MySQL's protocol against MariaDB.

use std::path::Path;
use std::process::{Command, Stdio};

use director::check::Outcome;
use director::config::model::{CheckKind, Database, Login, Tls};
use director_lab::peer::{Daemon, Peer};

use crate::ask::{NAME, OTHER_NAME, ask, bad, fetch, free_port, good, local, verified};
use crate::authority::Authority;
use crate::residue::{Asked, asks_alone, leave_nothing};

const PACKAGES: &[&str] =
    &["mariadb-server-core", "libaio1", "libnuma1", "liburing2", "libssl3", "libpcre2-8-0", "libsystemd0"];

fn mysql(password: &str, database: Option<&str>, query: Option<&str>) -> CheckKind {
    CheckKind::Mysql(Database {
        login: Some(Login { user: "monitor".into(), password: password.into() }),
        database: database.map(str::to_owned),
        query: query.map(str::to_owned),
        tls: None,
    })
}

fn mariadbd(peer: &Peer, at: &Path) -> Command {
    let mut command = peer.command("usr/sbin/mariadbd");
    let path = |path: &str| peer.path(path).display().to_string();
    command.args(["--no-defaults", "--user=root", "--skip-innodb", "--default-storage-engine=Aria"]);
    command.arg(format!("--basedir={}", path("usr")));
    command.arg(format!("--lc-messages-dir={}", path("usr/share/mysql")));
    command.arg(format!("--datadir={}", at.display()));
    command
}

#[test]
fn mariadb_is_logged_in_to_and_queried() {
    if asks_alone() {
        return;
    }
    let (Some(peer), Some(authority)) = (fetch(PACKAGES), Authority::new()) else { return };
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let tables = std::fs::read_to_string(peer.path("usr/share/mysql/mysql_system_tables.sql")).unwrap();
    let users = "flush privileges;\ncreate user monitor@'%' identified by 'secret';\n\
                 create user secure@'%' identified by 'secret' require ssl;\n\
                 create user empty@'%';\ncreate database shop;\ngrant select on shop.* to monitor@'%';\n";
    let script = folder.path().join("script.sql");
    std::fs::write(&script, format!("create database mysql;\nuse mysql;\n{tables}\n{users}")).unwrap();
    let mut bootstrap = mariadbd(&peer, &data);
    bootstrap.arg("--bootstrap").stdin(std::fs::File::open(&script).unwrap()).stderr(Stdio::null());
    assert!(bootstrap.status().unwrap().success());
    let start = |port: u16, more: &[String]| {
        let mut command = mariadbd(&peer, &data);
        command.args([format!("--port={port}"), "--bind-address=127.0.0.1".into()]);
        command.arg(format!("--socket={}", folder.path().join("socket").display()));
        command.args(["--max-connect-errors=2", "--skip-name-resolve"]).args(more);
        Daemon::listening(command, &folder.path().join("log"), local(port)).unwrap()
    };
    let server = start(port, &[]);

    let of = |kind| ask(local(port), kind);
    let bare = |login| CheckKind::Mysql(Database { login, ..Database::default() });
    let told = |outcome| match outcome {
        Outcome::Success(why) => why.into_owned(),
        other => panic!("{other:?}"),
    };
    for _ in 0..5 {
        // More often than `max_connect_errors`: this box is not shut out.
        assert!(told(of(bare(None))).starts_with("MariaDB 10."));
    }
    assert!(told(of(mysql("secret", None, None))).starts_with("logged in to MariaDB 10."));
    let empty = Login { user: "empty".into(), password: String::new() };
    assert!(told(of(bare(Some(empty)))).starts_with("logged in to MariaDB 10."));
    assert_eq!(of(mysql("secret", Some("shop"), Some("SELECT 1"))), good("query returned a row"));
    assert_eq!(of(mysql("secret", None, Some("SELECT 1 LIMIT 0"))), bad("query returned no row"));
    assert_eq!(of(mysql("secret", None, Some("SET @a = 1"))), bad("query returns no rows at all"));
    let wrong =
        bad("log-in: error 1045: \"Access denied for user 'monitor'@'127.0.0.1' (using password: YES)\"");
    assert_eq!(of(mysql("wrong", None, None)), wrong);
    let missing = bad("log-in: error 1044: \"Access denied for user 'monitor'@'%' to database 'nowhere'\"");
    assert_eq!(of(mysql("secret", Some("nowhere"), None)), missing);
    let refused = of(mysql("secret", Some("shop"), Some("SELECT * FROM nothing")));
    assert!(
        matches!(&refused, Outcome::Failure(why) if why.starts_with("query: error 1146: ")
        || why.starts_with("query: error 1142: ")),
        "{refused:?}"
    );
    let tls = Database { tls: Some(Tls::default()), ..Database::default() };
    assert_eq!(of(CheckKind::Mysql(tls)), bad("server offers no TLS"));

    drop(server);
    let (signed, port) = (authority.sign(NAME, "now", "10 days"), free_port());
    let files = [("cert", &signed.certificate), ("key", &signed.key)];
    let _server = start(port, &files.map(|(what, file)| format!("--ssl-{what}={}", file.display())));
    let of = |user: &str, tls| {
        let login = Some(Login { user: user.into(), password: "secret".into() });
        ask(local(port), CheckKind::Mysql(Database { login, tls, ..Database::default() }))
    };
    // Who must come by TLS is refused without.
    assert!(matches!(of("secure", None), Outcome::Failure(why) if why.starts_with("log-in: error 1045: ")));
    assert!(told(of("secure", Some(verified(&authority, NAME)))).starts_with("logged in to MariaDB 10."));
    assert!(told(of("monitor", Some(Tls::default()))).starts_with("logged in to MariaDB 10."));
    assert_eq!(of("secure", Some(verified(&authority, "shop.example.com"))), bad(OTHER_NAME));

    let login = Some(Login { user: "secure".into(), password: "secret".into() });
    let by_tls = Database { login, tls: Some(verified(&authority, NAME)), ..Database::default() };
    let asked = [
        Asked::good(local(port), mysql("secret", Some("shop"), Some("SELECT 1"))),
        Asked::bad(local(port), mysql("secret", None, Some("SELECT 1 LIMIT 0"))),
        Asked::good(local(port), CheckKind::Mysql(by_tls)),
    ];
    leave_nothing("mysql::mariadb_is_logged_in_to_and_queried", &asked, 1_000);
}
