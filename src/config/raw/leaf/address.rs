//! One address or many, with ports or without: `a`, `a-b`, `a/24`, each with `:80`, `:80,443` or `:8000-8099`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::DeValue;

use crate::config::faults::Faults;
use crate::config::model::AddressRange;
use crate::config::schema::{self, Definitions};
use crate::config::value::{FromValue, accept, text};
use crate::units::{Cidr, Refused};

/// One element of `source`: addresses without ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses(pub AddressRange);

impl FromValue for Addresses {
    const WANTS: &'static str =
        "an address, a range such as \"192.168.61.50-59\" or a network such as \"192.168.61.48/28\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let text = text(key, value, Self::WANTS, faults)?;
        let found = addresses(unbracketed(text)).map_err(|why| refused(key, text, Self::WANTS, why));
        accept(value, found.map(Self), faults)
    }

    fn schema(_: &mut Definitions) -> Json {
        schema::text(Self::WANTS)
    }
}

/// `address` of a real server: addresses with or without one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Targets {
    /// The addresses.
    pub addresses: AddressRange,
    /// Their port, if one is given.
    pub port: Option<u16>,
}

impl FromValue for Targets {
    const WANTS: &'static str = "an address with a port such as \"192.168.61.45:80\" or \"[2001:db8::1]:80\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let text = text(key, value, Self::WANTS, faults)?;
        let (hosts, port) = split(text);
        let found = addresses(hosts).and_then(|addresses| match port {
            Some(port) => number(port).map(|port| Self { addresses, port: Some(port) }).ok_or(Why::Form),
            None => Ok(Self { addresses, port: None }),
        });
        accept(value, found.map_err(|why| refused(key, text, Self::WANTS, why)), faults)
    }

    fn schema(_: &mut Definitions) -> Json {
        schema::text(Self::WANTS)
    }
}

/// One address with one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint(pub SocketAddr);

impl FromValue for Endpoint {
    const WANTS: &'static str =
        "an address with a port such as \"192.168.61.44:9100\" or \"[2001:db8::1]:9100\"";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let text = text(key, value, Self::WANTS, faults)?;
        let found = text.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
        accept(
            value,
            found.map(Self).ok_or_else(|| Refused(format!("`{key}` {text:?} is not {}", Self::WANTS))),
            faults,
        )
    }

    fn schema(_: &mut Definitions) -> Json {
        schema::text(Self::WANTS)
    }
}

/// One element of `listen`: addresses with or without ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vips {
    /// The addresses.
    pub addresses: AddressRange,
    /// Inclusive ranges of ports; empty = none is given.
    pub ports: Vec<(u16, u16)>,
}

impl FromValue for Vips {
    const WANTS: &'static str = Targets::WANTS;

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        let text = text(key, value, Self::WANTS, faults)?;
        let (hosts, ports) = split(text);
        let ports = ports.map_or(Some(Vec::new()), |ports| ports.split(',').map(port_range).collect());
        let found = addresses(hosts)
            .and_then(|addresses| ports.map(|ports| Self { addresses, ports }).ok_or(Why::Form));
        accept(value, found.map_err(|why| refused(key, text, Self::WANTS, why)), faults)
    }

    fn schema(_: &mut Definitions) -> Json {
        schema::text(Self::WANTS)
    }
}

/// Why a text is no address.
enum Why {
    Form,
    Backwards,
    HostBits(Cidr),
}

fn refused(key: &str, text: &str, wants: &str, why: Why) -> Refused {
    Refused(match why {
        Why::Form => format!("`{key}` {text:?} is not {wants}"),
        Why::Backwards => format!("`{key}` {text:?} is a range that ends before it begins"),
        Why::HostBits(network) => format!("`{key}` {text:?} is a host in {network}, not a network"),
    })
}

fn unbracketed(text: &str) -> &str {
    text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text)
}

/// Addresses and ports of `a:80`, `[v6]:80`, `a`, `v6`.
fn split(text: &str) -> (&str, Option<&str>) {
    if let Some((hosts, ports)) = text.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        return (hosts, Some(ports));
    }
    match text.split_once(':') {
        Some((hosts, ports)) if !ports.contains(':') => (hosts, Some(ports)),
        _ => (unbracketed(text), None),
    }
}

fn number(text: &str) -> Option<u16> {
    Some(text).filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|text| text.parse().ok())
}

fn port_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    number(first).zip(number(last)).filter(|(first, last)| first <= last)
}

fn addresses(text: &str) -> Result<AddressRange, Why> {
    let whole = |text: &str| text.parse::<IpAddr>().map_err(|_| Why::Form);
    if let Some((first, last)) = text.split_once('-') {
        let first = whole(first)?;
        let last = end_of_range(first, last).ok_or(Why::Form)?;
        if first.is_ipv4() != last.is_ipv4() {
            return Err(Why::Form);
        }
        return if first <= last { Ok(AddressRange { first, last }) } else { Err(Why::Backwards) };
    }
    if text.contains('/') {
        let cidr: Cidr = text.parse().map_err(|_| Why::Form)?;
        let network = cidr.network();
        return if network == cidr { Ok(AddressRange::from(cidr)) } else { Err(Why::HostBits(network)) };
    }
    whole(text).map(|address| AddressRange { first: address, last: address })
}

/// The end of a range as a whole address, or as its last part alone: `10.0.0.10-20`, `2001:db8::1-f`.
fn end_of_range(first: IpAddr, last: &str) -> Option<IpAddr> {
    if let Ok(address) = last.parse() {
        return Some(address);
    }
    match first {
        IpAddr::V4(first) => {
            let [a, b, c, _] = first.octets();
            let last = number(last).and_then(|last| u8::try_from(last).ok())?;
            Some(Ipv4Addr::new(a, b, c, last).into())
        }
        IpAddr::V6(first) => {
            let plain = !last.is_empty() && last.len() <= 4 && last.bytes().all(|b| b.is_ascii_hexdigit());
            let last = plain.then(|| u16::from_str_radix(last, 16).ok())??;
            Some(Ipv6Addr::from(first.to_bits() >> 16 << 16 | u128::from(last)).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        let (hosts, ports) = split(text);
        let AddressRange { first, last } = addresses(hosts).ok()?;
        let ports = ports.map_or(Some(Vec::new()), |ports| ports.split(',').map(port_range).collect())?;
        Some(format!("{first} {last} {ports:?}"))
    }

    #[test]
    fn every_form_of_address_is_read() {
        for (text, expected) in [
            ("10.0.0.1", "10.0.0.1 10.0.0.1 []"),
            ("10.0.0.1:80", "10.0.0.1 10.0.0.1 [(80, 80)]"),
            ("10.0.0.10-20:80,443", "10.0.0.10 10.0.0.20 [(80, 80), (443, 443)]"),
            ("10.0.0.250-10.0.1.5:8000-8099", "10.0.0.250 10.0.1.5 [(8000, 8099)]"),
            ("10.0.0.0/24", "10.0.0.0 10.0.0.255 []"),
            ("0.0.0.0/0", "0.0.0.0 255.255.255.255 []"),
            ("2001:db8::1", "2001:db8::1 2001:db8::1 []"),
            ("[2001:db8::1]", "2001:db8::1 2001:db8::1 []"),
            ("[2001:db8::1-f]:80", "2001:db8::1 2001:db8::f [(80, 80)]"),
            ("2001:db8::/127", "2001:db8:: 2001:db8::1 []"),
            ("[::/0]:1", ":: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff [(1, 1)]"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            ":80",
            "a",
            "10.0.0.1:",
            "10.0.0.1:80-",
            "10.0.0.1:90-80",
            "10.0.0.1:+80",
            "10.0.0.1:65536",
            "10.0.0.20-10",
            "10.0.0.1-256",
            "10.0.0.1-::2",
            "10.0.0.1/24",
            "10.0.0.0/33",
            "[2001:db8::1:80",
            "[2001:db8::1-10.0.0.1]",
            "2001:db8::f-1",
            "10.0.0.1:80,",
            "10.0.0.0/24-25",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
