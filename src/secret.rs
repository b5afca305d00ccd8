//! Secrets that lie in files of their own: `file:NAME` in place of the text.

use std::fs;

use crate::paths::RunDir;

/// What such a text begins with.
const PREFIX: &str = "file:";
/// Longest name of a file.
const LONGEST: usize = 64;

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
