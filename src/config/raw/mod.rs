//! The file as the operator wrote it: one struct for each table of the manual, one field for each key, each with its place.
//!
//! The structs are filled key by key and not by serde: a derived `Deserialize` stops at the first fault of a table, and the
//! report is to have them all. What one value alone can tell (type, range, form) is checked here; what two values tell
//! each other is checked in [`super::validate`].

#[macro_use]
mod leaf;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::Value as Json;
use toml::de::DeTable;

pub use leaf::{
    Addresses, Check, CheckType, Destination, Endpoint, Family, Headers, Hex, Ignored, Mark, NotifyType,
    Percent, Persistence, Quorum, Scheduler, SchedulerFlag, Sorry, Status, Sysctls, Targets, Tls, Transport,
    Tunnel, TunnelKind, Vips,
};
pub use vrrp::{
    AskBy, Auth, AuthKind, Garp, ReplayKind, Sync, Track, Virtual, VirtualMacUse, VirtualRoute, Vrrp,
};

use super::faults::Faults;
use super::field::{Field, List, Many};
use super::model::{
    Host, HostPort, Method, OnFail, PersistenceEngine, ProbeRoute, Protocol, RouteKind, SorryMode, Start,
    SyslogTarget, TunnelChecksum,
};
use super::report::Span;
use super::schema::{self, Definitions};
use super::value::{FromTable, Int};
use crate::pin::PinHash;
use crate::units::{Cidr, IfName, Mac, Weight};

macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $($field:ident $(= $key:literal)?: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        #[allow(missing_docs)] // the manual describes each key: doc/config.md
        pub struct $name {
            /// The header, or the braces of an inline table.
            pub at: Span,
            $(pub $field: Field<$type>,)*
        }

        impl FromTable for $name {
            const KEYS: &'static [&'static str] = &[$(key!($field $($key)?)),*];

            fn from_table(table: &DeTable<'_>, at: Span, faults: &mut Faults<'_>) -> Self {
                let mut read = Self { at, ..Self::default() };
                for (key, value) in table.iter() {
                    match key.get_ref().as_ref() {
                        $(key!($field $($key)?) => {
                            read.$field = $crate::config::value::set(key!($field $($key)?), value, faults);
                        })*
                        _ => $crate::config::value::unknown_key(key, Self::KEYS, faults),
                    }
                }
                read
            }

            fn table_schema(tables: &mut Definitions) -> Json {
                schema::table(
                    stringify!($name),
                    tables,
                    &[$((key!($field $($key)?), <$type as $crate::config::value::FromValue>::schema)),*],
                )
            }
        }
    };
}

mod vrrp;

table! {
    /// The whole file. `node` is merged in before; `version` is read before that.
    Root {
        version: Ignored,
        system: System,
        interface: List<Interface>,
        route: List<Route>,
        vrrp: List<Vrrp>,
        service: List<Service>,
        ipvs: Ipvs,
        sync: Sync,
        api: Api,
        console: Console,
        notify: List<Notify>,
        node: Ignored,
    }
}

table! {
    /// `[system]`.
    System { hostname: String, dns: List<IpAddr>, ntp: List<Host>, syslog: List<SyslogTarget>, autoreload: bool, hooks: bool }
}

table! {
    /// `[api]`.
    Api { listen: Many<Endpoint>, allow: List<Cidr> }
}

table! {
    /// `[console]`.
    Console { pin: PinHash }
}

table! {
    /// `[[notify]]`.
    Notify {
        name: String,
        kind = "type": NotifyType,
        events: List<String>,
        timeout: Duration,
        server: HostPort,
        from: String,
        to: Many<String>,
        starttls: bool,
        tls: Tls,
        user: String,
        password: String,
        helo: String,
        digest: Duration,
        url: String,
        address: IpAddr,
        secret: String,
        command: Many<String>,
        target: SyslogTarget,
    }
}

table! {
    /// `[[interface]]`.
    Interface { name: IfName, mac: Mac, addresses: List<Cidr>, dhcp: bool, mtu: Int<68, 65535> }
}

table! {
    /// `[[route]]`.
    Route {
        to: Destination,
        via: IpAddr,
        interface: IfName,
        metric: Int<0, 4_294_967_295>,
        kind = "type": RouteKind,
    }
}

table! {
    /// `[[service]]`.
    Service {
        name: String,
        listen: Many<Vips>,
        mark: Mark,
        fwmark: Int<1, 4_294_967_295>,
        family: Family,
        protocol: Protocol,
        scheduler: Scheduler,
        scheduler_flags: List<SchedulerFlag>,
        one_packet: bool,
        method: Method,
        tunnel: Tunnel,
        source: Many<Addresses>,
        persistence: Persistence,
        weight: Weight,
        check: Many<Check>,
        start: Start,
        slow_start: Duration,
        drain_timeout: Duration,
        quorum: Quorum,
        on_fail: OnFail,
        sorry: Sorry,
        sorry_mode: SorryMode,
        server: List<Server>,
    }
}

table! {
    /// `[[service.server]]`, and one element of `sorry`.
    Server {
        address: Targets,
        weight: Weight,
        method: Method,
        tunnel: Tunnel,
        max_connections: Int<0, 4_294_967_295>,
        min_connections: Int<0, 4_294_967_295>,
        enabled: bool,
        on_fail: OnFail,
        check: Many<Check>,
    }
}

table! {
    /// `tunnel = { … }`.
    TunnelTable { kind = "type": TunnelKind, port: Int<1, 65535>, checksum: TunnelChecksum }
}

table! {
    /// `quorum = { … }`.
    QuorumTable {
        weight: Int<1, 4_294_967_295>,
        servers: Int<1, 65535>,
        percent: Percent,
        hysteresis: Int<0, 4_294_967_295>,
    }
}

table! {
    /// `check = { … }`.
    CheckTable {
        kind = "type": CheckType,
        interval: Duration,
        fast: Duration,
        timeout: Duration,
        fall: Int<1, 100>,
        rise: Int<1, 100>,
        address: IpAddr,
        port: Int<1, 65535>,
        source: IpAddr,
        mark: Int<1, 4_294_967_295>,
        probe: ProbeRoute,
        send: String,
        send_hex: Hex,
        expect: Many<String>,
        refuse: String,
        tls: Tls,
        starttls: bool,
        user: String,
        password: String,
        method: String,
        path: Many<String>,
        host: String,
        headers: Headers,
        body: String,
        status: List<Status>,
        digest: String,
        redirects: Int<0, 10>,
        helo: String,
        name: String,
        record: String,
        transport: Transport,
        command: Many<String>,
        endpoints: bool,
        weight: bool,
        base: String,
        database: String,
        query: String,
        secret: String,
    }
}

table! {
    /// `tls = { … }`.
    TlsTable { name: String, verify: bool, ca: String, certificate: String, key: String, expiry: Duration }
}

table! {
    /// `persistence = { … }`.
    PersistenceTable { timeout: Duration, netmask: Ipv4Addr, prefix: Int<1, 128>, engine: PersistenceEngine }
}

table! {
    /// `[ipvs]`.
    Ipvs { timeout: IpvsTimeout, table_bits: Int<8, 27>, sysctl: Sysctls }
}

table! {
    /// `timeout` of `[ipvs]`.
    IpvsTimeout { tcp: Duration, tcp_fin: Duration, udp: Duration }
}
