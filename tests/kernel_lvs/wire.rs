//! What the worker says to the kernel, as strace reads it.

use std::process::{Child, Stdio};

use director::ipvs::codec::command;

use super::*;

/// Those that only ask.
const ASKS: [u8; 5] =
    [command::GET_SERVICE, command::GET_DEST, command::GET_DAEMON, command::GET_CONFIG, command::GET_INFO];

/// Follows what a process sends.
struct Trace {
    strace: Child,
    file: tempfile::NamedTempFile,
}

impl Trace {
    fn of(pid: u32) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut strace = director_lab::command::bound("strace");
        strace
            .args(["-f", "-v", "-yy", "-xx", "-s", "65536", "-e", "trace=sendto,sendmsg", "-o"])
            .arg(file.path());
        strace.args(["-p", &pid.to_string()]).stderr(Stdio::piped());
        let mut strace = strace.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(strace.stderr.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.contains("attached"), "{said}");
        Self { strace, file }
    }

    /// The commands of IPVS that do more than ask, as their numbers.
    fn changes(mut self) -> Vec<u8> {
        let pid = self.strace.id().to_string();
        director_lab::command::output("kill", &["-INT", &pid]).unwrap();
        self.strace.wait().unwrap();
        let text = std::fs::read_to_string(self.file.path()).unwrap();
        let sent = text.lines().flat_map(commands).collect::<Vec<u8>>();
        assert!(!sent.is_empty(), "{text}");
        sent.into_iter().filter(|command| !ASKS.contains(command)).collect()
    }
}

/// Each message is a header and, in quotes, the rest: command, version (struct genlmsghdr). Those of nftables are of version 0.
fn commands(line: &str) -> impl Iterator<Item = u8> {
    let rests = line.split("}, \"\\x").skip(1);
    rests.filter_map(|rest| u8::from_str_radix(rest.split_once("\\x01\\x00\\x00")?.0, 16).ok())
}

#[test]
fn one_weight_is_one_message() {
    let mut rig = rig_or_skip!();
    // A hundred services, checked each second, of which one server may have another weight.
    let text = |odd: u32| -> String {
        let servers = |weight| [FRONT[0], ("10.79.0.22:80", weight), ("10.79.0.23:80", 3)];
        let one = |at: u16| {
            let weight = if at == 50 { odd } else { 2 };
            service(&format!("s{at}"), &format!("{VIP4}:{}", 8000 + at), "nat", "", &servers(weight))
        };
        (0..100).map(one).collect()
    };
    rig.activate(&text(2));
    rig.start();
    until("all servers are in the table", || rig.table().len() == 400);
    let trace = Trace::of(rig.worker.pid());
    rig.reload(&text(7));
    until("the weight is in the table", || rig.table().iter().any(|line| line.ends_with("-w 7")));
    assert_eq!(trace.changes(), [command::SET_DEST]);
}
