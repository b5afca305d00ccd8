//! Values that are checked once, where they enter, and never again.
//!
//! Each type refuses what it cannot hold with a sentence that says what it would accept; the configuration report prints
//! that sentence under the caret.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a value was refused: the rule, in the words shown to the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Virtual router identifier, 1..=255 (RFC 9568 section 5.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Vrid(u8);

/// VRRP priority of a configured router, 1..=255; 255 owns the addresses (RFC 9568 section 5.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Priority(u8);

/// Weight of a real server, 0..=2^31 − 1 (the kernel's `atomic_t weight`); 0 takes no new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Weight(u32);

macro_rules! bounded {
    ($name:ident, $int:ty, $min:literal..=$max:literal, $what:literal) => {
        impl $name {
            /// The plain number.
            #[must_use]
            pub const fn get(self) -> $int {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = Refused;

            fn try_from(value: i64) -> Result<Self, Refused> {
                <$int>::try_from(value).ok().filter(|v| ($min..=$max).contains(v)).map(Self).ok_or_else(
                    || Refused(format!(concat!($what, " {} is out of range: ", $min, " to ", $max), value)),
                )
            }
        }

        impl From<$name> for $int {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl From<$name> for i64 {
            fn from(value: $name) -> Self {
                value.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

bounded!(Vrid, u8, 1..=255, "virtual router identifier");
bounded!(Priority, u8, 1..=255, "priority");
bounded!(Weight, u32, 0..=2_147_483_647, "weight");

impl Priority {
    /// The owner of the addresses: always master while it lives.
    pub const OWNER: Self = Self(255);
    /// What a router uses when the file says nothing (RFC 9568 section 5.2.4).
    pub const DEFAULT: Self = Self(100);
}

impl Weight {
    /// What a real server gets when the file says nothing.
    pub const DEFAULT: Self = Self(1);
    /// Takes no new connections; established ones go on.
    pub const ZERO: Self = Self(0);
}

/// Name of a network interface, 1..=15 bytes, no `/`, no white space, not `.` or `..` (kernel: dev_valid_name).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IfName(heapless::String<15>);

impl IfName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IfName {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let refuse = |why: &str| {
            Err(Refused(format!("interface name {text:?} {why}: 1 to 15 bytes such as \"eth0\"")))
        };
        if text.is_empty() {
            return refuse("is empty");
        }
        if text == "."
            || text == ".."
            || text.chars().any(|c| c == '/' || c == ':' || c.is_whitespace() || c.is_control())
        {
            return refuse("has a character that the kernel does not allow");
        }
        heapless::String::try_from(text).map(Self).or_else(|_| refuse("is too long"))
    }
}

impl TryFrom<String> for IfName {
    type Error = Refused;

    fn try_from(text: String) -> Result<Self, Refused> {
        text.parse()
    }
}

impl From<IfName> for String {
    fn from(name: IfName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Ethernet hardware address, six octets in hexadecimal with colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        let whole = octets.iter_mut().all(|octet| {
            parts
                .next()
                .filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
                .and_then(|part| u8::from_str_radix(part, 16).ok())
                .map(|value| *octet = value)
                .is_some()
        });
        if whole && parts.next().is_none() {
            Ok(Self(octets))
        } else {
            Err(Refused(format!("hardware address {text:?} is not six octets such as \"52:54:00:00:00:01\"")))
        }
    }
}

impl TryFrom<String> for Mac {
    type Error = Refused;

    fn try_from(text: String) -> Result<Self, Refused> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// An address with its prefix length: `192.168.61.44/24`, `2001:db8::1/64`. Host bits are kept. Without `/` the prefix is
/// that of a single address (32 or 128).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    /// The address, host bits included.
    pub address: IpAddr,
    /// Prefix length in bits, 0..=32 or 0..=128.
    pub prefix: u8,
}

impl Cidr {
    /// An address of its own: /32 or /128.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        Self { address, prefix: family_bits(address) }
    }

    /// The network that this address lies in: host bits cleared.
    #[must_use]
    pub fn network(self) -> Self {
        let address = match self.address {
            IpAddr::V4(a) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(a) & mask))
            }
            IpAddr::V6(a) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(a) & mask))
            }
        };
        Self { address, prefix: self.prefix }
    }

    /// Whether `address` lies in this network.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && Self { address, prefix: self.prefix }.network() == self.network()
    }
}

const fn family_bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl FromStr for Cidr {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let refuse = || {
            Refused(format!("address {text:?} is not of the form \"192.168.61.44/24\" or \"2001:db8::1/64\""))
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| refuse())?;
        let most = family_bits(address);
        let prefix = match prefix {
            None => most,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| refuse())?
            }
            Some(_) => return Err(refuse()),
        };
        if prefix > most {
            return Err(Refused(format!("prefix length {prefix} of {text:?} is out of range: 0 to {most}")));
        }
        Ok(Self { address, prefix })
    }
}

impl TryFrom<String> for Cidr {
    type Error = Refused;

    fn try_from(text: String) -> Result<Self, Refused> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Reads a duration such as `"500ms"`, `"2s"`, `"1.5s"`, `"5m"`, `"1h"`, `"2d"`; the resolution is a microsecond.
///
/// # Errors
/// Says what form it wants when the number or the unit is missing, or the value does not fit.
pub fn parse_duration(text: &str) -> Result<Duration, Refused> {
    let refuse = || {
        Refused(format!(
            "duration {text:?} is not a number with a unit: \"500ms\", \"2s\", \"5m\", \"1h\" or \"1d\""
        ))
    };
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refuse)?;
    let (number, unit) = text.split_at_checked(split).ok_or_else(refuse)?;
    let micros_per_unit: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return Err(refuse()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 6 || fraction.contains('.') {
        return Err(refuse());
    }
    let whole: u64 = whole.parse().map_err(|_| refuse())?;
    let scale = 10_u64.pow(u32::try_from(fraction.len()).map_err(|_| refuse())?);
    let fraction: u64 = fraction.parse().map_err(|_| refuse())?;
    let micros = whole
        .checked_mul(micros_per_unit)
        .and_then(|m| m.checked_add(fraction.checked_mul(micros_per_unit)? / scale))
        .ok_or_else(refuse)?;
    Ok(Duration::from_micros(micros))
}

/// Writes a duration in the largest unit that loses nothing: `1.5s` stays `1500ms`, `120s` becomes `2m`.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    for (unit, size) in
        [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)]
    {
        if micros >= size && micros.is_multiple_of(size) {
            return format!("{}{unit}", micros / size);
        }
    }
    if micros == 0 { "0s".to_owned() } else { format!("{micros}us") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_numbers_say_their_range() {
        assert_eq!(Vrid::try_from(51).map(Vrid::get), Ok(51));
        assert_eq!(
            Vrid::try_from(0),
            Err(Refused("virtual router identifier 0 is out of range: 1 to 255".to_owned()))
        );
        assert!(Priority::try_from(256).is_err());
        assert!(Weight::try_from(-1).is_err());
    }

    #[test]
    fn interface_names_follow_the_kernel() {
        assert!("eth0".parse::<IfName>().is_ok());
        for bad in ["", ".", "..", "a/b", "a b", "sixteen-bytes-xx", "eth0:1"] {
            assert!(bad.parse::<IfName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hardware_addresses_round_trip() {
        assert_eq!("52:54:00:AB:00:01".parse::<Mac>().unwrap().to_string(), "52:54:00:ab:00:01");
        for bad in ["52:54:00:00:00", "52:54:00:00:00:01:02", "5:54:00:00:00:01", "+1:54:00:00:00:01", ""] {
            assert!(bad.parse::<Mac>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn cidr_keeps_host_bits_and_knows_its_network() {
        let cidr: Cidr = "192.168.61.44/24".parse().unwrap();
        assert_eq!(cidr.to_string(), "192.168.61.44/24");
        assert_eq!(cidr.network().to_string(), "192.168.61.0/24");
        assert!(cidr.contains("192.168.61.200".parse().unwrap()));
        assert!(!cidr.contains("192.168.62.1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Cidr>().unwrap().contains("8.8.8.8".parse().unwrap()));
        assert_eq!("2001:db8::1".parse::<Cidr>().unwrap().prefix, 128);
        for bad in ["192.168.61.44/33", "192.168.61/24", "::1/129", "1.2.3.4/", "1.2.3.4/+8", "x"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        for bad in ["5", "s", "", "5 s", "-1s", "1..5s", "1.s", ".5s", "99999999999999999999s"] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
        assert_eq!(show_duration(Duration::from_millis(1500)), "1500ms");
        assert_eq!(show_duration(Duration::from_secs(120)), "2m");
    }
}
