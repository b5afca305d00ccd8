//! Which way packets to an address take, by the kernel's routes, and the hardware address that they come from.

use std::io;
use std::net::IpAddr;

use futures_util::{Stream, StreamExt};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::LinkAttribute;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};

use crate::units::Mac;

/// A way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It is an address of this box.
    Here,
    /// By another router.
    Routed,
    /// On a network of this box.
    Link {
        /// Index of the interface.
        index: u32,
        /// The address of this box that packets come from.
        source: Option<IpAddr>,
    },
}

/// Asks the kernel for the way to `address` of packets with `mark`.
///
/// # Errors
/// There is none, or the kernel does not say.
pub async fn way(address: IpAddr, mark: u32) -> io::Result<Way> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let answer = first(connection, handle.route().get(question(address, mark)).execute()).await?;
    read(&answer).ok_or_else(|| io::Error::other("the kernel names no interface for it"))
}

/// The Ethernet address of the link `index`; `None` if it has none.
///
/// # Errors
/// There is no such link, or the kernel does not say.
pub async fn hardware_address(index: u32) -> io::Result<Option<Mac>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let link = first(connection, handle.link().get().match_index(index).execute()).await?;
    Ok(link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Address(octets) => {
            octets.as_slice().try_into().ok().filter(|octets| *octets != [0; 6]).map(Mac)
        }
        _ => None,
    }))
}

/// The first answer on a connection, which moves only here.
async fn first<T>(
    connection: impl Future<Output = ()>,
    answers: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> io::Result<T> {
    let mut answers = std::pin::pin!(answers);
    let answer = tokio::select! {
        biased;
        answer = answers.next() => answer,
        () = connection => None,
    };
    match answer {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(rtnetlink::Error::NetlinkError(error))) => Err(error.to_io()),
        Some(Err(error)) => Err(io::Error::other(error)),
        None => Err(io::Error::other("the kernel does not answer")),
    }
}

fn question(address: IpAddr, mark: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    let destination = match address {
        IpAddr::V4(address) => {
            message.header.address_family = AddressFamily::Inet;
            message.header.destination_prefix_length = 32;
            RouteAddress::Inet(address)
        }
        IpAddr::V6(address) => {
            message.header.address_family = AddressFamily::Inet6;
            message.header.destination_prefix_length = 128;
            RouteAddress::Inet6(address)
        }
    };
    message.attributes.push(RouteAttribute::Destination(destination));
    if mark != 0 {
        message.attributes.push(RouteAttribute::Mark(mark));
    }
    message
}

fn read(answer: &RouteMessage) -> Option<Way> {
    if answer.header.kind == RouteType::Local {
        return Some(Way::Here);
    }
    let (mut index, mut source) = (None, None);
    for attribute in &answer.attributes {
        match attribute {
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) => return Some(Way::Routed),
            RouteAttribute::Oif(oif) => index = Some(*oif),
            RouteAttribute::PrefSource(RouteAddress::Inet(address)) => source = Some(IpAddr::V4(*address)),
            RouteAttribute::PrefSource(RouteAddress::Inet6(address)) => source = Some(IpAddr::V6(*address)),
            _ => {}
        }
    }
    Some(Way::Link { index: index?, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_box_is_here() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for address in ["127.0.0.1", "::1"] {
            assert_eq!(runtime.block_on(way(address.parse().unwrap(), 0)).unwrap(), Way::Here, "{address}");
        }
    }

    #[test]
    fn a_gateway_is_a_router_and_a_link_has_a_source() {
        let mut answer = question("192.0.2.1".parse().unwrap(), 0);
        answer.header.kind = RouteType::Unicast;
        assert_eq!(read(&answer), None);
        answer.attributes.push(RouteAttribute::Oif(7));
        let source = "192.0.2.9".parse().unwrap();
        answer.attributes.push(RouteAttribute::PrefSource(RouteAddress::Inet(source)));
        assert_eq!(read(&answer), Some(Way::Link { index: 7, source: Some(source.into()) }));
        answer.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(source)));
        assert_eq!(read(&answer), Some(Way::Routed));
    }
}
