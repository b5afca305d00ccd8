//! Listeners and connections: few, short, and bounded in every direction.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::collect::Collector;
use super::history::History;
use super::pieces::Pieces;
use super::route::{answer, route};
use crate::listen::listen;
use crate::units::Cidr;

/// Most connections at one time, over all listeners; the rest wait in the kernel's queue.
const CONNECTIONS: usize = 16;
/// Connections that wait in the kernel for each listener.
const BACKLOG: i32 = 64;
/// Bytes of an answer that the kernel has of us at one time. It sends what it has without a pause, in which no other process gets that
/// processor, not even a real-time one: by megabytes of metrics an advertisement would be late by milliseconds.
const BURST: usize = 128 * 1024;
/// Most bytes of a request's header.
const HEADER_LIMIT: usize = 8 * 1024;
/// Time for a request's header.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// Life of a connection: what a slow reader has for a large table.
const CONNECTION_TIME: Duration = Duration::from_secs(30);
/// Pause after a failed accept: no descriptor or no memory, which passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The page has a style and a small picture of its own, and nothing else may be loaded or run.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// What all connections share.
#[derive(Debug)]
pub struct Shared {
    /// Whom to ask.
    pub collector: Collector,
    /// The last day.
    pub history: Mutex<History>,
    /// Requests answered.
    pub requests: AtomicU64,
    /// Connections refused.
    pub refused: AtomicU64,
}

/// What is listened on. Everything ends when this is dropped.
#[derive(Debug)]
pub struct Listeners {
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
    open: BTreeMap<SocketAddr, JoinSet<()>>,
    allow: Allowed,
}

/// For whom; changed while listening: a listener that was closed to be opened anew would still be in its own way.
type Allowed = Arc<Mutex<Vec<Cidr>>>;

impl Listeners {
    /// None yet.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
            open: BTreeMap::new(),
            allow: Allowed::default(),
        }
    }

    /// Makes `wanted` the whole of what is listened on, for the networks of `allow` (none: for everybody). The addresses need not
    /// exist on this box yet. Returns what could not be opened; the next call tries again. Needs a tokio runtime.
    pub fn set(&mut self, wanted: &[SocketAddr], allow: &[Cidr]) -> Vec<(SocketAddr, io::Error)> {
        *self.allow.lock().unwrap_or_else(PoisonError::into_inner) = allow.to_vec();
        self.open.retain(|address, _| wanted.contains(address));
        let mut failures = Vec::new();
        for address in wanted {
            if self.open.contains_key(address) {
                continue;
            }
            match listen(*address, BACKLOG) {
                Ok(listener) => {
                    let mut serving = JoinSet::new();
                    let (shared, permits) = (Arc::clone(&self.shared), Arc::clone(&self.permits));
                    serving.spawn(accept(listener, shared, permits, Arc::clone(&self.allow)));
                    self.open.insert(*address, serving);
                }
                Err(error) => failures.push((*address, error)),
            }
        }
        failures
    }

    /// Where it listens.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.open.keys().copied()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, permits: Arc<Semaphore>, allow: Allowed) {
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((_, peer)) if !allowed(&allow.lock().unwrap_or_else(PoisonError::into_inner), peer.ip()) => {
                shared.refused.fetch_add(1, Ordering::Relaxed);
            }
            Ok((stream, _)) => {
                // Without that it is as much as the kernel likes.
                let _ = SockRef::from(&stream).set_send_buffer_size(BURST);
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    // A client that is slow, gone or speaks nonsense is of no interest here.
                    let _ = tokio::time::timeout(CONNECTION_TIME, converse(stream, &shared)).await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

fn allowed(allow: &[Cidr], peer: IpAddr) -> bool {
    allow.is_empty() || allow.iter().any(|network| network.contains(peer))
}

async fn converse(stream: TcpStream, shared: &Arc<Shared>) -> Result<(), hyper::Error> {
    let answer = service_fn(|request| {
        let shared = Arc::clone(shared);
        async move { Ok::<_, Infallible>(respond(&request, &shared).await) }
    });
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEADER_LIMIT)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .serve_connection(TokioIo::new(stream), answer)
        .await
}

async fn respond(request: &Request<Incoming>, shared: &Shared) -> Response<Pieces> {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let answer = match route(request.method(), request.uri().path(), request.uri().query()) {
        Ok(route) => {
            let everything = shared.collector.everything(route.depth()).await;
            let history = shared.history.lock().unwrap_or_else(PoisonError::into_inner);
            answer(&route, &everything, &history)
        }
        Err(refusal) => refusal,
    };
    let mut response = Response::new(answer.body);
    *response.status_mut() = answer.code;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, answer.kind),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (ALLOW, "GET, HEAD"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_list_everybody_is_allowed() {
        let list: Vec<Cidr> = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        assert!(allowed(&[], "198.51.100.1".parse().unwrap()));
        for (peer, expected) in
            [("192.0.2.9", true), ("192.0.3.9", false), ("2001:db8::9", true), ("::1", false)]
        {
            assert_eq!(allowed(&list, peer.parse().unwrap()), expected, "{peer}");
        }
    }
}
