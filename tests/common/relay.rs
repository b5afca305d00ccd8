//! The same server by IPv6: a relay on `::1` that knows nothing of what it carries.

use std::io;
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use director::config::model::CheckKind;

/// Where a check of this kind finds `server` by IPv6; `None` where it asks nothing that a relay carries.
pub fn by_ipv6(server: SocketAddr, kind: &CheckKind) -> Option<SocketAddr> {
    match kind {
        _ if server.is_ipv6() => None,
        CheckKind::None | CheckKind::Ping | CheckKind::Arp | CheckKind::Sctp => None,
        CheckKind::Exec { .. } | CheckKind::File { .. } => None,
        CheckKind::Dns { tcp: false, .. } | CheckKind::Sip { tcp: false, .. } => Some(datagrams(server)),
        CheckKind::Radius { .. } | CheckKind::Udp { .. } => Some(datagrams(server)),
        _ => Some(streams(server)),
    }
}

fn streams(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    relay(listener, server);
    address
}

fn relay(listener: TcpListener, server: SocketAddr) {
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(server) else { continue };
            let (to, from) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            thread::spawn(move || carry(from, to));
            thread::spawn(move || carry(far, near));
        }
    });
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

fn datagrams(server: SocketAddr) -> SocketAddr {
    let near = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    let address = near.local_addr().unwrap();
    // What does not fit into a datagram is asked for by TCP.
    TcpListener::bind(address).into_iter().for_each(|listener| relay(listener, server));
    thread::spawn(move || {
        let mut datagram = [0; 65_536];
        while let Ok((length, client)) = near.recv_from(&mut datagram) {
            let far = UdpSocket::bind("127.0.0.1:0").unwrap();
            far.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            far.connect(server).unwrap();
            far.send(&datagram[..length]).unwrap();
            if let Ok(length) = far.recv(&mut datagram) {
                let _ = near.send_to(&datagram[..length], client);
            }
        }
    });
    address
}
