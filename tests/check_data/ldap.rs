//! LDAP against OpenLDAP's slapd.

use director::config::model::{CheckKind, Login, Tls};
use director_lab::peer::Daemon;

use crate::ask::{NAME, OTHER_NAME, ask, bad, fetch, free_port, good, local, verified};
use crate::authority::Authority;
use crate::residue::{Asked, asks_alone, leave_nothing};

const PACKAGES: &[&str] =
    &["slapd", "libldap-2.5-0", "libsasl2-2", "libsasl2-modules-db", "libltdl7", "libwrap0", "libssl3"];

const BASE: &str = "dc=example,dc=com";

/// The same by TLS from the first byte on.
fn ldaps(tls: Tls) -> CheckKind {
    CheckKind::Ldap { login: None, base: Some(BASE.to_owned()), tls: Some(tls) }
}

fn ldap(login: Option<(&str, &str)>, base: Option<&str>) -> CheckKind {
    let login = login.map(|(user, password)| Login { user: user.to_owned(), password: password.to_owned() });
    CheckKind::Ldap { login, base: base.map(str::to_owned), tls: None }
}

#[test]
fn slapd_is_bound_to_and_searched() {
    if asks_alone() {
        return;
    }
    let (Some(peer), Some(authority)) = (fetch(PACKAGES), Authority::new()) else { return };
    let (folder, port, secure) = (tempfile::tempdir().unwrap(), free_port(), free_port());
    let signed = authority.sign(NAME, "now", "10 days");
    let at = folder.path();
    let config = at.join("slapd.conf");
    let text = format!(
        "include {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\nmodulepath {}\nmoduleload back_mdb\ndatabase mdb\nsuffix {BASE}\nrootdn cn=admin,{BASE}\n\
         rootpw secret\ndirectory {}\nmaxsize 1048576\n",
        peer.path("etc/ldap/schema/core.schema").display(),
        signed.certificate.display(),
        signed.key.display(),
        peer.path("usr/lib/ldap").display(),
        at.display()
    );
    std::fs::write(&config, text).unwrap();
    let ldif =
        format!("dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n");
    std::fs::write(at.join("base.ldif"), ldif).unwrap();
    let mut add = peer.command("usr/sbin/slapd");
    add.args(["-T", "add", "-f"]).arg(&config).arg("-l").arg(at.join("base.ldif"));
    assert!(add.status().unwrap().success());
    let mut command = peer.command("usr/sbin/slapd");
    command
        .args(["-d", "0", "-h", &format!("ldap://127.0.0.1:{port} ldaps://127.0.0.1:{secure}"), "-f"])
        .arg(&config);
    let _slapd = Daemon::listening(command, &at.join("log"), local(port)).unwrap();

    let admin = format!("cn=admin,{BASE}");
    let of = |login, base| ask(local(port), ldap(login, base));
    assert_eq!(of(None, None), good("bound"));
    assert_eq!(of(None, Some(BASE)), good(format!("found \"{BASE}\"")));
    assert_eq!(of(Some((&admin, "secret")), Some(BASE)), good(format!("found \"{BASE}\"")));
    assert_eq!(of(None, Some("dc=nowhere")), bad("search: noSuchObject"));
    assert_eq!(of(Some((&admin, "wrong")), None), bad("bind: invalidCredentials"));
    assert_eq!(of(Some(("nobody", "x")), None), bad("bind: invalidDNSyntax: \"invalid DN\""));

    let of = |tls| ask(local(secure), ldaps(tls));
    assert_eq!(of(verified(&authority, NAME)), good(format!("found \"{BASE}\"")));
    assert_eq!(of(Tls::default()), good(format!("found \"{BASE}\"")), "nobody wants it verified");
    assert_eq!(of(verified(&authority, "shop.example.com")), bad(OTHER_NAME));

    let asked = [
        Asked::good(local(port), ldap(Some((&admin, "secret")), Some(BASE))),
        Asked::bad(local(port), ldap(Some((&admin, "wrong")), None)),
        Asked::good(local(secure), ldaps(verified(&authority, NAME))),
    ];
    leave_nothing("ldap::slapd_is_bound_to_and_searched", &asked, 1_000);
}
