//! DNS against NSD.

use director::check::Outcome;
use director::config::model::CheckKind;
use director_lab::peer::Daemon;

use crate::ask::{ask, bad, fetch, free_port, good, local};
use crate::residue::{Asked, asks_alone, leave_nothing};

const PACKAGES: &[&str] = &["nsd", "libevent-2.1-7", "libfstrm0", "libprotobuf-c1", "libssl3"];

const ZONE: &str = r#"
$ORIGIN example.com.
$TTL 60
@ SOA ns admin 1 3600 900 86400 60
@ NS ns
ns A 192.0.2.53
www A 192.0.2.1
www AAAA 2001:db8::1
@ MX 10 mail
@ TXT "v=spf1 -all"
@ CAA 0 issue "ca.example.net"
@ TYPE65280 \# 4 0a000001
alias CNAME www
"#;

fn dns(name: &str, record: &str, expect: &[&str], tcp: bool) -> CheckKind {
    let expect = expect.iter().map(|&wanted| wanted.to_owned()).collect();
    CheckKind::Dns { name: name.to_owned(), record: record.to_owned(), expect, tcp }
}

#[test]
fn nsd_is_asked_for_every_type() {
    if asks_alone() {
        return;
    }
    let Some(peer) = fetch(PACKAGES) else { return };
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let at = folder.path().display();
    // More addresses than fit into 512 bytes, which UDP answers without EDNS may have.
    let many: String = (0..100).map(|n| format!("many A 198.51.100.{n}\n")).collect();
    std::fs::write(folder.path().join("zone"), format!("{ZONE}{many}")).unwrap();
    let config = folder.path().join("nsd.conf");
    // By itself it answers 200 questions a second over UDP, and lets the rest wait in vain.
    let text = format!(
        "server:\n ip-address: 127.0.0.1@{port}\n username: \"\"\n chroot: \"\"\n database: \"\"\n pidfile: \"\"\n \
         zonesdir: {at}\n zonelistfile: {at}/list\n xfrdfile: {at}/xfrd\n xfrdir: {at}\n logfile: \"\"\n \
         server-count: 1\n rrl-ratelimit: 0\n\
         remote-control:\n control-enable: no\n\
         zone:\n name: example.com\n zonefile: zone\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = peer.command("usr/sbin/nsd");
    command.arg("-d").arg("-c").arg(&config);
    let log = folder.path().join("log");
    let soa = || dns("example.com", "SOA", &[], false);
    let ready = || matches!(ask(local(port), soa()), Outcome::Success(_));
    let _nsd = Daemon::start(command, &log, ready).unwrap();

    let of = |name: &str, record: &str, expect: &[&str]| {
        let udp = ask(local(port), dns(name, record, expect, false));
        let tcp = ask(local(port), dns(name, record, expect, true));
        assert_eq!(udp, tcp, "{name} {record}");
        udp
    };
    assert_eq!(of("www.example.com", "A", &["192.0.2.1"]), good("answered 192.0.2.1"));
    assert_eq!(of("www.example.com.", "AAAA", &["2001:DB8:0::1"]), good("answered 2001:db8::1"));
    assert_eq!(of("example.com", "MX", &["10 mail.example.com"]), good("answered 10 mail.example.com."));
    assert_eq!(of("example.com", "TXT", &["\"v=spf1 -all\""]), good("answered \"v=spf1 -all\""));
    assert_eq!(of("example.com", "CAA", &[]), good("answered 0 issue \"ca.example.net\""));
    assert_eq!(of("example.com", "TYPE65280", &["\\# 4 0A000001"]), good("answered \\# 4 0a 00 00 01"));
    let wanted = "ns.example.com. admin.example.com. 1 3600 900 86400 60";
    assert_eq!(of("example.com", "SOA", &[wanted]), good(format!("answered {wanted}")));
    assert_eq!(of("www.example.com", "MX", &[]), good("answered without a record"));
    assert_eq!(of("alias.example.com", "A", &["192.0.2.1"]), good("answered 192.0.2.1"));
    assert_eq!(
        of("many.example.com", "A", &["198.51.100.99"]),
        good("answered 198.51.100.99"),
        "cut short over UDP, so asked by TCP"
    );
    assert_eq!(
        of("www.example.com", "A", &["192.0.2.9", "192.0.2.8"]),
        bad("answered 192.0.2.1, wanted 192.0.2.9 or 192.0.2.8")
    );
    assert_eq!(of("no.example.com", "A", &[]), bad("NXDOMAIN for no.example.com A"));
    assert_eq!(of("example.net", "A", &[]), bad("REFUSED for example.net A"));
    names(port);

    let asked = [
        Asked::good(local(port), dns("www.example.com", "A", &["192.0.2.1"], false)),
        Asked::good(local(port), dns("www.example.com", "AAAA", &[], true)),
        Asked::good(local(port), dns("many.example.com", "A", &["198.51.100.99"], false)),
        Asked::bad(local(port), dns("no.example.com", "A", &[], false)),
    ];
    leave_nothing("dns::nsd_is_asked_for_every_type", &asked, 2_000);
}

/// The same server as a name server of the box.
fn names(port: u16) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let resolve = |ports: &[u16], name: &str| {
        let servers: Vec<_> = ports.iter().map(|port| local(*port)).collect();
        let found = runtime.block_on(director::names::resolve(&servers, name))?;
        Ok::<_, String>(found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(resolve(&[port], "www.example.com").unwrap(), "192.0.2.1 2001:db8::1");
    assert_eq!(resolve(&[port], "alias.example.com.").unwrap(), "192.0.2.1 2001:db8::1");
    assert_eq!(resolve(&[port], "many.example.com").unwrap().split(' ').count(), 100, "by TCP");
    // One that does not answer is passed over; one that knows that there is no such name decides.
    assert_eq!(resolve(&[free_port(), port], "ns.example.com").unwrap(), "192.0.2.53");
    let why = resolve(&[port, free_port()], "no.example.com").unwrap_err();
    assert_eq!(why, "no.example.com: no such name, says 127.0.0.1");
    let why = resolve(&[port], "example.com").unwrap_err();
    assert_eq!(why, "example.com: 127.0.0.1 knows no address of it");
    assert!(resolve(&[port], "example.net").unwrap_err().contains("REFUSED"));
    assert!(resolve(&[], "example.net").unwrap_err().contains("no name server is known"));
}
