//! DHCP messages as bytes (RFC 2131 section 2, RFC 2132, RFC 3442), by smoltcp's codec.

use std::net::Ipv4Addr;

use smoltcp::phy::{Checksum, ChecksumCapabilities};
use smoltcp::wire::{
    DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress,
    IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

use crate::units::{Cidr, Mac};

/// Largest message that we ask for and read, in bytes: what fits a frame of 1500.
pub const MAX_MESSAGE: u16 = 1472;

const OPTION_ROUTERS: u8 = 3;
const OPTION_DNS: u8 = 6;
const OPTION_HOST_NAME: u8 = 12;
const OPTION_NTP: u8 = 42;
const OPTION_CLASSLESS_ROUTES: u8 = 121;
/// What we want to know; classless routes before the routers that they replace (RFC 3442).
const WANTED: &[u8] = &[1, OPTION_CLASSLESS_ROUTES, OPTION_ROUTERS, OPTION_DNS, OPTION_NTP, 51, 54, 58, 59];
/// BOOTP relays and old servers drop what is shorter (RFC 1542 section 2.1).
const SHORTEST: usize = 300;

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// DHCPDISCOVER or DHCPREQUEST.
    pub kind: Asking,
    /// Transaction.
    pub xid: u32,
    /// Seconds since the client began to ask.
    pub secs: u16,
    /// Hardware address of the link.
    pub mac: Mac,
    /// The address in use (`ciaddr`), unspecified before there is one.
    pub using: Ipv4Addr,
    /// The address asked for (option 50).
    pub requested: Option<Ipv4Addr>,
    /// The server meant (option 54).
    pub server: Option<Ipv4Addr>,
    /// Whether the answer should be broadcast.
    pub broadcast: bool,
    /// Name of the box (option 12).
    pub hostname: Option<String>,
}

/// Kind of a message of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// Is there a server?
    Discover,
    /// This address, please.
    Request,
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// DHCPOFFER, DHCPACK or DHCPNAK.
    pub kind: Answer,
    /// Transaction.
    pub xid: u32,
    /// Whom it is for.
    pub mac: Mac,
    /// The address granted (`yiaddr`).
    pub address: Ipv4Addr,
    /// Who says it (option 54).
    pub server: Option<Ipv4Addr>,
    /// Prefix length of the subnet.
    pub prefix: Option<u8>,
    /// Routes: of option 121, else by the routers of option 3.
    pub routes: Vec<(Cidr, Option<Ipv4Addr>)>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// Time servers (option 42).
    pub ntp: Vec<Ipv4Addr>,
    /// Length of the lease in seconds; `u32::MAX` = for ever.
    pub lease: Option<u32>,
    /// T1 in seconds.
    pub renew: Option<u32>,
    /// T2 in seconds.
    pub rebind: Option<u32>,
}

/// Kind of a message of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// You could have this.
    Offer,
    /// It is yours.
    Ack,
    /// It is not.
    Nak,
}

impl Outgoing {
    /// As bytes; `None` only if the codec refuses, which a bounded host name excludes.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let hostname =
            self.hostname.as_deref().map(|name| DhcpOption { kind: OPTION_HOST_NAME, data: name.as_bytes() });
        let repr = DhcpRepr {
            message_type: match self.kind {
                Asking::Discover => DhcpMessageType::Discover,
                Asking::Request => DhcpMessageType::Request,
            },
            transaction_id: self.xid,
            secs: self.secs,
            client_hardware_address: EthernetAddress(self.mac.0),
            client_ip: self.using,
            your_ip: Ipv4Addr::UNSPECIFIED,
            server_ip: Ipv4Addr::UNSPECIFIED,
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            router: None,
            subnet_mask: None,
            broadcast: self.broadcast,
            requested_ip: self.requested,
            client_identifier: Some(EthernetAddress(self.mac.0)),
            server_identifier: self.server,
            parameter_request_list: Some(WANTED),
            dns_servers: None,
            max_size: Some(MAX_MESSAGE),
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: hostname.as_slice(),
        };
        let mut bytes = vec![0; repr.buffer_len().max(SHORTEST)];
        repr.emit(&mut DhcpPacket::new_unchecked(&mut *bytes)).ok()?;
        Some(bytes)
    }
}

impl Incoming {
    /// Reads what a server sent; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let packet = DhcpPacket::new_checked(bytes).ok()?;
        let repr = DhcpRepr::parse(&packet).ok()?;
        let kind = match repr.message_type {
            DhcpMessageType::Offer => Answer::Offer,
            DhcpMessageType::Ack => Answer::Ack,
            DhcpMessageType::Nak => Answer::Nak,
            _ => return None,
        };
        let option = |kind: u8| packet.options().find(|option| option.kind == kind).map(|option| option.data);
        let routers = option(OPTION_ROUTERS).map(addresses).unwrap_or_default();
        let routes = match option(OPTION_CLASSLESS_ROUTES).and_then(classless) {
            Some(routes) => routes,
            None => routers.first().map(|router| (ANY, Some(*router))).into_iter().collect(),
        };
        Some(Self {
            kind,
            xid: repr.transaction_id,
            mac: Mac(repr.client_hardware_address.0),
            address: repr.your_ip,
            server: repr.server_identifier,
            prefix: repr.subnet_mask.and_then(prefix),
            routes,
            dns: option(OPTION_DNS).map(addresses).unwrap_or_default(),
            ntp: option(OPTION_NTP).map(addresses).unwrap_or_default(),
            lease: repr.lease_duration,
            renew: repr.renew_duration,
            rebind: repr.rebind_duration,
        })
    }
}

const ANY: Cidr = Cidr { address: std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0 };

fn addresses(data: &[u8]) -> Vec<Ipv4Addr> {
    let (whole, _) = data.as_chunks::<4>();
    whole.iter().map(|octets| Ipv4Addr::from(*octets)).collect()
}

/// Prefix length of a mask whose ones come first.
fn prefix(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    (bits.leading_ones() == bits.count_ones()).then(|| u8::try_from(bits.leading_ones()).ok()).flatten()
}

/// Option 121: prefix length, as many octets of the destination as it needs, gateway; `None` if it is malformed.
fn classless(mut data: &[u8]) -> Option<Vec<(Cidr, Option<Ipv4Addr>)>> {
    let mut routes = Vec::new();
    while let Some((prefix, rest)) = data.split_first() {
        let (significant, rest) = rest.split_at_checked(usize::from(prefix.div_ceil(8)))?;
        let (gateway, rest) = rest.split_first_chunk::<4>()?;
        let mut octets = [0; 4];
        octets.get_mut(..significant.len())?.copy_from_slice(significant);
        let to = Cidr { address: Ipv4Addr::from(octets).into(), prefix: *prefix }.network();
        routes.push((to, Some(Ipv4Addr::from(*gateway)).filter(|gateway| !gateway.is_unspecified())));
        data = rest;
    }
    Some(routes)
}

/// Puts a message to a server into UDP and IPv4, for a socket that knows neither.
#[must_use]
pub fn wrap(message: &[u8], from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let checksums = ChecksumCapabilities::default();
    let udp = UdpRepr { src_port: DHCP_CLIENT_PORT, dst_port: DHCP_SERVER_PORT };
    let ip = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + message.len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; ip.buffer_len() + ip.payload_len];
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes);
    ip.emit(&mut packet, &checksums);
    let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
    let copy = |payload: &mut [u8]| payload.copy_from_slice(message);
    udp.emit(&mut datagram, &from.into(), &to.into(), message.len(), copy, &checksums);
    bytes
}

/// The message inside an IPv4 packet to the port of DHCP clients.
#[must_use]
pub fn unwrap(packet: &[u8]) -> Option<&[u8]> {
    // The UDP checksum of a neighbour on the same machine is filled in by a network card that is not there.
    let mut checksums = ChecksumCapabilities::default();
    checksums.udp = Checksum::None;
    let packet = Ipv4Packet::new_checked(packet).ok()?;
    let ip = Ipv4Repr::parse(&packet, &checksums).ok()?;
    if ip.next_header != IpProtocol::Udp || packet.more_frags() || packet.frag_offset() != 0 {
        return None;
    }
    let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
    let udp = UdpRepr::parse(&datagram, &ip.src_addr.into(), &ip.dst_addr.into(), &checksums).ok()?;
    (udp.dst_port == DHCP_CLIENT_PORT).then(|| datagram.payload())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A server's message by hand: fixed part, cookie, options.
    pub fn answer(kind: u8, xid: u32, mac: Mac, address: Ipv4Addr, options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; 240];
        bytes[..4].copy_from_slice(&[2, 1, 6, 0]);
        bytes[4..8].copy_from_slice(&xid.to_be_bytes());
        bytes[16..20].copy_from_slice(&address.octets());
        bytes[28..34].copy_from_slice(&mac.0);
        bytes[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        for (kind, data) in [(53, &[kind][..])].iter().chain(options) {
            bytes.extend_from_slice(&[*kind, u8::try_from(data.len()).unwrap()]);
            bytes.extend_from_slice(data);
        }
        bytes.push(255);
        bytes
    }

    const MAC: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);

    #[test]
    fn a_request_has_what_servers_look_for() {
        let request = Outgoing {
            kind: Asking::Request,
            xid: 0x0102_0304,
            secs: 3,
            mac: MAC,
            using: Ipv4Addr::UNSPECIFIED,
            requested: Some(Ipv4Addr::new(192, 168, 61, 44)),
            server: Some(Ipv4Addr::new(192, 168, 61, 1)),
            broadcast: true,
            hostname: Some("lb1".to_owned()),
        };
        let bytes = request.encode().unwrap();
        assert!(bytes.len() >= SHORTEST);
        assert_eq!(bytes[..12], [1, 1, 6, 0, 1, 2, 3, 4, 0, 3, 0x80, 0]);
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(has(&[53, 1, 3]) && has(&[50, 4, 192, 168, 61, 44]) && has(&[54, 4, 192, 168, 61, 1]));
        assert!(has(&[61, 7, 1, 0x52, 0x54, 0, 0, 0, 1]) && has(b"\x0c\x03lb1"));
        let packet = wrap(&bytes, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
        assert_eq!(packet[20..24], [0, 68, 0, 67]);
        assert_eq!(unwrap(&packet), None, "for the server's port");
    }

    #[test]
    fn an_answer_gives_mask_routes_and_times() {
        let bytes = answer(
            5,
            7,
            MAC,
            Ipv4Addr::new(10, 0, 0, 9),
            &[
                (1, &[255, 255, 254, 0]),
                (3, &[10, 0, 0, 1, 10, 0, 0, 2]),
                (6, &[8, 8, 8, 8, 9, 9, 9, 9]),
                (51, &[0, 0, 14, 16]),
                (54, &[10, 0, 0, 1]),
            ],
        );
        let ack = Incoming::decode(&bytes).unwrap();
        assert_eq!((ack.kind, ack.xid, ack.mac, ack.prefix), (Answer::Ack, 7, MAC, Some(23)));
        assert_eq!(ack.routes, [(ANY, Some(Ipv4Addr::new(10, 0, 0, 1)))]);
        assert_eq!(ack.dns.len(), 2);
        assert_eq!((ack.lease, ack.renew), (Some(3600), None));
    }

    #[test]
    fn classless_routes_replace_the_router() {
        let data = [0, 10, 0, 0, 1, 24, 192, 168, 9, 10, 0, 0, 2, 8, 172, 0, 0, 0, 0];
        let bytes = answer(2, 7, MAC, Ipv4Addr::new(10, 0, 0, 9), &[(3, &[10, 0, 0, 77]), (121, &data)]);
        let offer = Incoming::decode(&bytes).unwrap();
        let words: Vec<String> = offer.routes.iter().map(|(to, via)| format!("{to} {via:?}")).collect();
        assert_eq!(words, ["0.0.0.0/0 Some(10.0.0.1)", "192.168.9.0/24 Some(10.0.0.2)", "172.0.0.0/8 None"]);
        assert_eq!(classless(&[33, 1, 2, 3, 4, 5, 10, 0, 0, 1]), None);
        assert_eq!(classless(&[24, 1, 2]), None);
    }

    #[test]
    fn junk_is_nothing() {
        assert_eq!(Incoming::decode(&[]), None);
        assert_eq!(Incoming::decode(&[0; 300]), None);
        assert_eq!(unwrap(&[0x45; 40]), None);
        assert_eq!(prefix(Ipv4Addr::new(255, 0, 255, 0)), None);
        let request = answer(3, 7, MAC, Ipv4Addr::LOCALHOST, &[]);
        assert_eq!(Incoming::decode(&request), None, "a client's message");
    }

    #[test]
    fn damaged_messages_never_panic() {
        let routes = [24, 192, 168, 9, 10, 0, 0, 2, 0, 10, 0, 0, 1];
        let options: [(u8, &[u8]); 4] =
            [(1, &[255, 255, 255, 0]), (3, &[10, 0, 0, 1]), (121, &routes), (6, &[8, 8, 8, 8])];
        let whole = answer(5, 7, MAC, Ipv4Addr::new(10, 0, 0, 9), &options);
        let packet = wrap(&whole, Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST);
        let mut random = 1_u32;
        let mut draw = |below: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            usize::try_from(random >> 8).unwrap() % below
        };
        for _ in 0..20_000 {
            let mut message = whole.clone();
            let mut frame = packet.clone();
            for _ in 0..3 {
                // Behind the cookie, where lengths are.
                let (at, value) = (240 + draw(whole.len() - 240), u8::try_from(draw(256)).unwrap());
                message[at] = value;
                let at = draw(40);
                frame[at] = value;
            }
            message.truncate(230 + draw(whole.len() - 229));
            let _ = Incoming::decode(&message);
            let _ = unwrap(&frame).and_then(Incoming::decode);
        }
    }
}
