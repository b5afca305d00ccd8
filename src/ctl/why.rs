//! `director why`: a paragraph that says why a real server or a sorry server is in or out.

use std::process::ExitCode;

use super::ipvs::view::VERSION;
use super::services::{answer, order, quorum};
use super::status::age;
use super::{Error, admin, ask, print};
use crate::ipc::message::{Cause, Health, Reply, Request, Why};
use crate::role::Role;

/// `director why SERVICE SERVER [--json]`.
pub fn run(args: lexopt::Parser) -> Result<ExitCode, Error> {
    let whom = admin::whom("why", args, admin::Takes { json: true, ..admin::Takes::default() })?;
    let request = Request::Why { service: whom.service.clone(), server: whom.server.clone() };
    let Reply::Why { servers } = ask::from(&whom.run_dir, Role::Lvs, &request)? else {
        return Err(Error::Failed("why: lvs answered something else".to_owned()));
    };
    if whom.json {
        return print(&ask::json(&serde_json::json!({ "version": VERSION, "servers": servers }))?);
    }
    let paragraphs: Vec<String> = servers.iter().map(|why| wrap(&paragraph(why))).collect();
    print(&paragraphs.join("\n"))
}

/// The paragraph, in one line.
#[must_use]
pub fn paragraph(why: &Why) -> String {
    let mut sentences = vec![decision(why)];
    sentences.extend(standing_in(why));
    sentences.push(kernel(why));
    sentences.push(checks(why));
    sentences.push(format!(
        "The service {}: {}.",
        if why.service.up { "has its quorum" } else { "has no quorum" },
        quorum(&why.service)
    ));
    sentences.extend(history(why));
    sentences.join(" ")
}

fn decision(why: &Why) -> String {
    let (server, service, weight) = (why.server.address, &why.service.name, why.server.weight);
    let failing = why.server.checks.iter().find(|check| check.health == Health::Down);
    let reason = failing.map_or_else(
        || why.server.reason.to_string(),
        |check| format!("the check {} says: {}", check.kind, check.reason),
    );
    let ordered = why.server.admin.as_ref().map(order).unwrap_or_default();
    let asks = why.server.feedback.as_deref().unwrap_or("less");
    match why.cause {
        Cause::Lives => format!("{server} is in {service} with weight {weight}, as the file has it."),
        Cause::SlowStart => {
            let start = why.server.slow_start.as_ref();
            let (percent, left) = start.map_or((100, 0), |start| (start.percent, start.left_ms));
            format!(
                "{server} is in {service} with {percent}% of its weight {weight}: it has come back and starts slowly, \
                 all of it in {}.",
                age(left)
            )
        }
        Cause::Feedback => {
            format!(
                "{server} is in {service} with what it says that it can take, {asks}; the file has weight {weight}."
            )
        }
        Cause::Fails => match why.server.kernel_weight {
            None => format!("{server} is out of {service}: {reason}."),
            Some(_) => format!("{server} takes no new connections of {service}: {reason}."),
        },
        Cause::Kept => format!(
            "No check of {server} has a verdict yet, so it stays in {service} as the kernel had it: {}.",
            why.server.kernel_weight.map_or_else(|| "out".to_owned(), |weight| format!("weight {weight}"))
        ),
        Cause::StartsUp => {
            format!(
                "{server} is in {service} until its checks fail: start = \"up\", and none has a verdict yet."
            )
        }
        Cause::StartsDown => format!(
            "{server} is out of {service} until its checks succeed: start = \"down\", and none has a verdict yet."
        ),
        Cause::Off => format!("{server} takes no new connections of {service}: enabled = false in the file."),
        Cause::Drains => format!(
            "{server} takes no new connections of {service}: the operator drains it ({ordered}), {} active ones finish.",
            why.server.active
        ),
        Cause::Drained => {
            format!("{server} is out of {service}: the operator drained it and the time is over ({ordered}).")
        }
        Cause::StandsIn => format!(
            "{server} answers for {service} in place of its real servers: it is a sorry server, and the quorum is lost."
        ),
        Cause::StandsBy => {
            format!(
                "{server} waits: it is a sorry server of {service}, and the real servers have their quorum."
            )
        }
        Cause::Disabled => format!("{server} is out of {service}: the operator took it out ({ordered})."),
    }
}

/// That sorry servers answer decides for every real server.
fn standing_in(why: &Why) -> Option<String> {
    let serves = matches!(
        why.cause,
        Cause::Lives | Cause::SlowStart | Cause::Feedback | Cause::Kept | Cause::StartsUp
    );
    (why.service.sorry && serves).then(|| {
        "But the service has lost its quorum, so its sorry servers answer in place of all real ones."
            .to_owned()
    })
}

fn kernel(why: &Why) -> String {
    let server = &why.server;
    let scale = match why.service.scale {
        1 => String::new(),
        scale => format!(" (in units of 1/{scale})"),
    };
    match server.kernel_weight {
        Some(weight) => format!(
            "The kernel has it with weight {weight}{scale}, {} active and {} inactive connections.",
            server.active, server.inactive
        ),
        None => "The kernel does not have it.".to_owned(),
    }
}

fn checks(why: &Why) -> String {
    if why.server.checks.is_empty() {
        return "It is not checked.".to_owned();
    }
    let each = why.server.checks.iter().map(|check| {
        let health = match check.health {
            Health::Unknown => "no verdict",
            Health::Up => "up",
            Health::Down => "down",
        };
        let against = match (check.against, check.health) {
            (0, _) | (_, Health::Unknown) => String::new(),
            (n, Health::Up) => format!("; {n} of {} failures in a row", check.turns_at),
            (n, Health::Down) => format!("; {n} of {} successes in a row", check.turns_at),
        };
        format!("{} of {} is {health} ({}{against})", check.kind, check.address, answer(check))
    });
    format!("Checks: {}.", each.collect::<Vec<_>>().join(", "))
}

fn history(why: &Why) -> Option<String> {
    let newest_first = why.history.iter().rev();
    let changes: Vec<String> = newest_first
        .map(|change| format!("{} {} ago ({})", change.what, age(change.ago_ms), change.why))
        .collect();
    (!changes.is_empty()).then(|| format!("Last changes: {}.", changes.join(", ")))
}

/// Lines of at most 100 columns.
fn wrap(text: &str) -> String {
    const WIDTH: usize = 100;
    let (mut out, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server of the service `web` with these members of its own, and these of the service.
    fn said(cause: &str, weight: &str, server: &str, service: &str, history: &str) -> String {
        let why: Why = serde_json::from_str(&format!(
            r#"{{"cause":"{cause}","history":[{history}],
            "service":{{"name":"web","listen":"192.0.2.1:80","protocol":"tcp","scheduler":"wlc","persistence_s":null,
             "connections":17,"servers":[]{service}}},
            "server":{{"address":"10.0.0.1:80","method":"dr","weight":10,"kernel_weight":{weight},"sorry":false,
             "reason":"","checked_ms":null,"latency_us":null,"active":3,"inactive":12{server}}}}}"#
        ))
        .unwrap();
        paragraph(&why)
    }

    const UP: &str = r#","up":true,"sorry":false,"live_weight":30,"quorum":1"#;
    const SORRY: &str = r#","up":false,"sorry":true,"live_weight":10,"quorum":20"#;

    #[test]
    fn a_server_that_lives() {
        let server = r#","health":"up","checks":[{"kind":"http","address":"10.0.0.1:80","health":"up","reason":"200 OK",
            "checked_ms":700,"latency_us":1234,"against":1,"turns_at":3}]"#;
        let history = r#"{"ago_ms":65000,"what":"down","why":"connection refused"},{"ago_ms":5000,"what":"up","why":"200 OK"}"#;
        assert_eq!(
            said("lives", "10", server, UP, history),
            "10.0.0.1:80 is in web with weight 10, as the file has it. The kernel has it with weight 10, 3 active and 12 \
             inactive connections. Checks: http of 10.0.0.1:80 is up (200 OK in 1.2 ms, 700 ms ago; 1 of 3 failures in a \
             row). The service has its quorum: live weight 30 of 1. Last changes: up 5 s ago (200 OK), down 1 m 5 s ago \
             (connection refused)."
        );
    }

    #[test]
    fn a_server_that_fails_and_one_behind_a_sorry_server() {
        let server = r#","health":"down","checks":[{"kind":"tcp","address":"10.0.0.1:80","health":"down",
            "reason":"connection refused","checked_ms":700,"latency_us":90,"against":0,"turns_at":2}]"#;
        let text = said("fails", "null", server, SORRY, "");
        assert!(text.starts_with(
            "10.0.0.1:80 is out of web: the check tcp says: connection refused. The kernel does not have it. "
        ), "{text}");
        assert!(text.ends_with("The service has no quorum: live weight 10 of 20."), "{text}");
        let text = said("lives", "null", r#","health":"up""#, SORRY, "");
        assert!(text.contains("But the service has lost its quorum, so its sorry servers answer"), "{text}");
        assert!(text.contains("It is not checked."), "{text}");
    }

    #[test]
    fn sorry_servers() {
        let text = said("stands_in", "1", r#","health":"unknown""#, SORRY, "");
        assert!(text.starts_with(
            "10.0.0.1:80 answers for web in place of its real servers: it is a sorry server, and the quorum is lost. The \
             kernel has it with weight 1, "
        ), "{text}");
        let text = said("stands_by", "null", r#","health":"up""#, UP, "");
        assert!(text.starts_with(
            "10.0.0.1:80 waits: it is a sorry server of web, and the real servers have their quorum. The kernel does not \
             have it. It is not checked. "
        ), "{text}");
    }

    #[test]
    fn orders_of_the_operator() {
        let draining = r#","health":"up","admin":{"state":"draining","since_ms":12000,"left_ms":288000}"#;
        let text = said("drains", "0", draining, UP, "");
        assert!(text.starts_with(
            "10.0.0.1:80 takes no new connections of web: the operator drains it (draining for 12 s, 4 m 48 s left), 3 \
             active ones finish."
        ), "{text}");
        let disabled = r#","health":"up","admin":{"state":"disabled","since_ms":12000,"left_ms":null}"#;
        let text = said("disabled", "null", disabled, UP, "");
        assert!(
            text.starts_with("10.0.0.1:80 is out of web: the operator took it out (disabled for 12 s)."),
            "{text}"
        );
    }

    #[test]
    fn long_paragraphs_are_wrapped() {
        let text = wrap(&"word ".repeat(60));
        assert!(text.lines().count() == 3 && text.lines().all(|line| line.len() <= 100), "{text}");
    }
}
