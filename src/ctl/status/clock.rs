//! The clock and its servers. Pure.

use super::words::dash;
use super::{age, latency, table};
use crate::ipc::message::{TimeServerStatus, TimeStatus};
use crate::time::choose::seconds;

/// The clock and its servers; nothing where it has none.
#[must_use]
pub fn time(status: &TimeStatus) -> Vec<String> {
    if status.servers.is_empty() && status.problem.is_none() {
        return Vec::new();
    }
    let offset = status.offset_us.map(|us| format!(", offset {:+.6} s", seconds(us))).unwrap_or_default();
    let agreed = status.agreed_ms.map(|ms| format!(", {} ago", age(ms))).unwrap_or_default();
    let word = if status.synchronised { "clock: synchronised" } else { "! clock: not synchronised" };
    let mut first = format!("{word}{offset}{agreed}");
    if status.steps > 0 {
        let times = if status.steps == 1 { "once".to_owned() } else { format!("{} times", status.steps) };
        first.push_str(&format!(", stepped {times}"));
    }
    if !status.sets {
        first.push_str(" (the clock is the host's, and only watched)");
    }
    let mut out = vec![first];
    out.extend(status.problem.iter().map(|problem| format!("! {problem}")));
    out.extend(table(status.servers.iter().map(time_server).collect()));
    out
}

/// In a line, that the clock is not right; nothing where that is as it should be.
#[must_use]
pub fn clock(status: &TimeStatus) -> Option<String> {
    let expected = !status.servers.is_empty() || status.problem.is_some();
    let wrong = expected && !status.synchronised;
    let why = status.problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
    wrong.then(|| format!("! clock not synchronised{why}"))
}

fn time_server(server: &TimeServerStatus) -> Vec<String> {
    let said = match (&server.problem, server.offset_us, server.delay_us) {
        (Some(problem), ..) => problem.clone(),
        (None, Some(offset), Some(delay)) => {
            format!("offset {:+.6} s, delay {}", seconds(offset), latency(delay))
        }
        _ => "not asked yet".to_owned(),
    };
    let called = server.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    vec![
        format!("  {}{}{}", if server.chosen { "* " } else { "  " }, server.address, called),
        server.source.clone(),
        server.stratum.map_or_else(dash, |stratum| format!("stratum {stratum}")),
        said,
    ]
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use crate::ipc::message::Status;

    fn clock(synchronised: bool, sets: bool, problem: &str) -> Status {
        let server = |last: u8, stratum: u8, offset: i64, delay: u64| {
            serde_json::json!({"address": format!("192.168.61.{last}"), "source": "file", "chosen": last == 1,
                "stratum": stratum, "offset_us": offset, "delay_us": delay, "problem": null})
        };
        let silent = serde_json::json!({"address": "192.168.61.3", "source": "file", "chosen": false,
            "stratum": null, "offset_us": null, "delay_us": null, "problem": "no answer within 2 s"});
        let problem = (!problem.is_empty()).then_some(problem);
        serde_json::from_value(
            serde_json::json!({"role": "time", "synchronised": synchronised, "problem": problem,
            "offset_us": -318, "agreed_ms": 42_000, "sets": sets, "steps": u8::from(sets), "generation": 1,
            "servers": [server(1, 2, -318, 412), server(2, 3, -290, 1_234), silent]}),
        )
        .unwrap()
    }

    #[test]
    fn the_clock_as_the_manual_shows_it() {
        let shown = lines(&clock(true, true, "")).join("\n");
        assert!(
            include_str!("../../../doc/manual.md").contains(&format!("status time\n{shown}\n")),
            "{shown}"
        );
    }

    #[test]
    fn a_clock_that_is_wrong_or_somebody_elses() {
        let shown = lines(&clock(false, false, "no time server answers"));
        assert_eq!(
            shown[..2],
            [
                "! clock: not synchronised, offset -0.000318 s, 42 s ago (the clock is the host's, and only watched)",
                "! no time server answers"
            ]
        );
        let Status::Time(status) = clock(false, true, "no time server answers") else { panic!() };
        assert_eq!(
            super::clock(&status).as_deref(),
            Some("! clock not synchronised: no time server answers")
        );
        let Status::Time(status) = clock(true, true, "no time server answers") else { panic!() };
        assert_eq!(super::clock(&status), None, "one question lost is not worth a line");
    }
}
