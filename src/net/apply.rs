//! One operation → one request to the kernel.

use std::net::IpAddr;
use std::path::Path;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
};
use netlink_packet_route::route::{RouteMessage, RouteProtocol, RouteScope, RouteType};
use rtnetlink::{LinkUnspec, RouteMessageBuilder};

use super::diff::Op;
use super::kernel::{Error, Kernel, LOCAL_TABLE};
use super::observe::PROC_SYS_NET;
use super::state::Route;
use crate::config::model::RouteKind;
use crate::owner;
use crate::units::Cidr;

impl Kernel {
    /// Does what `op` says. That it is so already is success.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub async fn apply(&self, op: &Op) -> Result<(), Error> {
        match op {
            Op::Rename { index, to, .. } => {
                let link = || LinkUnspec::new_with_index(*index);
                match self.set_link(link().name(to.as_str())).await {
                    // Before Linux 6.2 only a link that is down takes another name.
                    Err(error) if error.errno() == Some(libc::EBUSY) => {
                        self.set_link(link().down()).await?;
                        self.set_link(link().name(to.as_str())).await
                    }
                    other => other,
                }
            }
            Op::Sysctl { path, value } => Ok(std::fs::write(Path::new(PROC_SYS_NET).join(path), value)?),
            Op::SetLink { index, mtu, up, .. } => {
                // Two requests, so that an MTU that the driver refuses keeps no link down.
                let mtu = match mtu {
                    Some(mtu) => self.set_link(LinkUnspec::new_with_index(*index).mtu(*mtu)).await,
                    None => Ok(()),
                };
                let link = LinkUnspec::new_with_index(*index);
                match up {
                    Some(true) => self.set_link(link.up()).await?,
                    Some(false) => self.set_link(link.down()).await?,
                    None => {}
                }
                mtu
            }
            Op::AddAddress { index, cidr, .. } => self.put_address(*index, *cidr).await,
            Op::AdoptAddress { index, cidr, .. } => self.put_address(*index, *cidr).await,
            Op::AddRoute { route, index } => self.put_route(route, *index, false).await,
            Op::ReplaceRoute { route, index } => self.put_route(route, *index, true).await,
            Op::DeleteRoute { route, index } => {
                let request = self.handle.route().del(route_message(route, *index)?);
                gone(request.execute().await)
            }
            Op::DeleteAddress { index, cidr, .. } => {
                gone(self.handle.address().del(address_message(*index, *cidr)).execute().await)
            }
        }
    }

    async fn set_link(&self, link: rtnetlink::LinkMessageBuilder<LinkUnspec>) -> Result<(), Error> {
        Ok(self.handle.link().set(link.build()).execute().await?)
    }

    /// Replacing an address that does not exist makes it, and one that exists gets our mark.
    async fn put_address(&self, index: u32, cidr: Cidr) -> Result<(), Error> {
        let mut request = self.handle.address().add(index, cidr.address, cidr.prefix).replace();
        let message = request.message_mut();
        message.attributes.push(AddressAttribute::Protocol(AddressProtocol::from(owner::NET)));
        if cidr.address.is_ipv6() {
            // No duplicate detection: see `sysctl`.
            message.header.flags |= AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        Ok(request.execute().await?)
    }

    async fn put_route(&self, route: &Route, index: u32, replace: bool) -> Result<(), Error> {
        let request = self.handle.route().add(route_message(route, index)?);
        let request = if replace { request.replace() } else { request };
        Ok(request.execute().await?)
    }
}

/// What is not there need not be removed.
fn gone(result: Result<(), rtnetlink::Error>) -> Result<(), Error> {
    match result.map_err(Error::from) {
        Err(error) if matches!(error.errno(), Some(libc::ESRCH | libc::EADDRNOTAVAIL | libc::ENODEV)) => {
            Ok(())
        }
        other => other,
    }
}

fn address_message(index: u32, cidr: Cidr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = if cidr.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = cidr.prefix;
    message.header.index = index;
    message.attributes = vec![AddressAttribute::Local(cidr.address), AddressAttribute::Address(cidr.address)];
    message
}

fn route_message(route: &Route, index: u32) -> Result<RouteMessage, Error> {
    let mut builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(route.to.address, route.to.prefix)
        .map_err(odd)?
        .protocol(RouteProtocol::from(owner::NET))
        .priority(route.metric);
    builder = match route.kind {
        RouteKind::Unicast => builder.output_interface(index),
        RouteKind::Local => builder
            .kind(RouteType::Local)
            .table_id(u32::from(LOCAL_TABLE))
            .scope(RouteScope::Host)
            .output_interface(index),
        RouteKind::Blackhole => builder.kind(RouteType::BlackHole),
        RouteKind::Unreachable => builder.kind(RouteType::Unreachable),
    };
    if route.kind != RouteKind::Unicast {
        return Ok(builder.build());
    }
    builder = match route.via {
        Some(via) => builder.gateway(via).map_err(odd)?,
        None if route.to.address.is_ipv4() => builder.scope(RouteScope::Link),
        None => builder,
    };
    Ok(if route.onlink { builder.onlink() } else { builder }.build())
}

fn odd(error: impl std::fmt::Debug) -> Error {
    Error::Broken(format!("{error:?}"))
}
