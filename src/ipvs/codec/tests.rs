use std::net::SocketAddr;

use super::decode::{decode_stats, find};
use super::*;
use crate::ipvs::table::{
    Command, Connections, Family, Forward, Name, Persistence, Rates, Server, Service, ServiceId, Stats,
    Tunnel,
};
use crate::ipvs::wire::{ACK, REQUEST};
use crate::netlink::wire::{Writer, attributes};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(u8::is_ascii_hexdigit)
        .map(|b| u8::try_from(char::from(b).to_digit(16).unwrap()).unwrap())
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn service(scheduler: &str, persistence: Option<Persistence>) -> Service {
    Service { scheduler: Name::try_from(scheduler).unwrap(), flags: 0, persistence, engine: None }
}

fn encoded(command: &Command) -> Vec<u8> {
    let mut w = Writer::default();
    encode(&mut w, command);
    w.bytes().to_vec()
}

const WEB: &str = "192.168.61.45:80";

fn web() -> ServiceId {
    ServiceId::Address { address: WEB.parse().unwrap(), protocol: ServiceId::TCP }
}

#[test]
#[cfg(target_endian = "little")]
fn a_service_as_bytes() {
    let command =
        Command::AddService(web(), service("wlc", Some(Persistence { timeout: 50, mask: 0xffff_ff00 })));
    let expected = hex("4800 0100
         0600 0100 0200 0000
         0600 0200 0600 0000
         0800 0300 c0a83d2d
         0600 0400 0050 0000
         0800 0600 776c6300
         0c00 0700 01000000 ffffffff
         0800 0800 32000000
         0800 0900 ffffff00");
    assert_eq!(encoded(&command), expected);
}

#[test]
#[cfg(target_endian = "little")]
fn a_server_as_bytes() {
    let server = Server { forward: Forward::Route, weight: 2, upper: 0, lower: 0, tunnel: Tunnel::default() };
    let mut w = Writer::default();
    let command = Command::AddServer(web(), "192.168.61.33:80".parse().unwrap(), server);
    w.message(0x1c, REQUEST | ACK, 1, number(&command), |w| encode(w, &command));
    let expected = hex("74000000 1c00 0500 01000000 00000000
         05 01 0000
         2400 0100
           0600 0100 0200 0000
           0600 0200 0600 0000
           0800 0300 c0a83d2d
           0600 0400 0050 0000
         3c00 0200
           0600 0b00 0200 0000
           0800 0100 c0a83d21
           0600 0200 0050 0000
           0800 0300 03000000
           0800 0400 02000000
           0800 0500 00000000
           0800 0600 00000000");
    assert_eq!(w.bytes(), expected);
}

/// What goes to the kernel and what comes back differ in form only: reading back what was written gives the same.
#[test]
fn what_is_written_reads_back() {
    let v6 = ServiceId::Address { address: "[2001:db8::45]:53".parse().unwrap(), protocol: ServiceId::UDP };
    let mark = ServiceId::Fwmark { mark: 7, family: Family::V6 };
    let sip = Service {
        flags: 0x18,
        engine: Some(Name::try_from("sip").unwrap()),
        ..service("mh", Some(Persistence { timeout: 300, mask: 64 }))
    };
    for (id, service) in [
        (web(), service("wrr", None)),
        (web(), service("rr", Some(Persistence { timeout: 1, mask: 0xffff_0000 }))),
        (v6, sip),
        (mark, service("none", None)),
    ] {
        let bytes = encoded(&Command::EditService(id, service.clone()));
        let read = decode_service(&bytes).unwrap();
        assert_eq!((read.id, read.service), (id, service));
    }
    let gue = Tunnel { kind: 1, port: 6080, flags: 1 };
    for (address, server) in [
        (
            "10.0.0.1:80",
            Server { forward: Forward::Masquerade, weight: 0, upper: 9, lower: 3, tunnel: Tunnel::default() },
        ),
        ("[fd00::1]:0", Server { forward: Forward::Tunnel, weight: 65535, upper: 0, lower: 0, tunnel: gue }),
    ] {
        let address: SocketAddr = address.parse().unwrap();
        let bytes = encoded(&Command::AddServer(v6, address, server));
        let read = decode_server(Family::V6, &bytes).unwrap();
        assert_eq!((read.address, read.server), (address, server));
    }
}

#[test]
fn without_persistence_the_mask_is_whole() {
    let bytes = encoded(&Command::AddService(web(), service("rr", None)));
    let body = find(&bytes, CMD_SERVICE).unwrap();
    assert_eq!(find(body, SVC_NETMASK).unwrap(), [0xff; 4]);
    let v6 = ServiceId::Fwmark { mark: 7, family: Family::V6 };
    let bytes = encoded(&Command::AddService(v6, service("rr", None)));
    let body = find(&bytes, CMD_SERVICE).unwrap();
    assert_eq!(find(body, SVC_NETMASK).unwrap(), 128_u32.to_ne_bytes());
}

#[test]
fn kernel_answers_cut_short_are_errors_and_never_panic() {
    let bytes = encoded(&Command::AddService(web(), service("wlc", None)));
    for end in 0..bytes.len() {
        assert!(decode_service(&bytes[..end]).is_err(), "{end}");
        let _ = decode_server(Family::V4, &bytes[..end]);
        let _ = decode_info(&bytes[..end]);
        let _ = decode_timeouts(&bytes[..end]);
    }
}

#[test]
fn counters_and_rates_are_told_apart() {
    let mut w = Writer::default();
    w.nested(SVC_STATS64, |w| {
        for (kind, number) in (STATS_CONNS..=STATS_OUTBPS).zip(1_u64..) {
            w.attribute(kind, &(number << 40).to_ne_bytes());
        }
    });
    let (_, value) = attributes(w.bytes()).next().unwrap().unwrap();
    let read = decode_stats(value).unwrap();
    let numbers = [read.connections, read.packets_in, read.packets_out, read.bytes_in, read.bytes_out];
    assert_eq!(numbers.map(|number| number >> 40), [1, 2, 3, 4, 5]);
    let Rates { connections, packets_in, packets_out, bytes_in, bytes_out } = read.rates;
    let numbers = [connections, packets_in, packets_out, bytes_in, bytes_out];
    assert_eq!(numbers.map(|number| number >> 40), [6, 7, 8, 9, 10]);
}

/// Linux 6.12 about the rules `-A -t [2001:db8::1]:443 -s sh -b sh-port -p 50 -M 64`,
/// `-a … -r 10.0.0.7:443 -i -w 3 --tun-type gue --tun-port 6080 --tun-csum -x 900 -y 300` and
/// `-A -f 5 -s wlc -p 300 -M 255.255.255.0` of ipvsadm.
#[test]
#[cfg(target_endian = "little")]
fn what_the_kernel_says() {
    let payload = |text: &str| hex(text).split_off(crate::ipvs::wire::GENERIC_HEADER);
    let entry = decode_service(&payload(include_str!("service.hex"))).unwrap();
    let id = ServiceId::Address { address: "[2001:db8::1]:443".parse().unwrap(), protocol: ServiceId::TCP };
    let sticky = Persistence { timeout: 50, mask: 64 };
    assert_eq!(entry.id, id);
    assert_eq!(entry.service, Service { flags: 0x10, ..service("sh", Some(sticky)) });
    assert_eq!(entry.stats, Stats::default());

    let entry = decode_server(Family::V6, &payload(include_str!("server.hex"))).unwrap();
    let tunnel = Tunnel { kind: 1, port: 6080, flags: 1 };
    let server = Server { forward: Forward::Tunnel, weight: 3, upper: 900, lower: 300, tunnel };
    assert_eq!((entry.address, entry.server), ("10.0.0.7:443".parse().unwrap(), server));
    assert_eq!(entry.connections, Connections::default());

    let entry = decode_service(&payload(include_str!("fwmark.hex"))).unwrap();
    assert_eq!(entry.id, ServiceId::Fwmark { mark: 5, family: Family::V4 });
    assert_eq!(entry.service, service("wlc", Some(Persistence { timeout: 300, mask: 0xffff_ff00 })));
}

/// Bytes that were changed, cut and lengthened at random (the same in every run) are refused or read, and never more.
#[test]
fn damaged_answers_never_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut roll = |below: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        usize::try_from(state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % below
    };
    let server = Server {
        forward: Forward::Tunnel,
        weight: 1,
        upper: 2,
        lower: 1,
        tunnel: Tunnel { kind: 1, port: 2, flags: 3 },
    };
    let whole = Persistence { timeout: 50, mask: u32::MAX };
    let samples = [
        encoded(&Command::AddService(web(), service("wlc", Some(whole)))),
        encoded(&Command::AddServer(web(), "10.0.0.1:80".parse().unwrap(), server)),
    ];
    for _ in 0..50_000 {
        let mut bytes = samples[roll(samples.len())].clone();
        for _ in 0..=roll(3) {
            let at = roll(bytes.len());
            bytes[at] = u8::try_from(roll(256)).unwrap();
        }
        bytes.truncate(1 + roll(bytes.len()));
        let _ = decode_service(&bytes);
        let _ = decode_server(Family::V6, &bytes);
        let _ = decode_info(&bytes);
        let _ = decode_timeouts(&bytes);
        assert!(crate::ipvs::wire::messages(&bytes).count() <= bytes.len());
    }
}
