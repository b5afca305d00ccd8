//! What went wrong with TLS, in words that a person understands.

use std::time::Duration;

use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::super::Reason;
use super::certificate::span;

/// Most names of a certificate that are told.
const NAMES: usize = 3;

/// The error in words.
#[must_use]
pub fn words(error: &Error) -> Reason {
    match error {
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        )
        | Error::InappropriateMessage { .. }
        | Error::PeerSentOversizedRecord => Reason::Borrowed("not TLS"),
        Error::InvalidMessage(_) => Reason::Owned(format!("not TLS: {error}")),
        Error::PeerIncompatible(_) => Reason::Owned(format!("no common TLS: {error}")),
        Error::AlertReceived(alert) => refused(*alert),
        Error::InvalidCertificate(fault) => certificate(fault),
        Error::NoCertificatesPresented => Reason::Borrowed("server has no certificate"),
        other => Reason::Owned(format!("TLS: {other}")),
    }
}

/// Whether the server may mean that it wants another certificate of the client, or one at all.
#[must_use]
pub const fn is_about_the_client(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::HandshakeFailure
            | A::CertificateRequired
            | A::NoCertificate
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
            | A::DecryptError
    )
}

fn refused(alert: AlertDescription) -> Reason {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired | A::NoCertificate => Reason::Borrowed("server wants a client certificate"),
        A::ProtocolVersion => Reason::Borrowed("server speaks neither TLS 1.2 nor 1.3"),
        A::UnrecognisedName => Reason::Borrowed("server does not know the name asked for"),
        A::HandshakeFailure => Reason::Borrowed("server refuses the TLS handshake"),
        A::InternalError => Reason::Borrowed("server reports an internal error of its TLS"),
        other => Reason::Owned(format!("server refuses TLS: alert {other:?}")),
    }
}

fn certificate(fault: &CertificateError) -> Reason {
    match fault {
        CertificateError::ExpiredContext { time, not_after } => {
            Reason::Owned(format!("certificate expired {} ago", since(*not_after, *time)))
        }
        CertificateError::NotValidYetContext { time, not_before } => Reason::Owned(format!(
            "certificate is valid in {} only: is the clock of this box right?",
            since(*time, *not_before)
        )),
        CertificateError::NotValidForNameContext { expected, presented } => {
            Reason::Owned(format!("certificate is for {}, wanted {}", names(presented), expected.to_str()))
        }
        CertificateError::UnknownIssuer => Reason::Borrowed("certificate is signed by an unknown authority"),
        CertificateError::BadSignature => Reason::Borrowed("certificate has a bad signature"),
        CertificateError::BadEncoding => Reason::Borrowed("certificate cannot be read"),
        CertificateError::Revoked => Reason::Borrowed("certificate is revoked"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Reason::Borrowed("certificate is not for servers")
        }
        other => Reason::Owned(format!("certificate refused: {other}")),
    }
}

fn since(from: UnixTime, to: UnixTime) -> String {
    span(Duration::from_secs(to.as_secs().saturating_sub(from.as_secs())))
}

/// rustls tells each as `DnsName("www.example.com")` or `IpAddress(192.0.2.1)`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, rest)| rest.trim_end_matches(')'));
        inner.trim_matches('"').to_owned()
    };
    if presented.is_empty() {
        return "no name".to_owned();
    }
    let mut names: Vec<String> = presented.iter().take(NAMES).map(bare).collect();
    if presented.len() > NAMES {
        names.push(format!("{} more", presented.len() - NAMES));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_of_a_certificate_are_bare_and_few() {
        let presented =
            |names: &[&str]| super::names(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(presented(&["DnsName(\"a.example\")", "IpAddress(192.0.2.1)"]), "a.example, 192.0.2.1");
        assert_eq!(presented(&[]), "no name");
        assert_eq!(presented(&["x", "y", "z", "u", "v"]), "x, y, z, 2 more");
    }
}
