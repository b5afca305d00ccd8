//! Which certificates of servers are accepted.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::certificate;

/// Stands for "no name": no SNI is sent, and the certificate may have any.
pub const ANY_NAME: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Accepts every certificate, or those that some authorities vouch for.
#[derive(Debug)]
pub struct Verifier {
    trust: Option<Trust>,
    schemes: Vec<SignatureScheme>,
}

#[derive(Debug)]
struct Trust {
    chain: Arc<WebPkiServerVerifier>,
    /// A server's own self-signed certificate may be given as its authority; as such it is no authority for others.
    given: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// Accepts whatever is shown, even without proof that the server has its key: a check asks whether it works.
    #[must_use]
    pub fn anything(provider: &CryptoProvider) -> Self {
        Self { trust: None, schemes: provider.signature_verification_algorithms.supported_schemes() }
    }

    /// Accepts certificates that one of `authorities` has signed, or that are one of them, for the name of the server.
    ///
    /// # Errors
    /// One of them is not a certificate, or there is none.
    pub fn trusting(
        authorities: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots.add(authority.clone()).map_err(|_| "not a certificate".to_owned())?;
        }
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { trust: Some(Trust { chain, given: authorities }), schemes })
    }
}

impl Trust {
    fn verify(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        let any_name = *name == ServerName::IpAddress(ANY_NAME.into());
        if self.given.iter().any(|given| given == own) {
            expired(own, now)?;
            return if any_name {
                Ok(())
            } else {
                verify_server_name(&ParsedCertificate::try_from(own)?, name)
            };
        }
        match self.chain.verify_server_cert(own, others, name, stapled, now) {
            // The name is looked at last: all else is in order.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if any_name => Ok(()),
            other => other.map(drop),
        }
    }
}

fn expired(own: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let end = certificate::not_after(own)
        .and_then(|end| end.duration_since(std::time::UNIX_EPOCH).ok())
        .ok_or(CertificateError::BadEncoding)?;
    if end.as_secs() < now.as_secs() {
        let not_after = UnixTime::since_unix_epoch(end);
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    Ok(())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(trust) = &self.trust {
            trust.verify(own, others, name, stapled, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.trust {
            Some(trust) => trust.chain.verify_tls12_signature(message, own, signature),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.trust {
            Some(trust) => trust.chain.verify_tls13_signature(message, own, signature),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
