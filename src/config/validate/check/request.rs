//! The request of an HTTP check.

use hyper::http::uri::PathAndQuery;
use hyper::http::{HeaderName, HeaderValue, Method, Uri};

use super::super::super::faults::Faults;
use super::super::super::field::{At, Field};
use super::super::super::model::Http;
use super::super::super::raw::{CheckTable, CheckType, Status};
use super::super::{all, items};
use super::kind::{expect, login, visible};
use super::{Shared, tls};

const DEFAULT_STATUS: Status = Status(200, 299);

pub(super) fn http(
    table: &CheckTable,
    kind: CheckType,
    shared: &mut Shared<'_>,
    faults: &mut Faults<'_>,
) -> Http {
    host(table, faults);
    let method = method(table, faults);
    let expect = expect(table, shared, faults);
    let refuse = table.refuse.set().and_then(|At { value, span }| {
        shared.pattern(value).map_err(|refused| faults.add(*span, format!("`refuse` {refused}"))).ok()
    });
    let digest = digest(table, faults);
    if method == "HEAD" {
        let of_body = [
            ("expect", table.expect.span()),
            ("refuse", table.refuse.span()),
            ("digest", table.digest.span()),
        ];
        for (key, span) in of_body {
            if let Some(span) = span {
                faults.add(span, format!("`{key}` is about the body, and HEAD gets none"));
            }
        }
    }
    Http {
        method,
        paths: paths(table, kind, faults),
        host: table.host.get().cloned(),
        headers: headers(table, faults),
        login: login(table, false, faults),
        body: table.body.get().map(|body| body.clone().into_bytes()).unwrap_or_default(),
        status: status(table, faults),
        expect,
        refuse,
        digest,
        redirects: table.redirects.get().map_or(0, |most| most.to(0)),
        tls: (kind == CheckType::Https).then(|| tls::always(table, faults)),
    }
}

fn method(table: &CheckTable, faults: &mut Faults<'_>) -> String {
    let Some(At { value, span }) = table.method.set() else { return "GET".to_owned() };
    let known = Method::from_bytes(value.as_bytes()).is_ok_and(|method| method != Method::CONNECT);
    if !known || value.bytes().any(|b| b.is_ascii_lowercase()) {
        let help = "for example \"GET\", \"HEAD\" or \"POST\"";
        faults.add_with_help(*span, format!("`method` {value:?} is not a method"), help);
    }
    value.clone()
}

fn paths(table: &CheckTable, kind: CheckType, faults: &mut Faults<'_>) -> Vec<String> {
    let proxy = kind == CheckType::Proxy;
    if proxy {
        table.path.required(table.at, "path", "path = \"http://www.example.com/\"", faults);
    }
    let given = all(&table.path);
    for At { value: path, span } in given {
        let good = visible(path) && !path.contains('#');
        if proxy {
            let absolute = |uri: Uri| uri.scheme_str() == Some("http") && uri.host().is_some();
            if !good || !path.parse().is_ok_and(absolute) {
                let help = "a whole URI such as \"http://www.example.com/health\"";
                faults.add_with_help(*span, format!("`path` {path:?} cannot be asked of a proxy"), help);
            }
        } else if !good || !path.starts_with('/') || path.parse::<PathAndQuery>().is_err() {
            let help = "a path such as \"/health?full=1\": begins with `/`, other characters as %XX";
            faults.add_with_help(*span, format!("`path` {path:?} cannot be asked for"), help);
        }
    }
    if let Some(At { value, span }) = table.path.set()
        && value.0.items.is_empty()
        && value.0.complete
    {
        faults.add(*span, "`path` is empty, leave it out");
    }
    match given {
        [] => vec!["/".to_owned()],
        given => given.iter().map(|at| at.value.clone()).collect(),
    }
}

fn host(table: &CheckTable, faults: &mut Faults<'_>) {
    if let Some(At { value, span }) = table.host.set()
        && (value.is_empty() || !visible(value) || value.contains(['/', '@', '#', '?']))
    {
        faults.add_with_help(
            *span,
            format!("`host` {value:?} is not a host"),
            "for example \"www.example.com\"",
        );
    }
}

fn headers(table: &CheckTable, faults: &mut Faults<'_>) -> Vec<(String, String)> {
    /// These follow from other keys.
    const OWN: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];
    let Some(headers) = table.headers.get() else { return Vec::new() };
    for (name, value) in &headers.0 {
        if HeaderName::from_bytes(name.value.as_bytes()).is_err() {
            faults.add(name.span, format!("`{}` is not the name of a header", name.value.escape_debug()));
        } else if OWN.iter().any(|own| name.value.eq_ignore_ascii_case(own)) {
            let help = if name.value.eq_ignore_ascii_case("host") { "see `host`" } else { "leave it out" };
            faults.add_with_help(name.span, format!("header `{}` is Director's own", name.value), help);
        }
        if HeaderValue::from_str(&value.value).is_err() {
            let what =
                format!("the value of header `{}` has a character that no header may have", name.value);
            faults.add(value.span, what);
        }
    }
    headers.0.iter().map(|(name, value)| (name.value.clone(), value.value.clone())).collect()
}

fn status(table: &CheckTable, faults: &mut Faults<'_>) -> Vec<(u16, u16)> {
    if let Field::Set(At { value, span }) = &table.status
        && value.items.is_empty()
        && value.complete
    {
        faults.add_with_help(*span, "`status` is empty", "for example [200] or [\"200-299\", 304]");
    }
    let mut status: Vec<(u16, u16)> =
        items(&table.status).iter().map(|at| (at.value.0, at.value.1)).collect();
    if status.is_empty() {
        status.push((DEFAULT_STATUS.0, DEFAULT_STATUS.1));
    }
    status
}

fn digest(table: &CheckTable, faults: &mut Faults<'_>) -> Option<String> {
    let At { value, span } = table.digest.set()?;
    if value.len() != 32 || !value.bytes().all(|b| b.is_ascii_hexdigit()) {
        faults.add(*span, "`digest` is not an MD5 sum: 32 hexadecimal digits");
    }
    Some(value.to_ascii_lowercase())
}
