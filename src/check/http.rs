//! The HTTP check: `GET` over HTTP/1.1, judged by the status code.
//!
//! The verdict falls when the header is complete; the body is not read, so an endless one costs nothing. hyper does not
//! follow redirects: 301 is 301.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use super::{Outcome, Reason, Target, reason, socket};
use crate::config::model::Http;

/// Most bytes of a response header.
const HEADER_LIMIT: usize = 16 * 1024;
/// Most fields of a response header.
const FIELD_LIMIT: usize = 100;

/// Asks `target` as `http` has it.
pub async fn probe(target: &Target, http: &Http) -> Outcome {
    let (path, accepted) = (http.paths.first().map_or("/", String::as_str), &http.status);
    let request = match request(target.address, path, http.host.as_deref()) {
        Ok(request) => request,
        Err(error) => return Outcome::Failure(Reason::Owned(format!("cannot ask for {path:?}: {error}"))),
    };
    let stream = match socket::connect(target).await {
        Ok(stream) => stream,
        Err(ended) => return ended,
    };
    match exchange(stream, request).await {
        Ok(response) => judge(response.status(), accepted),
        Err(error) => Outcome::Failure(explain(&error)),
    }
}

/// The request that a check sends.
///
/// # Errors
/// A path or host name that HTTP does not allow.
pub fn request(
    address: SocketAddr,
    path: &str,
    host: Option<&str>,
) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    let request =
        Request::get(path).header(USER_AGENT, "director").header(ACCEPT, "*/*").header(CONNECTION, "close");
    match host {
        Some(host) => request.header(HOST, host),
        None => request.header(HOST, address.to_string()),
    }
    .body(Empty::new())
}

async fn exchange(
    stream: tokio::net::TcpStream,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>, hyper::Error> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEADER_LIMIT)
        .max_headers(FIELD_LIMIT)
        .handshake(TokioIo::new(stream))
        .await?;
    let answer = sender.send_request(request);
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        response = &mut answer => response,
        // The connection ended; the answer says how (it may have arrived in the same moment).
        _ = &mut connection => answer.await,
    }
}

fn judge(status: StatusCode, accepted: &[(u16, u16)]) -> Outcome {
    let code = status.as_u16();
    if accepted.iter().any(|(from, to)| (*from..=*to).contains(&code)) {
        return Outcome::Success(Reason::Owned(status.to_string()));
    }
    Outcome::Failure(Reason::Owned(format!("status {code}, wanted {}", ranges(accepted))))
}

fn ranges(accepted: &[(u16, u16)]) -> String {
    let words: Vec<String> = accepted
        .iter()
        .map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") })
        .collect();
    words.join(" or ")
}

fn explain(error: &hyper::Error) -> Reason {
    if error.is_parse_too_large() {
        return Reason::Owned(format!("not HTTP: header larger than {} KiB", HEADER_LIMIT / 1024));
    }
    if error.is_parse() {
        return Reason::Owned(format!("not HTTP: {error}"));
    }
    if let Some(io) = error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        return reason::words(io);
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Reason::Borrowed("connection closed without an answer");
    }
    Reason::Owned(error.to_string().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_names_what_was_wanted() {
        assert_eq!(judge(StatusCode::OK, &[(200, 200)]), Outcome::Success("200 OK".into()));
        assert_eq!(
            judge(StatusCode::SERVICE_UNAVAILABLE, &[(200, 299), (401, 401)]),
            Outcome::Failure("status 503, wanted 200-299 or 401".into())
        );
    }

    #[test]
    fn the_host_is_the_files_or_the_servers() {
        let host = |h| {
            let request = request("[2001:db8::1]:8080".parse().unwrap(), "/a?b=c", h).unwrap();
            request.headers()[HOST].to_str().unwrap().to_owned()
        };
        assert_eq!(host(None), "[2001:db8::1]:8080");
        assert_eq!(host(Some("www.example.com")), "www.example.com");
        assert!(request("10.0.0.1:80".parse().unwrap(), "/a b", None).is_err());
        assert!(request("10.0.0.1:80".parse().unwrap(), "/", Some("a\nb")).is_err());
    }
}
