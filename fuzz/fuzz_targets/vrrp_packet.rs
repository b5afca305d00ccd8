//! Everything that a stranger on the segment can reach: datagrams, messages, authentication, the virtual routers.
#![no_main]

mod vrrp_feed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| vrrp_feed::feed(data));
