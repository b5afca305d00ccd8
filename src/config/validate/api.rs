//! `[api]`.

use super::super::faults::Faults;
use super::super::field::At;
use super::super::model::{AddressRange, Api};
use super::super::raw;
use super::{LocalAddresses, Unique, all, complete, host_address, items};
use crate::units::Cidr;

pub(super) fn api(raw: &raw::Api, local: &LocalAddresses, faults: &mut Faults<'_>) -> Api {
    raw.listen.required(raw.at, "listen", "listen = \"192.168.61.44:9100\"", faults);
    let mut taken = Unique::new();
    let open = complete(&raw.allow) && items(&raw.allow).is_empty();
    for At { value: raw::Endpoint(address), span } in all(&raw.listen) {
        taken.claim(*address, *span, format_args!("`listen` {address}"), faults);
        let ip = address.ip();
        if ip.is_unspecified() {
            if open {
                faults.add_with_help(
                    *span,
                    format!("`listen` {address} is every address of this box, for everybody"),
                    "one address, or with it `allow`, the networks that may ask",
                );
            }
            continue;
        }
        host_address(ip, *span, "`listen`", faults);
        if local.complete && !ip.is_loopback() && local.missing(AddressRange::from(Cidr::host(ip))).is_some()
        {
            faults.add_with_help(
                *span,
                format!("`listen` {ip} is no address of this box"),
                "an address of an [[interface]] or of a [[vrrp]]; where DHCP gives it, 0.0.0.0 with `allow`",
            );
        }
    }
    for At { value, span } in items(&raw.allow) {
        if value.network() != *value {
            let help = format!("the network is {}", value.network());
            faults.add_with_help(*span, format!("`allow` {value} has bits behind its prefix"), help);
        }
    }
    Api {
        listen: all(&raw.listen).iter().map(|at| at.value.0).collect(),
        allow: items(&raw.allow).iter().map(|at| at.value).collect(),
    }
}
