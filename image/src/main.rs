//! `cargo image`: the one door to building, booting, demonstrating, testing and flashing Director.
fn main() {}
