//! From the kind of a check to the file that asks so.

use super::{Outcome, Reason, Target, dns, http, ping, tcp, udp};
use crate::config::model::CheckKind;

/// Asks once, without a limit of time: the caller has it. Dropping the future ends the probe and frees all that it holds.
pub async fn probe(target: &Target) -> Outcome {
    match &target.check.kind {
        CheckKind::None => Outcome::Success(Reason::Borrowed("not checked")),
        CheckKind::Tcp(_) => tcp::probe(target.address).await,
        CheckKind::Http(http) => http::probe(target.address, http).await,
        CheckKind::Dns { name, record, expect, tcp } => dns::probe(target, name, record, expect, *tcp).await,
        CheckKind::Udp { send, reply } => udp::probe(target, send, reply.as_ref()).await,
        CheckKind::Ping => ping::probe(target).await,
        _ => Outcome::Inconclusive(Reason::Borrowed("this kind of check cannot be asked yet")),
    }
}
