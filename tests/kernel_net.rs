//! The role `net` against the shipped kernel: the tests of `netns_net.rs`, in a guest.

#[path = "netns_net.rs"]
mod netns_net;
