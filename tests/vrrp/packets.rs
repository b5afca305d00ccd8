//! Messages both ways, byte by byte. What keepalived sends was captured from keepalived 2.2.7.

use std::net::IpAddr;
use std::time::Duration;

use director::config::model::{VrrpChecksum, VrrpVersion};
use director::vrrp::auth::AuthField;
use director::vrrp::packet::{
    Advertisement, Decoded, Envelope, Reject, decode, peek_vrid, split_ipv4, wire_interval,
};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap())
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn envelope(source: &str, destination: &str) -> Envelope {
    Envelope::new(ip(source), ip(destination), 255)
}

fn advert(version: VrrpVersion, auth: AuthField, addresses: &[&str]) -> Advertisement {
    let addresses = addresses.iter().map(|text| ip(text)).collect();
    Advertisement { version, vrid: 51, priority: 255, interval: Duration::from_secs(1), auth, addresses }
}

/// The message decodes to `expected` and encodes to the same bytes.
fn both_ways(message: &str, envelope: Envelope, expected: &Advertisement, checksum: Option<VrrpChecksum>) {
    let message = bytes(message);
    let decoded = decode(envelope, &message).unwrap();
    let length = message.len();
    assert_eq!(decoded, Decoded { advert: expected.clone(), checksum, length, trailer: None });
    let encoded =
        expected.encode(envelope.source, envelope.destination, checksum.unwrap_or(VrrpChecksum::Rfc9568));
    assert_eq!(encoded.as_slice(), message);
}

#[test]
fn keepalived_version_2() {
    let expected = advert(VrrpVersion::V2, AuthField::default(), &["192.168.61.45", "192.168.61.46"]);
    both_ways(
        "2133 ff02 0001 e41b c0a8 3d2d c0a8 3d2e 0000 0000 0000 0000",
        envelope("192.168.61.1", "224.0.0.18"),
        &expected,
        None,
    );
}

#[test]
fn keepalived_version_2_with_a_password() {
    let auth = AuthField { kind: 1, data: *b"1111\0\0\0\0" };
    both_ways(
        "2133 ff01 0101 7e91 c0a8 3d2d 3131 3131 0000 0000",
        envelope("192.168.61.1", "224.0.0.18"),
        &advert(VrrpVersion::V2, auth, &["192.168.61.45"]),
        None,
    );
}

#[test]
fn keepalived_version_3_sums_the_pseudo_header() {
    let expected = advert(VrrpVersion::V3, AuthField::default(), &["192.168.61.45"]);
    let pseudo = Some(VrrpChecksum::PseudoHeader);
    both_ways("3133 ff01 0064 f357 c0a8 3d2d", envelope("192.168.61.1", "224.0.0.18"), &expected, pseudo);
    // To a unicast peer the pseudo-header has the peer's address.
    both_ways("3133 ff01 0064 d5bf c0a8 3d2d", envelope("192.168.61.1", "192.168.61.2"), &expected, pseudo);
}

#[test]
fn version_3_of_rfc_9568_sums_the_message_alone() {
    let expected = advert(VrrpVersion::V3, AuthField::default(), &["192.168.61.45"]);
    both_ways(
        "3133 ff01 0064 d190 c0a8 3d2d",
        envelope("192.168.61.1", "224.0.0.18"),
        &expected,
        Some(VrrpChecksum::Rfc9568),
    );
}

#[test]
fn keepalived_version_3_over_ipv6() {
    both_ways(
        "3133 ff02 0064 a472 fe80 0000 0000 0000 0000 0000 0000 0045 2001 0db8 0000 0000 0000 0000 0000 0045",
        envelope("fe80::1", "ff02::12"),
        &advert(VrrpVersion::V3, AuthField::default(), &["fe80::45", "2001:db8::45"]),
        None,
    );
}

#[test]
fn a_whole_datagram_with_padding_behind_it() {
    let datagram = bytes(
        "45c0 0020 0001 0000 ff70 dcf0 c0a8 3d01 e000 0012 3133 ff01 0064 f357 c0a8 3d2d 0000 0000 0000 0000 0000 0000 0000",
    );
    let (header, payload) = split_ipv4(&datagram).unwrap();
    assert_eq!(header, envelope("192.168.61.1", "224.0.0.18"));
    assert_eq!(payload.len(), 12);
    assert!(decode(header, payload).is_ok());
}

#[test]
fn ip_options_are_skipped() {
    let datagram =
        bytes("46c0 0024 0001 0000 ff70 0000 c0a8 3d01 e000 0012 9404 0000 3133 ff01 0064 f357 c0a8 3d2d");
    let (header, payload) = split_ipv4(&datagram).unwrap();
    assert!(decode(header, payload).is_ok());
}

const GOOD: &str = "3133 ff01 0064 d190 c0a8 3d2d";

fn refuse(message: &[u8]) -> Reject {
    decode(envelope("192.168.61.1", "224.0.0.18"), message).unwrap_err()
}

#[test]
fn each_fault_has_its_name() {
    let good = bytes(GOOD);
    let with = |at: usize, value: u8| {
        let mut message = good.clone();
        message[at] = value;
        refuse(&message)
    };
    assert_eq!(with(0, 0x41), Reject::Version(4));
    assert_eq!(with(0, 0x32), Reject::Type(2));
    assert_eq!(with(2, 100), Reject::Checksum);
    assert_eq!(with(3, 2), Reject::Length { have: 12, need: 16 });
    assert_eq!(refuse(&good[..7]), Reject::Length { have: 7, need: 8 });
    assert_eq!(refuse(&[]), Reject::Length { have: 0, need: 8 });
    let far = Envelope { ttl: 254, ..envelope("192.168.61.1", "224.0.0.18") };
    assert_eq!(decode(far, &good), Err(Reject::Ttl(254)));
    assert_eq!(refuse(&bytes("2133 ff01 0101 7e91 c0a8 3d2d")), Reject::Length { have: 12, need: 20 });
    let v2_over_v6 =
        decode(envelope("fe80::1", "ff02::12"), &bytes("2133 ff00 0001 0000 0000 0000 0000 0000"));
    assert_eq!(v2_over_v6, Err(Reject::Version(2)));
    assert_eq!(peek_vrid(&good), Some(51));
}

#[test]
fn reserved_bits_mean_nothing_and_bytes_behind_the_message_neither() {
    // RFC 9568 section 5.2.6: ignored on reception. The four bits are part of the checksum, though.
    let message = bytes("3133 ff01 f064 e18f c0a8 3d2d 0000 0000");
    let decoded = decode(envelope("192.168.61.1", "224.0.0.18"), &message).unwrap();
    assert_eq!(decoded.advert.interval, Duration::from_secs(1));
}

#[test]
fn truncated_headers_are_no_datagrams() {
    let datagram = bytes("45c0 0020 0001 0000 ff70 dcf0 c0a8 3d01 e000 0012 3133 ff01");
    assert_eq!(split_ipv4(&datagram), Err(Reject::Length { have: 24, need: 32 }));
    assert_eq!(split_ipv4(&datagram[..19]), Err(Reject::Length { have: 19, need: 20 }));
    let mut odd = datagram.clone();
    odd[0] = 0x4f; // a header longer than the datagram
    assert!(split_ipv4(&odd).is_err());
    odd[0] = 0x40; // a header shorter than a header
    odd[3] = 24;
    assert_eq!(split_ipv4(&odd).unwrap().1.len(), 4);
}

#[test]
fn no_bytes_make_the_decoder_stumble() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..50_000 {
        let length = usize::try_from(next() % 80).unwrap();
        let mut message: Vec<u8> = (0..length).map(|_| next().to_le_bytes()[3]).collect();
        if let Some(first) = message.first_mut() {
            *first = [0x21, 0x31, *first][usize::try_from(next() % 3).unwrap()];
        }
        let _ = split_ipv4(&message);
        let _ = decode(envelope("192.168.61.1", "224.0.0.18"), &message);
        let _ = decode(envelope("fe80::1", "ff02::12"), &message);
    }
}

#[test]
fn intervals_are_rounded_up_to_what_the_wire_can_say() {
    let ms = Duration::from_millis;
    for (version, given, wire) in [
        (VrrpVersion::V3, 10, 10),
        (VrrpVersion::V3, 15, 20),
        (VrrpVersion::V3, 1, 10),
        (VrrpVersion::V3, 40_950, 40_950),
        (VrrpVersion::V3, 50_000, 40_950),
        (VrrpVersion::V2, 1_000, 1_000),
        (VrrpVersion::V2, 1_500, 2_000),
        (VrrpVersion::V2, 10, 1_000),
    ] {
        assert_eq!(wire_interval(version, ms(given)), ms(wire), "{version:?} {given}");
    }
}

#[test]
fn the_longest_list_of_either_family_fits() {
    let mut long = advert(VrrpVersion::V3, AuthField::default(), &[]);
    for i in 0..255 {
        long.addresses.push(ip(&format!("2001:db8::{i:x}"))).unwrap();
    }
    let message = long.encode(ip("fe80::1"), ip("ff02::12"), VrrpChecksum::Rfc9568);
    assert_eq!(message.len(), 8 + 255 * 16);
    let decoded = decode(envelope("fe80::1", "ff02::12"), &message).unwrap();
    assert_eq!(decoded.advert, long);
}
