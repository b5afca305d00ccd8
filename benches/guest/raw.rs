//! The rate that netlink itself allows: messages encoded beforehand, large sends, one acknowledgement each.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use director::ipvs::{Client, Command, codec, wire};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// Commands in one send.
const BATCH: usize = 256;

/// How long the kernel of this namespace takes for `commands`.
pub fn write(commands: &[Command]) -> Duration {
    let family = Client::connect().unwrap().family();
    let socket =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::empty(), SockProtocol::NetlinkGeneric)
            .unwrap();
    let sends: Vec<Vec<u8>> = commands.chunks(BATCH).map(|chunk| encoded(family, chunk)).collect();
    let mut answer = [0; 4096];
    let begun = Instant::now();
    for bytes in &sends {
        send(socket.as_raw_fd(), bytes, MsgFlags::empty()).unwrap();
        recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
        assert_eq!(answer[16..20], [0; 4], "the kernel refuses");
    }
    begun.elapsed()
}

fn encoded(family: u16, chunk: &[Command]) -> Vec<u8> {
    let mut w = wire::Writer::default();
    for (at, command) in chunk.iter().enumerate() {
        let ack = if at + 1 == chunk.len() { wire::ACK } else { 0 };
        w.message(family, wire::REQUEST | ack, 1, codec::number(command), |w| codec::encode(w, command));
    }
    w.bytes().to_vec()
}
