//! Files that `keepalived.conf` includes, put in their places (keepalived(5), "INCLUDING OTHER CONFIGURATION FILES"). Pure: who
//! calls reads the files.

use std::path::{Path, PathBuf};

/// How deep files may include each other: more is a circle.
const DEPTH: usize = 16;

/// `include`, and what keepalived 2.3 has beside it: they differ in what a missing file means to keepalived.
const WORDS: [&str; 6] = ["include", "includer", "includem", "includew", "includeb", "includea"];

/// Reads what a pattern names: each file with its text, in the order of their names. The last part of the pattern may have
/// wildcards, see [`matches`]. The error says why nothing can be read.
pub type Look<'a> = dyn FnMut(&Path) -> Result<Vec<(PathBuf, String)>, String> + 'a;

/// A file with all that it includes, as one text.
#[derive(Debug, Default)]
pub struct Whole {
    /// The text.
    pub text: String,
    /// What could not be included: line of the text, and why.
    pub missing: Vec<(usize, String)>,
    /// The file, but for the first, and the line of each line of the text.
    places: Vec<(Option<String>, usize)>,
}

impl Whole {
    /// Reads `text`, which is the file `path`.
    #[must_use]
    pub fn of(path: &Path, text: &str, look: &mut Look<'_>) -> Self {
        let mut whole = Self::default();
        whole.add(path, None, text, look, 0);
        whole
    }

    /// The file, `None` for the first, and the line there of a line of the text; each from 1.
    #[must_use]
    pub fn place(&self, line: usize) -> (Option<String>, usize) {
        self.places.get(line.saturating_sub(1)).cloned().unwrap_or((None, line))
    }

    fn add(&mut self, path: &Path, name: Option<&str>, text: &str, look: &mut Look<'_>, depth: usize) {
        for (at, line) in text.lines().enumerate() {
            self.places.push((name.map(str::to_owned), at + 1));
            let Some(pattern) = included(line) else {
                self.text.push_str(line);
                self.text.push('\n');
                continue;
            };
            self.text.push('\n');
            let here = self.places.len();
            let found = if depth == DEPTH {
                Err("files that include each other".to_owned())
            } else {
                // What is not absolute is meant from the folder of the file that says it.
                look(&path.parent().unwrap_or_else(|| Path::new("")).join(pattern))
            };
            match found {
                Ok(files) if files.is_empty() => {
                    self.missing.push((here, format!("include {pattern}: no such file")))
                }
                Ok(files) => files.iter().for_each(|(file, text)| {
                    self.add(file, Some(&file.display().to_string()), text, look, depth + 1);
                }),
                Err(why) => self.missing.push((here, format!("include {pattern}: {why}"))),
            }
        }
    }
}

/// The pattern of a line that includes files.
fn included(line: &str) -> Option<&str> {
    let (word, rest) = line.trim().split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let pattern = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split_whitespace().next(),
    };
    pattern.filter(|pattern| WORDS.contains(&word) && !pattern.is_empty())
}

/// Whether `name` fits `pattern`, in which `*` stands for any characters and `?` for one, but not for a point at the
/// beginning (glob(7)).
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    fn fits(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', more @ ..], _) => {
                (0..=name.len()).any(|at| name.get(at..).is_some_and(|rest| fits(more, rest)))
            }
            ([b'?', pattern @ ..], [_, name @ ..]) => fits(pattern, name),
            ([one, pattern @ ..], [other, name @ ..]) => one == other && fits(pattern, name),
            _ => false,
        }
    }
    (pattern.starts_with('.') || !name.starts_with('.')) && fits(pattern.as_bytes(), name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stand_where_they_are_included() {
        let mut asked = Vec::new();
        let mut look = |path: &Path| {
            asked.push(path.display().to_string());
            match path.to_str().unwrap() {
                "/etc/k/conf.d/*.conf" => Ok(vec![
                    ("/etc/k/conf.d/a.conf".into(), "a\ninclude more\n".to_owned()),
                    ("/etc/k/conf.d/b.conf".into(), "b".to_owned()),
                ]),
                "/etc/k/conf.d/more" => Ok(vec![("/etc/k/conf.d/more".into(), "m\n".to_owned())]),
                "/none" => Ok(Vec::new()),
                _ => Err("permission denied".to_owned()),
            }
        };
        let text = "x {\n include \"conf.d/*.conf\" # all\n}\ninclude /none\n includer secret\nincluded y\n";
        let whole = Whole::of(Path::new("/etc/k/k.conf"), text, &mut look);
        assert_eq!(whole.text, "x {\n\na\n\nm\nb\n}\n\n\nincluded y\n");
        let place = |line| whole.place(line);
        assert_eq!(place(1), (None, 1));
        assert_eq!(place(3), (Some("/etc/k/conf.d/a.conf".to_owned()), 1));
        assert_eq!(place(5), (Some("/etc/k/conf.d/more".to_owned()), 1));
        assert_eq!(place(7), (None, 3));
        let missing = [(8, "include /none: no such file"), (9, "include secret: permission denied")];
        assert_eq!(whole.missing, missing.map(|(line, why)| (line, why.to_owned())));
        assert_eq!(asked.len(), 4);
    }

    #[test]
    fn a_circle_ends() {
        let mut look = |path: &Path| Ok(vec![(path.to_owned(), "include a\n".to_owned())]);
        let whole = Whole::of(Path::new("a"), "include a\n", &mut look);
        assert_eq!(whole.missing, [(DEPTH + 1, "include a: files that include each other".to_owned())]);
    }

    #[test]
    fn wildcards() {
        assert!(matches("*.conf", "web.conf") && matches("w?b*", "web.conf") && matches("a", "a"));
        assert!(!matches("*.conf", ".web.conf") && !matches("*.conf", "web.conf~") && !matches("?", ""));
    }
}
