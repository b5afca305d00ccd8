//! Real servers that answer as the original's checks want it, and count who asks.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use director_lab::segment::{Host, Segment};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a real server speaks.
#[derive(Debug, Clone, Copy)]
pub enum Speaks {
    /// HTTP on port 80: a page for every path.
    Http,
    /// The same by TLS, on port 80.
    Https,
    /// SMTP on port 25.
    Smtp,
    /// Nothing: its check does not ask it.
    Nothing,
}

/// All real servers of a site, on one host.
pub struct Farm {
    asked: BTreeMap<IpAddr, Arc<AtomicU64>>,
    dead: Arc<AtomicBool>,
    _host: Host,
}

/// For the name `www.example.com`, made for this test.
const TLS: &str = include_str!("tls.pem");

impl Farm {
    /// Starts `servers` on `segment`, each in a network of 256 addresses.
    pub fn start(segment: &Segment, servers: &[(&str, Speaks)]) -> Farm {
        let host = segment.host("farm", "198.18.0.1/32").unwrap();
        let (mut asked, dead) = (BTreeMap::new(), Arc::new(AtomicBool::new(false)));
        for (address, speaks) in servers {
            host.address(&format!("{address}/24")).unwrap();
            let ip: IpAddr = address.parse().unwrap();
            let port = match speaks {
                Speaks::Nothing => continue,
                Speaks::Smtp => 25,
                _ => 80,
            };
            let at = SocketAddr::new(ip, port);
            let listener = host.namespace().run(move || TcpListener::bind(at)).unwrap().unwrap();
            let count = Arc::new(AtomicU64::new(0));
            asked.insert(ip, Arc::clone(&count));
            let (speaks, dead) = (*speaks, Arc::clone(&dead));
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    count.fetch_add(1, Ordering::Relaxed);
                    if dead.load(Ordering::Relaxed) {
                        continue;
                    }
                    // Who asks by TCP alone hangs up at once.
                    std::thread::spawn(move || drop(speaks.answer(stream)));
                }
            });
        }
        Farm { asked, dead, _host: host }
    }

    /// From now on every real server hangs up on whoever asks.
    pub fn die(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// How often each real server was asked that answers.
    pub fn asked(&self) -> BTreeMap<IpAddr, u64> {
        self.asked.iter().map(|(ip, count)| (*ip, count.load(Ordering::Relaxed))).collect()
    }
}

impl Speaks {
    fn answer(self, stream: TcpStream) -> std::io::Result<()> {
        match self {
            Speaks::Http => page(stream),
            Speaks::Https => {
                let tls = ServerConnection::new(Arc::new(tls())).map_err(std::io::Error::other)?;
                page(StreamOwned::new(tls, stream))
            }
            Speaks::Smtp => mail(stream),
            Speaks::Nothing => Ok(()),
        }
    }
}

fn tls() -> ServerConfig {
    let certificate = CertificateDer::from_pem_slice(TLS.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(TLS.as_bytes()).unwrap();
    ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap()
}

/// One request, one answer.
fn page(stream: impl Read + Write) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 && !line.trim_end().is_empty() {
        line.clear();
    }
    let body = "<h1>Test Page</h1>\n";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let mut stream = reader.into_inner();
    stream.write_all((head + body).as_bytes())?;
    stream.flush()
}

fn mail(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"220 mx.example.com ESMTP\r\n")?;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let quits = line?.to_ascii_uppercase().starts_with("QUIT");
        stream.write_all(if quits { b"221 bye\r\n" } else { b"250 mx.example.com\r\n" })?;
        if quits {
            break;
        }
    }
    Ok(())
}
