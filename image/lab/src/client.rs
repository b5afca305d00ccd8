//! Tiny clients.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::segment::Host;

/// One request over a TCP connection of its own.
#[derive(Debug, Clone)]
pub struct Sample {
    /// When the connection was begun.
    pub asked: Instant,
    /// When the answer was complete, or the attempt was given up.
    pub done: Instant,
    /// The first line of the body, such as the name of a real server; or the error.
    pub answer: Result<String, String>,
}

/// Asks once for `path` and gives up after `patience`.
///
/// It must be called inside the client's namespace ([`crate::namespace::Namespace::run`]).
pub fn ask(target: SocketAddr, path: &str, patience: Duration) -> Sample {
    let asked = Instant::now();
    let answer = exchange(target, path, patience).map_err(|error| error.to_string());
    Sample { asked, done: Instant::now(), answer }
}

/// The answer to a GET, head and body, up to `most` bytes.
///
/// It must be called inside the client's namespace, as [`ask`].
///
/// # Errors
/// No connection, or nothing came for `patience`.
pub fn get(target: SocketAddr, path: &str, patience: Duration, most: u64) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&target, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_nodelay(true)?;
    // At once: a server may answer the first packet and be gone.
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.ip());
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(most).read_to_end(&mut answer)?;
    Ok(answer)
}

fn exchange(target: SocketAddr, path: &str, patience: Duration) -> std::io::Result<String> {
    let answer = get(target, path, patience, 64 * 1024)?;
    let answer = String::from_utf8(answer).map_err(std::io::Error::other)?;
    first_line(&answer).ok_or_else(|| std::io::Error::other(format!("no HTTP answer: {answer:?}")))
}

/// The status when it is not 200, and the first line of the body that says something, without HTML's tags.
fn first_line(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?;
    let body = without_tags(body);
    let line = body.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
    Some(if status == "200" { line.to_owned() } else { format!("{status} {line}") })
}

fn without_tags(html: &str) -> String {
    let pieces = html.split('<').enumerate();
    pieces
        .map(|(at, piece)| if at == 0 { piece } else { piece.split_once('>').map_or("", |(_, text)| text) })
        .collect()
}

/// A connection that stays open and asks again and again.
#[derive(Debug)]
pub struct LongLived {
    stream: BufReader<TcpStream>,
    target: SocketAddr,
}

impl LongLived {
    /// Connects from inside `host`.
    ///
    /// # Errors
    /// When nobody accepts within five seconds.
    pub fn open(host: &Host, target: SocketAddr) -> Result<LongLived> {
        let patience = Duration::from_secs(5);
        let stream = host.namespace().run(move || TcpStream::connect_timeout(&target, patience))??;
        stream.set_read_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(LongLived { stream: BufReader::new(stream), target })
    }

    /// Asks once more over the same connection and returns the first line of the body.
    ///
    /// # Errors
    /// When the connection is broken or silent for five seconds.
    pub fn ask(&mut self) -> Result<String> {
        write!(self.stream.get_mut(), "GET / HTTP/1.1\r\nHost: {}\r\n\r\n", self.target.ip())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            anyhow::ensure!(self.stream.read_line(&mut line)? > 0, "the connection was closed");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if line.trim_end().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(String::from_utf8_lossy(&body).trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight;
    use crate::prober::Prober;
    use crate::segment::Segment;
    use crate::server::RealServer;

    #[test]
    fn an_answer_is_the_first_line_of_the_body() {
        assert_eq!(first_line("HTTP/1.1 200 OK\r\nA: b\r\n\r\nweb1\n").as_deref(), Some("web1"));
        assert_eq!(
            first_line("HTTP/1.1 503 No\r\n\r\n<!DOCTYPE html>\n<h1>Sorry</h1>\n").as_deref(),
            Some("503 Sorry")
        );
        assert_eq!(first_line(""), None);
    }

    #[test]
    fn clients_ask_servers_over_a_segment() {
        if let Err(why) = preflight::namespaces() {
            eprintln!("skipped: {why:#}");
            return;
        }
        let segment = Segment::new().unwrap();
        let client = segment.host("client", "10.9.0.1/24").unwrap();
        let host = segment.host("web1", "10.9.0.2/24").unwrap();
        let target: SocketAddr = "10.9.0.2:80".parse().unwrap();
        let mut server = RealServer::start(&host, target).unwrap();
        let mut long = LongLived::open(&client, target).unwrap();
        assert_eq!((long.ask().unwrap(), long.ask().unwrap()), ("web1".into(), "web1".into()));

        let prober = Prober::start(&client, target, Duration::from_millis(5)).unwrap();
        let (start, patience) = (Instant::now(), Duration::from_secs(20));
        prober.wait(start, patience, |r| r.answers().values().sum::<usize>() >= 10).unwrap();
        server.stop();
        assert!(long.ask().is_err());
        prober.wait(start, patience, |r| r.lost().count() >= 3).unwrap();
        server.resume().unwrap();
        prober.wait(Instant::now(), patience, |r| !r.answers().is_empty()).unwrap();
        let report = prober.stop();
        assert!(report.longest_gap().is_some(), "{report}");
        assert_eq!(report.answers().keys().collect::<Vec<_>>(), ["web1"]);
        assert!(server.requests() >= 10);
    }

    #[test]
    fn a_real_server_keeps_silent_about_the_vip() {
        if let Err(why) = preflight::namespaces() {
            eprintln!("skipped: {why:#}");
            return;
        }
        let segment = Segment::new().unwrap();
        let client = segment.host("client", "10.9.0.1/24").unwrap();
        let web = segment.host("web1", "10.9.0.2/24").unwrap();
        web.accept_vip("10.9.0.9".parse().unwrap()).unwrap();
        assert!((0..10).any(|_| client.pings("10.9.0.2".parse().unwrap()))); // a busy machine may miss one
        assert!(!client.pings("10.9.0.9".parse().unwrap()));
    }
}
