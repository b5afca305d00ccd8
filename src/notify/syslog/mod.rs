//! Log lines to remote receivers: RFC 5424 over UDP (RFC 5426) and TCP with octet counting (RFC 6587 section 3.4.1).
//!
//! Each receiver follows the supervisor's rings by number, from the first line of this boot on. So what is said before there is a
//! network is sent once there is one, in order and once; a receiver that is away costs no memory, and what had to make room in
//! the meantime is counted and told.

pub mod forward; // follows the rings for one receiver
pub mod line; // a log line as a message (pure)
pub mod wire; // the connection
