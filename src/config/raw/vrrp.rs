//! `[[vrrp]]`.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::faults::Faults;
use super::super::field::{At, Field, List};
use super::super::model::{AddressScope, HmacMode, RouteKind, VrrpChecksum};
use super::super::report::Span;
use super::super::schema::{self, Definitions};
use super::super::value::{FromTable, FromValue, Int, accept, text};
use super::Destination;
use crate::units::{Cidr, IfName, Priority, Refused, Vrid};

table! {
    /// `[[vrrp]]`.
    Vrrp {
        name: String,
        interface: IfName,
        vrid: Vrid,
        priority: Priority,
        interval: Duration,
        missed: Int<1, 100>,
        version: Int<2, 3>,
        auth: Auth,
        checksum: VrrpChecksum,
        preempt: bool,
        preempt_delay: Duration,
        start_delay: Duration,
        start_wait: Duration,
        heartbeat: List<IfName>,
        addresses: List<Virtual>,
        also: List<Virtual>,
        routes: List<VirtualRoute>,
        rules: List<VirtualRule>,
        peers: List<Peer>,
        ttl: Int<1, 255>,
        source: IpAddr,
        garp: Garp,
        track: List<Track>,
        group: String,
        exchange: bool,
        virtual_mac: VirtualMacUse,
    }
}

table! {
    /// `auth = { … }`.
    Auth {
        kind = "type": AuthKind,
        key: String,
        keys: List<AuthKey>,
        active: Int<1, 255>,
        mode: HmacMode,
        replay: ReplayKind,
        window: Duration,
    }
}

table! {
    /// One element of `keys` of `auth`.
    AuthKey { id: Int<1, 255>, key: String }
}

table! {
    /// `garp = { … }`.
    Garp {
        repeat: Int<1, 100>,
        delay: Duration,
        refresh: Duration,
        interval: Duration,
        rival_repeat: Int<1, 100>,
        rival_delay: Duration,
    }
}

table! {
    /// One element of `track`.
    Track {
        interface: IfName,
        service: String,
        gateway: IpAddr,
        by: AskBy,
        exec: String,
        args: List<String>,
        file: String,
        interval: Duration,
        timeout: Duration,
        fall: Int<1, 100>,
        rise: Int<1, 100>,
        weight: Int<-253, 253>,
        reverse: bool,
    }
}

table! {
    /// One element of `routes`.
    VirtualRoute {
        to: Destination,
        via: IpAddr,
        interface: IfName,
        table: Int<1, 4_294_967_295>,
        metric: Int<0, 4_294_967_295>,
        source: IpAddr,
        kind = "type": RouteKind,
    }
}

table! {
    /// One element of `rules`.
    VirtualRule {
        from: Cidr,
        to: Cidr,
        interface: IfName,
        mark: Int<1, 4_294_967_295>,
        table: Int<1, 4_294_967_295>,
        preference: Int<1, 32765>,
    }
}

table! {
    /// `[sync]`.
    Sync {
        interface: IfName,
        id: Int<0, 255>,
        group: IpAddr,
        port: Int<1, 65535>,
        ttl: Int<1, 255>,
        max_length: Int<512, 65467>,
        follow: String,
    }
}

table! {
    /// One element of `addresses` and `also` of a virtual router, in its long form.
    VirtualTable { address: Cidr, interface: IfName, label: String, scope: AddressScope }
}

table! {
    /// One element of `peers`, in its long form.
    PeerTable { address: IpAddr, min_ttl: Int<1, 255>, max_ttl: Int<1, 255> }
}

words!(VrrpChecksum { "rfc9568" => Self::Rfc9568, "pseudo-header" => Self::PseudoHeader });
words!(AuthKind { "pass" => Self::Pass, "ah" => Self::Ah, "hmac" => Self::Hmac });
words!(HmacMode {
    "enforce" => Self::Enforce, "permissive" => Self::Permissive, "receive-only" => Self::ReceiveOnly
});
words!(AskBy { "ping" => Self::Ping, "arp" => Self::Arp });
words!(VirtualMacUse { "off" => Self::Off, "vips" => Self::Vips, "all" => Self::All });
words!(ReplayKind { "time" => Self::Time, "monotonic" => Self::Monotonic });
words!(AddressScope { "global" => Self::Global, "link" => Self::Link, "host" => Self::Host });

/// `type` of `auth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthKind {
    /// A password in clear text.
    Pass,
    /// IP authentication header.
    Ah,
    /// A signed trailer.
    Hmac,
}

/// `by` of a `gateway` in `track`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskBy {
    /// ICMP echoes.
    Ping,
    /// ARP, or neighbour discovery.
    Arp,
}

/// `virtual_mac`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VirtualMacUse {
    /// There is none.
    Off,
    /// VIPs have it.
    Vips,
    /// Advertisements come from it, too.
    All,
}

/// `replay` of `auth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayKind {
    /// By the clock.
    Time,
    /// By the sequence alone.
    Monotonic,
}

/// One element of `addresses` and `also` of a virtual router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Virtual {
    /// Address and prefix.
    pub address: Field<Cidr>,
    /// The interface that carries it.
    pub interface: Field<IfName>,
    /// Its label.
    pub label: Field<String>,
    /// Its scope.
    pub scope: Field<AddressScope>,
}

impl FromValue for Virtual {
    const WANTS: &'static str = "an address such as \"192.168.61.45/32\", or { address = …, interface = … }";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        if let Some(table) = value.get_ref().as_table() {
            let VirtualTable { at, address, interface, label, scope } =
                VirtualTable::from_table(table, value.span().into(), faults);
            address.required(at, "address", "address = \"192.168.61.45/32\"", faults)?;
            return Some(Self { address, interface, label, scope });
        }
        let value_text = text(key, value, Self::WANTS, faults)?;
        let cidr = accept(value, value_text.parse(), faults)?;
        let address = Field::Set(At { value: cidr, span: value.span().into() });
        Some(Self { address, interface: Field::Absent, label: Field::Absent, scope: Field::Absent })
    }

    fn schema(tables: &mut Definitions) -> Json {
        schema::any_of(Self::WANTS, vec![Cidr::schema(tables), VirtualTable::table_schema(tables)])
    }
}

/// One element of `peers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub address: Field<IpAddr>,
    /// Least TTL of what comes from it.
    pub min_ttl: Field<Int<1, 255>>,
    /// Greatest.
    pub max_ttl: Field<Int<1, 255>>,
}

impl FromValue for Peer {
    const WANTS: &'static str = "an address such as \"192.168.61.43\", or { address = …, min_ttl = … }";

    fn from_value(key: &str, value: &Spanned<DeValue<'_>>, faults: &mut Faults<'_>) -> Option<Self> {
        if let Some(table) = value.get_ref().as_table() {
            let PeerTable { at, address, min_ttl, max_ttl } =
                PeerTable::from_table(table, value.span().into(), faults);
            address.required(at, "address", "address = \"192.168.61.43\"", faults)?;
            return Some(Self { address, min_ttl, max_ttl });
        }
        let value_text = text(key, value, Self::WANTS, faults)?;
        let refuse = |_| Refused(format!("`{key}` {value_text:?} is not {}", IpAddr::WANTS));
        let address = accept(value, value_text.parse().map_err(refuse), faults)?;
        let address = Field::Set(At { value: address, span: value.span().into() });
        Some(Self { address, min_ttl: Field::Absent, max_ttl: Field::Absent })
    }

    fn schema(tables: &mut Definitions) -> Json {
        schema::any_of(Self::WANTS, vec![IpAddr::schema(tables), PeerTable::table_schema(tables)])
    }
}
