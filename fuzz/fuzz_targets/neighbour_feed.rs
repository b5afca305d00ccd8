//! What is done with answers of a gateway, by the fuzz target and by the test that replays the corpus.

use std::net::{Ipv4Addr, Ipv6Addr};

use director::check::neighbour::{advertises, reply};
use director::units::Mac;

/// The first byte says what the others are: 0 ARP, else ICMPv6.
pub fn feed(data: &[u8]) {
    let Some((way, bytes)) = data.split_first() else { return };
    let holds = |address: &[u8]| bytes.windows(address.len()).any(|part| part == address);
    if *way == 0 {
        let (ours, gateway) = (Mac([2, 0, 0, 0, 0, 1]), Ipv4Addr::new(192, 168, 61, 254));
        if let Some(theirs) = reply(bytes, ours, gateway) {
            assert!(holds(&theirs.0) && holds(&ours.0) && holds(&gateway.octets()), "taken from nowhere");
        }
    } else {
        let gateway = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x254);
        assert!(!advertises(bytes, gateway) || holds(&gateway.octets()), "taken from nowhere");
    }
}
