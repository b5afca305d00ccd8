//! The client of IPVS against the kernel and against `ipvsadm`: the same rules entered either way are the same table.
//!
//! In a guest with the shipped kernel: `cargo image test --only kernel/kernel_ipvs`. Each test has an empty table.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command as Program, Stdio};
use std::time::{Duration, Instant};

use director::config::model::SCHEDULERS;
use director::ipvs::{
    Client, Command, Family, Forward, Name, Persistence, Server, Service, ServiceId, Tunnel,
};
use director::lvs::diff::diff;
use director::lvs::state::State;

/// A client, or why there is none: these tests change the table of the network namespace that they run in.
macro_rules! client_or_skip {
    () => {
        match Client::connect() {
            _ if std::env::var_os("DIRECTOR_KERNEL_TEST").is_none() => {
                println!("skipped: not inside a test guest: `cargo image test --only kernel`");
                return;
            }
            other => other.unwrap(),
        }
    };
}

fn ipvsadm(arguments: &str) -> String {
    let out = Program::new("ipvsadm").args(arguments.split_whitespace()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "ipvsadm {arguments}: {}{text}", String::from_utf8_lossy(&out.stderr));
    text
}

/// The table as `ipvsadm -S` saves it, sorted: the kernel's order is that of its hash.
fn saved() -> BTreeSet<String> {
    ipvsadm("-S -n").lines().map(|line| line.trim().to_owned()).collect()
}

fn state(client: &mut Client) -> State {
    State::of(&client.table().unwrap())
}

fn apply(client: &mut Client, commands: &[Command]) {
    let failures = client.apply(commands).unwrap();
    assert!(failures.is_empty(), "{} refused: {}", failures.len(), failures[0]);
}

fn clear(client: &mut Client) {
    let commands = diff(&state(client), &State::default());
    apply(client, &commands);
    assert_eq!(saved(), BTreeSet::new());
}

fn tcp(address: &str) -> ServiceId {
    ServiceId::Address { address: address.parse().unwrap(), protocol: ServiceId::TCP }
}

fn udp(address: &str) -> ServiceId {
    ServiceId::Address { address: address.parse().unwrap(), protocol: ServiceId::UDP }
}

fn service(scheduler: &str) -> Service {
    Service { scheduler: Name::try_from(scheduler).unwrap(), flags: 0, persistence: None, engine: None }
}

fn persistent(scheduler: &str, timeout: u32, mask: u32) -> Service {
    Service { persistence: Some(Persistence { timeout, mask }), ..service(scheduler) }
}

fn server(forward: Forward, weight: u32) -> Server {
    Server { forward, weight, upper: 0, lower: 0, tunnel: Tunnel::default() }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Rules in `ipvsadm`'s words, and the commands that must make the same table.
fn rules() -> Vec<(&'static str, Command)> {
    use Command::{AddServer, AddService};
    use Forward::{Masquerade, Route, Tunnel as Tun};
    let web = tcp("192.0.2.1:80");
    let dns = udp("192.0.2.1:53");
    let web6 = tcp("[2001:db8::1]:443");
    let dns6 = udp("[2001:db8::1]:53");
    let any = tcp("192.0.2.9:0");
    let mark = ServiceId::Fwmark { mark: 5, family: Family::V4 };
    let mark6 = ServiceId::Fwmark { mark: 5, family: Family::V6 };
    let limits = Server { upper: 900, lower: 300, ..server(Masquerade, 7) };
    let gue = Server { tunnel: Tunnel { kind: 1, port: 6080, flags: 1 }, ..server(Tun, 3) };
    let gre = Server { tunnel: Tunnel { kind: 2, port: 0, flags: 0 }, ..server(Tun, 4) };
    let ports = Service { flags: 0x18, ..service("mh") };
    let single = Service { flags: 0x04, ..service("rr") };
    let sip = Service { engine: Name::try_from("sip").ok(), ..persistent("rr", 60, u32::MAX) };
    vec![
        ("-A -t 192.0.2.1:80 -s wlc", AddService(web, service("wlc"))),
        ("-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g", AddServer(web, address("10.0.0.1:80"), server(Route, 1))),
        (
            "-a -t 192.0.2.1:80 -r 10.0.0.2:8080 -m -w 7 -x 900 -y 300",
            AddServer(web, address("10.0.0.2:8080"), limits),
        ),
        (
            "-a -t 192.0.2.1:80 -r 10.0.0.3:80 -i -w 65535",
            AddServer(web, address("10.0.0.3:80"), server(Tun, 65535)),
        ),
        (
            "-a -t 192.0.2.1:80 -r 10.0.0.4:80 -i -w 3 --tun-type gue --tun-port 6080 --tun-csum",
            AddServer(web, address("10.0.0.4:80"), gue),
        ),
        (
            "-a -t 192.0.2.1:80 -r 10.0.0.5:80 -i -w 4 --tun-type gre",
            AddServer(web, address("10.0.0.5:80"), gre),
        ),
        (
            "-a -t 192.0.2.1:80 -r 10.0.0.6:80 -g -w 0",
            AddServer(web, address("10.0.0.6:80"), server(Route, 0)),
        ),
        ("-A -u 192.0.2.1:53 -s rr -o", AddService(dns, single)),
        ("-a -u 192.0.2.1:53 -r 10.0.0.1:53 -g", AddServer(dns, address("10.0.0.1:53"), server(Route, 1))),
        ("-A -t [2001:db8::1]:443 -s sh -p 50 -M 64", AddService(web6, persistent("sh", 50, 64))),
        (
            "-a -t [2001:db8::1]:443 -r [fd00::1]:443 -g -w 2",
            AddServer(web6, address("[fd00::1]:443"), server(Route, 2)),
        ),
        (
            "-a -t [2001:db8::1]:443 -r [fd00::2]:8443 -m -w 3",
            AddServer(web6, address("[fd00::2]:8443"), server(Masquerade, 3)),
        ),
        (
            "-a -t [2001:db8::1]:443 -r 10.0.0.7:443 -i",
            AddServer(web6, address("10.0.0.7:443"), server(Tun, 1)),
        ),
        ("-A -u [2001:db8::1]:53 -s mh -b mh-fallback,mh-port", AddService(dns6, ports)),
        (
            "-a -u [2001:db8::1]:53 -r [fd00::1]:53 -i",
            AddServer(dns6, address("[fd00::1]:53"), server(Tun, 1)),
        ),
        (
            "-A -t 192.0.2.9:0 -s wrr -p 360 -M 255.255.255.0",
            AddService(any, persistent("wrr", 360, 0xffff_ff00)),
        ),
        ("-a -t 192.0.2.9:0 -r 10.0.0.1:0 -g", AddServer(any, address("10.0.0.1:0"), server(Route, 1))),
        ("-A -f 5 -s lc -p 300", AddService(mark, persistent("lc", 300, u32::MAX))),
        ("-a -f 5 -r 10.0.0.1:0 -g", AddServer(mark, address("10.0.0.1:0"), server(Route, 1))),
        ("-A -f 5 -6 -s lc", AddService(mark6, service("lc"))),
        ("-a -f 5 -6 -r [fd00::1]:0 -m", AddServer(mark6, address("[fd00::1]:0"), server(Masquerade, 1))),
        ("-A -u 192.0.2.2:5060 -s rr -p 60 --pe sip", AddService(udp("192.0.2.2:5060"), sip)),
        ("-A -t 192.0.2.3:80 -s none", AddService(tcp("192.0.2.3:80"), service("none"))),
    ]
}

#[test]
fn the_same_rules_entered_by_ipvsadm_and_by_us_are_the_same_table() {
    let mut client = client_or_skip!();
    let rules = rules();
    for (words, _) in &rules {
        ipvsadm(words);
    }
    let (theirs, listed) = (saved(), ipvsadm("-L -n"));
    assert_eq!(theirs.len(), rules.len(), "{theirs:#?}");
    let read = state(&mut client);
    let mut expected = State::default();
    rules.iter().for_each(|(_, command)| expected.apply(command));
    assert_eq!(read, expected, "\nread:\n{read}\nexpected:\n{expected}");

    clear(&mut client);
    let commands: Vec<Command> = rules.into_iter().map(|(_, command)| command).collect();
    apply(&mut client, &commands);
    assert_eq!(saved(), theirs);
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(lines(&ipvsadm("-L -n")), lines(&listed));
    assert!(diff(&state(&mut client), &expected).is_empty(), "a second diff has nothing to do");
}

#[test]
fn every_scheduler_can_be_set_and_changed_to_every_other() {
    let mut client = client_or_skip!();
    let id = tcp("192.0.2.1:80");
    apply(&mut client, &[Command::AddService(id, service("none"))]);
    let two = [("10.0.0.1:80", 1), ("10.0.0.2:80", 2)];
    let add = two.map(|(at, weight)| Command::AddServer(id, address(at), server(Forward::Route, weight)));
    apply(&mut client, &add);
    for scheduler in SCHEDULERS {
        apply(&mut client, &[Command::EditService(id, service(scheduler))]);
        assert_eq!(
            saved().first().map(String::as_str),
            Some(format!("-A -t 192.0.2.1:80 -s {scheduler}").as_str())
        );
        assert_eq!(saved().len(), 3, "its servers stay");
    }
}

#[test]
fn edits_reach_what_ipvsadm_edits() {
    let mut client = client_or_skip!();
    let (id, rip) = (tcp("192.0.2.1:80"), address("10.0.0.1:80"));
    let begin = ["-A -t 192.0.2.1:80 -s wlc", "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g"];
    let limits = Server { upper: 10, lower: 5, ..server(Forward::Masquerade, 3) };
    for (theirs, ours) in [
        (
            "-E -t 192.0.2.1:80 -s rr -p 50 -M 255.255.0.0",
            Command::EditService(id, persistent("rr", 50, 0xffff_0000)),
        ),
        (
            "-E -t 192.0.2.1:80 -s sh -b sh-port",
            Command::EditService(id, Service { flags: 0x10, ..service("sh") }),
        ),
        ("-e -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 3 -x 10 -y 5", Command::EditServer(id, rip, limits)),
        (
            "-e -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 0",
            Command::EditServer(id, rip, server(Forward::Route, 0)),
        ),
        ("-d -t 192.0.2.1:80 -r 10.0.0.1:80", Command::DeleteServer(id, rip)),
        ("-D -t 192.0.2.1:80", Command::DeleteService(id)),
    ] {
        begin.iter().for_each(|words| drop(ipvsadm(words)));
        ipvsadm(theirs);
        let expected = (saved(), state(&mut client));
        clear(&mut client);
        begin.iter().for_each(|words| drop(ipvsadm(words)));
        apply(&mut client, &[ours]);
        assert_eq!((saved(), state(&mut client)), expected, "{theirs}");
        clear(&mut client);
    }
}

#[test]
fn persistence_is_switched_off_again() {
    let mut client = client_or_skip!();
    let id = tcp("192.0.2.1:80");
    apply(&mut client, &[Command::AddService(id, persistent("rr", 50, 0xffff_ff00))]);
    apply(&mut client, &[Command::EditService(id, service("rr"))]);
    assert_eq!(saved(), BTreeSet::from(["-A -t 192.0.2.1:80 -s rr".to_owned()]));
}

#[test]
fn what_the_kernel_refuses_is_told_and_the_rest_is_done() {
    let mut client = client_or_skip!();
    let (id, gone) = (tcp("192.0.2.1:80"), tcp("192.0.2.2:80"));
    let rip = address("10.0.0.1:80");
    let plain = server(Forward::Route, 1);
    let commands = [
        Command::AddService(id, service("rr")),
        Command::AddService(id, service("rr")),
        Command::AddService(gone, service("best")),
        Command::AddServer(gone, rip, plain),
        Command::EditServer(id, rip, plain),
        Command::AddServer(id, address("224.0.0.1:80"), plain),
        Command::AddServer(id, address("[fd00::1]:80"), plain),
        Command::AddServer(id, rip, plain),
        Command::DeleteServer(id, address("10.0.0.2:80")),
    ];
    let told: Vec<String> = client.apply(&commands).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "add service tcp 192.0.2.1:80 scheduler=rr: the service exists already",
            "add service tcp 192.0.2.2:80 scheduler=best: the kernel lacks this scheduler or persistence engine",
            "add server tcp 192.0.2.2:80 10.0.0.1:80 method=route weight=1: there is no such service",
            "edit server tcp 192.0.2.1:80 10.0.0.1:80 method=route weight=1: there is no such server",
            "add server tcp 192.0.2.1:80 224.0.0.1:80 method=route weight=1: the address is no unicast address here, or of \
             another family without tunnelling",
            "add server tcp 192.0.2.1:80 [fd00::1]:80 method=route weight=1: the address is no unicast address here, or of \
             another family without tunnelling",
            "delete server tcp 192.0.2.1:80 10.0.0.2:80: there is no such server",
        ]
    );
    assert_eq!(saved().len(), 2);
}

#[test]
fn a_batch_that_the_kernel_refuses_whole_loses_no_error() {
    let mut client = client_or_skip!();
    let gone = tcp("192.0.2.2:80");
    let command = Command::AddServer(gone, address("10.0.0.1:80"), server(Forward::Route, 1));
    let failures = client.apply(&vec![command; 2_000]).unwrap();
    assert_eq!(failures.len(), 2_000);
}

#[test]
fn info_and_timeouts_are_those_of_ipvsadm() {
    let mut client = client_or_skip!();
    let info = client.info().unwrap();
    assert!(info.connection_buckets >= 1 << 18, "conn_tab_bits of the shipped kernel: {info:?}");
    assert_eq!(info.version, 0x01_02_01);
    ipvsadm("--set 600 60 30");
    let timeouts = client.timeouts().unwrap();
    assert_eq!((timeouts.tcp, timeouts.tcp_fin, timeouts.udp), (600, 60, 30));
}

/// One thousand services with ten servers each.
fn large() -> Vec<Command> {
    let mut commands = Vec::new();
    for at in 0..1_000_u16 {
        let [high, low] = at.to_be_bytes();
        let id = ServiceId::Address {
            address: SocketAddr::from(([10, 1, high, low], 80)),
            protocol: ServiceId::TCP,
        };
        commands.push(Command::AddService(id, service("wlc")));
        for last in 1..=10 {
            let rip = SocketAddr::from(([10, 2, low, last], 80));
            commands.push(Command::AddServer(id, rip, server(Forward::Route, 1)));
        }
    }
    commands
}

/// The rate that netlink itself allows: the same messages, encoded beforehand, large sends, one acknowledgement each.
fn raw(commands: &[Command]) -> Duration {
    use director::ipvs::{codec, wire};
    use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
    use std::os::fd::AsRawFd;
    let family = Client::connect().unwrap().family();
    let socket =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::empty(), SockProtocol::NetlinkGeneric)
            .unwrap();
    let sends: Vec<Vec<u8>> = commands
        .chunks(256)
        .map(|chunk| {
            let mut w = wire::Writer::default();
            for (at, command) in chunk.iter().enumerate() {
                let ack = if at + 1 == chunk.len() { wire::ACK } else { 0 };
                w.message(family, wire::REQUEST | ack, 1, codec::number(command), |w| {
                    codec::encode(w, command)
                });
            }
            w.bytes().to_vec()
        })
        .collect();
    let mut answer = [0; 4096];
    let begun = Instant::now();
    for bytes in &sends {
        send(socket.as_raw_fd(), bytes, MsgFlags::empty()).unwrap();
        assert_eq!(recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap(), 36);
        assert_eq!(answer[16..20], [0; 4], "the kernel refuses");
    }
    begun.elapsed()
}

#[test]
fn a_large_table_is_entered_at_the_rate_of_netlink() {
    drop(client_or_skip!());
    let commands = large();
    let mut expected = State::default();
    commands.iter().for_each(|command| expected.apply(command));
    let script: String = rules_of(&commands);
    // Alternating, and the best of three each: the machine under the emulator does other things too.
    let (mut ours, mut bare) = (Duration::MAX, Duration::MAX);
    for _ in 0..3 {
        let mut client = fresh();
        let begun = Instant::now();
        apply(&mut client, &commands);
        ours = ours.min(begun.elapsed());
        assert_eq!(state(&mut client), expected);
        fresh();
        bare = bare.min(raw(&commands));
    }
    let mut client = fresh();
    let begun = Instant::now();
    restore(&script);
    let theirs = begun.elapsed();
    let begun = Instant::now();
    let read = state(&mut client);
    let dump = begun.elapsed();
    assert_eq!(read, expected);
    let ratio = bare.as_secs_f64() / ours.as_secs_f64();
    println!(
        "{} commands: ours {ours:?}, bare netlink {bare:?} ({:.0} % of its rate), ipvsadm -R {theirs:?}; dump {dump:?}",
        commands.len(),
        ratio * 100.0
    );
    // A build without optimization spends its time encoding.
    assert!(ratio >= if cfg!(debug_assertions) { 0.05 } else { 0.7 }, "{ratio}");
    assert!(theirs >= ours * 2, "ipvsadm -R took {theirs:?}, we {ours:?}");
}

/// A new network namespace: servers deleted in the old one would slow additions down for two minutes.
fn fresh() -> Client {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    // Without a single address the kernel takes no real server: it cannot tell a unicast address from others.
    director_lab::command::output("ip", &["link", "set", "lo", "up"]).unwrap();
    Client::connect().unwrap()
}

fn rules_of(commands: &[Command]) -> String {
    let line = |command: &Command| match command {
        Command::AddService(ServiceId::Address { address, .. }, _) => format!("-A -t {address} -s wlc\n"),
        Command::AddServer(ServiceId::Address { address, .. }, rip, _) => {
            format!("-a -t {address} -r {rip} -g -w 1\n")
        }
        other => panic!("{other}"),
    };
    commands.iter().map(line).collect()
}

fn restore(script: &str) {
    let mut child = Program::new("ipvsadm").arg("-R").stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}
