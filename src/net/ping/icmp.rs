//! Echo requests and what answers them, as bytes (RFC 792, RFC 4443), by smoltcp's codec.

use std::net::IpAddr;

use smoltcp::phy::{Checksum, ChecksumCapabilities};
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, Ipv4Packet};

/// Octets after the ICMP header, as everybody sends them.
const PAYLOAD: [u8; 56] = [0x61; 56];

/// What a message says about our question.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is answered.
    Answer,
    /// A router on the way has dropped it: too many hops.
    Expired,
    /// It cannot be delivered, and why.
    Refused(String),
}

/// The question `seq` to `target`.
pub fn question(target: IpAddr, ident: u16, seq: u16) -> Vec<u8> {
    let (seq_no, data) = (seq, PAYLOAD.as_slice());
    match target {
        IpAddr::V4(_) => {
            let repr = Icmpv4Repr::EchoRequest { ident, seq_no, data };
            let mut bytes = vec![0; repr.buffer_len()];
            let checksums = ChecksumCapabilities::default();
            repr.emit(&mut Icmpv4Packet::new_unchecked(&mut bytes), &checksums);
            bytes
        }
        IpAddr::V6(any) => {
            let repr = Icmpv6Repr::EchoRequest { ident, seq_no, data };
            let mut bytes = vec![0; repr.buffer_len()];
            // The kernel fills in the checksum: it knows the source address (RFC 3542 section 3.1).
            repr.emit(&any, &any, &mut Icmpv6Packet::new_unchecked(&mut bytes), &unchecked());
            bytes
        }
    }
}

/// What a message that came from `from` says about the question `seq` to `target`; `None` if it is about something else.
/// IPv4 messages come with their IP header, IPv6 messages without, as raw sockets give them.
pub fn judge(message: &[u8], from: IpAddr, target: IpAddr, ident: u16, seq: u16) -> Option<Heard> {
    match target {
        IpAddr::V4(_) => judge_v4(message, ident, seq),
        IpAddr::V6(_) => judge_v6(message, ident, seq),
    }
    .filter(|heard| *heard != Heard::Answer || from == target)
}

fn unchecked() -> ChecksumCapabilities {
    let mut checksums = ChecksumCapabilities::default();
    checksums.icmpv6 = Checksum::None;
    checksums
}

/// Judges an IPv4 packet, as raw sockets give it.
fn judge_v4(packet: &[u8], ident: u16, seq: u16) -> Option<Heard> {
    let packet = Ipv4Packet::new_checked(packet).ok()?;
    let icmp = Icmpv4Packet::new_checked(packet.payload()).ok()?;
    match Icmpv4Repr::parse(&icmp, &ChecksumCapabilities::default()).ok()? {
        Icmpv4Repr::EchoReply { ident: i, seq_no, .. } if (i, seq_no) == (ident, seq) => Some(Heard::Answer),
        Icmpv4Repr::DstUnreachable { reason, data, .. } if quoted(data, ident, seq) => {
            Some(Heard::Refused(reason.to_string().to_lowercase()))
        }
        Icmpv4Repr::TimeExceeded { data, .. } if quoted(data, ident, seq) => Some(Heard::Expired),
        _ => None,
    }
}

/// Judges an ICMPv6 message.
fn judge_v6(message: &[u8], ident: u16, seq: u16) -> Option<Heard> {
    let icmp = Icmpv6Packet::new_checked(message).ok()?;
    let any = std::net::Ipv6Addr::UNSPECIFIED;
    match Icmpv6Repr::parse(&any, &any, &icmp, &unchecked()).ok()? {
        Icmpv6Repr::EchoReply { ident: i, seq_no, .. } if (i, seq_no) == (ident, seq) => Some(Heard::Answer),
        Icmpv6Repr::DstUnreachable { reason, data, .. } if quoted(data, ident, seq) => {
            Some(Heard::Refused(reason.to_string().to_lowercase()))
        }
        Icmpv6Repr::TimeExceeded { data, .. } if quoted(data, ident, seq) => Some(Heard::Expired),
        _ => None,
    }
}

/// Whether an error quotes our question: the first eight octets of it.
fn quoted(data: &[u8], ident: u16, seq: u16) -> bool {
    data.get(4..6) == Some(&ident.to_be_bytes()) && data.get(6..8) == Some(&seq.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_answer_counts() {
        let [target, other]: [IpAddr; 2] = ["2001:db8::1", "2001:db8::2"].map(|text| text.parse().unwrap());
        let mut reply = vec![129, 0, 0, 0, 0x12, 0x34, 0, 7];
        reply.extend_from_slice(&PAYLOAD);
        assert_eq!(judge(&reply, target, target, 0x1234, 7), Some(Heard::Answer));
        assert_eq!(judge(&reply, other, target, 0x1234, 7), None);
        assert_eq!(judge(&reply, target, target, 0x1234, 8), None);
        assert_eq!(judge(&reply, target, target, 0x4321, 7), None);
        assert_eq!(judge(&[], target, target, 1, 1), None);
        let v4 = "192.168.61.1".parse().unwrap();
        assert_eq!(judge(&[0x45; 30], v4, v4, 1, 1), None);
    }

    #[test]
    fn a_router_that_refuses_quotes_the_question() {
        let target: IpAddr = "2001:db8::1".parse().unwrap();
        let question = question(target, 0x1234, 7);
        // Type 1, code 0: no route to destination; then the IPv6 header and the question.
        let mut refusal = vec![1, 0, 0, 0, 0, 0, 0, 0, 0x60, 0, 0, 0];
        refusal.extend_from_slice(&u16::try_from(question.len()).unwrap().to_be_bytes());
        refusal.extend_from_slice(&[58, 64]);
        refusal.extend_from_slice(&[0; 32]);
        refusal.extend_from_slice(&question);
        let router = "2001:db8::ff".parse().unwrap();
        assert!(matches!(judge(&refusal, router, target, 0x1234, 7), Some(Heard::Refused(_))));
        assert_eq!(judge(&refusal, router, target, 0x1234, 8), None);
    }
}
