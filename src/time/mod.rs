//! The worker `time`: the clock, by SNTP (RFC 5905 section 14): stepped at boot, slewed later, written back to the RTC.

pub mod ask; // one question to one server
pub mod choose; // whom to believe (pure)
pub mod clock; // the kernel's clock and the RTC
pub mod discipline; // step, slew or wait (pure)
pub mod run; // the loop
pub mod servers; // whom, when, and what they said (pure)
