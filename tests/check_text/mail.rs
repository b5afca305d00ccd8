//! SMTP against Exim, POP3 and IMAP against Dovecot, and all three against peers that misbehave.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use director::config::model::{CheckKind, Login, MailTls, Tls};
use director_lab::peer::{Daemon, Peer, free_port};

use super::ask::{down, late, local, login, up};
use super::authority::{Authority, Certificate};
use super::scripted::{drip, endless, lines, nobody, silent};

fn smtp(tls: MailTls) -> CheckKind {
    CheckKind::Smtp { helo: "director.example.com".into(), tls }
}

fn pop3(tls: MailTls) -> CheckKind {
    CheckKind::Pop3(None, tls)
}

fn imap(tls: MailTls) -> CheckKind {
    CheckKind::Imap(None, tls)
}

fn named(name: &str, authority: &Authority) -> Tls {
    Tls { name: Some(name.into()), ca: Some(authority.pem()), ..Tls::default() }
}

/// Both servers change to users of their own.
fn root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

/// A folder for `/etc` with the users that a server wants.
fn accounts(folder: &Path, users: &[&str]) {
    std::fs::create_dir_all(folder).unwrap();
    for file in ["passwd", "group"] {
        let mut text = std::fs::read_to_string(Path::new("/etc").join(file)).unwrap();
        for (user, number) in users.iter().zip(64_900..) {
            text.push_str(&match file {
                "passwd" => format!("{user}:x:{number}:{number}::/nonexistent:/bin/false\n"),
                _ => format!("{user}:x:{number}:\n"),
            });
        }
        std::fs::write(folder.join(file), text).unwrap();
    }
}

/// Exim on two ports: with STARTTLS, and with TLS from the first byte.
fn exim(own: &Certificate, folder: &Path) -> (Daemon, [u16; 2]) {
    let peer = Peer::fetch(&["exim4-daemon-light", "libgnutls-dane0", "libidn12"]).unwrap();
    let ports @ [clear, immediate] = [(); 2].map(|()| free_port().unwrap());
    let spool = "/var/spool/exim4";
    let config = format!(
        "primary_hostname = mail.example.com\nsmtp_banner = mail.example.com ESMTP Exim\nspool_directory = {spool}\n\
         log_file_path = {spool}/%slog\nlocal_interfaces = 127.0.0.1\ndaemon_smtp_ports = {clear} : {immediate}\n\
         tls_on_connect_ports = {immediate}\ntls_advertise_hosts = *\ntls_certificate = {}\ntls_privatekey = {}\n\
         acl_smtp_rcpt = deny\nkeep_environment =\nnever_users =\n",
        readable(&own.certificate, folder).display(),
        readable(&own.key, folder).display()
    );
    let etc = folder.join("etc");
    accounts(&etc, &["Debian-exim"]);
    std::fs::create_dir(etc.join("exim4")).unwrap();
    std::fs::write(etc.join("exim4/exim4.conf"), config).unwrap();
    let mut command = peer.installed(&etc, &["/run/exim4", spool], "sh");
    // As its package does when it is installed.
    command.args(["-c", &format!("chown 64900 {spool} && exec exim4 -bdf")]);
    (Daemon::listening(command, &folder.join("log"), local(clear)).unwrap(), ports)
}

/// A copy that the user of a server may read.
fn readable(file: &Path, folder: &Path) -> PathBuf {
    std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let copy = folder.join(file.file_name().unwrap());
    std::fs::copy(file, &copy).unwrap();
    std::fs::set_permissions(&copy, Permissions::from_mode(0o644)).unwrap();
    copy
}

#[test]
fn exim_is_asked() {
    if !root() {
        return;
    }
    let Some(authority) = Authority::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (_daemon, [clear, immediate]) = exim(&authority.good("mail.example.com"), folder.path());
    let greeting = "got \"220 mail.example.com ESMTP Exim\"";
    up(local(clear), smtp(MailTls::Off), greeting);
    let good = named("mail.example.com", &authority);
    up(local(clear), smtp(MailTls::Upgrade(good.clone())), greeting);
    up(local(immediate), smtp(MailTls::Immediate(good.clone())), greeting);
    let wrong = named("mx.example.com", &authority);
    let reason = "certificate is for mail.example.com, wanted mx.example.com";
    down(local(clear), smtp(MailTls::Upgrade(wrong.clone())), reason);
    down(local(immediate), smtp(MailTls::Immediate(wrong)), reason);
    down(local(clear), smtp(MailTls::Immediate(good)), "not TLS");
    let reason = "greeting: got \"220 mail.example.com ESMTP Exim\", wanted +OK";
    down(local(clear), pop3(MailTls::Off), reason);
}

#[test]
fn smtp_servers_that_misbehave() {
    let ask = || smtp(MailTls::Off);
    down(lines(&["554 no service\r\n"]), ask(), "greeting: got \"554 no service\", wanted 220");
    down(lines(&["220 mx\r\n", "421 busy\r\n"]), ask(), "EHLO: got \"421 busy\", wanted 250");
    up(lines(&["220 old\r\n", "502 what?\r\n", "250 hello\r\n", "221 bye\r\n"]), ask(), "got \"220 old\"");
    up(lines(&["220-a\r\n220 b\r\n", "250-a\r\n250 b\r\n", "221 bye\r\n"]), ask(), "got \"220-a\"");
    let never = lines(&["220 mx\r\n", "250-mx\r\n250 SIZE\r\n"]);
    let reason = "EHLO: server does not offer STARTTLS";
    down(never, smtp(MailTls::Upgrade(Tls::default())), reason);
    let early = lines(&["220 mx\r\n", "250 STARTTLS\r\n", "220 go\r\n250 injected\r\n"]);
    let reason = "STARTTLS: got \"250 injected\\r\\n\", wanted the TLS handshake";
    down(early, smtp(MailTls::Upgrade(Tls::default())), reason);
    let refuses = lines(&["220 mx\r\n", "250-mx\r\n250 STARTTLS\r\n", "454 not now\r\n"]);
    let reason = "STARTTLS: got \"454 not now\", wanted 220";
    down(refuses, smtp(MailTls::Upgrade(Tls::default())), reason);
    let long = format!("greeting: line longer than 8 KiB, got \"220 {}…\"", "a".repeat(36));
    down(endless("220 ", "a"), ask(), &long);
    down(endless("220-a\r\n", "220-a\r\n"), ask(), "greeting: answer larger than 64 KiB");
}

/// Dovecot for IMAP and POP3, each in clear and with TLS from the first byte.
fn dovecot(own: &Certificate, folder: &Path) -> (Daemon, [u16; 4]) {
    let peer = Peer::fetch(&["dovecot-core", "dovecot-imapd", "dovecot-pop3d"]).unwrap();
    let ports @ [imap, imaps, pop3, pop3s] = [(); 4].map(|()| free_port().unwrap());
    let listener = |name: &str, port, ssl| {
        format!("inet_listener {name} {{\n address = 127.0.0.1\n port = {port}\n ssl = {ssl}\n}}\n")
    };
    let config = format!(
        "protocols = imap pop3\nbase_dir = {here}/run\nstate_dir = {here}/state\nlog_path = /dev/stderr\n\
         ssl = yes\nssl_cert = <{certificate}\nssl_key = <{key}\ndisable_plaintext_auth = no\n\
         default_login_user = dovenull\ndefault_internal_user = dovecot\ndefault_internal_group = dovecot\n\
         mail_location = maildir:{here}/mail/%u\nfirst_valid_uid = 1\nauth_failure_delay = 0\nauth_username_chars =\n\
         passdb {{\n driver = static\n args = password=tiger\n}}\n\
         userdb {{\n driver = static\n args = uid=dovecot gid=dovecot home={here}\n}}\n\
         service imap-login {{\n chroot =\n{}{}}}\nservice pop3-login {{\n chroot =\n{}{}}}\n",
        listener("imap", imap, "no"),
        listener("imaps", imaps, "yes"),
        listener("pop3", pop3, "no"),
        listener("pop3s", pop3s, "yes"),
        here = folder.display(),
        certificate = own.certificate.display(),
        key = own.key.display(),
    );
    std::fs::write(folder.join("dovecot.conf"), config).unwrap();
    let etc = folder.join("etc");
    accounts(&etc, &["dovecot", "dovenull"]);
    // The box of the user that logs in.
    let mail = folder.join("mail");
    std::fs::create_dir(&mail).unwrap();
    std::os::unix::fs::chown(&mail, Some(64_900), Some(64_900)).unwrap();
    std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let mut command = peer.installed(&etc, &[], "dovecot");
    command.args(["-F", "-c"]).arg(folder.join("dovecot.conf"));
    (Daemon::listening(command, &folder.join("log"), local(pop3s)).unwrap(), ports)
}

#[test]
fn dovecot_is_asked() {
    if !root() {
        return;
    }
    let Some(authority) = Authority::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (_daemon, [imap_port, imaps, pop3_port, pop3s]) =
        dovecot(&authority.good("mail.example.com"), folder.path());
    let (good, wrong) = (named("mail.example.com", &authority), named("mx.example.com", &authority));
    let reason = "certificate is for mail.example.com, wanted mx.example.com";

    let ready = "got \"+OK Dovecot (Debian) ready.\"";
    up(local(pop3_port), pop3(MailTls::Off), ready);
    up(local(pop3_port), pop3(MailTls::Upgrade(good.clone())), ready);
    up(local(pop3s), pop3(MailTls::Immediate(good.clone())), ready);
    down(local(pop3_port), pop3(MailTls::Upgrade(wrong.clone())), reason);
    down(local(pop3s), pop3(MailTls::Immediate(wrong.clone())), reason);
    let log_in = |login: Login, tls| CheckKind::Pop3(Some(login), tls);
    up(local(pop3_port), log_in(login("bob", "tiger"), MailTls::Off), "got \"+OK Logged in.\"");
    up(
        local(pop3_port),
        log_in(login("bob", "tiger"), MailTls::Upgrade(good.clone())),
        "got \"+OK Logged in.\"",
    );
    let failed = "PASS: got \"-ERR [AUTH] Authentication failed.\", wanted +OK";
    down(local(pop3_port), log_in(login("bob", "lion"), MailTls::Off), failed);

    let ready = "got \"* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN…\"";
    up(local(imap_port), imap(MailTls::Off), ready);
    up(local(imap_port), imap(MailTls::Upgrade(good.clone())), ready);
    up(local(imaps), imap(MailTls::Immediate(good)), ready);
    down(local(imap_port), imap(MailTls::Upgrade(wrong.clone())), reason);
    down(local(imaps), imap(MailTls::Immediate(wrong)), reason);
    let log_in = |user: &str, password: &str| CheckKind::Imap(Some(login(user, password)), MailTls::Off);
    let done = "got \"l OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN…\"";
    up(local(imap_port), log_in("bob", "tiger"), done);
    up(local(imap_port), log_in("jürgen", "tiger"), done);
    let failed = "LOGIN: got \"l NO [AUTHENTICATIONFAILED] Authenticati…\", wanted l OK";
    down(local(imap_port), log_in("bob", "li\"on"), failed);
}

#[test]
fn pop3_and_imap_servers_that_misbehave() {
    down(lines(&["-ERR busy\r\n"]), pop3(MailTls::Off), "greeting: got \"-ERR busy\", wanted +OK");
    down(lines(&["+OKAY\r\n"]), pop3(MailTls::Off), "greeting: got \"+OKAY\", wanted +OK");
    down(lines(&["* BYE busy\r\n"]), imap(MailTls::Off), "greeting: got \"* BYE busy\", wanted * OK");
    // One that repeats what it hears: the password is not in the reason.
    let ask = CheckKind::Pop3(Some(login("bob", "tiger")), MailTls::Off);
    down(lines(&["+OK\r\n", "+OK\r\n"]), ask, "PASS: got \"PASS ***\", wanted +OK");
    let ask = CheckKind::Imap(Some(login("bob", "tiger")), MailTls::Off);
    down(lines(&["* OK\r\n"]), ask, "LOGIN: got \"l LOGIN \\\"bob\\\" \\\"***\\\"\", wanted l OK");
    let stls = pop3(MailTls::Upgrade(Tls::default()));
    down(lines(&["+OK\r\n", "-ERR no\r\n"]), stls, "STLS: got \"-ERR no\", wanted +OK");
}

#[test]
fn nothing_comes_or_too_slowly() {
    for ask in [smtp, pop3, imap] {
        late(silent(), ask(MailTls::Off));
        late(silent(), ask(MailTls::Immediate(Tls::default())));
        late(drip("220-+OK"), ask(MailTls::Off));
        down(nobody(), ask(MailTls::Off), "connection refused");
        let closes = super::scripted::serve(drop);
        down(closes, ask(MailTls::Off), "greeting: connection closed without an answer");
    }
}
