//! Connections as `/proc/net/ip_vs_conn` lists them, a line each (kernel: `ip_vs_conn_seq_show` in
//! net/netfilter/ipvs/ip_vs_conn.c). Pure: lines in, values out.
//!
//! ```text
//! Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
//! TCP 0A4F0001 C350 0A4F0064 0050 0A4F0015 0050 ESTABLISHED     899
//! ```
//!
//! IPv4 addresses are eight hexadecimal digits, IPv6 addresses eight groups of four; a tunnel may mix them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where the kernel lists the connections of the reader's network namespace.
pub const LIST: &str = "/proc/net/ip_vs_conn";

/// A connection, or a persistence template (client port 0): a client that returns to its real server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection<'a> {
    /// `TCP`, `UDP`, `SCTP`; `IP` for the template of a firewall mark.
    pub protocol: &'a str,
    /// Who connected; port 0 and grouped by the persistence mask in a template.
    pub client: SocketAddr,
    /// What was connected to: VIP and port. In the template of a firewall mark the mark as an address, with port 0.
    pub listen: SocketAddr,
    /// RIP and port.
    pub server: SocketAddr,
    /// In the kernel's words: `ESTABLISHED`, `SYN_RECV`, `FIN_WAIT`, …; `NONE` or `ASSURED` of a template.
    pub state: &'a str,
    /// Time until it is forgotten, seconds.
    pub expires: u32,
    /// What a persistence engine knows: `sip CALL-ID`.
    pub engine: Option<&'a str>,
}

impl<'a> Connection<'a> {
    /// Reads a line; `None` when it is none of a connection, such as the heading.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Self> {
        let mut rest = line;
        let mut word = || {
            rest = rest.trim_start();
            let (word, after) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
            rest = after;
            (!word.is_empty()).then_some(word)
        };
        let protocol = word()?;
        let client = endpoint(word()?, word()?)?;
        let listen = endpoint(word()?, word()?)?;
        let server = endpoint(word()?, word()?)?;
        let (state, expires) = (word()?, word()?.parse().ok()?);
        let engine = Some(rest.trim()).filter(|data| !data.is_empty());
        Some(Self { protocol, client, listen, server, state, expires, engine })
    }

    /// Whether this is no connection but the memory of one.
    #[must_use]
    pub const fn is_template(&self) -> bool {
        self.client.port() == 0
    }

    /// The IP protocol number; 0 for the template of a firewall mark.
    #[must_use]
    pub fn protocol_number(&self) -> u8 {
        match self.protocol {
            "TCP" => super::ServiceId::TCP,
            "UDP" => super::ServiceId::UDP,
            "SCTP" => super::ServiceId::SCTP,
            _ => 0,
        }
    }

    /// The firewall mark of a template that belongs to one.
    #[must_use]
    pub fn mark(&self) -> Option<u32> {
        match self.listen.ip() {
            _ if self.protocol != "IP" => None,
            IpAddr::V4(address) => Some(u32::from(address)),
            // `union nf_inet_addr` with its first word set, net/netfilter/ipvs/ip_vs_core.c: ip_vs_sched_persist.
            IpAddr::V6(address) => u32::try_from(u128::from(address) >> 96).ok(),
        }
    }
}

fn endpoint(address: &str, port: &str) -> Option<SocketAddr> {
    let port = u16::from_str_radix(port, 16).ok()?;
    let ip = if address.contains(':') {
        IpAddr::V6(address.parse::<Ipv6Addr>().ok()?)
    } else if address.len() == 8 {
        IpAddr::V4(Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?))
    } else {
        return None;
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData";

    #[test]
    fn reads_both_families_and_tunnels_between_them() {
        let line = "TCP 0A4F0001 C350 0A4F0064 0050 0A4F0015 1F90 ESTABLISHED     899";
        let read = Connection::parse(line).unwrap();
        assert_eq!((read.protocol, read.state, read.expires, read.engine), ("TCP", "ESTABLISHED", 899, None));
        let shown = [read.client, read.listen, read.server].map(|address| address.to_string());
        assert_eq!(shown, ["10.79.0.1:50000", "10.79.0.100:80", "10.79.0.21:8080"]);

        let line = "UDP fd79:0000:0000:0000:0000:0000:0000:0001 0035 fd79:0000:0000:0000:0000:0000:0000:0100 0035 \
                    0A4F0015 0035 UDP             299";
        let read = Connection::parse(line).unwrap();
        let shown = [read.client, read.listen, read.server].map(|address| address.to_string());
        assert_eq!(shown, ["[fd79::1]:53", "[fd79::100]:53", "10.79.0.21:53"]);
        assert_eq!((read.protocol_number(), read.is_template()), (17, false));
    }

    #[test]
    fn reads_templates_and_what_engines_add() {
        let read =
            Connection::parse("IP  0A4F0000 0000 00000005 0000 0A4F0015 0000 ASSURED         300").unwrap();
        assert_eq!((read.mark(), read.is_template(), read.protocol_number()), (Some(5), true, 0));
        let line = "UDP 0A4F0001 0000 0A4F0064 13C4 0A4F0015 13C4 NONE            59 sip 1-8293@10.79.0.1";
        let read = Connection::parse(line).unwrap();
        assert_eq!((read.engine, read.mark()), (Some("sip 1-8293@10.79.0.1"), None));
    }

    #[test]
    fn what_is_no_connection_is_passed_over() {
        for line in [HEADING, "", "TCP", "TCP 0A4F0001 C350 0A4F0064 0050 0A4F0015 0050 ESTABLISHED"] {
            assert_eq!(Connection::parse(line), None, "{line}");
        }
    }
}
