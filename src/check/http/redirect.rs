//! Where a redirect leads: the same server, or another, which is none of this check's business.

use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri};

use super::Asked;
use super::request::Request;

/// What follows a redirect.
pub(super) enum Next {
    /// Another request to the same server.
    Here(Box<Request>),
    /// Nothing.
    Elsewhere,
}

impl Request {
    /// What follows when this request is redirected to `location`. As browsers do, 301, 302 and 303 turn into `GET`
    /// (RFC 9110 section 15.4).
    pub(super) fn redirected(&self, status: StatusCode, location: &[u8]) -> Next {
        let keeps = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        let location =
            std::str::from_utf8(location).unwrap_or_default().split('#').next().unwrap_or_default();
        match self.resolve(location) {
            Some(uri) => Next::Here(Box::new(self.next(uri, keeps || self.method == hyper::Method::GET))),
            None => Next::Elsewhere,
        }
    }

    /// The URI to ask for (RFC 3986 section 5.2; dots are left to the server); `None` if it is another server's.
    fn resolve(&self, location: &str) -> Option<Uri> {
        let path = if let Some(rest) = location.strip_prefix("//") {
            self.same_server(&format!("{}://{rest}", self.scheme()))?
        } else if location.contains("://") {
            self.same_server(location)?
        } else if location.starts_with('/') {
            location.to_owned()
        } else if location.starts_with('?') {
            format!("{}{location}", self.uri.path())
        } else {
            let folder = self.uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{location}")
        };
        match (self.asked, self.uri.authority()) {
            (Asked::Proxy, Some(authority)) => format!("{}://{authority}{path}", self.scheme()).parse().ok(),
            _ => path.parse().ok(),
        }
    }

    fn same_server(&self, location: &str) -> Option<String> {
        let uri: Uri = location.parse().ok()?;
        let (scheme, there) = (uri.scheme_str()?, uri.authority()?);
        if !scheme.eq_ignore_ascii_case(self.scheme()) {
            return None;
        }
        let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
        let same = |here: &Authority| {
            here.host().eq_ignore_ascii_case(there.host())
                && here.port_u16().unwrap_or(port) == there.port_u16().unwrap_or(port)
        };
        let names = [self.host.parse().ok(), self.server.to_string().parse().ok()];
        names.iter().flatten().any(same).then(|| {
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
        })
    }

    fn scheme(&self) -> &str {
        match self.asked {
            Asked::Proxy => self.uri.scheme_str().unwrap_or("http"),
            Asked::Origin if self.secure => "https",
            Asked::Origin => "http",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::request;
    use super::*;
    use crate::config::model::Http;

    #[test]
    fn only_the_same_server_is_followed() {
        let http = Http { host: Some("www.example.com".into()), ..Http::get("/") };
        let to = |location: &str| {
            let request = request(&http, "/a/b?c").unwrap();
            match request.redirected(StatusCode::FOUND, location.as_bytes()) {
                Next::Here(next) => next.uri.to_string(),
                Next::Elsewhere => "elsewhere".to_owned(),
            }
        };
        assert_eq!(to("/x?y#z"), "/x?y");
        assert_eq!(to("x"), "/a/x");
        assert_eq!(to("?y"), "/a/b?y");
        assert_eq!(to("http://WWW.example.com:80/x"), "/x");
        assert_eq!(to("http://www.example.com"), "/");
        assert_eq!(to("//www.example.com/x"), "/x");
        assert_eq!(to("http://[2001:db8::1]:8080/x"), "/x");
        for other in
            ["https://www.example.com/x", "http://www.example.com:8080/", "//example.com/", "a b://c"]
        {
            assert_eq!(to(other), "elsewhere", "{other}");
        }
    }

    #[test]
    fn a_redirected_post_becomes_a_get_unless_it_must_not() {
        let http = Http { method: "POST".into(), body: b"x".to_vec(), ..Http::get("/") };
        let method = |status| match request(&http, "/").unwrap().redirected(status, b"/x") {
            Next::Here(next) => next.method.to_string(),
            Next::Elsewhere => panic!(),
        };
        assert_eq!(method(StatusCode::SEE_OTHER), "GET");
        assert_eq!(method(StatusCode::TEMPORARY_REDIRECT), "POST");
    }
}
