//! Log lines for people. Pure: `director logs` and the console show the same.

use serde_json::Value;

use crate::ipc::message::LogLine;
use crate::notify::syslog::line::{Fields, fields};

/// A log line: `2026-11-20 10:21:33 lvs     text`.
#[must_use]
pub fn line(line: &LogLine) -> String {
    let word = match line.severity {
        0..=3 => "error: ",
        4 => "warning: ",
        7 => "debug: ",
        _ => "",
    };
    format!("{} {:<7} {word}{}", moment(line.time_ms), line.role, line.text)
}

/// A log line for programs, in a line: with what happened, and its fields, where the text has some.
#[must_use]
pub fn json(line: &LogLine) -> String {
    let mut object = serde_json::to_value(line).unwrap_or_default();
    if let (Some(object), Some(Fields { head, pairs })) = (object.as_object_mut(), fields(&line.text)) {
        let pairs: serde_json::Map<String, Value> =
            pairs.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        object.insert("event".to_owned(), head.into());
        object.insert("fields".to_owned(), pairs.into());
    }
    object.to_string()
}

/// A moment in UTC, to the second: days counted as in "chrono-compatible low-level date algorithms" (H. Hinnant).
#[must_use]
pub fn moment(time_ms: u64) -> String {
    let seconds = time_ms / 1000;
    let shifted = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::Role;

    #[test]
    fn a_line_names_its_moment_its_role_and_its_weight() {
        let read =
            LogLine { time_ms: 1_795_169_293_000, role: Role::Lvs, severity: 4, text: "down".to_owned() };
        assert_eq!(line(&read), "2026-11-20 10:08:13 lvs     warning: down");
    }

    #[test]
    fn a_program_gets_the_fields() {
        let text = "server down: service=web server=10.0.0.1:80 reason=connection refused";
        let read = LogLine { time_ms: 7, role: Role::Lvs, severity: 4, text: text.to_owned() };
        let told: Value = serde_json::from_str(&json(&read)).unwrap();
        assert_eq!(
            (&told["role"], &told["severity"], &told["text"]),
            (&"lvs".into(), &4.into(), &text.into())
        );
        assert_eq!(told["event"], "server down");
        assert_eq!(
            told["fields"],
            serde_json::json!({"service": "web", "server": "10.0.0.1:80", "reason": "connection refused"})
        );
        let plain = LogLine { text: "nothing more".to_owned(), ..read };
        assert!(!json(&plain).contains("fields"));
    }

    #[test]
    fn moments_know_leap_years() {
        assert_eq!(moment(0), "1970-01-01 00:00:00");
        assert_eq!(moment(951_826_154_000), "2000-02-29 12:09:14");
    }
}
