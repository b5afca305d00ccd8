//! What is asked, and of whom.

use std::net::SocketAddr;

use base64ct::{Base64, Encoding};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT,
};
use hyper::{Method, Uri};

use super::Asked;
use crate::check::{Outcome, Reason, Step};
use crate::config::model::{Http, Login};

/// One request of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: Method,
    /// A path with query; of a proxy: an absolute URI.
    pub(super) uri: Uri,
    /// The `Host` header.
    pub(super) host: String,
    pub(super) server: SocketAddr,
    pub(super) asked: Asked,
    pub(super) secure: bool,
    named: bool,
    with_body: bool,
}

impl Request {
    /// The request for a path of the file.
    pub(super) fn first(http: &Http, path: &str, server: SocketAddr, asked: Asked) -> Step<Self> {
        let uri: Uri = path.parse().map_err(|error| unfit(&format!("{path:?}: {error}")))?;
        let host = match (&http.host, uri.authority()) {
            (Some(host), _) => host.clone(),
            (None, Some(authority)) => authority.to_string(),
            (None, None) => server.to_string(),
        };
        Ok(Self {
            method: Method::from_bytes(http.method.as_bytes())
                .map_err(|_| unfit(&format!("method {:?}", http.method)))?,
            uri,
            host,
            server,
            asked,
            secure: http.tls.is_some(),
            named: http.host.is_some(),
            with_body: !http.body.is_empty(),
        })
    }

    /// The request after a redirect to `uri` of the same server.
    pub(super) fn next(&self, uri: Uri, keeps_method: bool) -> Self {
        let next = Self { uri, ..self.clone() };
        if keeps_method || self.method == Method::HEAD {
            return next;
        }
        Self { method: Method::GET, with_body: false, ..next }
    }

    /// With its header.
    pub(super) fn build(&self, http: &Http) -> Step<hyper::Request<Full<Bytes>>> {
        let body = if self.with_body { Bytes::copy_from_slice(&http.body) } else { Bytes::new() };
        let mut request = hyper::Request::new(Full::new(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static("director"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(HOST, value("host", &self.host)?);
        if let Some(login) = &http.login {
            let name = if self.asked == Asked::Proxy { PROXY_AUTHORIZATION } else { AUTHORIZATION };
            let mut value = value("login", &format!("Basic {}", credentials(login)))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut own: Vec<HeaderName> = Vec::new();
        for (name, text) in &http.headers {
            let key =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit(&format!("header {name:?}")))?;
            // The file's stand in place of ours; a name that it has twice is sent twice.
            if own.contains(&key) {
                headers.append(key, value(name, text)?);
            } else {
                headers.insert(key.clone(), value(name, text)?);
                own.push(key);
            }
        }
        Ok(request)
    }

    /// Whether the answer can have a body.
    pub(super) fn has_body(&self) -> bool {
        self.method != Method::HEAD
    }

    /// The name of the server, without a port, where the file gives one.
    pub(super) fn host_name(&self) -> Option<&str> {
        let without_port = match self.host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
            _ => &self.host,
        };
        self.named.then(|| without_port.trim_start_matches('[').trim_end_matches(']'))
    }
}

/// User and password as RFC 7617 encodes them.
pub(super) fn credentials(login: &Login) -> String {
    Base64::encode_string(format!("{}:{}", login.user, login.password).as_bytes())
}

fn value(name: &str, text: &str) -> Step<HeaderValue> {
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| unfit(&format!("value of {name:?}")))
}

fn unfit(what: &str) -> Outcome {
    Outcome::Inconclusive(Reason::Owned(format!("cannot ask: HTTP does not allow {what}")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn request(http: &Http, path: &str) -> Step<Request> {
        Request::first(http, path, "[2001:db8::1]:8080".parse().unwrap(), Asked::Origin)
    }

    fn header(http: &Http, name: &str) -> String {
        let built = request(http, "/a?b=c").unwrap().build(http).unwrap();
        let values: Vec<_> = built.headers().get_all(name).iter().map(|v| v.to_str().unwrap()).collect();
        values.join(", ")
    }

    #[test]
    fn the_host_is_the_files_or_the_servers() {
        let mut http = Http::get("/");
        assert_eq!(header(&http, "host"), "[2001:db8::1]:8080");
        assert_eq!(request(&http, "/").unwrap().host_name(), None);
        http.host = Some("www.example.com:8443".into());
        assert_eq!(header(&http, "host"), "www.example.com:8443");
        assert_eq!(request(&http, "/").unwrap().host_name(), Some("www.example.com"));
        assert!(request(&http, "/a b").is_err());
        http.host = Some("a\nb".into());
        assert!(request(&http, "/").unwrap().build(&http).is_err());
    }

    #[test]
    fn the_files_headers_stand_in_place_of_ours() {
        let mut http = Http::get("/");
        let own = [("User-Agent", "probe"), ("X-A", "1"), ("x-a", "2")];
        http.headers = own.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        http.login = Some(Login { user: "Aladdin".into(), password: "open sesame".into() });
        assert_eq!(header(&http, "user-agent"), "probe");
        assert_eq!(header(&http, "x-a"), "1, 2");
        assert_eq!(header(&http, "authorization"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        http.headers = vec![("a b".into(), "c".into())];
        let refused = request(&http, "/").unwrap().build(&http).unwrap_err();
        assert_eq!(refused, Outcome::Inconclusive("cannot ask: HTTP does not allow header \"a b\"".into()));
    }
}
