//! MySQL's `caching_sha2_password`, which MariaDB does not have: the packets are those of MySQL 8.0 (MySQL internals manual,
//! "Caching_sha2_password information"), with the salt and the password of this test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use director::check::Outcome;
use director::config::model::{CheckKind, Database, Login, Tls};
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::ask::{NAME, ask, bad, good, once, verified};
use crate::authority::Authority;

const PASSWORD: &[u8] = b"secret";
const SALT: &[u8; 20] = b"\x1d{\x3aX@l9\x14\x5e#\x7f\x22\x0bq\x02\x6dK%\x17\x31";
const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];
/// `AuthMoreData`: the scramble is right; and: the password itself is wanted.
const FAST: &[u8] = &[1, 3];
const FULL: &[u8] = &[1, 4];
/// CLIENT_SSL, in the lower half.
const SSL: u16 = 0x0800;

/// The greeting of MySQL 8.0.33, Linux: with every capability, or without TLS.
fn greeting(tls: bool) -> Vec<u8> {
    let lower = if tls { u16::MAX } else { !SSL };
    let mut payload = b"\x0a8.0.33\0\x08\0\0\0".to_vec();
    payload.extend(&SALT[..8]);
    payload.push(0);
    payload.extend(lower.to_le_bytes());
    payload.extend(b"\xff\x02\0\xff\xdf\x15\0\0\0\0\0\0\0\0\0\0");
    payload.extend(&SALT[8..]);
    payload.extend(b"\0caching_sha2_password\0");
    payload
}

/// XOR(SHA256(password), SHA256(SHA256(SHA256(password)), salt)).
fn scramble() -> Vec<u8> {
    let once = Sha256::digest(PASSWORD);
    let salted = Sha256::new().chain_update(Sha256::digest(once)).chain_update(SALT).finalize();
    once.iter().zip(salted).map(|(a, b)| a ^ b).collect()
}

fn send(stream: &mut impl Write, number: u8, payload: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    stream.write_all(&[&length[..3], &[number], payload].concat())?;
    stream.flush()
}

fn receive(stream: &mut impl Read) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    let mut payload = vec![0; usize::from(head[0]) | usize::from(head[1]) << 8];
    stream.read_exact(&mut payload)?;
    Ok((head[3], payload))
}

/// What a log-in says of its user: the answer to the salt stands behind the name, with its length before it.
fn log_in(stream: &mut (impl Read + Write), then: &[u8]) -> std::io::Result<u8> {
    let (number, payload) = receive(stream)?;
    assert!(payload[32..].starts_with(b"monitor\0"), "{payload:?}");
    assert_eq!((usize::from(payload[40]), &payload[41..73]), (32, &scramble()[..]));
    send(stream, number + 1, then)?;
    Ok(number + 2)
}

/// A server that answers the scramble by `then`, and then accepts; by TLS if it is given. It serves one client.
fn serve(then: &'static [u8], tls: Option<Arc<ServerConfig>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        send(&mut stream, 0, &greeting(tls.is_some()))?;
        let Some(tls) = tls else {
            let number = log_in(&mut stream, then)?;
            return if then == FAST { send(&mut stream, number, OK) } else { Ok(()) };
        };
        // The head of a log-in alone: now it is TLS.
        assert_eq!(receive(&mut stream)?.1.len(), 32);
        let mut stream = StreamOwned::new(ServerConnection::new(tls).unwrap(), stream);
        let _ = log_in(&mut stream, then)?;
        let (number, password) = receive(&mut stream)?;
        assert_eq!(password, [PASSWORD, b"\0"].concat());
        send(&mut stream, number + 1, OK)?;
        // COM_QUIT.
        assert_eq!(receive(&mut stream)?, (0, vec![1]));
        Ok(())
    });
    address
}

fn check(tls: Option<Tls>) -> CheckKind {
    let login = Login { user: "monitor".into(), password: String::from_utf8(PASSWORD.to_vec()).unwrap() };
    CheckKind::Mysql(Database { login: Some(login), tls, ..Database::default() })
}

#[test]
fn a_cached_password_is_accepted_by_its_scramble() {
    assert_eq!(once(serve(FAST, None), check(None)), good("logged in to MySQL 8.0.33"));
}

#[test]
fn a_password_that_is_not_cached_goes_by_tls_alone() {
    let why = "log-in: the server has not cached the password and wants it by TLS (caching_sha2_password)";
    assert_eq!(ask(serve(FULL, None), check(None)), bad(why));
    let Some(authority) = Authority::new() else { return };
    let signed = authority.sign(NAME, "now", "10 days");
    let (certificate, key) = signed.pem();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    let outcome = once(serve(FULL, Some(Arc::new(server.unwrap()))), check(Some(verified(&authority, NAME))));
    assert_eq!(outcome, Outcome::Success("logged in to MySQL 8.0.33".into()));
}
