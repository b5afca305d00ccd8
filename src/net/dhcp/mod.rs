//! DHCPv4 client (RFC 2131): asks for an address, keeps it alive, and says what it got.

pub mod lease; // what a server granted
