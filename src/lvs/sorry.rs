//! The built-in sorry page: what clients get from this box while a service has lost its quorum.
//!
//! Every request is answered with 503 and `Retry-After`, so that browsers show the page, caches keep nothing and crawlers
//! come back. Connections are few, short and bounded in every direction: this box has better things to do.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, EXPECT, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use log::{info, warn};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::listen::listen;

/// Most connections at one time, over all listeners; the rest wait in the kernel's queue.
const CONNECTIONS: usize = 1024;
/// Connections that wait in the kernel for each listener.
const BACKLOG: i32 = 512;
/// Most bytes of a request's header.
const HEADER_LIMIT: usize = 8 * 1024;
/// Time for a request's header.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// Most bytes of a request's body that are read, so that the answer is not lost in a reset.
const BODY_LIMIT: usize = 64 * 1024;
/// Time for a request's body.
const BODY_TIME: Duration = Duration::from_secs(1);
/// Life of a connection.
const CONNECTION_TIME: Duration = Duration::from_secs(15);
/// Pause after a failed accept: no descriptor or no memory, which passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// When clients shall ask again, seconds.
const RETRY_SECONDS: u16 = 30;

/// The pages that are being served. Needs a tokio runtime; everything ends when this is dropped.
pub struct Sorry {
    pages: BTreeMap<SocketAddr, Page>,
    permits: Arc<Semaphore>,
}

struct Page {
    service: String,
    // Dropping it aborts the accept loop, and with it the connections.
    _serving: JoinSet<()>,
}

impl Default for Sorry {
    fn default() -> Self {
        Self { pages: BTreeMap::new(), permits: Arc::new(Semaphore::new(CONNECTIONS)) }
    }
}

impl Sorry {
    /// Makes `pages`, the name of a service by the address to listen on, the whole of what is served; unchanged ones go on
    /// undisturbed. The addresses need not exist on this box yet. Returns what could not be opened; the next call tries
    /// again.
    pub fn set(&mut self, pages: &BTreeMap<SocketAddr, String>) -> Vec<(SocketAddr, io::Error)> {
        self.pages.retain(|address, page| pages.get(address) == Some(&page.service));
        let mut failures = Vec::new();
        for (address, service) in pages {
            if self.pages.contains_key(address) {
                continue;
            }
            match listen(*address, BACKLOG) {
                Ok(listener) => {
                    let mut serving = JoinSet::new();
                    serving.spawn(accept(listener, page(service).into(), Arc::clone(&self.permits)));
                    let page = Page { service: service.clone(), _serving: serving };
                    self.pages.insert(*address, page);
                    info!("sorry page served: service={service} address={address}");
                }
                Err(error) => {
                    warn!("sorry page not served: service={service} address={address} reason={error}");
                    failures.push((*address, error));
                }
            }
        }
        failures
    }

    /// The addresses that are listened on.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.pages.keys().copied()
    }
}

async fn accept(listener: TcpListener, page: Bytes, permits: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let page = page.clone();
                connections.spawn(async move {
                    // A client that is slow, gone or speaks nonsense is of no interest here.
                    let _ = tokio::time::timeout(CONNECTION_TIME, converse(stream, page)).await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, page: Bytes) -> Result<(), hyper::Error> {
    let answer = service_fn(|request| {
        let page = page.clone();
        async move { Ok::<_, Infallible>(respond(request, page).await) }
    });
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEADER_LIMIT)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .serve_connection(TokioIo::new(stream), answer)
        .await
}

async fn respond(request: Request<Incoming>, page: Bytes) -> Response<Full<Bytes>> {
    // A client that asks before it sends a body is answered before it does.
    if !request.headers().contains_key(EXPECT) {
        let body = Limited::new(request.into_body(), BODY_LIMIT).collect();
        let _ = tokio::time::timeout(BODY_TIME, body).await;
    }
    let mut response = Response::new(Full::new(page));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    headers.insert(RETRY_AFTER, RETRY_SECONDS.into());
    response
}

fn page(service: &str) -> String {
    let service: String = service
        .chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            c => c.to_string(),
        })
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <title>Service temporarily unavailable</title>\n\
         <style>body{{font:18px/1.5 sans-serif;max-width:34em;margin:15vh auto;padding:0 1em;color:#333}}</style>\n\
         </head>\n<body>\n<h1>Service temporarily unavailable</h1>\n\
         <p>The service <b>{service}</b> cannot answer just now. Please try again in a moment.</p>\n\
         </body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// Runs `client` on a thread of its own beside the pages, and gives what it returns.
    fn with_pages<T: Send + 'static>(
        pages: &[&str],
        client: impl FnOnce(Vec<SocketAddr>) -> T + Send + 'static,
    ) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let pages: BTreeMap<SocketAddr, String> =
                pages.iter().map(|address| (address.parse().unwrap(), "web <1>".to_owned())).collect();
            let mut sorry = Sorry::default();
            assert!(sorry.set(&pages).is_empty());
            let addresses = sorry.addresses().collect();
            let (done, result) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || done.send(client(addresses)));
            result.await.unwrap()
        })
    }

    fn free() -> String {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
    }

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    #[test]
    fn every_request_is_told_to_come_back() {
        let (get, head, post) = with_pages(&[&free()], |to| {
            let get = ask(to[0], "GET /any/path?x HTTP/1.1\r\nHost: a\r\n\r\n");
            let head = ask(to[0], "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
            let post = ask(to[0], "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello");
            (get, head, post)
        });
        assert!(get.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{get}");
        for field in ["retry-after: 30\r\n", "connection: close\r\n", "cache-control: no-store\r\n"] {
            assert!(get.contains(field), "{field} in {get}");
        }
        assert!(get.contains("<b>web &lt;1&gt;</b>") && get.ends_with("</html>\n"), "{get}");
        assert!(head.starts_with("HTTP/1.1 503 ") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(post.starts_with("HTTP/1.0 503 ") && post.ends_with("</html>\n"), "{post}");
    }

    #[test]
    fn an_address_that_is_not_here_can_be_listened_on() {
        with_pages(&["192.0.2.77:80", "[2001:db8::77]:80"], |to| assert_eq!(to.len(), 2));
    }

    #[test]
    fn pages_come_and_go_and_a_taken_port_is_told() {
        let taken: SocketAddr = free().parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut sorry = Sorry::default();
            let pages = BTreeMap::from([(taken, "web".to_owned())]);
            let holder = std::net::TcpListener::bind(taken).unwrap();
            assert_eq!(sorry.set(&pages).len(), 1);
            drop(holder);
            assert_eq!(sorry.set(&pages).len(), 0);
            assert_eq!(sorry.addresses().collect::<Vec<_>>(), [taken]);
            assert!(std::net::TcpStream::connect(taken).is_ok());
            sorry.set(&BTreeMap::new());
            tokio::task::yield_now().await;
            assert!(std::net::TcpStream::connect(taken).is_err());
        });
    }

    #[test]
    fn a_header_has_bounds() {
        let response = with_pages(&[&free()], |to| {
            ask(to[0], &format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(HEADER_LIMIT)))
        });
        assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
    }
}
