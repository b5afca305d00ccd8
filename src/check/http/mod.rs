//! The HTTP check: requests over HTTP/1.1, judged by the status code, and by the body where that is wanted.
//!
//! Where it is not, the verdict falls when the header is complete, so an endless body costs nothing. Each request has a
//! connection of its own, as clients of the service have.

mod body;
mod redirect;
mod request;

use std::error::Error as _;
use std::io;

use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;

use super::reason::Secrets;
use super::stream::Stream;
use super::tls::{self, Clients};
use super::{Notice, Outcome, Reason, Step, Target, reason, socket};
use crate::config::model::Http;
use body::Wanted;
use redirect::Next;
use request::Request;

/// Most bytes of a response header.
const HEADER_LIMIT: usize = 16 * 1024;
/// Most fields of a response header.
const FIELD_LIMIT: usize = 100;

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The server of the pages.
    Origin,
    /// A proxy on the way to it.
    Proxy,
}

/// Asks for each path; all must be answered as wanted.
pub async fn probe(target: &Target, clients: &Clients, http: &Http) -> Outcome {
    ask(target, clients, http, Asked::Origin).await
}

/// The same, of whoever is asked.
pub async fn ask(target: &Target, clients: &Clients, http: &Http, asked: Asked) -> Outcome {
    let mut exchange = Exchange { target, clients, http, asked, secrets: Secrets::default(), notice: None };
    if let Some(login) = &http.login {
        exchange.secrets.add(&login.password);
        exchange.secrets.add(&request::credentials(login));
    }
    exchange.round().await.unwrap_or_else(|ended| ended)
}

/// One probe.
struct Exchange<'a> {
    target: &'a Target,
    clients: &'a Clients,
    http: &'a Http,
    asked: Asked,
    secrets: Secrets,
    notice: Option<Notice>,
}

/// What came back.
struct Answer {
    status: StatusCode,
    location: Option<HeaderValue>,
    /// What speaks against its body, where that is looked at.
    fault: Option<String>,
}

impl Exchange<'_> {
    async fn round(mut self) -> Step<Outcome> {
        let mut last = StatusCode::OK;
        for path in &self.http.paths {
            last = self.page(path).await.map_err(|ended| match ended {
                // With one path there is no doubt which it was.
                Outcome::Failure(why) if self.http.paths.len() > 1 => {
                    Outcome::Failure(Reason::Owned(format!("{}: {why}", reason::quote(path.as_bytes()))))
                }
                other => other,
            })?;
        }
        Ok(tls::success(Reason::Owned(last.to_string()), self.notice))
    }

    /// One page, and those that it redirects to.
    async fn page(&mut self, path: &str) -> Step<StatusCode> {
        let mut request = Request::first(self.http, path, self.target.address, self.asked)?;
        for _ in 0..=self.http.redirects {
            let answer = self.fetch(&request).await?;
            let status = answer.status;
            if accepts(&self.http.status, status) {
                return match answer.fault {
                    None => Ok(status),
                    Some(fault) => Err(failure(format!("status {}, {fault}", status.as_u16()))),
                };
            }
            let wanted = ranges(&self.http.status);
            let location = answer.location.filter(|_| status.is_redirection() && self.http.redirects > 0);
            let Some(location) = location else {
                return Err(failure(format!("status {}, wanted {wanted}", status.as_u16())));
            };
            match request.redirected(status, location.as_bytes()) {
                Next::Here(next) => request = *next,
                Next::Elsewhere => {
                    let to = self.secrets.quote(location.as_bytes());
                    return Err(failure(format!("status {} to {to}, another server", status.as_u16())));
                }
            }
        }
        Err(failure(format!("more than {} redirects", self.http.redirects)))
    }

    /// Sends one request on a connection of its own.
    async fn fetch(&mut self, request: &Request) -> Step<Answer> {
        let built = request.build(self.http)?;
        let stream = self.connect(request).await?;
        let wanted = Wanted::of(self.http, request.has_body());
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEADER_LIMIT)
            .max_headers(FIELD_LIMIT)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Outcome::Failure(explain(&error)))?;
        let secrets = &self.secrets;
        let answer = async {
            let response: Response<Incoming> = sender.send_request(built).await?;
            let (head, body) = response.into_parts();
            let fault = match wanted {
                Some(wanted) if accepts(&self.http.status, head.status) => {
                    wanted.fault(body, secrets).await?
                }
                _ => None,
            };
            Ok(Answer { status: head.status, location: head.headers.get(LOCATION).cloned(), fault })
        };
        tokio::pin!(answer, connection);
        let answer: Result<Answer, hyper::Error> = tokio::select! {
            biased;
            answer = &mut answer => answer,
            // The connection ended; the answer says how (it may have arrived in the same moment).
            _ = &mut connection => answer.await,
        };
        answer.map_err(|error| Outcome::Failure(explain(&error)))
    }

    async fn connect(&mut self, request: &Request) -> Step<Stream> {
        let stream = socket::connect(self.target).await?;
        let Some(tls) = &self.http.tls else { return Ok(Stream::Plain(stream)) };
        // The name of a proxy is not that of the servers behind it.
        let name = request.host_name().filter(|_| self.asked == Asked::Origin);
        let secured = tls::handshake(stream, tls, name, self.clients).await?;
        self.notice = secured.notice;
        Ok(Stream::Tls(secured.stream))
    }
}

fn failure(why: String) -> Outcome {
    Outcome::Failure(Reason::Owned(why))
}

fn accepts(accepted: &[(u16, u16)], status: StatusCode) -> bool {
    accepted.iter().any(|(from, to)| (*from..=*to).contains(&status.as_u16()))
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
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Reason::Borrowed("connection closed without an answer");
    }
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(io) if io.kind() == io::ErrorKind::UnexpectedEof => {
            Reason::Borrowed("connection closed before the end of the answer")
        }
        Some(io) => reason::words(io),
        None => Reason::Owned(error.to_string().to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_wanted_is_named() {
        let accepted = [(200, 299), (401, 401)];
        assert!(accepts(&accepted, StatusCode::NO_CONTENT) && accepts(&accepted, StatusCode::UNAUTHORIZED));
        assert!(!accepts(&accepted, StatusCode::MOVED_PERMANENTLY));
        assert_eq!(ranges(&accepted), "200-299 or 401");
    }
}
