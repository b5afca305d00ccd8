//! TLS as a client, and the check that does no more: a handshake, then a dialogue where given.

mod certificate;
mod explain;
mod verifier;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::{ResolvesClientCert, Resumption};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ClientConfig, ProtocolVersion, SignatureScheme};

use super::{Notice, Outcome, Reason, Step, Target, reason, socket};
use crate::config::model::{Dialogue, Tls};
use verifier::{ANY_NAME, Verifier};

/// What cannot be a TLS client.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    /// The authorities.
    #[error("ca: {0}")]
    Authorities(String),
    /// Certificate or key of this client.
    #[error("client certificate: {0}")]
    Identity(String),
    /// The name of the server.
    #[error("{0:?} is not a name of a server")]
    Name(String),
}

/// Whether the settings can be used, for who reads them.
///
/// # Errors
/// What is wrong with them.
pub fn validate(tls: &Tls) -> Result<(), Fault> {
    server_name(tls.name.as_deref())?;
    client(tls).map(drop)
}

/// Clients that have been made: certificates are parsed once, not for each probe.
#[derive(Debug, Default)]
pub struct Clients(Mutex<BTreeMap<Tls, Arc<Client>>>);

impl Clients {
    fn get(&self, tls: &Tls) -> Result<Arc<Client>, Fault> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(tls) {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(client(tls)?);
        made.insert(tls.clone(), Arc::clone(&client));
        Ok(client)
    }
}

#[derive(Debug)]
struct Client {
    config: ClientConfig,
    identity: Option<Arc<CertifiedKey>>,
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Secured {
    /// What is said from here on is encrypted.
    pub stream: Box<TlsStream<TcpStream>>,
    /// What is to be told beside success: the certificate expires soon.
    pub notice: Option<Notice>,
    identity: Arc<Identity>,
}

/// The TLS check.
pub async fn probe(target: &Target, clients: &Clients, dialogue: &Dialogue, tls: &Tls) -> Outcome {
    ask(target, clients, dialogue, tls).await.unwrap_or_else(|ended| ended)
}

async fn ask(target: &Target, clients: &Clients, dialogue: &Dialogue, tls: &Tls) -> Step<Outcome> {
    let stream = socket::connect(target).await?;
    let mut secured = handshake(stream, tls, None, clients).await?;
    if *dialogue == Dialogue::default() {
        let version = version(&secured.stream);
        secured.confirm().await?;
        return Ok(match secured.notice {
            Some(notice) => Outcome::Warning(notice),
            None => Outcome::Success(Reason::Borrowed(version)),
        });
    }
    let heard = super::dialogue::hold(&mut *secured.stream, dialogue).await?;
    Ok(success(heard, secured.notice))
}

/// Success, or a warning if something is to be told.
#[must_use]
pub fn success(reason: Reason, notice: Option<Notice>) -> Outcome {
    match notice {
        Some(notice) => Outcome::Warning(Notice {
            reason: Reason::Owned(format!("{reason}, {}", notice.reason)),
            ..notice
        }),
        None => Outcome::Success(reason),
    }
}

/// Shakes hands over a connection. `name` is the server's as the protocol has it, for settings without one.
///
/// # Errors
/// The outcome of the probe when it does not succeed.
pub async fn handshake(stream: TcpStream, tls: &Tls, name: Option<&str>, clients: &Clients) -> Step<Secured> {
    let (name, client) = server_name(tls.name.as_deref().or(name))
        .and_then(|name| Ok((name, clients.get(tls)?)))
        .map_err(|fault| Outcome::Inconclusive(Reason::Owned(format!("cannot ask: {fault}"))))?;
    let identity = Arc::new(Identity { key: client.identity.clone(), asked: AtomicBool::new(false) });
    let mut config = client.config.clone();
    config.client_auth_cert_resolver = identity.clone();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| identity.explain(&error, "connection closed within the TLS handshake"))?;
    let end = stream.get_ref().1.peer_certificates().and_then(|chain| certificate::not_after(chain.first()?));
    let notice = end.and_then(|end| certificate::expiry(end, SystemTime::now(), tls.expiry));
    Ok(Secured { stream: Box::new(stream), notice, identity })
}

impl Secured {
    /// Waits until the server has accepted the certificate of this client, if it has asked for one: in TLS 1.3 it answers
    /// after the client's handshake is over (RFC 8446 section 4.4.2.4), by a ticket, the end, or an alert.
    async fn confirm(&mut self) -> Step<()> {
        if !self.identity.asked.load(Ordering::Relaxed) {
            return Ok(());
        }
        // What it thinks of a client that ends so is not asked.
        let _ = self.stream.shutdown().await;
        let heard = poll_fn(|cx| {
            let (mut byte, tickets) = ([0], self.stream.get_ref().1.tls13_tickets_received());
            match Pin::new(&mut *self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte)) {
                Poll::Pending if tickets + self.stream.get_ref().1.tls13_tickets_received() > 0 => {
                    Poll::Ready(Ok(()))
                }
                other => other,
            }
        });
        match heard.await {
            Err(error) if rustls_error(&error).is_some() => Err(self.identity.explain(&error, "")),
            // An abrupt end after the handshake is an end.
            _ => Ok(()),
        }
    }
}

/// The error of rustls within, if it is one.
#[must_use]
pub fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// What failed in TLS, in words; `None` if the connection failed, not TLS.
#[must_use]
pub fn words(error: &io::Error) -> Option<Reason> {
    rustls_error(error).map(explain::words)
}

fn version(stream: &TlsStream<TcpStream>) -> &'static str {
    match stream.get_ref().1.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS",
    }
}

fn server_name(name: Option<&str>) -> Result<ServerName<'static>, Fault> {
    match name {
        Some(name) => ServerName::try_from(name.to_owned()).map_err(|_| Fault::Name(name.to_owned())),
        None => Ok(IpAddr::into(ANY_NAME)),
    }
}

/// The certificate of this client for one connection, and whether the server asked for it.
#[derive(Debug)]
struct Identity {
    key: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl Identity {
    fn explain(&self, error: &io::Error, closed: &'static str) -> Outcome {
        match rustls_error(error) {
            Some(rustls::Error::AlertReceived(alert))
                if self.asked.load(Ordering::Relaxed) && explain::is_about_the_client(*alert) =>
            {
                Outcome::Failure(Reason::Borrowed(match self.key {
                    Some(_) => "server refuses the client certificate",
                    None => "server wants a client certificate",
                }))
            }
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                Outcome::Failure(Reason::Borrowed(closed))
            }
            _ => reason::outcome(error),
        }
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn client(tls: &Tls) -> Result<Client, Fault> {
    let provider = Arc::new(ring::default_provider());
    let verifier = match &tls.ca {
        Some(pem) => Verifier::trusting(certificates(pem).map_err(Fault::Authorities)?, provider.clone())
            .map_err(Fault::Authorities)?,
        None => Verifier::anything(&provider),
    };
    let identity = tls.identity.as_ref().map(|(chain, key)| identity(chain, key, &provider));
    let identity = identity.transpose().map_err(Fault::Identity)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::Identity(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // A check asks whether the whole handshake works.
    config.resumption = Resumption::disabled();
    Ok(Client { config, identity: identity.map(Arc::new) })
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if all.is_empty() => Err("no certificate in PEM".to_owned()),
        Ok(all) => Ok(all),
        Err(error) => Err(format!("not PEM: {error}")),
    }
}

fn identity(chain: &str, key: &str, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let chain = certificates(chain)?;
    let key =
        PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| "no private key in PEM".to_owned())?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => "the key is not that of the certificate".to_owned(),
        other => other.to_string(),
    })
}
