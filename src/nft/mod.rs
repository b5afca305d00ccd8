//! Rules of the packet filter that services need: firewall marks, and the source addresses of full NAT.
//!
//! [`ruleset`]: what is to be done, from the configuration · [`area`]: ranges of addresses and ports · [`encode`] by
//! [`object`], [`expression`] and [`message`]: the rules as netlink · [`client`]: the connection · [`keeper`]: the table, kept true.
//!
//! The worker `lvs` owns the table `director` of family `inet`, and no other. As long as nothing needs it there is none, and
//! then neither nftables nor connection tracking has a hook that a packet passes.

pub mod area;
pub mod client;
pub mod encode;
pub mod expression;
pub mod keeper;
pub mod message;
pub mod object;
pub mod ruleset;

pub use keeper::{Done, Keeper};
pub use ruleset::{Ruleset, desired};
