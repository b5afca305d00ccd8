//! Who has an IPv4 address on a network of this box (RFC 826): `director arping` and the console.
//!
//! Every answer counts, so two cards with one address are found.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, bind, recv, sendto, socket};

use super::ping::Plan;
use crate::check::neighbour::{reply, request};
use crate::sys::packet::link_address;
use crate::units::{Cidr, IfName, Mac};

const ARP: u16 = 0x0806;
const EVERYBODY: [u8; 6] = [0xff; 6];

/// What one question came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Which, from 1.
    pub seq: u16,
    /// Who answered, and after how long.
    pub answers: Vec<(Mac, Duration)>,
    /// Why it could not be sent.
    pub unsent: Option<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.seq)?;
        match (&self.unsent, self.answers.as_slice()) {
            (Some(why), _) => write!(f, "not sent: {why}"),
            (None, []) => f.write_str("no answer"),
            (None, answers) => {
                for (n, (mac, time)) in answers.iter().enumerate() {
                    let comma = if n > 0 { ", " } else { "" };
                    write!(f, "{comma}{mac} answers after {:.3} ms", time.as_secs_f64() * 1000.0)?;
                }
                Ok(())
            }
        }
    }
}

/// All questions together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Where they were asked.
    pub interface: IfName,
    /// Questions.
    pub sent: u32,
    /// Questions with an answer.
    pub answered: u32,
    /// Who answered.
    pub macs: BTreeSet<Mac>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sent on {}, {} answered", self.sent, self.interface, self.answered)?;
        if self.macs.len() > 1 {
            let macs = self.macs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            write!(f, "\nThe address is in use more than once: {macs}")?;
        }
        Ok(())
    }
}

/// Where and as whom is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    name: IfName,
    index: u32,
    mac: Mac,
    source: Ipv4Addr,
}

/// Asks for `target` on `interface`, or on the one that has its network; `Break` from `each` ends the series.
///
/// # Errors
/// There is no such interface, none has the network, or no socket can be opened (needs CAP_NET_RAW).
pub fn arping(
    target: Ipv4Addr,
    interface: Option<&IfName>,
    plan: Plan,
    mut each: impl FnMut(&Outcome) -> ControlFlow<()>,
) -> io::Result<Summary> {
    let link = link(target, interface)?;
    let socket = open(&link)?;
    let mut summary = Summary { interface: link.name.clone(), sent: 0, answered: 0, macs: BTreeSet::new() };
    for seq in 1..=plan.count {
        let asked = Instant::now();
        let outcome = match ask(&socket, &link, target, plan.timeout) {
            Ok(answers) => Outcome { seq, answers, unsent: None },
            Err(error) => Outcome { seq, answers: Vec::new(), unsent: Some(super::told(&error)) },
        };
        summary.sent += 1;
        summary.answered += u32::from(!outcome.answers.is_empty());
        summary.macs.extend(outcome.answers.iter().map(|(mac, _)| *mac));
        if each(&outcome).is_break() {
            break;
        }
        if seq < plan.count {
            std::thread::sleep(plan.interval.saturating_sub(asked.elapsed()));
        }
    }
    Ok(summary)
}

fn link(target: Ipv4Addr, wanted: Option<&IfName>) -> io::Result<Link> {
    let all: Vec<_> = nix::ifaddrs::getifaddrs()?.collect();
    let mut near = None;
    for it in all.iter().filter(|it| wanted.is_none_or(|name| name.as_str() == it.interface_name)) {
        let address = it.address.and_then(|address| Some(address.as_sockaddr_in()?.ip()));
        let mask = it.netmask.and_then(|mask| Some(mask.as_sockaddr_in()?.ip()));
        if let (Some(address), Some(mask)) = (address, mask)
            && address != target
        {
            let prefix = u8::try_from(mask.to_bits().leading_ones()).unwrap_or(32);
            if (Cidr { address: address.into(), prefix }).contains(target.into()) {
                near = Some((it.interface_name.clone(), address));
                break;
            }
        }
    }
    let (name, source) = match (near, wanted) {
        (Some(near), _) => near,
        // Without an address of the network it is a probe (RFC 5227 section 2.1.1).
        (None, Some(name)) => (name.to_string(), Ipv4Addr::UNSPECIFIED),
        (None, None) => {
            return Err(io::Error::other("it is on no network of this box: name the interface"));
        }
    };
    let mac = all
        .iter()
        .filter(|it| it.interface_name == name)
        .find_map(|it| it.address?.as_link_addr()?.addr().filter(|octets| *octets != [0; 6]).map(Mac));
    let mac = mac.ok_or_else(|| io::Error::other(format!("{name} is no Ethernet interface of this box")))?;
    let index = nix::net::if_::if_nametoindex(name.as_str())?;
    let name = name.parse().map_err(io::Error::other)?;
    Ok(Link { name, index, mac, source })
}

fn open(link: &Link) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, None)?;
    let place = link_address(link.index, ARP, [0; 6]).ok_or(Errno::ENODEV)?;
    bind(socket.as_raw_fd(), &place)?;
    Ok(socket)
}

/// Every answer within `timeout`.
fn ask(
    socket: &OwnedFd,
    link: &Link,
    target: Ipv4Addr,
    timeout: Duration,
) -> io::Result<Vec<(Mac, Duration)>> {
    let everybody = link_address(link.index, ARP, EVERYBODY).ok_or(Errno::ENODEV)?;
    sendto(socket.as_raw_fd(), &request(link.mac, link.source, target), &everybody, MsgFlags::empty())?;
    let asked = Instant::now();
    let mut answers: Vec<(Mac, Duration)> = Vec::new();
    loop {
        let left = timeout.saturating_sub(asked.elapsed());
        if left.is_zero() {
            return Ok(answers);
        }
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let patience = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, patience) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut buffer = [0; 128];
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => {
                let mac = reply(buffer.get(..length).unwrap_or_default(), link.mac, target);
                if let Some(mac) = mac.filter(|mac| answers.iter().all(|(known, _)| known != mac)) {
                    answers.push((mac, asked.elapsed()));
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_in_use_twice_is_told() {
        let [one, two] = [Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])];
        let answers = vec![(one, Duration::from_micros(1500)), (two, Duration::from_micros(2000))];
        let outcome = Outcome { seq: 1, answers, unsent: None };
        assert_eq!(
            outcome.to_string(),
            "1: 02:00:00:00:00:01 answers after 1.500 ms, 02:00:00:00:00:02 answers after 2.000 ms"
        );
        let interface = "eth0".parse().unwrap();
        let summary = Summary { interface, sent: 4, answered: 4, macs: BTreeSet::from([one, two]) };
        assert_eq!(
            summary.to_string(),
            "4 sent on eth0, 4 answered\n\
             The address is in use more than once: 02:00:00:00:00:01, 02:00:00:00:00:02"
        );
        assert_eq!(Outcome { seq: 2, answers: Vec::new(), unsent: None }.to_string(), "2: no answer");
    }

    #[test]
    fn who_is_far_away_cannot_be_asked() {
        let target = "203.0.113.77".parse().unwrap();
        let error = link(target, None).map_err(|error| error.to_string());
        assert_eq!(error, Err("it is on no network of this box: name the interface".to_owned()));
        let error = link(target, Some(&"nosuch0".parse().unwrap())).unwrap_err();
        assert_eq!(error.to_string(), "nosuch0 is no Ethernet interface of this box");
    }
}
