//! The agent check: a line of words by which a server says how it is, as HAProxy's agents do (configuration manual,
//! `agent-check`).

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Feedback, Outcome, Reason, Step, Target, reason, socket};

/// Longest line that is read.
pub const LONGEST: usize = 1024;

/// Connects, says `send`, and takes the first line that comes.
pub async fn probe(target: &Target, send: &[u8]) -> Outcome {
    match line(target, send).await {
        Ok(line) => judge(&line),
        Err(ended) => ended,
    }
}

async fn line(target: &Target, send: &[u8]) -> Step<Vec<u8>> {
    let mut stream = socket::connect(target).await?;
    if !send.is_empty() {
        stream.write_all(send).await?;
    }
    let mut heard = Vec::new();
    loop {
        let room = (LONGEST + 1).saturating_sub(heard.len());
        let read = (&mut stream).take(room as u64).read_buf(&mut heard).await?;
        if read == 0 || heard.iter().any(|byte| ends_line(*byte)) {
            return Ok(heard);
        }
    }
}

/// What the first line of `said` means: `down`, `fail` or `stopped` is down, `drain` or `maint` takes no new connections,
/// `75%` or `75` is a share of the weight, `up` or `ready` all of it; the worst of several words counts. Words are apart by
/// blanks or commas; `maxconn:10` is for proxies and passed over; after `#` comes a reason for people.
#[must_use]
pub fn judge(said: &[u8]) -> Outcome {
    let end = said.iter().position(|byte| ends_line(*byte)).unwrap_or(said.len());
    let line = said.get(..end).unwrap_or(said);
    if line.len() > LONGEST {
        return Outcome::Failure(Reason::Owned(format!("says more than {LONGEST} bytes in one line")));
    }
    let line = String::from_utf8_lossy(line);
    let (words, why) = line.split_once('#').unwrap_or((&line, ""));
    let quoted = reason::quote(words.trim().as_bytes());
    let said: Option<Vec<Word>> = words
        .split([' ', '\t', ','])
        .filter(|word| !word.is_empty() && !word.starts_with("maxconn:"))
        .map(Word::read)
        .collect();
    // A word that is none most likely comes from something else than an agent.
    let Some(said) = said.filter(|said| !said.is_empty()) else {
        return Outcome::Failure(Reason::Owned(format!("says {quoted}, no words of an agent")));
    };
    let why = Reason::Owned(match why.trim() {
        "" => format!("says {quoted}"),
        why => format!("says {quoted}: {}", reason::told(why.as_bytes())),
    });
    let percent = said.iter().rev().find_map(|word| match word {
        Word::Percent(percent) => Some(*percent),
        _ => None,
    });
    if said.contains(&Word::Down) {
        return Outcome::Failure(why);
    }
    if said.contains(&Word::Drain) {
        return Outcome::Feedback(Feedback::Drain, why);
    }
    match percent {
        Some(percent) => Outcome::Feedback(Feedback::Percent(percent), why),
        None => Outcome::Success(why),
    }
}

const fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | 0)
}

#[derive(Debug, PartialEq, Eq)]
enum Word {
    Up,
    Down,
    Drain,
    Percent(u16),
}

impl Word {
    fn read(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "up" | "ready" => Self::Up,
            "down" | "fail" | "stopped" => Self::Down,
            "drain" | "maint" => Self::Drain,
            number => Self::Percent(number.strip_suffix('%').unwrap_or(number).parse().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_agents() {
        for (said, want) in [
            ("75%\n", Feedback::Percent(75)),
            ("75\n", Feedback::Percent(75)),
            ("up 50%\r\n", Feedback::Percent(50)),
            ("0%", Feedback::Percent(0)),
            ("ready,up,200%\nnext line down", Feedback::Percent(200)),
            ("drain\n", Feedback::Drain),
            ("DRAIN 50%\n", Feedback::Drain),
            ("maint", Feedback::Drain),
        ] {
            let Outcome::Feedback(feedback, _) = judge(said.as_bytes()) else { panic!("{said}") };
            assert_eq!(feedback, want, "{said}");
        }
        assert_eq!(judge(b"up\n"), Outcome::Success("says \"up\"".into()));
        assert_eq!(judge(b"ready maxconn:30\0"), Outcome::Success("says \"ready maxconn:30\"".into()));
        for (said, want) in [
            ("down#disk full\n", "says \"down\": \"disk full\""),
            ("up stopped 50%\n", "says \"up stopped 50%\""),
            ("", "says \"\", no words of an agent"),
            ("-1\n", "says \"-1\", no words of an agent"),
            ("99999%\n", "says \"99999%\", no words of an agent"),
            ("HTTP/1.1 400 Bad Request\r\n", "says \"HTTP/1.1 400 Bad Request\", no words of an agent"),
        ] {
            assert_eq!(judge(said.as_bytes()), Outcome::Failure(want.into()), "{said}");
        }
        assert_eq!(judge(&[b'1'; 1100]), Outcome::Failure("says more than 1024 bytes in one line".into()));
    }

    #[test]
    fn any_bytes_are_judged() {
        crate::check::fuzz::mutations(b"up ready 75% maxconn:30 #a reason\r\n", |bytes| {
            let _ = judge(bytes);
        });
    }
}
