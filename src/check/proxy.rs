//! The HTTP proxy check: absolute URIs are asked for through the proxy (RFC 9112 section 3.2.2).

use super::http::{self, Asked};
use super::tls::Clients;
use super::{Outcome, Target};
use crate::config::model::Http;

/// Asks for each URI; a log-in is one to the proxy (RFC 9110 section 11.7).
pub async fn probe(target: &Target, clients: &Clients, http: &Http) -> Outcome {
    http::ask(target, clients, http, Asked::Proxy).await
}
