//! The rules that take more than one value to judge: from the operator's words to the model.
//!
//! Each function notes every fault it finds and gives what it could make of the rest. The caller uses the result only when
//! no fault was noted at all, so a placeholder that stands for a faulty value is never seen by anybody.

mod api;
mod check;
mod ipvs;
mod link;
mod listen;
mod notify;
mod quorum;
mod route;
mod server;
mod service;
mod sync;
mod system;
mod vrrp;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use super::faults::Faults;
use super::field::{At, Field, List, Many};
use super::model::{AddressRange, Config, Console, Host, RouteKind};
use super::raw;
use super::report::Span;
use crate::secret;
use crate::units::show_duration;

/// Judges a whole file.
pub fn config(raw: &raw::Root, faults: &mut Faults<'_>) -> Config {
    let system = raw.system.get().map(|system| system::system(system, faults)).unwrap_or_default();
    let (interfaces, links) = link::interfaces(&raw.interface, faults);
    let routes = route::routes(&raw.route, &links, faults);
    let names = service::names(&raw.service);
    let (vrrp, vips) = vrrp::instances(&raw.vrrp, &links, &names, faults);
    let local = LocalAddresses::new(&links, vips, &raw.route);
    let hostname = system.hostname.as_deref().unwrap_or("director");
    let connected = link::Connected::new(&links, &routes, &vrrp);
    let services = service::services(&raw.service, &local, check::Shared::new(hostname, connected), faults);
    let ipvs = raw.ipvs.get().map(|ipvs| ipvs::ipvs(ipvs, faults)).unwrap_or_default();
    let sync = raw.sync.get().and_then(|sync| sync::sync(sync, &links, &vrrp, faults));
    let api = raw.api.get().map(|api| api::api(api, &local, faults)).unwrap_or_default();
    let console = Console { pin: raw.console.get().and_then(|console| console.pin.get().cloned()) };
    let notify = notify::notify(&raw.notify, system.hooks, faults);
    Config { system, interfaces, routes, vrrp, services, ipvs, sync, api, console, notify }
}

/// The elements of a list that may be absent.
fn items<T>(field: &Field<List<T>>) -> &[At<T>] {
    field.get().map_or(&[], |list| &list.items)
}

/// The elements of what may be one or a list of such.
fn all<T>(field: &Field<Many<T>>) -> &[At<T>] {
    field.get().map_or(&[], |many| &many.0.items)
}

/// Whether every element of a list could be read.
fn complete<T>(field: &Field<List<T>>) -> bool {
    !field.is_faulty() && field.get().is_none_or(|list| list.complete)
}

/// Addresses that this box has at some time: of interfaces, of virtual routers, and by local routes.
struct LocalAddresses {
    addresses: BTreeMap<IpAddr, Span>,
    networks: Vec<AddressRange>,
    complete: bool,
}

impl LocalAddresses {
    fn new(links: &link::Links, vips: vrrp::Vips, routes: &Field<List<raw::Route>>) -> Self {
        let mut addresses = vips.addresses;
        addresses.extend(links.addresses());
        let local = items(routes)
            .iter()
            .filter(|at| at.value.kind.get().is_some_and(|kind| *kind == RouteKind::Local));
        let networks = local.clone().filter_map(|at| match at.value.to.get() {
            Some(raw::Destination::Network(network)) => Some(AddressRange::from(*network)),
            _ => None,
        });
        let unread = |at: &At<raw::Route>| at.value.kind.is_faulty() || at.value.to.is_faulty();
        let all_read = complete(routes) && !items(routes).iter().any(unread);
        Self {
            addresses,
            networks: networks.collect(),
            complete: vips.complete && links.complete && all_read,
        }
    }

    /// The first of these addresses that the box never has.
    fn missing(&self, wanted: AddressRange) -> Option<IpAddr> {
        let mut next = Some(wanted.first);
        while let Some(address) = next.filter(|address| *address <= wanted.last) {
            let end = match self.networks.iter().find(|network| network.contains(address)) {
                Some(network) => network.last,
                None if self.addresses.contains_key(&address) => address,
                None => return Some(address),
            };
            next = listen::after(end);
        }
        None
    }
}

/// What may be there once only.
struct Unique<K>(BTreeMap<K, Span>);

impl<K: Ord> Unique<K> {
    const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Takes `key` for the value at `span`; if it is taken, notes that `what` is already there.
    fn claim(&mut self, key: K, span: Span, what: impl Display, faults: &mut Faults<'_>) -> bool {
        match self.0.get(&key) {
            Some(first) => {
                faults.add(span, format!("{what} is already in line {}", faults.line(*first)));
                false
            }
            None => {
                self.0.insert(key, span);
                true
            }
        }
    }
}

/// Bounds of a duration.
struct Bounds {
    least: Duration,
    most: Duration,
    step: Duration,
}

impl Bounds {
    const fn new(least: Duration, most: Duration, step: Duration) -> Self {
        Self { least, most, step }
    }

    fn holds(&self, value: Duration) -> bool {
        (self.least..=self.most).contains(&value)
    }

    /// The value of `field`, or `default`; a fault if it is outside.
    fn take(
        &self,
        key: &str,
        field: &Field<Duration>,
        default: Duration,
        faults: &mut Faults<'_>,
    ) -> Duration {
        let Some(At { value, span }) = field.set() else { return default };
        let (least, most) = (show_duration(self.least), show_duration(self.most));
        let shown = show_duration(*value);
        if !self.holds(*value) {
            faults.add(*span, format!("`{key}` {shown} is out of range: {least} to {most}"));
        } else if !value.as_nanos().is_multiple_of(self.step.as_nanos()) {
            let step = show_duration(self.step);
            faults.add(*span, format!("`{key}` {shown} is not a multiple of {step}: {least} to {most}"));
        }
        *value
    }
}

/// A name of an instance or a service: it appears in logs, events and on the console.
fn name(field: &Field<String>, table: Span, example: &str, faults: &mut Faults<'_>) -> Option<String> {
    const LONGEST: usize = 64;
    let At { value, span } = field.required(table, "name", example, faults)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if value.is_empty() || value.len() > LONGEST || !value.chars().all(plain) {
        faults.add_with_help(
            *span,
            format!("name {value:?} cannot be used"),
            format!("1 to {LONGEST} letters, digits, `_`, `-` and `.`"),
        );
    }
    Some(value.clone())
}

/// An address that a host can have.
fn host_address(address: IpAddr, span: Span, what: &str, faults: &mut Faults<'_>) {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || broadcast {
        faults.add(span, format!("{what} {address} is not the address of a host"));
    }
    if let IpAddr::V6(v6) = address
        && v6.to_ipv4_mapped().is_some()
    {
        faults.add_with_help(
            span,
            format!("{what} {address} is an IPv4 address in disguise"),
            "write it as IPv4",
        );
    }
}

/// The same of what may be a name.
fn host(host: &Host, span: Span, what: &str, faults: &mut Faults<'_>) {
    if let Host::Address(address) = host {
        host_address(*address, span, what, faults);
    }
}

/// That a secret can be called so, behind `file:`.
fn secret_place(place: &str, span: Span, faults: &mut Faults<'_>) -> bool {
    let good = secret::is_place(place);
    if !good {
        let help = "a name such as \"file:vrrp.key\", of a file in the folder `secrets` beside this one; or, on a host, a whole path";
        faults.add_with_help(span, format!("{place:?} is not the name of a secret"), help);
    }
    good
}

/// `a`, `b` or `none`, for help lines; of many, the first few.
fn list(names: impl IntoIterator<Item = impl Display>) -> String {
    const SHOWN: usize = 12;
    let mut names = names.into_iter();
    let mut shown: Vec<_> = names.by_ref().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let rest = names.count();
    if rest > 0 {
        shown.push(format!("and {rest} more"));
    }
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

/// `IPv4` or `IPv6`.
const fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}
