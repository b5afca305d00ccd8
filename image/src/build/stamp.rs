//! What a build is called and when it was made: from the commit, so that every build of it says the same.

use std::process::Command;

use serde::Serialize;

use crate::project;
use crate::tool;

/// The identity of a build, as the box shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Stamp {
    /// Version of the workspace.
    pub version: String,
    /// The commit, short; `-modified` follows where the checkout differs from it, `unknown` outside a repository.
    pub commit: String,
    /// Time of the commit in seconds since 1970; SOURCE_DATE_EPOCH overrides it.
    pub time: u64,
    /// The same, as RFC 3339 in UTC.
    pub date: String,
    /// The board.
    pub board: String,
}

impl Stamp {
    /// The identity of what this checkout builds for the board called `board`.
    pub fn of(board: &str) -> Self {
        let commit = git(&["rev-parse", "--short=12", "HEAD"]);
        let modified = git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
        let time = std::env::var("SOURCE_DATE_EPOCH")
            .ok()
            .or_else(|| git(&["log", "-1", "--format=%ct"]))
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or(0);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: match commit {
                Some(commit) if modified => format!("{commit}-modified"),
                Some(commit) => commit,
                None => "unknown".to_owned(),
            },
            time,
            date: rfc3339(time),
            board: board.to_owned(),
        }
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let mut command: Command = tool::command("git");
    command.arg("-C").arg(project::root()).args(arguments);
    tool::output(&mut command).ok().map(|text| text.trim().to_owned())
}

/// Civil date of a time in seconds since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn rfc3339(time: u64) -> String {
    let (days, seconds) = (time / 86_400 + 719_468, time % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(rfc3339(1_735_689_599), "2024-12-31T23:59:59Z");
    }
}
