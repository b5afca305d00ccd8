//! What may answer where a gateway is asked by ARP or neighbour discovery.
#![no_main]

mod neighbour_feed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| neighbour_feed::feed(data));
