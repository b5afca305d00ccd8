//! IPVS services and their real servers: what the file wants, what the checks say, and what the kernel has.

pub mod sorry;
