//! The clock by chrony of Debian and by servers that lie, refuse and say nothing. Nobody sets the clock of this machine:
//! `director run` only watches it.

use std::net::UdpSocket;
use std::time::{Duration, SystemTime};

use director::ipc::message::{Status, TimeStatus};
use director::role::Role;
use director_lab::namespace::Namespace;
use director_lab::peer::{Daemon, Peer};

use crate::rig::{Director, namespace};

/// Seconds from 1900 to 1970 (RFC 5905 section 6).
const ERA: u64 = 2_208_988_800;

/// What a scripted server does.
#[derive(Clone, Copy)]
pub enum Script {
    /// Says a time that is so many milliseconds ahead.
    Ahead(i64),
    /// Kiss-o'-death.
    Kiss([u8; 4]),
    /// Says that it does not know.
    Unsynchronised,
}

fn stamp(ahead: i64) -> [u8; 8] {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = if ahead < 0 {
        now - Duration::from_millis(ahead.unsigned_abs())
    } else {
        now + Duration::from_millis(ahead.unsigned_abs())
    };
    let seconds = u32::try_from(now.as_secs() + ERA).unwrap();
    let fraction = u32::try_from((u64::from(now.subsec_micros()) << 32) / 1_000_000).unwrap();
    let mut out = [0; 8];
    out[..4].copy_from_slice(&seconds.to_be_bytes());
    out[4..].copy_from_slice(&fraction.to_be_bytes());
    out
}

/// A server at port 123 of `address`, for as long as the test runs.
pub fn serve(ns: &Namespace, address: &'static str, script: Script) {
    let socket = ns.run(move || UdpSocket::bind((address, 123)).unwrap()).unwrap();
    std::thread::spawn(move || {
        let mut asked = [0; 512];
        while let Ok((48.., from)) = socket.recv_from(&mut asked) {
            let mut said = [0; 48];
            let (leap, stratum, ahead) = match script {
                Script::Ahead(ahead) => (0, 2, ahead),
                Script::Kiss(_) => (3, 0, 0),
                Script::Unsynchronised => (3, 16, 0),
            };
            said[0] = leap << 6 | 4 << 3 | 4;
            said[1] = stratum;
            said[3] = 0xec;
            if let Script::Kiss(code) = script {
                said[12..16].copy_from_slice(&code);
            }
            said[16..24].copy_from_slice(&stamp(ahead - 10_000));
            said[24..32].copy_from_slice(&asked[40..48]);
            said[32..40].copy_from_slice(&stamp(ahead));
            said[40..48].copy_from_slice(&stamp(ahead));
            socket.send_to(&said, from).unwrap();
        }
    });
}

/// chronyd in `ns`: it serves the clock of this machine and does not touch it.
fn chrony(ns: &Namespace, folder: &std::path::Path) -> Daemon {
    let config = folder.join("chrony.conf");
    let text = format!(
        "local stratum 8\nallow 127.0.0.0/8\nbindaddress 127.0.0.1\ncmdport 0\npidfile {0}/pid\ndriftfile {0}/drift\n",
        folder.display()
    );
    std::fs::write(&config, text).unwrap();
    let log = folder.join("chrony.log");
    let peer = Peer::fetch(&["chrony", "libnettle8", "libseccomp2", "libedit2", "libcap2"]).unwrap();
    ns.run(move || {
        let mut command = peer.command("usr/sbin/chronyd");
        command.args(["-x", "-d", "-u", "root", "-f"]).arg(config);
        Daemon::start(command, &log, answers).unwrap()
    })
    .unwrap()
}

/// Whether it serves a time yet.
fn answers() -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut packet = [0; 48];
    packet[0] = 4 << 3 | 3;
    let mut said = [0; 48];
    let sent = socket.send_to(&packet, "127.0.0.1:123");
    sent.is_ok() && socket.recv(&mut said).is_ok_and(|read| read == 48 && said[1] == 8)
}

fn status(director: &Director) -> Option<TimeStatus> {
    if let Some(Status::Time(status)) = director.status(Role::Time) { Some(status) } else { None }
}

#[test]
fn the_majority_is_believed_and_whoever_refuses_is_left_alone() {
    let Some(ns) = namespace("time") else { return };
    let folder = tempfile::tempdir().unwrap();
    let _chrony = chrony(&ns, folder.path());
    serve(&ns, "127.0.0.2", Script::Ahead(0));
    serve(&ns, "127.0.0.3", Script::Ahead(3_600_000));
    serve(&ns, "127.0.0.8", Script::Ahead(100));
    serve(&ns, "127.0.0.4", Script::Kiss(*b"DENY"));
    serve(&ns, "127.0.0.5", Script::Kiss(*b"RATE"));
    serve(&ns, "127.0.0.6", Script::Unsynchronised);
    let list =
        |last: &[u8]| last.iter().map(|last| format!("\"127.0.0.{last}\"")).collect::<Vec<_>>().join(", ");
    let director = Director::start(ns, &format!("[system]\nntp = [{}]\n", list(&[1, 2, 3, 4, 5, 6, 7])));
    let found =
        director.until("the clock is synchronised", |it| status(it).filter(|status| status.synchronised));
    assert!(!found.sets && found.steps == 0 && found.offset_us.unwrap().abs() < 100_000, "{found:?}");
    let [chrony, honest, liar, deny, rate, lost, nobody] = &found.servers[..] else { panic!("{found:?}") };
    assert!(
        chrony.chosen != honest.chosen && chrony.stratum == Some(8) && honest.stratum == Some(2),
        "{found:?}"
    );
    assert!(!liar.chosen && (3_599_000_000..3_601_000_000).contains(&liar.offset_us.unwrap()), "{liar:?}");
    for (server, why) in [
        (deny, "it does not want to be asked (DENY)"),
        (rate, "it wants to be asked less often: in 128 s"),
        (lost, "it does not know the time itself"),
        (nobody, "no answer: connection refused or no way to it"),
    ] {
        assert_eq!(server.problem.as_deref(), Some(why), "{server:?}");
    }

    // Two that contradict each other are as good as none; the host's clock is not touched by a single liar.
    director.reload(&format!("[system]\nntp = [{}]\n", list(&[2, 3])));
    let found = director.until("they disagree", |it| {
        status(it).filter(|status| status.servers.len() == 2 && status.problem.is_some())
    });
    let why = found.problem.unwrap();
    assert!(!found.synchronised && why.starts_with("the time servers disagree: 127.0.0.2 says "), "{why}");

    // What the appliance would step at its start is told, and left to the host.
    director.reload(&format!("[system]\nntp = [{}]\n", list(&[8])));
    let found = director.until("it is the only one", |it| status(it).filter(|status| status.synchronised));
    assert!(!found.sets && found.steps == 0, "{found:?}");
    assert!((50_000..400_000).contains(&found.offset_us.unwrap()), "{found:?}");
    director.reload(&format!("[system]\nntp = [{}]\n", list(&[3])));
    let found = director.until("it says an hour", |it| status(it).filter(|status| status.problem.is_some()));
    let why = found.problem.unwrap();
    assert!(why.starts_with("127.0.0.3 says that the clock of this host is off by +3"), "{why}");
    assert!((3_599_000_000..3_601_000_000).contains(&found.offset_us.unwrap()), "{why}");
    assert!(!found.synchronised && found.steps == 0 && !director.log().contains("clock stepped"));
    director.reload("");
    director.until("there are none", |it| status(it).filter(|status| status.servers.is_empty()));
}
