//! How checks are read.

use super::*;

#[test]
fn silence_is_waited_for_longer_than_a_neighbour() {
    let config = model("everything.toml", None);
    let checks = config.services.iter().flat_map(|service| service.everybody()).flat_map(|it| &it.checks);
    let udp: Vec<_> = checks.filter(|check| check.kind.name() == "udp").collect();
    assert!(!udp.is_empty());
    for check in udp {
        let CheckKind::Udp { reply, .. } = &check.kind else { panic!() };
        let seconds = (check.interval.as_secs(), check.timeout.as_secs());
        assert_eq!(seconds, if reply.is_none() { (5, 4) } else { (2, 1) });
    }
}

#[test]
fn every_type_of_check_is_read() {
    let config = model("everything.toml", None);
    let service = |name: &str| config.services.iter().find(|service| service.name == name).unwrap();
    let words: Vec<_> = service("kinds")
        .servers
        .iter()
        .map(|server| {
            let check = server.checks.first()?;
            Some((check.kind.name(), check.port))
        })
        .collect();
    let at = |word, port| Some((word, Some(port)));
    let without = |word| Some((word, None));
    assert_eq!(
        words,
        [
            at("tcp", 7),
            at("tls", 7),
            at("http", 80),
            at("https", 443),
            at("proxy", 3128),
            at("smtp", 25),
            at("smtps", 465),
            at("dns", 53),
            at("dns", 53),
            at("udp", 7),
            at("sctp", 7),
            without("exec"),
            without("exec"),
            without("file"),
            at("ftp", 21),
            at("pop3", 110),
            at("pop3s", 995),
            at("imap", 143),
            at("imaps", 993),
            at("nntp", 119),
            at("nntps", 563),
            at("ldap", 389),
            at("ldaps", 636),
            at("mysql", 3306),
            at("pgsql", 5432),
            at("radius", 1812),
            at("sip", 5060),
            None,
        ]
    );
    let kind = |index: usize| &service("kinds").servers[index].checks[0].kind;
    assert_eq!(
        *kind(1),
        CheckKind::Tls(
            Dialogue { send: vec![0, 0xff, 0x1a], expect: Some("(?s-u)\\xff".parse().unwrap()) },
            Tls::default()
        )
    );
    let dns = |name: &str, record: &str, expect: &[&str], tcp| CheckKind::Dns {
        name: name.to_owned(),
        record: record.to_owned(),
        expect: expect.iter().map(ToString::to_string).collect(),
        tcp,
    };
    assert_eq!(*kind(7), dns("www.example.com.", "AAAA", &["2001:db8::1"], true));
    assert_eq!(*kind(8), dns(".", "SOA", &[], false));
    let exec = |args: &[&str], endpoints, weight| CheckKind::Exec {
        command: "/bin/check-it".to_owned(),
        args: args.iter().map(ToString::to_string).collect(),
        endpoints,
        weight,
    };
    assert_eq!(*kind(11), exec(&["--quick check"], true, true));
    assert_eq!(*kind(12), exec(&["--quick"], false, false));
    let login =
        |user: &str, password: &str| Some(Login { user: user.to_owned(), password: password.to_owned() });
    assert_eq!(*kind(14), CheckKind::Ftp(login("anonymous", "")));
    assert_eq!(*kind(17), CheckKind::Imap(None, MailTls::Upgrade(Tls::default())));
    let CheckKind::Smtp { helo, .. } = kind(6) else { panic!("{:?}", kind(6)) };
    assert_eq!(helo, "lb1.example.com", "the name of the box");

    let checked = service("checked");
    let words = |index: usize| checked.servers[index].checks.iter().map(|check| check.kind.name());
    assert_eq!(words(0).collect::<Vec<_>>(), ["https", "tls", "ping"]);
    assert_eq!(words(1).collect::<Vec<_>>(), ["tcp", "agent"]);
    let [https, tls, ping] = checked.servers[0].checks.as_slice() else { panic!() };
    assert_eq!((https.interval, https.fast), (Duration::from_secs(10), Duration::from_secs(1)));
    let CheckKind::Http(http) = &https.kind else { panic!() };
    assert_eq!(http.digest.as_deref(), Some("d41d8cd98f00b204e9800998ecf8427e"));
    assert_eq!((http.paths.len(), http.headers.len(), http.redirects, &http.body[..]), (2, 2, 2, &b"{}"[..]));
    let CheckKind::Tls(_, settings) = &tls.kind else { panic!() };
    assert!(settings.ca.is_some() && settings.identity.is_some());
    assert_eq!((settings.expiry, tls.route), (Duration::from_secs(14 * 86_400), ProbeRoute::Vip));
    assert_eq!((ping.mark, ping.source.map(|ip| ip.to_string()).as_deref()), (5, Some("192.168.61.44")));
}

/// A mark that Director chooses is the same on both boxes, and after other services came or went.
#[test]
fn a_list_of_one_word_is_one_word() {
    let program = |command: &str| {
        let text = format!(
            "version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"192.0.2.1/24\"]\n[[service]]\nname = \"s\"\n\
             listen = \"192.0.2.1:80\"\nmethod = \"nat\"\ncheck = {{ type = \"exec\", command = {command} }}\n\
             server = [{{ address = \"10.0.0.1\" }}]\n"
        );
        let config = check(text.into_bytes(), "director.toml", &NodeFacts::default()).unwrap().config;
        let CheckKind::Exec { command, args, .. } = &config.services[0].servers[0].checks[0].kind else {
            panic!()
        };
        (command.clone(), args.clone())
    };
    assert_eq!(program("\"/bin/ask me\""), ("/bin/ask".to_owned(), vec!["me".to_owned()]));
    assert_eq!(program("[\"/bin/ask me\"]"), ("/bin/ask me".to_owned(), Vec::new()));
    assert_eq!(program("[\"/bin/ask\", \"me too\"]"), ("/bin/ask".to_owned(), vec!["me too".to_owned()]));
}
