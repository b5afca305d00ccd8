//! The worker `api`: metrics for Prometheus, the status as JSON and as a page for a browser.
//!
//! It listens on the addresses of the file and nowhere else, answers GET and HEAD, and changes nothing. It knows nothing by
//! itself: it asks the other workers on their sockets, at most once a second however many ask here, and nobody waits for it.

pub mod collect; // what all workers say, at most a second old
pub mod devices; // the kernel's counters of each interface
pub mod exposition; // the text format of Prometheus
pub mod health; // one line for a load balancer or a probe
pub mod history; // the last day in a ring
pub mod http; // listeners and connections, bounded
pub mod metrics; // what is told to Prometheus
pub mod page; // the status page
pub mod pieces; // a body that is sent from where it lies
pub mod route; // which path is answered by what
mod rows; // services and real servers on the page
pub mod run; // the loop
mod spark; // a series as a small line
mod tables; // the other tables of the page
pub mod trouble; // what somebody should look at
