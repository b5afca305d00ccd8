//! DHCPv4 client (RFC 2131): asks for an address, keeps it alive, and says what it got.
//!
//! The messages are smoltcp's; the machine and the life of a lease across a restart of this process are ours.

pub mod clients; // the clients of all links
pub mod fsm; // the client's states (pure)
pub mod lease; // what a server granted
pub mod message; // what is said, as bytes (pure)
pub mod run; // one task for each link
mod socket; // the packet socket
