//! ARP for IPv4 (RFC 826) and neighbour discovery for IPv6 (RFC 4861), as bytes, by smoltcp's codec.

use std::net::{Ipv4Addr, Ipv6Addr};

use smoltcp::phy::{Checksum, ChecksumCapabilities};
use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress, Icmpv6Packet, Icmpv6Repr, NdiscRepr};

use crate::units::Mac;

/// The request for the hardware address of `target`, behind the Ethernet header.
#[must_use]
pub fn request(mac: Mac, source: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(mac.0),
        source_protocol_addr: source,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    };
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut ArpPacket::new_unchecked(&mut bytes));
    bytes
}

/// Who answers for `target`, if this is the reply to a request of `mac`.
#[must_use]
pub fn reply(bytes: &[u8], mac: Mac, target: Ipv4Addr) -> Option<Mac> {
    let ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: EthernetAddress(answers),
        source_protocol_addr,
        target_hardware_addr: EthernetAddress(asked),
        ..
    } = ArpRepr::parse(&ArpPacket::new_checked(bytes).ok()?).ok()?
    else {
        return None;
    };
    (source_protocol_addr == target && asked == mac.0).then_some(Mac(answers))
}

/// The solicitation of `target`. The kernel fills in the checksum: it knows the source address (RFC 3542 section 3.1).
#[must_use]
pub fn solicitation(mac: Mac, target: Ipv6Addr) -> Vec<u8> {
    let repr = Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit {
        target_addr: target,
        lladdr: Some(EthernetAddress(mac.0).into()),
    });
    let mut bytes = vec![0; repr.buffer_len()];
    let any = Ipv6Addr::UNSPECIFIED;
    repr.emit(&any, &any, &mut Icmpv6Packet::new_unchecked(&mut bytes), &unchecked());
    bytes
}

/// Whether this is the advertisement of `target`.
#[must_use]
pub fn advertises(bytes: &[u8], target: Ipv6Addr) -> bool {
    let any = Ipv6Addr::UNSPECIFIED;
    let Ok(packet) = Icmpv6Packet::new_checked(bytes) else { return false };
    match Icmpv6Repr::parse(&any, &any, &packet, &unchecked()) {
        Ok(Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert { target_addr, .. })) => target_addr == target,
        _ => false,
    }
}

/// Where all hear that may have `target` (RFC 4291 section 2.7.1).
#[must_use]
pub fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = target.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (high & 0xff), low)
}

fn unchecked() -> ChecksumCapabilities {
    let mut checksums = ChecksumCapabilities::default();
    checksums.icmpv6 = Checksum::None;
    checksums
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 2]);

    #[test]
    fn a_request_and_its_reply() {
        let [source, target] =
            ["192.168.61.1", "192.168.61.22"].map(|text| text.parse::<Ipv4Addr>().unwrap());
        let question = request(OURS, source, target);
        let wanted =
            [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 168, 61, 1, 0, 0, 0, 0, 0, 0, 192, 168, 61, 22];
        assert_eq!(question, wanted);
        assert_eq!(reply(&question, OURS, target), None);
        let mut answer = request(THEIRS, target, source);
        answer[7] = 2;
        answer[18..24].copy_from_slice(&OURS.0);
        assert_eq!(reply(&answer, OURS, target), Some(THEIRS));
        assert_eq!(reply(&answer, OURS, source), None);
        assert_eq!(reply(&answer, THEIRS, target), None);
        crate::check::fuzz::mutations(&answer, |bytes| {
            let _ = reply(bytes, OURS, target);
        });
    }

    #[test]
    fn a_solicitation_and_its_advertisement() {
        let target: Ipv6Addr = "2001:db8::1:22".parse().unwrap();
        let question = solicitation(OURS, target);
        let mut wanted = vec![135, 0, 0, 0, 0, 0, 0, 0];
        wanted.extend_from_slice(&target.octets());
        wanted.extend_from_slice(&[1, 1, 2, 0, 0, 0, 0, 1]);
        assert_eq!(question, wanted);
        assert_eq!(solicited_node(target), "ff02::1:ff01:22".parse::<Ipv6Addr>().unwrap());
        let mut answer = question.clone();
        (answer[0], answer[4], answer[24]) = (136, 0x60, 2);
        assert!(advertises(&answer, target) && !advertises(&question, target));
        assert!(!advertises(&answer, Ipv6Addr::LOCALHOST));
        crate::check::fuzz::mutations(&answer, |bytes| {
            let _ = advertises(bytes, target);
        });
    }
}
