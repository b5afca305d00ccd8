//! PostgreSQL's protocol against PostgreSQL.

use std::io::{Read, Write};
use std::net::TcpListener;

use director::check::Outcome;
use director::config::model::{CheckKind, Database, Login, Tls};
use director_lab::peer::Daemon;

use crate::ask::{NAME, OTHER_NAME, ask, bad, fetch, free_port, good, local, verified};
use crate::authority::Authority;
use crate::residue::{Asked, asks_alone, leave_nothing};

const PACKAGES: &[&str] = &[
    "postgresql-15",
    "libicu72",
    "libxml2",
    "libldap-2.5-0",
    "libsasl2-2",
    "libpq5",
    "libssl3",
    "libsystemd0",
];

fn pgsql(user: &str, password: &str, query: Option<&str>) -> CheckKind {
    CheckKind::Pgsql(Database {
        login: Some(Login { user: user.into(), password: password.into() }),
        database: Some("postgres".into()),
        query: query.map(str::to_owned),
        tls: None,
    })
}

#[test]
fn postgresql_is_logged_in_to_and_queried() {
    if asks_alone() {
        return;
    }
    let (Some(peer), Some(authority)) = (fetch(PACKAGES), Authority::new()) else { return };
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let (data, password) = (folder.path().join("data"), folder.path().join("password"));
    std::fs::write(&password, "secret").unwrap();
    let mut init = peer.command_as_nobody("usr/lib/postgresql/15/bin/initdb");
    init.args(["-U", "monitor", "--auth=scram-sha-256", "--no-sync", "--no-locale", "-E", "UTF8", "-D"]);
    init.arg(&data).arg("--pwfile").arg(&password).arg("-L").arg(peer.path("usr/share/postgresql/15"));
    let done = init.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    // Who logs in how.
    let rules = "local all all trust\nhostnossl all secure all reject\nhost all clear all password\nhost all old all md5\n\
                 host all denied all reject\nhost all all all scram-sha-256\n";
    std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
    let server = |single: bool| {
        let mut command = peer.command_as_nobody("usr/lib/postgresql/15/bin/postgres");
        if single {
            command.args(["--single", "-j"]);
        }
        command.arg("-D").arg(&data).arg("-F");
        command
    };
    let users = folder.path().join("users.sql");
    let text = "CREATE ROLE clear LOGIN PASSWORD 'secret';\n\nCREATE ROLE secure LOGIN PASSWORD 'secret';\n\n\
                SET password_encryption = 'md5'; \n\nCREATE ROLE old LOGIN PASSWORD 'secret';\n\n";
    std::fs::write(&users, text).unwrap();
    let mut create = server(true);
    create.arg("postgres").stdin(std::fs::File::open(&users).unwrap());
    let done = create.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut command = server(false);
    command.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
    command.args(["-c", "unix_socket_directories=", "-c", "ssl=on"]);
    let signed = authority.sign(NAME, "now", "10 days");
    for (what, file) in [("cert", &signed.certificate), ("key", &signed.key)] {
        command.args(["-c".to_owned(), format!("ssl_{what}_file={}", file.display())]);
    }
    let bare = || CheckKind::Pgsql(Database::default());
    let ready = || matches!(ask(local(port), bare()), Outcome::Success(_));
    let _server = Daemon::start(command, &folder.path().join("log"), ready).unwrap();

    let of = |kind| ask(local(port), kind);
    assert_eq!(of(bare()), good("PostgreSQL accepts log-ins"));
    for user in ["monitor", "clear", "old"] {
        let Outcome::Success(why) = of(pgsql(user, "secret", None)) else { panic!("{user}") };
        assert!(why.starts_with("logged in to PostgreSQL 15."), "{user}: {why}");
        let wrong =
            format!("log-in: error 28P01: \"password authentication failed for user \\\"{user}\\\"\"");
        assert_eq!(of(pgsql(user, "wrong", None)), bad(wrong), "{user}");
    }
    assert_eq!(of(pgsql("monitor", "secret", Some("SELECT 1"))), good("query returned a row"));
    assert_eq!(of(pgsql("monitor", "secret", Some("SELECT 1 LIMIT 0"))), bad("query returned no row"));
    assert_eq!(
        of(pgsql("monitor", "secret", Some("SELECT * FROM nothing"))),
        bad("query: error 42P01: \"relation \\\"nothing\\\" does not exist\"")
    );
    assert_eq!(
        of(pgsql("monitor", "secret", Some("COPY pg_class FROM STDIN"))),
        bad("query wants data from this box")
    );
    let denied = of(pgsql("denied", "secret", None));
    assert!(
        matches!(&denied, Outcome::Failure(why) if why.starts_with("log-in: error 28000: ")),
        "{denied:?}"
    );

    let by_tls = |user: &str, tls: Tls| match pgsql(user, "secret", Some("SELECT 1")) {
        CheckKind::Pgsql(database) => of(CheckKind::Pgsql(Database { tls: Some(tls), ..database })),
        _ => unreachable!(),
    };
    // Who must come by TLS is refused without.
    assert!(
        matches!(of(pgsql("secure", "secret", None)), Outcome::Failure(why) if why.starts_with("log-in: error 28000: "))
    );
    for user in ["secure", "clear"] {
        assert_eq!(by_tls(user, verified(&authority, NAME)), good("query returned a row"), "{user}");
    }
    assert_eq!(by_tls("secure", Tls::default()), good("query returned a row"));
    assert_eq!(by_tls("secure", verified(&authority, "shop.example.com")), bad(OTHER_NAME));

    let secure = Database {
        login: Some(Login { user: "secure".into(), password: "secret".into() }),
        database: Some("postgres".into()),
        query: None,
        tls: Some(verified(&authority, NAME)),
    };
    let asked = [
        Asked::good(local(port), pgsql("old", "secret", Some("SELECT 1"))),
        Asked::bad(local(port), pgsql("old", "wrong", None)),
        Asked::good(local(port), CheckKind::Pgsql(secure)),
    ];
    leave_nothing("pgsql::postgresql_is_logged_in_to_and_queried", &asked, 600);
}

/// A server without TLS answers the wish for it by `N` (PostgreSQL manual, section 55.2.10).
#[test]
fn a_server_without_tls_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut wish = [0; 8];
        stream.read_exact(&mut wish).unwrap();
        assert_eq!(wish, [0, 0, 0, 8, 4, 210, 22, 47]);
        stream.write_all(b"N").unwrap();
    });
    let tls = Database { tls: Some(Tls::default()), ..Database::default() };
    assert_eq!(ask(address, CheckKind::Pgsql(tls)), bad("server offers no TLS"));
}
