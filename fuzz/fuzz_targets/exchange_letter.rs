//! What a stranger on the segment can send to the exchange of state.
#![no_main]

mod letter_feed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| letter_feed::feed(data));
