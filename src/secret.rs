//! Secrets: by which keys they are known, and those that lie in files of their own: `file:NAME` in place of the text.

use std::collections::BTreeSet;
use std::fs;

use crate::paths::RunDir;

/// Keys of `director.toml`, headers of HTTP and members of JSON whose values are secrets, as a regular expression has them.
pub const KEYS: &str = "key|keys|auth_key|private_key|pass|password|passwd|passphrase|secret|token|pin|community|\
                        authorization|proxy-authorization|cookie|x-api-key|bearer";
/// What is told in the place of a secret.
pub const HIDDEN: &str = "(hidden)";

/// What such a text begins with.
const PREFIX: &str = "file:";
/// Longest name of a file.
const LONGEST: usize = 64;

/// Whether the value of this key is a secret.
#[must_use]
pub fn is_key(key: &str) -> bool {
    KEYS.split('|').any(|secret| secret.eq_ignore_ascii_case(key))
}

/// Whether a text has a user's password in an address: `http://user:password@host`.
#[must_use]
pub fn in_address(text: &str) -> bool {
    let host = |rest: &str| {
        rest.find(['/', '"', '\'', ' ']).and_then(|end| rest.get(..end)).unwrap_or(rest).contains('@')
    };
    text.split("://").skip(1).any(host)
}

/// The lines (from 1) of a file that may have a secret or a part of one. The file may have any fault, so words decide: better a
/// line too many.
#[must_use]
pub fn lines(text: &str) -> BTreeSet<usize> {
    // What ends a value of several lines that began behind such a key.
    let mut end: Option<&str> = None;
    let secret = text.lines().enumerate().filter(|(_, line)| {
        let (within, begins) = (end.is_some(), has_key(line));
        match end {
            Some(mark) if line.contains(mark) => end = None,
            None if begins => end = goes_on(line),
            _ => {}
        }
        within || begins || in_address(line)
    });
    secret.map(|(index, _)| index + 1).collect()
}

fn has_key(line: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').any(is_key)
}

/// What ends the value that a line leaves open.
fn goes_on(line: &str) -> Option<&'static str> {
    let (_, value) = line.split_once('=')?;
    [("\"\"\"", "\"\"\""), ("'''", "'''"), ("[", "]")].into_iter().find_map(|(begin, end)| {
        let (_, rest) = value.split_once(begin)?;
        (!rest.contains(end)).then_some(end)
    })
}

/// The file that a text names; `None` where the text is the secret itself.
#[must_use]
pub fn file(text: &str) -> Option<&str> {
    text.strip_prefix(PREFIX)
}

/// Whether it is the name of a file in the folder `secrets`: one that FAT keeps as it is.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=LONGEST).contains(&name.len())
        && name.bytes().all(usual)
        && !name.starts_with('.')
        && !name.ends_with('.')
}

/// Whether it is such a name, or a whole path.
#[must_use]
pub fn is_place(place: &str) -> bool {
    is_name(place) || (place.len() > 1 && place.starts_with('/') && !place.contains('\0'))
}

/// The secret itself: the text, or the first line of the file that it names, which `store` has brought.
///
/// # Errors
/// In words: there is none.
pub fn reveal(run: &RunDir, text: &str) -> Result<String, String> {
    let Some(place) = file(text) else { return Ok(text.to_owned()) };
    let read = fs::read_to_string(run.secret(place)).unwrap_or_default();
    match read.lines().next().unwrap_or_default() {
        "" => Err(format!("no secret to use: {place}: it could not be read")),
        line => Ok(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths() {
        for good in ["vrrp.key", "mail_password-2", "/etc/director/vrrp.key"] {
            assert!(is_place(good), "{good}");
        }
        for bad in ["", "/", ".", "..", ".key", "key.", "../key", "a/b", "a b", "ä", "/a\0"] {
            assert!(!is_place(bad), "{bad}");
        }
    }

    #[test]
    fn lines_that_may_have_a_secret() {
        let text = "[[vrrp]]\nname = \"monkey\"\nauth = { type = \"pass\", key = \"abc\"\nkeys = [\n  \"a\",\n  \"b\" ]\n\
                    path = \"/\"\nsecret = \"\"\"\none\n\"\"\"\nPassword abc\nurl = \"http://u:p@h/\"\nurl = \"http://h/@\"\n";
        assert_eq!(lines(text).into_iter().collect::<Vec<_>>(), [3, 4, 5, 6, 8, 9, 10, 11, 12]);
    }

    #[test]
    fn the_first_line_is_the_secret() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        assert_eq!(reveal(&run, "as it is").unwrap(), "as it is");
        assert!(reveal(&run, "file:mail").is_err());
        fs::create_dir(run.secrets()).unwrap();
        fs::write(run.secret("mail"), "correct horse\r\nnotes\n").unwrap();
        assert_eq!(reveal(&run, "file:mail").unwrap(), "correct horse");
    }
}
