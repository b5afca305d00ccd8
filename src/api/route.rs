//! Which path is answered by what. Pure but for the question whether somebody has to be asked first.

use hyper::{Method, StatusCode};

use super::collect::{Depth, Everything};
use super::health::{self, Question, Verdict};
use super::history::History;
use super::pieces::Pieces;
use super::{exposition, metrics, page};

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/`, and `/?service=NAME`.
    Page(Option<String>),
    /// `/metrics`.
    Metrics,
    /// `/status`.
    Status,
    /// `/healthz`, with `?vrrp=NAME` or `?service=NAME`.
    Health(Question),
}

impl Route {
    /// How much of `lvs` the answer needs.
    #[must_use]
    pub fn depth(&self) -> Depth {
        match self {
            Self::Metrics | Self::Status => Depth::Whole,
            Self::Health(_) => Depth::Overview(None),
            Self::Page(service) => Depth::Overview(service.clone()),
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub code: StatusCode,
    /// Content type.
    pub kind: &'static str,
    /// Body.
    pub body: Pieces,
}

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// What is asked for.
///
/// # Errors
/// The answer to what is not.
pub fn route(method: &Method, path: &str, query: Option<&str>) -> Result<Route, Answer> {
    if *method != Method::GET && *method != Method::HEAD {
        return Err(line(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only"));
    }
    let asked = |key: &str| {
        let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value.to_owned())
    };
    match path {
        "/" => Ok(Route::Page(asked("service"))),
        "/metrics" => Ok(Route::Metrics),
        "/status" => Ok(Route::Status),
        "/healthz" => Ok(Route::Health(match (asked("vrrp"), asked("service")) {
            (Some(name), _) => Question::Router(name),
            (None, Some(name)) => Question::Service(name),
            (None, None) => Question::Box,
        })),
        _ => Err(line(StatusCode::NOT_FOUND, "here are: / /metrics /status /healthz")),
    }
}

/// The answer, from what everybody says.
#[must_use]
pub fn answer(route: &Route, everything: &Everything, history: &History) -> Answer {
    match route {
        Route::Metrics => Answer {
            code: StatusCode::OK,
            kind: exposition::CONTENT_TYPE,
            body: everything.metrics.get_or_init(|| metrics::pieces(everything)).clone().into(),
        },
        Route::Status => match everything.json() {
            Ok(body) => Answer { code: StatusCode::OK, kind: JSON, body: body.into() },
            Err(error) => line(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        },
        Route::Health(question) => match health::judge(question, everything) {
            Verdict::Yes(text) => line(StatusCode::OK, &text),
            Verdict::No(text) => line(StatusCode::SERVICE_UNAVAILABLE, &text),
            Verdict::Unknown(text) => line(StatusCode::NOT_FOUND, &text),
        },
        Route::Page(service) => match page::page(everything, history, service.as_deref()) {
            Some(page) => Answer { code: StatusCode::OK, kind: HTML, body: page.into() },
            None => line(StatusCode::NOT_FOUND, "no such service"),
        },
    }
}

fn line(code: StatusCode, text: &str) -> Answer {
    Answer { code, kind: TEXT, body: format!("{text}\n").into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::page::tests::everything;

    fn get(path: &str) -> (u16, String) {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let answer = route(&Method::GET, path, query).map_or_else(
            |answer| answer,
            |route| answer(&route, &everything(route.depth(), 7), &History::default()),
        );
        (answer.code.as_u16(), answer.body.text())
    }

    #[test]
    fn paths_have_answers() {
        assert_eq!(get("/healthz"), (200, "ok\n".to_owned()));
        assert_eq!(get("/healthz?vrrp=VI_1").0, 200);
        assert_eq!(get("/healthz?vrrp=VI_2"), (503, "VI_2 is backup: higher priority heard\n".to_owned()));
        assert_eq!(get("/healthz?vrrp=VI_9"), (404, "no virtual router \"VI_9\"\n".to_owned()));
        assert_eq!(get("/healthz?service=web").0, 200);
        assert_eq!(get("/healthz?service=mail"), (503, "mail has no quorum\n".to_owned()));
        assert_eq!(get("/etc/passwd").0, 404);
        assert_eq!(get("/?service=nope").0, 404);
        assert_eq!(get("/").0, 200);
        let refused = route(&Method::POST, "/", None).unwrap_err();
        assert_eq!(refused.code, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn the_status_is_that_of_the_command_line_with_a_version() {
        let (code, body) = get("/status");
        assert_eq!(code, 200);
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value["version"], crate::ipc::message::VERSION);
        assert_eq!(value["lvs"]["services"][0]["name"], "web");
        let back: crate::ipc::message::Status = serde_json::from_value(value["vrrp"].clone()).unwrap();
        assert!(matches!(back, crate::ipc::message::Status::Vrrp(_)));
    }

    #[test]
    fn metrics_tell_the_same() {
        let (_, text) = get("/metrics");
        for line in [
            "director_service_connections_total{service=\"web\"} 7",
            "director_vrrp_state{instance=\"VI_1\",interface=\"eth0\",vrid=\"51\",state=\"master\"} 1",
            "director_server_up{service=\"web\",server=\"192.168.61.33:80\"} 0",
            "director_worker_restarts_total{role=\"lvs\",tty=\"\"} 2",
            "director_uptime_seconds 93.5",
            "director_time_synchronised 0",
            "director_time_server_up{server=\"192.168.61.1\"} 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
        }
    }
}
