//! Alarms to a webhook: JSON by POST, signed.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;

use crate::check::tls::Clients;
use crate::check::{Notice, Outcome, Target, http};
use crate::config::model::{Check, CheckKind, Http, Webhook};
use crate::ipc::message::{Alarm, VERSION};

/// What is posted.
#[derive(Debug, Serialize)]
struct Body<'a> {
    version: u32,
    host: &'a str,
    alarms: &'a [Alarm],
}

/// Posts `alarms` to what is at `address`, signed with `secret`; what the server said.
///
/// # Errors
/// The same, where it is no 2xx, or nothing.
pub async fn send(
    webhook: &Webhook,
    address: SocketAddr,
    secret: Option<&str>,
    clients: &Clients,
    host: &str,
    alarms: &[Alarm],
) -> Result<String, String> {
    let body =
        serde_json::to_vec(&Body { version: VERSION, host, alarms }).map_err(|error| error.to_string())?;
    let id = alarms.last().map_or(0, |alarm| alarm.id);
    let mut headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("x-director-delivery".to_owned(), id.to_string()),
    ];
    if let Some(secret) = secret {
        headers.push(("x-director-signature".to_owned(), format!("sha256={}", signature(secret, &body))));
    }
    let request = Http {
        method: "POST".to_owned(),
        paths: vec![webhook.path.clone()],
        host: Some(webhook.host.clone()),
        headers,
        body,
        tls: webhook.tls.clone(),
        ..Http::get("/")
    };
    let target = Target::new(address, Arc::new(Check::new(CheckKind::None)));
    match http::probe(&target, clients, &request).await {
        Outcome::Success(said) | Outcome::Warning(Notice { reason: said, .. }) => Ok(said.into_owned()),
        other => Err(super::mail::why(other)),
    }
}

/// HMAC-SHA256 (RFC 2104) in hexadecimal digits.
fn signature(secret: &str, body: &[u8]) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body);
    let mut out = String::new();
    for byte in mac.finalize().into_bytes() {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_4231() {
        // Test case 2.
        assert_eq!(
            signature("Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
