//! One Ethernet segment, its hosts and taps.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;

use crate::namespace::Namespace;

/// A bridge in a namespace of its own. It forwards at once and learns, as a switch without spanning tree does.
#[derive(Debug)]
pub struct Segment {
    namespace: Arc<Namespace>,
    ports: AtomicU32,
}

const BRIDGE: &str = "br0";

impl Segment {
    /// Makes an empty segment.
    ///
    /// # Errors
    /// As [`Namespace::new`].
    pub fn new() -> Result<Segment> {
        let namespace = Namespace::new("lab")?;
        namespace.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?; // a switch does not speak
        namespace
            .ip(&format!("link add {BRIDGE} type bridge forward_delay 0 stp_state 0 mcast_snooping 0"))?;
        namespace.ip(&format!("link set {BRIDGE} up"))?;
        Ok(Segment { namespace: Arc::new(namespace), ports: AtomicU32::new(0) })
    }

    /// The namespace of the bridge and of all taps: where QEMU runs.
    pub fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    /// Adds a tap for one network card of a guest and returns its name.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn tap(&self) -> Result<String> {
        let name = format!("tap{}", self.port());
        self.namespace.ip(&format!("tuntap add dev {name} mode tap"))?;
        self.plug(&name)?;
        Ok(name)
    }

    /// Adds a host with one card `eth0` that has `address` (as `10.0.0.1/24`).
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn host(&self, name: &str, address: &str) -> Result<Host> {
        let namespace = Arc::new(Namespace::new(name)?);
        let port = format!("veth{}", self.port());
        self.namespace.ip(&format!("link add {port} type veth peer name eth0 netns {}", namespace.path()))?;
        self.plug(&port)?;
        // Duplicate address detection would make a fresh IPv6 address unusable for a second or two.
        namespace.sysctl("net/ipv6/conf/eth0/accept_dad", "0")?;
        namespace.ip("link set eth0 up")?;
        let own = address.split('/').next().and_then(|own| own.parse().ok());
        let host = Host { namespace, name: name.to_owned(), port, own };
        host.address(address)?;
        Ok(host)
    }

    /// Pulls the cable of `host`, or puts it back.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cable(&self, host: &Host, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        self.namespace.ip(&format!("link set {} {state}", host.port)).map(drop)
    }

    fn plug(&self, port: &str) -> Result<()> {
        self.namespace.ip(&format!("link set {port} master {BRIDGE} up")).map(drop)
    }

    fn port(&self) -> u32 {
        self.ports.fetch_add(1, Ordering::Relaxed)
    }
}

/// A namespace with a card on a segment: a client, a real server, another router.
#[derive(Debug, Clone)]
pub struct Host {
    namespace: Arc<Namespace>,
    name: String,
    port: String,
    own: Option<IpAddr>,
}

impl Host {
    /// The host's namespace.
    pub fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    /// The host's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its port on the segment's bridge, in the namespace of that.
    pub fn port(&self) -> &str {
        &self.port
    }

    /// The address that it was made with; `None` when that was none.
    pub const fn own(&self) -> Option<IpAddr> {
        self.own
    }

    /// Adds another address with prefix length to `eth0`.
    ///
    /// # Errors
    /// When it is no address or the kernel refuses.
    pub fn address(&self, address: &str) -> Result<()> {
        self.namespace.ip(&format!("address add {address} dev eth0")).map(drop)
    }

    /// Makes the host a real server for direct routing: it accepts packets for `vip` but never answers ARP for it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn accept_vip(&self, vip: IpAddr) -> Result<()> {
        if vip.is_ipv4() {
            self.namespace.sysctl("net/ipv4/conf/all/arp_ignore", "1")?;
            self.namespace.sysctl("net/ipv4/conf/all/arp_announce", "2")?;
        }
        // On `lo` the kernel answers no neighbour solicitation either, so IPv6 needs nothing more.
        self.namespace
            .ip(&format!("address add {vip}/{} dev lo", if vip.is_ipv4() { 32 } else { 128 }))
            .map(drop)
    }

    /// Sets the default route.
    ///
    /// # Errors
    /// When the gateway is not reachable or the kernel refuses.
    pub fn gateway(&self, via: IpAddr) -> Result<()> {
        self.namespace.ip(&format!("route replace default via {via}")).map(drop)
    }

    /// Pings once and says whether an answer came within a second.
    pub fn pings(&self, address: IpAddr) -> bool {
        let target = address.to_string();
        let ping = move || crate::command::output("ping", &["-n", "-c", "1", "-W", "1", &target]).is_ok();
        self.namespace.run(ping).unwrap_or(false)
    }
}
